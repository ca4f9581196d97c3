"""What a worker says that cannot start: one clear line, and an exit code that a supervisor sees."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.processes import Worker
from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port

pytestmark = pytest.mark.timeout(240)

RULES = """\
rules:
  - name: angry
    when: {mood: customer, below: minus a lot}
    then: {action: alert}
"""

# what is wrong: the agent, its settings, and what must be in the line
WRONG = {
    "no broker": ("chunking", {"broker": "kafka://127.0.0.1:{free}"}, "127.0.0.1:{free}.*VOICESTREAM_BROKER"),
    "embedded without a port": ("chunking", {"broker": "embedded"}, "VOICESTREAM_BROKER.*voicestream up"),
    "other partitions": ("chunking", {"partitions": "3"}, "Topic voice.audio has 4 partitions, not 3.*=4"),
    "no such weights": ("stt", {"stt_model": "gigantic"}, "gigantic.*tiny.en"),
    "no such file of weights": ("stt", {"stt_model": "{folder}/none.bin"}, "{folder}/none.bin"),
    "broken weights": ("stt", {"stt_model": "{folder}/broken.bin"}, "{folder}/broken.bin"),
    "no such engine": ("stt", {"stt_engine": "ear trumpet"}, "ear trumpet.*whisper.cpp"),
    "no such mood model": ("sentiment", {"sentiment_model": "crystal-ball"}, "crystal-ball.*default"),
    "captions that were not asked for": ("captions", {}, "VOICESTREAM_INTERIM_MS is 0.*1000"),
    "broken rules": ("routing", {"routing_rules": "{folder}/rules.yaml"}, r"{folder}/rules.yaml:\d+"),
    "no rules": ("routing", {"routing_rules": "{folder}/none.yaml"}, "{folder}/none.yaml"),
    "metrics port taken": ("insights", {"metrics_port": "{broker}"}, "VOICESTREAM_METRICS_PORT.*{broker}"),
    "no ClickHouse": ("clickhouse", {"clickhouse": "clickhouse://127.0.0.1:{free}"}, "127.0.0.1:{free}.*VOICESTREAM_C"),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Worker, str]]]:
    """All of them at once: mostly they wait."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "broken.bin").write_bytes(b"not the weights of a model" * 100)
    (folder / "rules.yaml").write_text(RULES)
    workers: dict[str, tuple[Worker, str]] = {}
    with Broker(folder / "broker.log") as broker:
        asyncio.run(create_topics(broker.bootstrap, {"voice.audio": 4}, replication=1))
        places = {"folder": str(folder), "free": str(free_port()), "broker": str(broker.port)}
        for what, (agent, settings, line) in WRONG.items():
            env = {f"VOICESTREAM_{name.upper()}": value.format(**places) for name, value in settings.items()}
            own = folder / what.replace(" ", "-")
            worker = Worker(agent, own, **{"VOICESTREAM_BROKER": broker.url, **env})
            line = line.replace("{folder}", re.escape(str(folder)))
            for name in ("free", "broker"):
                line = line.replace(f"{{{name}}}", places[name])
            workers[what] = worker, line
        yield workers
        for worker, _ in workers.values():
            worker.stop()


@pytest.mark.parametrize("what", WRONG)
def test_a_worker_that_cannot_start_says_why(started: dict[str, tuple[Worker, str]], what: str) -> None:
    worker, line = started[what]
    assert worker.wait() == 1
    said = worker.said()
    critical = [said_line for said_line in said.splitlines() if "[CRITICAL]" in said_line]
    assert len(critical) == 1, said
    assert re.search(line, said[said.index("[CRITICAL]") :].replace("\n", " ")), said
    assert "Traceback" not in said
