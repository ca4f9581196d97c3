"""``voicestream topology`` for the stages of voicestream, and for those of anybody."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import agents
from voicestream.cli.main import app

BIN = Path(sys.executable).parent

AGENT = """
from voicestream import Stage, topics
from voicestream.records import Insight, Transcript

stage = Stage("{stage}")


@stage.agent(topics.transcripts, out=topics.insights)
async def {agent}(said: Transcript) -> Insight | None: ...


app = stage.app()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(agents, "__path__", list(agents.__path__))
    (tmp_path / "agents").mkdir()
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def topology(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["topology", *arguments])


def test_the_graph_of_voicestream_in_every_format():
    assert "\nstage stt\n  transcribe\n    from  voice.segments: SpeechSegment, EndOfCall\n" in topology().stdout
    assert topology("--format", "mermaid").stdout.startswith("flowchart LR\n")
    assert topology("--format", "dot").stdout.startswith("digraph topology {\n")
    drawn = json.loads(topology("--format", "json").stdout)
    assert drawn["version"] == 1
    assert [stage["name"] for stage in drawn["stages"]][:2] == ["chunking", "stt"]


def test_captions_are_a_stage_of_all_only_where_they_are_asked_for(tmp_path: Path):
    assert "stage captions" not in topology().stdout
    asked = {**os.environ, "VOICESTREAM_INTERIM_MS": "1000"}
    answer = subprocess.run([BIN / "voicestream", "topology", "--check"], env=asked, cwd=tmp_path, capture_output=True)
    assert answer.returncode == 0, answer.stderr
    drawn = subprocess.run([BIN / "voicestream", "topology"], env=asked, cwd=tmp_path, capture_output=True, text=True)
    assert "\nstage captions\n  caption\n    from  voice.speech: SpeechPiece, EndOfUtterance\n" in drawn.stdout


def test_the_stages_of_voicestream_fit_together(folder: Path):
    checked = topology("--check")
    assert checked.exit_code == 0, checked.stderr
    assert re.fullmatch(r"8 stages, \d+ topics and \d+ stores fit together\n", checked.stdout)


def test_only_the_modules_that_are_named():
    drawn = json.loads(topology("agents.stt", "agents.insights", "--format", "json").stdout)
    assert [stage["name"] for stage in drawn["stages"]] == ["stt", "insights"]


def test_a_stage_of_voicestream_alone_fits():
    assert topology("agents.stt", "--check").exit_code == 0


def test_stages_of_the_working_directory_are_found_beside_ours(folder: Path):
    (folder / "agents" / "thanks.py").write_text(AGENT.format(stage="thanks", agent="thank"))
    shown = topology()
    assert "stage stt\n" in shown.stdout
    assert "stage thanks\n  thank\n" in shown.stdout


def test_stages_of_any_module_are_found(folder: Path):
    (folder / "pipeline.py").write_text(AGENT.format(stage="thanks", agent="thank"))
    assert topology("pipeline").stdout.startswith("stage thanks\n  thank\n")


def test_two_modules_with_one_consumer_group_are_refused(folder: Path):
    (folder / "agents" / "one.py").write_text(AGENT.format(stage="thanks", agent="thank"))
    (folder / "agents" / "two.py").write_text(AGENT.format(stage="thanks", agent="praise"))
    checked = topology("--check")
    assert checked.exit_code == 1
    assert checked.stderr == (
        "error: two stages are named thanks: that of agents.one with thank, and that of agents.two with praise. Their "
        "workers would be one consumer group, and each would get only a part of what it reads. Rename one of them\n"
    )


def test_two_apps_with_one_consumer_group_are_refused(folder: Path):
    (folder / "one.py").write_text(AGENT.format(stage="one", agent="thank"))
    other = AGENT.format(stage="two", agent="praise").replace("stage.app()", "app_of(stage, name='one')")
    (folder / "two.py").write_text("from voicestream.stage import app as app_of\n" + other)
    checked = topology("--check", "one", "two")
    assert checked.exit_code == 1
    assert checked.stderr == (
        "error: the app of one (one) and the app of two (two) are one consumer group, voicestream.one: each would get "
        "only a part of what it reads. Give one of them another name: app(…, name=)\n"
    )


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("agents.nowhere", "there is no module agents.nowhere: it is looked for in"),
        ("voicestream.admin", "module voicestream.admin has no stage"),
    ],
)
def test_a_module_that_cannot_be_shown_is_named(module: str, why: str):
    shown = topology(module)
    assert shown.exit_code == 1
    assert why in shown.stderr


def test_the_installed_command_finds_the_working_directory(folder: Path):
    (folder / "agents" / "thanks.py").write_text(AGENT.format(stage="thanks", agent="thank"))
    shown = subprocess.run([BIN / "voicestream", "topology", "agents.thanks"], capture_output=True, text=True)
    assert shown.stdout.startswith("stage thanks\n"), shown.stderr
