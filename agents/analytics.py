"""voice.results → voice.metrics: the figures of each call and, by the minute, of each queue and agent; live."""

import msgspec

from voicestream import Keyed, Stage, State, topics
from voicestream.calls import queues
from voicestream.calls.figures import Spoken, figures
from voicestream.calls.queues import QueueState
from voicestream.records import CallMetric, CallSummary, UtteranceResult, WindowMetric
from voicestream.records.metrics import CallFigures
from voicestream.streams.clock import now_ms
from voicestream.streams.topic import Topic


class CallSoFar(msgspec.Struct):
    """The utterances of a call so far."""

    spoken: list[Spoken] = []
    revision: int = 0


stage = Stage("analytics")
calls = stage.store("calls", CallSoFar)
windows = stage.store("windows", QueueState)

# The same results under the key of their queue and agent, so that one worker sees all of a window.
by_queue: Topic[UtteranceResult] = Topic("analytics-by-queue", UtteranceResult)


@stage.agent(topics.results, out=(topics.metrics, by_queue), state=calls)
async def call_figures(
    result: UtteranceResult | CallSummary, state: State[CallSoFar]
) -> list[CallMetric | Keyed] | CallMetric:
    """The figures of a call, again with every utterance of it."""
    call = state.value or CallSoFar()
    call.revision += 1
    if isinstance(result, CallSummary):
        state.value = None
        return _final(result, call.revision)
    spoken = Spoken.of(result)
    if any((s.track, s.number) == (spoken.track, spoken.number) for s in call.spoken):
        return []
    call.spoken.append(spoken)
    state.value = call
    duration = max(s.end_ms for s in call.spoken)
    metric = CallMetric(
        at_ms=result.at_ms,
        queue=result.queue,
        agent=result.agent,
        revision=call.revision,
        final=False,
        **msgspec.structs.asdict(figures(result.call_id, call.spoken, duration)),
    )
    return [metric, Keyed(f"{result.queue or ''}/{result.agent or ''}", result)]


def _final(call: CallSummary, revision: int) -> CallMetric:
    return CallMetric(
        at_ms=call.ended_at_ms,
        queue=call.queue,
        agent=call.agent,
        revision=revision,
        final=True,
        **{name: getattr(call, name) for name in CallFigures.__struct_fields__},
    )


@stage.agent(by_queue, out=topics.metrics, state=windows)
async def by_minute(result: UtteranceResult, state: State[QueueState]) -> list[WindowMetric]:
    """The figures of the minute, again with every utterance, and once more, final, when it is over."""
    state.value = state.value or QueueState(result.queue or "", result.agent or "")
    return queues.add(state.value, result, now_ms())


@stage.every(1_000, store=windows, out=topics.metrics)
async def close(now_ms: int, state: State[QueueState]) -> list[WindowMetric]:
    """Close the minutes of queues that have gone quiet."""
    assert state.value is not None
    metrics = queues.tick(state.value, now_ms)
    if not state.value.windows:
        state.value = None
    return metrics


app = stage.app()
