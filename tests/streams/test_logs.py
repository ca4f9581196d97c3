"""Lines of JSON that say which record was in work."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.samples import transcript
from voicestream import Batch, Stage, topics
from voicestream.codec import codec
from voicestream.records import Transcript
from voicestream.streams.message import Message
from voicestream.streams.middleware.logs import JsonFormatter, bind_logs
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.task import AgentTask

log = logging.getLogger("voicestream.test_logs")


class Lines(io.StringIO):
    def read_all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream = Lines()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("voicestream")
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def message(call: str, offset: int) -> Message:
    return Message("voice.transcripts", 3, offset, 0, call.encode(), codec().encode(topics.transcripts, transcript()))


async def run(stage: Stage, *messages: Message) -> None:
    await AgentTask(stage.agents[0], Environment(codec(), topics.dlq, [bind_logs])).run(messages)


async def test_what_an_agent_logs_names_the_record_and_what_comes_after_does_not(lines: Lines):
    stage = Stage("talking")

    @stage.agent(topics.transcripts)
    async def talk(said: Transcript) -> None:
        log.warning("said %s", "something", extra={"speaker": "x"})

    await run(stage, message("c", 7))
    log.warning("after")
    inside, after = lines.read_all()
    assert inside.pop("at").endswith("+00:00")
    assert inside == {
        "level": "WARNING", "logger": log.name, "message": "said something", "speaker": "x", "stage": "talking",
        "agent": "talk", "topic": "voice.transcripts", "partition": 3, "offset": 7, "key": "c",
    }  # fmt: skip
    assert after.keys() == {"at", "level", "logger", "message"}


async def test_what_a_batch_agent_logs_names_its_keys(lines: Lines):
    stage = Stage("talking")

    @stage.agent(topics.transcripts, batch=Batch(8))
    async def talk(batch: list[Transcript]) -> None:
        log.warning("said")

    await run(stage, message("c", 7), message("d", 8), message("c", 9))
    [line] = lines.read_all()
    assert (line["records"], line["keys"], line["agent"]) == (3, ["c", "d"], "talk")


async def test_a_failure_names_its_message_and_an_exception_has_its_trace(lines: Lines):
    stage = Stage("failing")

    @stage.agent(topics.transcripts)
    async def fail(said: Transcript) -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            log.exception("caught")
        raise ValueError("no")

    await run(stage, message("c", 7))
    caught, failed = lines.read_all()
    assert caught["error"] == "KeyError"
    assert "KeyError: 'inner'" in caught["trace"]
    assert (failed["step"], failed["topic"], failed["partition"], failed["offset"], failed["key"]) == (
        "process", "voice.transcripts", 3, 7, "c",
    )  # fmt: skip
