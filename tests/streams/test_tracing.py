"""One trace from the gateway's record of a call to what the last stage makes of it."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode, get_current_span

from tests.samples import transcript
from voicestream import Batch, BatchError, Keyed, Stage, topics
from voicestream.codec import codec
from voicestream.gateway.tracing import CallTraces
from voicestream.records import CallEvent, Insight, Transcript
from voicestream.streams.message import Headers, Message, Outgoing
from voicestream.streams.middleware.tracing import Tracing
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.task import AgentTask


class Recorded:
    """A tracer and what it recorded."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.environment = Environment(codec(), topics.dlq, [Tracing(self.provider.get_tracer("test"))])

    @property
    def spans(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())

    def task(self, stage: Stage) -> AgentTask:
        return AgentTask(stage.agents[0], self.environment)


def message(call: str, offset: int = 0, headers: Headers = (), text: str = "hello") -> Message:
    value = codec().encode(topics.transcripts, transcript(call_id=call, text=text))
    return Message(topics.transcripts.name, 0, offset, 0, call.encode(), value, headers)


def traceparent(sent: Outgoing) -> str:
    return dict(sent.headers)["traceparent"].decode()


def noting(batch: bool = False) -> Stage:
    stage = Stage("noting")

    @stage.agent(topics.transcripts, out=topics.insights)
    async def note(said: Transcript) -> Insight:
        get_current_span().add_event("noted")
        return Insight.of(said, kind="note")

    return stage


A, B = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"


def within(trace: str, span: str = "b7ad6b7169203331") -> Headers:
    return (("traceparent", f"00-{trace}-{span}-01".encode()),)


async def test_a_call_of_an_agent_is_a_span_within_the_trace_of_its_message():
    recorded = Recorded()
    [sent] = await recorded.task(noting()).run([message("c", 7, within(A))])
    [span] = recorded.spans
    assert (span.name, f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (
        "noting note", A, "b7ad6b7169203331",
    )  # fmt: skip
    assert traceparent(sent) == f"00-{A}-{span.context.span_id:016x}-01"
    assert span.attributes["messaging.destination.name"] == "voice.transcripts"
    assert (span.attributes["messaging.kafka.offset"], span.attributes["messaging.kafka.message.key"]) == (7, "c")
    assert [event.name for event in span.events] == ["noted"]


async def test_a_message_without_a_trace_begins_one():
    recorded = Recorded()
    [sent] = await recorded.task(noting()).run([message("c")])
    [span] = recorded.spans
    assert span.parent is None
    assert traceparent(sent).split("-")[1] == f"{span.context.trace_id:032x}"


async def test_a_batch_is_a_span_in_each_trace_linked_to_its_other_messages():
    recorded = Recorded()
    stage = Stage("batching")

    @stage.agent(topics.transcripts, out=topics.insights, batch=Batch(8))
    async def note(batch: list[Transcript]) -> list[Insight | Keyed]:
        return [*(Insight.of(said, kind="note") for said in batch), Keyed("queue", Insight.of(batch[0], kind="x"))]

    out = await recorded.task(stage).run(
        [message("a", 0, within(A, "1" * 16)), message("b", 1, within(B)), message("a", 2, within(A, "2" * 16))]
    )
    spans = {f"{span.context.trace_id:032x}": span for span in recorded.spans}
    assert spans.keys() == {A, B}
    assert f"{spans[A].parent.span_id:016x}" == "2" * 16
    assert [f"{link.context.span_id:016x}" for link in spans[A].links] == ["1" * 16]
    assert spans[A].attributes["messaging.batch.message_count"] == 2
    assert [traceparent(sent).split("-")[1] for sent in out[:3]] == [A, B, A]
    assert out[3].headers == ()  # whose trace it would be nobody can say


async def test_what_fails_is_in_the_trace():
    recorded = Recorded()
    stage = Stage("failing")

    @stage.agent(topics.transcripts, batch=Batch(8))
    async def fail(batch: list[Transcript]) -> None:
        bad = {n: ValueError("bad words") for n, said in enumerate(batch) if said.text == "bad"}
        if len(batch) == 1 and bad:
            raise bad[0]
        if bad:
            raise BatchError(bad)

    task = recorded.task(stage)
    await task.run([message("a", 0, within(A)), message("b", 1, within(B), text="bad")])
    await task.run([message("b", 2, within(B), text="bad")])
    fine, named, raised = recorded.spans
    assert fine.status.status_code is StatusCode.UNSET
    for span in (named, raised):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "process: bad words")
        assert span.events[0].attributes["exception.type"] == "ValueError"


async def test_a_trace_that_is_not_sampled_is_handed_on_and_not_recorded():
    recorded = Recorded(sampler=ParentBased(ALWAYS_OFF))
    headers = (("traceparent", f"00-{A}-b7ad6b7169203331-00".encode()),)
    [sent] = await recorded.task(noting()).run([message("c", 0, headers)])
    assert recorded.spans == []
    assert traceparent(sent).startswith(f"00-{A}-")
    assert traceparent(sent).endswith("-00")


@pytest.mark.parametrize("value", [b"", b"nonsense", b"\xff\xfe", b"00-00000000000000000000000000000000-1-01"])
async def test_a_header_that_makes_no_sense_does_no_harm(value: bytes):
    recorded = Recorded()
    [sent] = await recorded.task(noting()).run([message("c", 0, (("traceparent", value),))])
    assert len(recorded.spans) == 1
    assert traceparent(sent)


def event(kind: str, call: str = "c", reason: str | None = None) -> CallEvent:
    return CallEvent(
        event_id=kind, call_id=call, kind=kind, sequence=0, at_ms=0, protocol="raw", tracks=["mono"], codec="pcm16",
        sample_rate=8000, reason=reason,
    )  # fmt: skip


def test_every_record_of_a_call_is_in_the_trace_of_its_call():
    recorded = Recorded()
    traces = CallTraces(recorded.provider)
    first = traces.headers(event("started"))
    other = traces.headers(event("started", "d"))
    assert traces.headers(transcript(call_id="c")) == first
    assert traces.headers(event("ended", reason="completed")) == first
    assert first != other
    [span] = recorded.spans
    assert (span.name, span.attributes["voicestream.call_id"], span.attributes["voicestream.reason"]) == (
        "call", "c", "completed",
    )  # fmt: skip
    assert dict(first)["traceparent"].decode().split("-")[1] == f"{span.context.trace_id:032x}"
    traces.stop()
    assert len(recorded.spans) == 2
