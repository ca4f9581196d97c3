"""The documents say what is so: links, names, commands, settings, figures of speech in code."""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from agents import captions
from agents.all import STAGES
from voicestream import topics
from voicestream.cli.main import Commands
from voicestream.codec import codec
from voicestream.gateway.protocol import CLOSE_CODES
from voicestream.gateway.stats import GatewayStats
from voicestream.settings import Settings, settings

ROOT = Path(__file__).parents[1]
DOCS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("training/**/*.md"),
    ]
)
RUNNABLE = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("agents", "cookbook", "guarantees", "insights", "models")),
]
SUFFIXES = "py|md|avsc|yaml|yml|toml|sql|wav|flac|json|onnx|txt|html|js|css"
PLACES = (ROOT, ROOT / "src" / "voicestream")

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"[\w.*-]+(?:/[\w.*-]+)*/?\.?(?:{SUFFIXES})")
DOTTED = re.compile(r"[a-z_]\w*\.(?:\w+\.)*(?!NAME$|STAGE$)\w+")
PLUG_INS = {"voicestream.stt_engines", "voicestream.sentiment_models", "voicestream.insight_extractors"}


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return BLOCK.sub("", path.read_text())


def spans(path: Path) -> list[str]:
    return [span.strip() for span in SPAN.findall(prose(path))]


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The blocks of a language, each with the line on which its code begins."""
    text = path.read_text()
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in BLOCK.finditer(text) if m[1] == language]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def packages() -> frozenset[str]:
    """The names with which a dotted name of ours begins."""
    source = ROOT / "src" / "voicestream"
    return frozenset({"voicestream", "agents"} | {p.stem for p in source.iterdir() if p.suffix in ("", ".py")})


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if re.match(r"https?://|mailto:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{name(path)}: the link {link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{name(path)}: {name(target)} has no heading #{anchor}"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_files_that_are_named_exist(path: Path) -> None:
    for span in spans(path):
        if not PATH.fullmatch(span) or "/" not in span or span.startswith(("build/", "/")):
            continue
        pattern = re.sub(r"\b[A-Z]{2,}\b", "*", span)  # agents/NAME.py
        found = any(next(place.glob(pattern), None) for place in (*PLACES, path.parent))
        assert found, f"{name(path)}: there is no file {span}"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_functions_that_are_named_exist(path: Path) -> None:
    for span in spans(path):
        dotted = span.removesuffix("()")
        if not DOTTED.fullmatch(dotted) or dotted.partition(".")[0] not in packages() or dotted in PLUG_INS:
            continue
        assert resolves(dotted), f"{name(path)}: there is no {span}"


def resolves(dotted: str) -> bool:
    """Whether a name leads to something, from the root or from within ``voicestream``."""
    for prefix in ("", "voicestream."):
        parts = f"{prefix}{dotted}".split(".")
        for length in range(len(parts), 0, -1):
            try:
                found: object = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                fields = getattr(found, "__annotations__", {})
                if not hasattr(found, part) and part not in fields:
                    break
                found = getattr(found, part, None)
            else:
                return True
            break
    return False


def test_a_name_that_leads_nowhere_is_noticed() -> None:
    for there, not_there in (
        ("gateway.track.TrackStream.add", "gateway.track.TrackStream.nope"),
        ("topics.dlq", "topics.no"),
    ):
        assert DOTTED.fullmatch(there)
        assert DOTTED.fullmatch(not_there)
        assert resolves(there)
        assert not resolves(not_there)


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_topics_that_are_named_exist(path: Path) -> None:
    known = {topic.name for topic in topics.ALL}
    for topic in re.findall(r"`(voice\.[a-z]+)`", prose(path)):
        assert topic in known, f"{name(path)}: there is no topic {topic}"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_commands_that_are_named_exist(path: Path) -> None:
    code = [*spans(path), *(line for _, block in blocks(path, "sh") for line in block.splitlines())]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code:
        for target in re.findall(r"\bmake ([a-z-]+)", line):
            assert target in targets, f"{name(path)}: there is no make {target}"
        for command in re.findall(r"(?:^|[\s/])voicestream ([a-z]+)", line):
            assert command in Commands.COMMANDS, f"{name(path)}: there is no voicestream {command}"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_settings_that_are_named_exist(path: Path) -> None:
    known = {f"VOICESTREAM_{field}".upper() for field in Settings.model_fields}
    for setting in re.findall(r"\bVOICESTREAM_[A-Z_]+", path.read_text()):
        assert setting in known, f"{name(path)}: there is no setting {setting}"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_metrics_that_are_named_exist(path: Path) -> None:
    pytest.importorskip("voicestream.stt.server", reason="the engine grpc is not installed, and its metrics with it")
    families = [*REGISTRY.collect(), *GatewayStats().collect()]
    known = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    for metric in re.findall(r"`(voicestream_(?:agent|captions|gateway|insight|stt)_\w*[a-z])`", prose(path)):
        assert metric in known, f"{name(path)}: there is no metric {metric}"


def test_operations_has_every_setting_with_its_default() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `(VOICESTREAM_[A-Z_]+)` \| (.*?) \|", text, re.MULTILINE))
    wanted = {}
    for field, info in Settings.model_fields.items():
        default = str(info.default).replace(str(Path.home()), "~")
        wanted[f"VOICESTREAM_{field}".upper()] = "" if info.default in (None, "") else f"`{default}`"
    assert rows == wanted


def test_operations_quotes_errors_that_there_are() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("## Errors")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert quoted
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # strings that go on on the next line
    for message in quoted:
        for part in message.split("…"):
            assert part.strip() in source, f"no error says {part.strip()!r}"


def test_the_protocol_document_has_every_close_code() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d{4}) \|", text, re.MULTILINE)
    assert {code: int(number) for code, number in rows} == CLOSE_CODES


def test_the_architecture_says_who_writes_and_reads_each_topic() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(voice\.\w+)` \| (.*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    found = {topic: [set(cell.split(", ")) for cell in cells] for topic, *cells in rows}
    wanted = {}
    stages = dict.fromkeys((*STAGES, captions.stage))
    for topic in topics.ALL:
        writers = {s.name for s in stages for a in (*s.agents, *s.punctuators) if topic in a.outputs}
        readers = {s.name for s in stages for a in s.agents if topic in a.inputs}
        writers = {"every stage"} if topic is topics.dlq else writers or {"gateway"}
        wanted[topic.name] = [{kind.__name__ for kind in topic.types}, writers, readers or {"nobody"}]
    assert found == wanted


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_the_examples_of_the_documents_are_those_of_the_tree() -> None:
    stage = (ROOT / "examples" / "agents" / "compliments.py").read_text()
    for path in (ROOT / "README.md", ROOT / "docs" / "agents.md"):
        assert any(block == stage for _, block in blocks(path, "python")), f"{name(path)} shows another compliments.py"


@pytest.fixture
def schemas(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Avro schemas that a document shows, where a worker would look for them."""
    for number, (_, block) in enumerate(blocks(path, "json")):
        if '"type": "record"' in block:
            (tmp_path / f"{number}.avsc").write_text(block)
    monkeypatch.setenv("VOICESTREAM_SCHEMAS", str(tmp_path))
    settings.cache_clear()
    codec.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()
    codec.cache_clear()


@pytest.mark.parametrize("path", RUNNABLE, ids=name)
@pytest.mark.usefixtures("schemas")
def test_the_python_of_the_documents_runs(path: Path) -> None:
    """All blocks of a document in one namespace, in order, then the tests in them."""
    namespace: dict[str, object] = {"__name__": "document"}
    code = blocks(path, "python")
    assert code, f"{name(path)} has no Python any more"
    for line, block in code:
        exec(compile("\n" * (line - 1) + block, str(path), "exec"), namespace)
    for key, test in namespace.items():
        if key.startswith("test_") and callable(test):
            test()
