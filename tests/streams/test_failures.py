"""What is tried again, what becomes a dead letter, and what stops the worker."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from tests.samples import transcript
from voicestream import Batch, BatchError, ErrorPolicy, Retry, Stage, State, topics
from voicestream.codec import codec, schema_folder
from voicestream.records import Insight, Transcript
from voicestream.streams.avro.codec import Codec
from voicestream.streams.avro.schemas import Schema, SchemaSet
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.errors import RegistryError, SendError, StreamsError
from voicestream.streams.message import REPLAYED_FOR, Message, Outgoing, TopicPartition
from voicestream.streams.policies import Action, Step
from voicestream.streams.runtime.delivery import deliver
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.failures import Failures
from voicestream.streams.runtime.runner import AgentRunner
from voicestream.streams.runtime.task import AgentTask, task_of

ENVIRONMENT = Environment(codec(), topics.dlq)
AGAIN = Retry(3, backoff_ms=1)


class FlakyRegistry:
    """A registry that is away for the first ``away`` questions."""

    def __init__(self, away: int, error: Callable[[str], Exception] = RegistryError) -> None:
        self.away = away
        self.asked = 0
        self._error = error
        self._schemas = list(SchemaSet.of_folders(schema_folder()).current.values())

    def id_of(self, topic: str, schema: Schema) -> int:
        self._ask()
        return [s.name for s in self._schemas].index(schema.name)

    def schema_of(self, schema_id: int) -> Any:
        self._ask()
        return self._schemas[schema_id].parsed

    def _ask(self) -> None:
        self.asked += 1
        if self.asked <= self.away:
            raise self._error("nobody answers")


def with_registry(registry: FlakyRegistry) -> Environment:
    return Environment(Codec(SchemaSet.of_folders(schema_folder()), registry), topics.dlq)


def framed(number: int = 0) -> Message:
    """A transcript as a codec with a registry that is well has written it."""
    fine = with_registry(FlakyRegistry(0)).codec
    value = fine.encode(topics.transcripts, transcript(call_id="c", number=number))
    return Message(topics.transcripts.name, 0, number, 0, b"c", value)


def noting(errors: ErrorPolicy) -> Stage:
    stage = Stage("noting", errors=errors)

    @stage.agent(topics.transcripts, out=topics.insights)
    async def note(said: Transcript) -> Insight:
        return Insight.of(said, kind="note")

    return stage


def letters(out: Iterable[Outgoing]) -> list[DeadLetter]:
    found = [codec().decode(topics.dlq, m.value) for m in out if m.topic == topics.dlq.name]
    return [letter for letter in found if isinstance(letter, DeadLetter)]


@pytest.mark.parametrize(("tries", "waits"), [(0, 0.2), (1, 0.4), (3, 1.6), (9, 30.0), (1000, 30.0)])
def test_waits_are_doubled_up_to_a_bound(tries: int, waits: float):
    assert Retry(1000, backoff_ms=200).delay_s(tries) == waits


async def test_a_message_waits_for_a_registry_that_is_away():
    registry = FlakyRegistry(away=2)
    [agent] = noting(ErrorPolicy(decode=AGAIN, produce=AGAIN)).agents
    [sent] = await AgentTask(agent, with_registry(registry)).run([framed()])
    assert sent.topic == topics.insights.name


async def test_the_result_waits_for_a_registry_that_is_away():
    registry = FlakyRegistry(away=0)
    [agent] = noting(ErrorPolicy(produce=AGAIN)).agents
    task = AgentTask(agent, with_registry(registry))
    message = Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript()))
    registry.away = 3
    [sent] = await task.run([message])
    assert (sent.topic, registry.asked) == (topics.insights.name, 4)


async def test_a_registry_that_stays_away_stops_the_worker_unless_the_policy_says_what_to_do():
    [agent] = noting(ErrorPolicy()).agents
    with pytest.raises(RegistryError):
        await AgentTask(agent, with_registry(FlakyRegistry(away=99))).run([framed()])

    [agent] = noting(ErrorPolicy(decode=Retry(1, backoff_ms=1, then="skip"))).agents
    registry = FlakyRegistry(away=99)
    assert await AgentTask(agent, with_registry(registry)).run([framed()]) == []
    assert registry.asked == 2


async def test_a_registry_that_refuses_a_schema_stops_the_worker_whatever_the_policy_says():
    [agent] = noting(ErrorPolicy(produce=AGAIN)).agents
    registry = FlakyRegistry(99, error=StreamsError)
    message = Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript()))
    with pytest.raises(StreamsError, match="nobody answers"):
        await AgentTask(agent, with_registry(registry)).run([message])
    assert registry.asked == 1


async def test_bad_bytes_are_not_tried_again():
    registry = FlakyRegistry(away=0)
    [agent] = noting(ErrorPolicy(decode=Retry(5, backoff_ms=60_000))).agents
    async with asyncio.timeout(1):
        out = await AgentTask(agent, ENVIRONMENT).run([Message(topics.transcripts.name, 0, 7, 0, b"c", b"no Avro")])
    assert [(letter.step, letter.offset) for letter in letters(out)] == [("decode", 7)]
    assert registry.asked == 0


@pytest.mark.parametrize(("address", "taken"), [(b"noting/note", 1), (b"noting/other", 0), (b"other/note", 0)])
async def test_what_was_put_back_for_another_agent_is_passed_over(address: bytes, taken: int):
    [agent] = noting(ErrorPolicy()).agents
    value = codec().encode(topics.transcripts, transcript())
    headers = (("traceparent", b"x"), (REPLAYED_FOR, address))
    out = await AgentTask(agent, ENVIRONMENT).run([Message(topics.transcripts.name, 0, 7, 0, b"c", value, headers)])
    assert len(out) == taken


async def test_state_is_as_it_was_at_each_try():
    stage = Stage("counting")
    counts = stage.store("counts", list)
    seen: list[list[int]] = []

    @stage.agent(topics.transcripts, state=counts, errors=ErrorPolicy(process=AGAIN))
    async def count(said: Transcript, state: State[list[int]]) -> None:
        state.value = state.value or []
        seen.append(list(state.value))
        state.value.append(said.number)
        if len(seen) < 3:
            raise ConnectionError

    message = Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript()))
    await AgentTask(stage.agents[0], ENVIRONMENT).run([message])
    assert seen == [[], [], []]
    assert counts.get("c") == [0]
    counts.drop()


async def test_a_batch_agent_that_names_the_bad_records_is_not_called_again():
    stage = Stage("naming")
    calls: list[int] = []

    @stage.agent(topics.transcripts, batch=Batch(4), errors=ErrorPolicy(process=AGAIN))
    async def name(batch: list[Transcript]) -> None:
        calls.append(len(batch))
        raise BatchError({1: ValueError("this one")})

    value = codec().encode(topics.transcripts, transcript())
    messages = [Message(topics.transcripts.name, 0, n, 0, b"c", value) for n in range(3)]
    out = await AgentTask(stage.agents[0], ENVIRONMENT).run(messages)
    assert calls == [3]
    assert [(letter.offset, letter.message) for letter in letters(out)] == [(1, "this one")]


class Picky:
    """A broker that refuses what ``refuses`` says, for the first ``times`` requests, and keeps the rest."""

    def __init__(self, refuses: Callable[[Outgoing], bool], times: int = 99) -> None:
        self.kept: list[Outgoing] = []
        self._refuses = refuses
        self._times = times

    async def send(self, messages: Iterable[Outgoing]) -> None:
        batch = list(messages)
        self._times -= 1
        bad = {n: ValueError("too large") for n, m in enumerate(batch) if self._times >= 0 and self._refuses(m)}
        self.kept += [m for n, m in enumerate(batch) if n not in bad]
        if bad:
            raise SendError(bad)


def outgoing(number: int) -> Outgoing:
    return Outgoing("t", b"k", b"%d" % number, 5, headers=(("h", b"v"),))


def odd(message: Outgoing) -> bool:
    return message.topic == "t" and int(message.value or b"") % 2 == 1


FAILURES = Failures(ENVIRONMENT, "s", "a")


async def test_what_the_broker_refuses_becomes_a_letter_that_holds_it_and_the_rest_is_sent():
    broker = Picky(odd)
    await deliver([outgoing(n) for n in range(4)], broker.send, "dead_letter", FAILURES)
    assert [m.value for m in broker.kept[:2]] == [b"0", b"2"]
    first, second = letters(broker.kept)
    assert (first.topic, first.partition, first.offset, first.source_key) == ("t", -1, -1, b"k")
    assert (first.source_value, first.headers, first.timestamp_ms, first.step) == (b"1", {"h": b"v"}, 5, "produce")
    assert second.source_value == b"3"
    assert first.letter_id.startswith("s/a/t/")
    assert first.letter_id != second.letter_id
    again = Picky(odd)
    await deliver([outgoing(1)], again.send, "dead_letter", FAILURES)
    assert letters(again.kept)[0].letter_id == first.letter_id


async def test_what_is_refused_is_sent_again_alone_as_often_as_the_policy_says():
    broker = Picky(odd, times=3)
    await deliver([outgoing(n) for n in range(4)], broker.send, AGAIN, FAILURES)
    assert [m.value for m in broker.kept] == [b"0", b"2", b"1", b"3"]
    broker = Picky(odd)
    await deliver([outgoing(1)], broker.send, Retry(2, backoff_ms=1, then="skip"), FAILURES)
    assert broker.kept == []


@pytest.mark.parametrize("action", ["fail", Retry(1, backoff_ms=1, then="fail")])
async def test_policy_fail_raises_what_the_broker_said(action: Action | Retry):
    with pytest.raises(ValueError, match="too large"):
        await deliver([outgoing(1)], Picky(odd).send, action, FAILURES)


async def test_a_dead_letter_that_is_refused_stops_the_worker():
    with pytest.raises(ValueError, match="too large"):
        await deliver([outgoing(1)], Picky(lambda _: True).send, "dead_letter", FAILURES)


async def test_a_worker_goes_on_when_a_result_is_refused_and_its_state_is_kept():
    class Count(msgspec.Struct):
        n: int = 0

    stage = Stage("refused")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, out=topics.insights, state=counts)
    async def count(said: Transcript, state: State[Count]) -> Insight:
        state.value = Count((state.value.n if state.value else 0) + 1)
        return Insight.of(said, kind="count", label=str(state.value.n))

    broker = Picky(lambda m: m.topic == topics.insights.name and b"count" in (m.value or b""), times=1)
    runner = AgentRunner(stage.agents[0], ENVIRONMENT, broker.send)
    tp = TopicPartition(topics.transcripts.name, 0)
    loop = asyncio.create_task(runner.loop())
    try:
        runner.resume([tp])
        for offset in range(2):
            value = codec().encode(topics.transcripts, transcript(call_id="c", number=offset))
            runner.deliver(tp, [Message(tp.topic, 0, offset, 0, b"c", value)])
            async with asyncio.timeout(5):
                while runner.backlog(tp):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
    finally:
        loop.cancel()
    assert [m.topic for m in broker.kept] == [
        topics.dlq.name, "refused-counts-changelog", topics.insights.name, "refused-counts-changelog",
    ]  # fmt: skip
    assert counts.get("c") == Count(2)
    assert runner.committable(tp) == 2
    counts.drop()


def test_the_policy_of_a_stage_is_that_of_agents_without_one():
    stage = noting(ErrorPolicy(process="skip"))

    @stage.agent(topics.transcripts, errors=ErrorPolicy(process="fail"))
    async def other(said: Transcript) -> None: ...

    assert [agent.errors.process for agent in stage.agents] == ["skip", "fail"]


async def test_middleware_is_called_around_each_call_the_first_outermost():
    stage = Stage("wrapped", errors=ErrorPolicy(process=AGAIN))
    seen: list[tuple[str, Step]] = []
    tries: list[int] = []

    def noted(name: str) -> Any:
        async def middleware(call: Any, proceed: Any) -> list[Outgoing]:
            seen.append((f"{name} {call.stage}/{call.agent} {call.events[0].record.number}", call.step))
            try:
                return [*await proceed(), Outgoing(name, None, None, 0)]
            finally:
                seen.append((f"{name} after", call.step))

        return middleware

    @stage.agent(topics.transcripts, out=topics.insights)
    async def note(said: Transcript) -> Insight:
        tries.append(said.number)
        if len(tries) == 1:
            raise ConnectionError
        return Insight.of(said, kind="note")

    stage.use(noted("inner"))
    environment = Environment(codec(), topics.dlq, [noted("outer")])
    message = Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript(number=4)))
    out = await AgentTask(stage.agents[0], environment).run([message])
    assert [m.topic for m in out] == [topics.insights.name, "inner", "outer"]
    assert tries == [4, 4]
    assert seen == [
        ("outer wrapped/note 4", "process"), ("inner wrapped/note 4", "process"),
        ("inner after", "produce"), ("outer after", "produce"),
    ]  # fmt: skip


async def test_a_middleware_that_raises_fails_the_record_and_leaves_the_state_as_it_was():
    stage = Stage("spoilt")
    counts = stage.store("counts", int)

    @stage.agent(topics.transcripts, state=counts)
    async def count(said: Transcript, state: State[int]) -> None:
        state.value = (state.value or 0) + 1

    @stage.use
    async def spoil(call: Any, proceed: Any) -> list[Outgoing]:
        await proceed()
        raise RuntimeError("spoilt")

    message = Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript()))
    out = await AgentTask(stage.agents[0], ENVIRONMENT).run([message])
    assert [letter.message for letter in letters(out)] == ["spoilt"]
    assert counts.get("c") is None


def piped(errors: ErrorPolicy) -> Stage:
    stage = Stage("piped", errors=errors)
    source = stage.stream(topics.transcripts).of(Transcript)
    source.map(lambda said: Insight.of(said, kind="note")).to(topics.insights)
    return stage


def transcribed() -> Message:
    return Message(topics.transcripts.name, 0, 0, 0, b"c", codec().encode(topics.transcripts, transcript()))


async def test_a_pipeline_waits_for_a_registry_too():
    [agent] = piped(ErrorPolicy(produce=AGAIN)).agents
    registry = FlakyRegistry(away=2)
    [sent] = await task_of(agent, with_registry(registry)).run([transcribed()])
    assert (sent.topic, registry.asked) == (topics.insights.name, 3)
    [agent] = piped(ErrorPolicy()).agents
    with pytest.raises(RegistryError):
        await task_of(agent, with_registry(FlakyRegistry(away=9))).run([transcribed()])


async def test_middleware_around_a_pipeline_learns_what_failed():
    stage = Stage("piped")
    stage.stream(topics.transcripts).of(Transcript).map(lambda said: 1 / said.number).foreach(lambda _: None)
    seen: list[Any] = []

    @stage.use
    async def look(call: Any, proceed: Any) -> list[Outgoing]:
        out: list[Outgoing] = await proceed()
        seen.append({n: type(error) for n, error in call.failures.items()})
        return out

    value = [codec().encode(topics.transcripts, transcript(number=n)) for n in (1, 0)]
    messages = [Message(topics.transcripts.name, 0, n, 0, b"c", data) for n, data in enumerate(value)]
    out = await task_of(stage.agents[0], ENVIRONMENT).run(messages)
    assert seen == [{1: ZeroDivisionError}]
    assert [letter.offset for letter in letters(out)] == [1]
