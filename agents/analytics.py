"""voice.results → voice.metrics: the figures of each call and, by the minute, of each queue and agent; live."""

import msgspec

from voicestream import Stage, State, topics, tumbling
from voicestream.calls import minutes
from voicestream.calls.figures import Spoken, figures
from voicestream.records import CallMetric, CallSummary, UtteranceResult
from voicestream.records.metrics import CallFigures


class CallSoFar(msgspec.Struct):
    """The utterances of a call so far."""

    spoken: list[Spoken] = []
    revision: int = 0


stage = Stage("analytics")
calls = stage.store("calls", CallSoFar)


def call_figures(result: UtteranceResult | CallSummary, state: State[CallSoFar]) -> list[CallMetric | UtteranceResult]:
    """The figures of a call, again with every utterance of it; and the utterance, unless it has come before."""
    call = state.value or CallSoFar()
    call.revision += 1
    if isinstance(result, CallSummary):
        state.value = None
        return [_final(result, call.revision)]
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
    return [metric, result]


def _final(call: CallSummary, revision: int) -> CallMetric:
    return CallMetric(
        at_ms=call.ended_at_ms,
        queue=call.queue,
        agent=call.agent,
        revision=revision,
        final=True,
        **{name: getattr(call, name) for name in CallFigures.__struct_fields__},
    )


def _event_time(result: UtteranceResult | CallSummary) -> int:
    return result.ended_at_ms if isinstance(result, CallSummary) else result.at_ms


def _queue_and_agent(result: UtteranceResult) -> str:
    return f"{result.queue or ''}/{result.agent or ''}"


heard = stage.stream(topics.results, time=_event_time).process(call_figures, state=calls)
heard.of(CallMetric).to(topics.metrics)

by_minute = (
    heard.of(UtteranceResult)
    .key_by(_queue_and_agent, name="by-queue")
    .window(tumbling("1m", grace="10s"), name="minutes")
    .aggregate(minutes.Minute, minutes.add)
)
by_minute.current().merge(by_minute.final()).map(minutes.metric).to(topics.metrics)
by_minute.late().to(topics.late)

app = stage.app()
