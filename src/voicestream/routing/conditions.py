"""The conditions of a rule: each looks at the state of a call and the record at hand, and says what it sees."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

from voicestream.records import CallEvent, Track
from voicestream.routing.state import KEPT, Mood, RoutingRecord, RoutingState


class Verdict(NamedTuple):
    """Whether a condition holds, the facts in words (true either way), and the ids of what they rest on."""

    holds: bool
    words: str
    evidence: tuple[str, ...] = ()


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def _milliseconds(value: Any) -> Any:
    """``90s``, ``2m``, ``500ms``, ``1h``, or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * 1000)
    if isinstance(value, str):
        for unit, factor in _UNITS.items():
            number = value.strip().removesuffix(unit)
            if number != value.strip():
                try:
                    return round(float(number) * factor)
                except ValueError:
                    continue
    raise ValueError("write a time such as 30s, 2m or 500ms")


def _listed(value: Any) -> Any:
    """One word or a list of them, as a list of strings."""
    values = value if isinstance(value, list) else [value]
    return [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in values]


KNOWN_KINDS = (
    "competitor", "price", "objection", "buying_signal", "next_step", "churn_risk", "question", "commitment",
    "compliance", "entity",
)  # fmt: skip


def _known_kinds(kinds: list[str]) -> list[str]:
    """A plug-in may have kinds of its own; one that nearly is one of ours is a slip."""
    for kind in kinds:
        close = difflib.get_close_matches(kind, KNOWN_KINDS, n=1, cutoff=0.8)
        if close and kind not in KNOWN_KINDS:
            raise ValueError(f"'{kind}' is no kind of insight; did you mean '{close[0]}'?")
    return kinds


Duration = Annotated[int, BeforeValidator(_milliseconds), Field(ge=0)]
Words = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Kinds = Annotated[Words, AfterValidator(_known_kinds)]
Emotion = Literal["anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"]
Emotions = Annotated[list[Emotion], BeforeValidator(_listed), Field(min_length=1)]


class Condition(BaseModel):
    """A condition; the fields of a subclass are what stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        """What this condition sees in ``state``, which has ``record`` in it already."""
        raise NotImplementedError


class Range(Condition):
    """A figure of the latest utterance of a track, below or above a limit."""

    track: Track = "customer"
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _has_limit(self) -> Self:
        if self.below is None and self.above is None:
            raise ValueError("give 'below' or 'above'")
        return self

    def _judge(self, name: str, mood: Mood | None, value: float | None) -> Verdict:
        if mood is None or value is None:
            return Verdict(False, f"{name} of the {self.track} is unknown")
        low = self.below is None or value < self.below
        high = self.above is None or value > self.above
        limits = [
            f"{word} {limit:g}" for word, limit in (("below", self.below), ("above", self.above)) if limit is not None
        ]
        known = f"{name} of the {self.track} is {value:.2f} (limit: {' and '.join(limits)})"
        return Verdict(low and high, known, (mood.utterance_id,))

    def _latest(self, state: RoutingState) -> Mood | None:
        moods = state.moods.get(self.track, ())
        return moods[-1] if moods else None


class Polarity(Range):
    """Polarity of the latest utterance."""

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        mood = self._latest(state)
        return self._judge("polarity", mood, mood.polarity if mood else None)


class CallPolarity(Range):
    """Polarity of the track so far."""

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        mood = self._latest(state)
        return self._judge("polarity so far", mood, mood.call_polarity if mood else None)


class Trend(Range):
    """Slope of the polarity, a minute."""

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        mood = self._latest(state)
        return self._judge("trend", mood, mood.trend if mood else None)


class EmotionIs(Condition):
    """An emotion of the latest utterance, with at least this probability; and of so many of those before."""

    track: Track = "customer"
    is_: Emotions = Field(alias="is")
    at_least: float = Field(0.5, ge=0, le=1)
    times: int = Field(1, ge=1, le=KEPT)

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        moods = state.moods.get(self.track, ())
        if not moods:
            return Verdict(False, f"emotion of the {self.track} is unknown")
        name, probability = self._strongest(moods[-1])
        words = f"{name} of the {self.track} is {probability:.2f} (limit: {self.at_least:g})"
        felt = [mood for mood in moods if self._strongest(mood)[1] >= self.at_least]
        if self.times > 1:
            words += f", in {len(felt)} utterances"
        holds = probability >= self.at_least and len(felt) >= self.times
        return Verdict(holds, words, tuple(mood.utterance_id for mood in felt[-self.times :]))

    def _strongest(self, mood: Mood) -> tuple[str, float]:
        """Of the emotions asked for, the most probable one in ``mood``."""
        # Without probabilities the emotion that is named is taken for sure.
        known = mood.emotions or ({mood.emotion: 1.0} if mood.emotion else {})
        return max(((one, known.get(one, 0.0)) for one in self.is_), key=lambda pair: pair[1])


class NegativeInARow(Condition):
    """The latest utterances of a track are all negative."""

    track: Track = "customer"
    at_least: int = Field(3, ge=1, le=KEPT)
    below: float = -0.2

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        run: list[Mood] = []
        for mood in reversed(state.moods.get(self.track, ())):
            if mood.polarity is None or mood.polarity >= self.below:
                break
            run.insert(0, mood)
        figures = f" ({', '.join(f'{mood.polarity:.2f}' for mood in run)})" if run else ""
        words = f"the {self.track} was negative {len(run)} times in a row{figures}"
        return Verdict(len(run) >= self.at_least, words, tuple(mood.utterance_id for mood in run))


class HasInsight(Condition):
    """Insights of a kind, by label, track, confidence, number and time."""

    kind: Kinds
    label: Words | None = None
    track: Track | None = None
    confidence: float = Field(0.5, ge=0, le=1)
    at_least: int = Field(1, ge=1, le=KEPT)
    within: Duration | None = None
    in_first: Duration | None = None

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        found = sorted(
            (
                signal
                for signals in state.signals.values()
                if signals[0].kind in self.kind and (self.label is None or signals[0].label in self.label)
                for signal in signals
                if (self.track is None or signal.track in (self.track, "mono"))
                and signal.confidence >= self.confidence
                and (self.within is None or signal.at_ms >= state.at_ms - self.within)
                and (self.in_first is None or signal.at_ms - (state.started_at_ms or 0) <= self.in_first)
            ),
            key=lambda signal: (signal.at_ms, signal.insight_id),
        )
        asked = " or ".join(self.kind) + (f" ({' or '.join(self.label)})" if self.label else "")
        when = f" within {_seconds(self.within)}" if self.within is not None else ""
        when += f" in the first {_seconds(self.in_first)}" if self.in_first is not None else ""
        said = sorted({signal.label for signal in found if signal.label})
        words = f"{len(found) or 'no'} {asked}{when}" + (f": {', '.join(said)}" if said and not self.label else "")
        return Verdict(len(found) >= self.at_least, words, tuple(signal.insight_id for signal in found))


class Silence(Condition):
    """Nobody speaks: at one stretch, or in all."""

    longer_than: Duration | None = None
    in_all_longer_than: Duration | None = None

    @model_validator(mode="after")
    def _has_limit(self) -> Self:
        if self.longer_than is None and self.in_all_longer_than is None:
            raise ValueError("give 'longer_than' or 'in_all_longer_than'")
        return self

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        stretch = self.longer_than is None or state.silent_ms > self.longer_than
        total = self.in_all_longer_than is None or state.silence_ms > self.in_all_longer_than
        words = []
        if self.longer_than is not None:
            words.append(f"silence of {_seconds(state.silent_ms)} at a stretch")
        if self.in_all_longer_than is not None:
            words.append(f"silence of {_seconds(state.silence_ms)} in all")
        return Verdict(stretch and total, " and ".join(words))


class Interruptions(Condition):
    """A track has interrupted the other."""

    track: Track
    at_least: int = Field(ge=1)

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        count = state.interruptions.get(self.track, 0)
        return Verdict(count >= self.at_least, f"the {self.track} has interrupted {count} times")


class Call(Condition):
    """Who the call is between, and the queue that it came through."""

    queue: Words | None = None
    agent: Words | None = None
    customer: Words | None = None

    @model_validator(mode="after")
    def _has_field(self) -> Self:
        if self.queue is None and self.agent is None and self.customer is None:
            raise ValueError("give 'queue', 'agent' or 'customer'")
        return self

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        asked = {"queue": self.queue, "agent": self.agent, "customer": self.customer}
        known = {"queue": state.queue, "agent": state.agent, "customer": state.customer}
        return _matches(asked, known)


class Metadata(RootModel[dict[str, Words]]):
    """Metadata of the call: every key has one of its values."""

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        return _matches(self.root, state.metadata)


class CallDuration(Condition):
    """Length of the call so far."""

    longer_than: Duration | None = None
    shorter_than: Duration | None = None

    @model_validator(mode="after")
    def _has_limit(self) -> Self:
        if self.longer_than is None and self.shorter_than is None:
            raise ValueError("give 'longer_than' or 'shorter_than'")
        return self

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        length = state.duration_ms
        long = self.longer_than is None or length > self.longer_than
        short = self.shorter_than is None or length < self.shorter_than
        return Verdict(long and short, f"the call is {_seconds(length)} long")


class Dtmf(RootModel[Words]):
    """The record at hand is the press of one of these keys."""

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        if not isinstance(record, CallEvent) or record.kind != "dtmf":
            return Verdict(False, "no key is pressed")
        return Verdict(record.value in self.root, f"key {record.value} is pressed", (record.event_id,))


Leaf = Condition | Metadata | Dtmf

CONDITIONS: dict[str, type[Leaf]] = {
    "polarity": Polarity,
    "call_polarity": CallPolarity,
    "trend": Trend,
    "emotion": EmotionIs,
    "negative_in_a_row": NegativeInARow,
    "insight": HasInsight,
    "silence": Silence,
    "interruptions": Interruptions,
    "call": Call,
    "metadata": Metadata,
    "duration": CallDuration,
    "dtmf": Dtmf,
}
"""The conditions by their names in the file."""


class All(NamedTuple):
    """Holds when every part holds."""

    parts: Sequence["Node"]

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        verdicts = [part.check(state, record) for part in self.parts]
        return _joined(all(verdict.holds for verdict in verdicts), verdicts)


class AnyOf(NamedTuple):
    """Holds when a part holds; says which."""

    parts: Sequence["Node"]

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        verdicts = [part.check(state, record) for part in self.parts]
        holding = [verdict for verdict in verdicts if verdict.holds]
        return _joined(bool(holding), holding or verdicts)


class Not(NamedTuple):
    """Holds when its part does not."""

    part: "Node"

    def check(self, state: RoutingState, record: RoutingRecord) -> Verdict:
        verdict = self.part.check(state, record)
        return Verdict(not verdict.holds, verdict.words)


Node = Leaf | All | AnyOf | Not


def _joined(holds: bool, verdicts: Iterable[Verdict]) -> Verdict:
    known = list(verdicts)
    evidence = dict.fromkeys(one for verdict in known for one in verdict.evidence)
    return Verdict(holds, " and ".join(verdict.words for verdict in known), tuple(evidence))


def _matches(asked: dict[str, Any], known: dict[str, Any]) -> Verdict:
    keys = [key for key, values in asked.items() if values is not None]
    words = " and ".join(f"{key} is {known.get(key) or 'unknown'}" for key in keys)
    return Verdict(all(known.get(key) in asked[key] for key in keys), words)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3g} s" if milliseconds < 1_000_000 else f"{milliseconds // 1000} s"
