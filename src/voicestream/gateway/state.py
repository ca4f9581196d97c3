"""What is known of each call, put together from the result topics, for whoever looks while it goes on."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from voicestream.records import (
    CallEvent,
    CallMetric,
    CallSummary,
    EndOfCall,
    EndOfUtterance,
    Insight,
    RoutingDecision,
    Sentiment,
    Transcript,
    UtteranceResult,
)
from voicestream.streams.record import Record

MAX_CALLS = 2_000
MAX_ENDED = 200
MAX_LINES = 500
MAX_INSIGHTS = 500
MAX_ROUTING = 100
LINES_IN_LIST = 3

_LINE_FIELDS = ("utterance_id", "track", "number", "start_ms", "end_ms", "text")


@dataclass
class CallState:
    """One call as the topics tell it; parts come in any order."""

    call_id: str
    event: dict[str, Any] = field(default_factory=dict)
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    reason: str | None = None
    lines: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    reached: dict[str, int] = field(default_factory=dict)
    """The last utterance of each track that has its final words."""
    mood: dict[str, dict[str, Any]] = field(default_factory=dict)
    insights: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    routing: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    marks: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=100))
    metrics: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None

    def apply(self, record: Record) -> None:
        """Take in what ``record`` says of this call."""
        match record:
            case CallEvent():
                self._event(record)
            case Transcript(final=False):
                if self.summary is None and record.number > self.reached.get(record.track, -1):
                    self._line(record, final=False)
            case Transcript():
                self._final(record)
            case UtteranceResult():
                line = self._final(record)
                line["polarity"], line["label"], line["emotion"] = record.polarity, record.label, record.emotion
                for found in record.insights:
                    self._insight({"utterance_id": record.utterance_id, "track": record.track} | _fields(found))
            case Sentiment():
                self._sentiment(record)
            case Insight():
                self._insight(_fields(record))
            case RoutingDecision():
                _put(self.routing, record.decision_id, _fields(record), MAX_ROUTING)
            case CallMetric():
                if self.metrics is None or record.revision >= self.metrics["revision"]:
                    self.metrics = _fields(record)
            case CallSummary():
                self.summary = _fields(record)
                self._withdraw(lambda line: True)
                self.started_at_ms, self.ended_at_ms = record.started_at_ms, record.ended_at_ms
                self.reason = record.reason
                said = {name: getattr(record, name) for name in ("protocol", "queue", "agent", "customer", "metadata")}
                self.event = said | self.event

    def _event(self, event: CallEvent) -> None:
        names = ("protocol", "tracks", "codec", "sample_rate", "queue", "agent", "customer", "metadata")
        self.event = {name: getattr(event, name) for name in names}
        if event.kind == "started":
            self.started_at_ms = event.at_ms
        elif event.kind == "ended":
            self.ended_at_ms, self.reason = event.at_ms, event.reason
        else:
            self.marks.append({"kind": event.kind, "value": event.value, "track": event.track, "at_ms": event.at_ms})

    def _final(self, record: Transcript | UtteranceResult) -> dict[str, Any]:
        """A line with its final words. What was shown of an earlier utterance came to nothing: finals are in order."""
        track, number = record.track, record.number
        self.reached[track] = max(number, self.reached.get(track, -1))
        self._withdraw(lambda line: line["track"] == track and line["number"] < number)
        return self._line(record, final=True)

    def _withdraw(self, which: Callable[[dict[str, Any]], bool]) -> None:
        for line in [line for line in self.lines.values() if not line["final"] and which(line)]:
            del self.lines[line["utterance_id"]]

    def _line(self, record: Transcript | UtteranceResult, final: bool) -> dict[str, Any]:
        line = self.lines.get(record.utterance_id)
        if line is None:
            line = {"polarity": None, "label": None, "emotion": None}
            _put(self.lines, record.utterance_id, line, MAX_LINES)
        line |= {name: getattr(record, name) for name in _LINE_FIELDS} | {"final": final}
        return line

    def _sentiment(self, sentiment: Sentiment) -> None:
        mood = self.mood.setdefault(
            sentiment.track, {"polarity": None, "trend": None, "emotion": None, "arousal": None}
        )
        if sentiment.arousal is not None:
            mood["arousal"] = sentiment.arousal
        if sentiment.polarity is None:
            return
        mood |= {"emotion": sentiment.emotion, "trend": sentiment.trend, "last": sentiment.polarity}
        mood["polarity"] = sentiment.polarity if sentiment.call_polarity is None else sentiment.call_polarity
        line = self.lines.get(sentiment.utterance_id)
        if line is not None:
            line |= {"polarity": sentiment.polarity, "label": sentiment.label, "emotion": sentiment.emotion}

    def _insight(self, insight: dict[str, Any]) -> None:
        _put(self.insights, insight["insight_id"], insight, MAX_INSIGHTS)

    def describe(self, lines: int | None = None) -> dict[str, Any]:
        """The call as JSON-ready values, with its last ``lines`` lines (None: all that are kept)."""
        tagged: dict[str, list[dict[str, Any]]] = {}
        counts: dict[str, int] = {}
        for insight in self.insights.values():
            tagged.setdefault(insight["utterance_id"], []).append(insight)
            counts[insight["kind"]] = counts.get(insight["kind"], 0) + 1
        transcript = sorted(self.lines.values(), key=lambda line: (line["start_ms"], line["track"]))
        if lines is not None:
            transcript = transcript[-lines:]
        return {
            "call_id": self.call_id,
            "status": "live" if self.ended_at_ms is None else "ended",
            "started_at_ms": self.started_at_ms,
            "ended_at_ms": self.ended_at_ms,
            "reason": self.reason,
            **self.event,
            "mood": self.mood,
            "insights": counts,
            "routing": list(self.routing.values()),
            "marks": list(self.marks),
            "metrics": self.metrics,
            "summary": self.summary,
            "transcript": [line | {"insights": tagged.get(line["utterance_id"], [])} for line in transcript],
        }


class CallStates:
    """The calls in progress and the last ``MAX_ENDED`` that have ended; memory is bounded."""

    def __init__(self) -> None:
        self.calls: OrderedDict[str, CallState] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def apply(self, record: Record) -> None:
        """Take in a record of a result topic.

        Figures of windows belong to no call. Markers tell nothing of one, and may be all that a gateway sees of a call
        that ended before it started.
        """
        call_id = getattr(record, "call_id", None)
        if call_id is None or isinstance(record, EndOfCall | EndOfUtterance):
            return
        state = self.calls.get(call_id)
        if state is None:
            state = self.calls[call_id] = CallState(call_id)
            while len(self.calls) > MAX_CALLS:
                self._ended.pop(self.calls.popitem(last=False)[0], None)
        state.apply(record)
        if state.ended_at_ms is not None:
            self._ended[call_id] = None
            while len(self._ended) > MAX_ENDED:
                self.calls.pop(self._ended.popitem(last=False)[0], None)


def _fields(record: Any) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    return fields


def _put(kept: OrderedDict[str, dict[str, Any]], key: str, value: dict[str, Any], limit: int) -> None:
    kept[key] = value
    while len(kept) > limit:
        kept.popitem(last=False)
