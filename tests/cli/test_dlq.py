"""A record that a stage cannot handle becomes a letter, and once the stage is right the record is put back, once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.processes import Topics, Worker, wait_until
from tests.samples import transcript
from voicestream import topics
from voicestream.cli.main import app
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.records import Insight
from voicestream.settings import settings
from voicestream.streams.dead_letter import DeadLetter, LetterReplay

ODD = transcript(call_id="c", number=1, text="odd")


def dlq(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments], env={"COLUMNS": "400"})


def rows(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in dlq("list", "--format", "json", *arguments).stdout.splitlines()]


@pytest.fixture
def own_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    with Broker(tmp_path / "broker.log") as running:
        monkeypatch.setenv("VOICESTREAM_BROKER", f"embedded://{running.bootstrap}")
        settings.cache_clear()
        yield running
    settings.cache_clear()


@pytest.fixture
def worker(own_broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def start(**env: str) -> Worker:
        started.append(Worker("dlq", tmp_path, "tests.cli.dlq_app", VOICESTREAM_PARTITIONS="2", **env))
        started[-1].wait_ready()
        return started[-1]

    yield start
    for one in started:
        one.stop()


def records(there: Topics, topic: object, kind: type, count: int) -> list[object]:
    found: list[object] = []
    for record in there.read(topic):  # type: ignore[arg-type]
        if isinstance(record, kind):
            found.append(record)
        if record is None and len(found) >= count:
            return found
    raise AssertionError(f"only {len(found)} of {count} came")


def test_a_bad_record_is_a_letter_and_after_the_mend_it_is_processed_once(
    own_broker: Broker, worker: Callable[..., Worker]
) -> None:
    broken = worker(BROKEN="1")
    there = Topics(own_broker.bootstrap, codec())
    there.send(topics.transcripts, transcript(call_id="c", number=0), ODD, transcript(call_id="c", number=2))
    partition, _ = there.send_raw(topics.transcripts, "c", b"no Avro")
    records(there, topics.dlq, DeadLetter, 2)
    broken.terminate()
    broken.wait()

    by_step = {row["step"]: row for row in rows()}
    by_process, by_decode = by_step["process"], by_step["decode"]
    assert (by_process["step"], by_process["error"], by_process["key"]) == ("process", "ValueError", "c")
    assert (by_decode["step"], by_decode["error"]) == ("decode", "DecodeError")
    letter_id = f"dlq-test/count/voice.transcripts/{partition}/1"
    assert by_process["id"] == letter_id
    assert rows("--error", "DecodeError") == [by_decode]
    assert rows("--limit", "1") == rows()[-1:]
    assert rows("--stage", "other") == rows("--topic", "voice.calls") == rows("--since", "2999-01-01") == []
    assert rows("--since", "1h") == rows()
    assert letter_id in dlq("list").stdout

    shown = dlq("show", letter_id).stdout
    assert "ValueError: an odd text" in shown
    assert '"text": "odd"' in shown
    assert codec().encode(topics.transcripts, ODD).hex() in shown
    assert "record: none (topic voice.transcripts: no Avro framing" in dlq("show", str(by_decode["id"])).stdout

    assert f"{letter_id}: would be put on voice.transcripts" in dlq("replay", letter_id, "--dry-run").stdout
    assert [row["replay"] for row in rows()] == [None, None]

    worker()
    result = dlq("replay", "--error", "ValueError")
    assert result.exit_code == 0, result.output
    assert "1 of 1 put back" in result.stdout
    counted = records(there, topics.insights, Insight, 3)
    assert [(i.number, i.label) for i in counted] == [(0, "1"), (2, "2"), (1, "3")]  # type: ignore[attr-defined]

    [message] = [m for m in wait_until("the message is back", lambda: back(there)) if m]
    assert (message.key(), message.value()) == (b"c", codec().encode(topics.transcripts, ODD))
    assert message.headers() == [
        ("voicestream-replayed-from", letter_id.encode()),
        ("voicestream-replayed-for", b"dlq-test/count"),
    ]
    assert rows("--error", "ValueError")[0]["replay"] == f"voice.transcripts[{message.partition()}]@{message.offset()}"

    again = dlq("replay", letter_id)
    assert again.exit_code == 1
    assert "is on voice.transcripts" in again.stdout
    assert "0 of 1 put back" in again.stdout
    forced = dlq("replay", letter_id, "--force", "--for-all")
    assert (forced.exit_code, "1 of 1 put back" in forced.stdout) == (0, True)
    last = wait_until("it is there again", lambda: back(there)[1:])[-1]
    assert last.headers() == [("voicestream-replayed-from", letter_id.encode())]


def back(there: Topics) -> list[object]:
    found = []
    for message in there.messages("voice.transcripts"):
        if message is None:
            return found
        if message.headers():
            found.append(message)
    return found


def letter(**changes: object) -> DeadLetter:
    values: dict[str, object] = {
        "letter_id": "s/a/voice.transcripts/0/0", "topic": "voice.transcripts", "partition": 0, "offset": 0,
        "source_key": b"c", "source_value": b"x", "timestamp_ms": 1, "stage": "s", "agent": "a", "step": "process",
        "error": "ValueError", "message": "no", "at_ms": 1, **changes,
    }  # fmt: skip
    return DeadLetter(**values)  # type: ignore[arg-type]


def test_what_was_cut_off_or_has_no_value_is_not_put_back(own_broker: Broker) -> None:
    there = Topics(own_broker.bootstrap, codec())
    cut_off = LetterReplay(letter_id=letter().letter_id, at_ms=2)
    large = letter(letter_id="large", source_value=None, message="too large (the value of 9 bytes is left out)")
    there.send(topics.dlq, letter(), cut_off, large)
    result = dlq("replay", letter().letter_id, "large")
    assert result.exit_code == 1
    assert "a replay was begun and cut off" in result.stdout
    assert "too large for the letter" in result.stdout
    assert [row["replay"] for row in rows()] in ([None, "cut off"], ["cut off", None])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "say which letters"),
        (["replay", "x", "--stage", "s"], "say which letters"),
        (["list", "--since", "yesterday"], "--since yesterday: give a duration"),
        (["show", "x"], "no dead letter is called x"),
    ],
)
def test_what_makes_no_sense_is_said(own_broker: Broker, arguments: list[str], words: str) -> None:
    Topics(own_broker.bootstrap, codec()).send(topics.dlq, letter())
    result = dlq(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
