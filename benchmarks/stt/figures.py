"""What is measured of all contestants with one model."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

import numpy as np

from benchmarks.stt.contestants import GRPC, MOST_AT_ONCE, WORKERS, Contestant
from benchmarks.stt.overhead import Overhead, overhead
from benchmarks.stt.peers import FullContext
from benchmarks.stt.speech import Speech
from voicestream.errors import SttError
from voicestream.stt.engine import Clip, SttEngine
from voicestream.stt.measure import Recording, Timing, errors, take_turns
from voicestream.stt.wer import normalise

LENGTHS_S = (1, 2, 3, 5, 10)
TYPICAL_S = 3
AT_ONCE = (1, 2, 4, MOST_AT_ONCE)
REFERENCE = "reference"
NOTHING_S = 0.05  # too short to be computed: the way of a call alone
OVERHEAD_S = (NOTHING_S, 1, 10)
SHARES = {length: 2 if length == TYPICAL_S else 1 for length in LENGTHS_S}
"""Of the time for latencies; as many for each number at once but 1, which the typical length alone has measured."""
ALL_SHARES = sum(SHARES.values()) + len(AT_ONCE) - 1


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    clips: int
    """Recordings for the word errors."""
    seconds: float
    """For the latencies of a model, over all lengths and numbers at once."""
    calls: int
    """To learn what gRPC adds, of each length; 0 for a further model, as it is the same for all of them."""
    turns: int = 2
    """At least so many, however long they take."""


@dataclass(frozen=True)
class Accuracy:
    """Word error rates, at 16 kHz and over the telephone."""

    wide: float
    telephone: float

    def worse_by(self, other: "Accuracy") -> float:
        """Points, of whichever of the two lost more."""
        return 100 * max(self.wide - other.wide, self.telephone - other.telephone)


@dataclass
class Figures:
    """Of one model; contestants go by their keys."""

    model: str
    clips: int
    """For the word errors, with so many words:"""
    words: int
    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    latency: dict[int, dict[str, Timing]] = field(default_factory=dict)
    """By length in seconds, one at a time."""
    at_once: dict[int, dict[str, Timing]] = field(default_factory=dict)
    """By number at once, segments of the typical length."""
    overhead: dict[str, dict[float, Overhead]] = field(default_factory=dict)
    """By contestant and length in seconds."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a contestant has no figures."""


def percentiles(timing: Timing) -> tuple[float, float]:
    """The 50th and the 95th, in ms."""
    p50, p95 = np.percentile(timing.each_ms, [50, 95])
    return float(p50), float(p95)


def measure(
    model: str, contestants: Sequence[Contestant], missing: Mapping[str, str], speech: Speech, size: Size
) -> Figures:
    """Word errors of each, then latencies in turns, then what gRPC adds; says on the terminal what it is at."""
    print(f"{model}: word errors", flush=True)
    chosen = speech.spread(size.clips)
    words = sum(len(normalise(recording.text)) for recording in chosen)
    figures = Figures(model, len(chosen), words, missing=dict(missing))
    runners = []
    for contestant in contestants:
        try:
            figures.accuracy[contestant.key] = accuracy(contestant.engine, chosen)
            runners.append(contestant)
        except SttError as error:
            figures.missing[contestant.key] = str(error).splitlines()[0]
    figures.accuracy[REFERENCE] = reference(model, chosen)
    share_s = size.seconds / ALL_SHARES
    for length in LENGTHS_S:
        print(f"{model}: {length} s", flush=True)
        turns = until(share_s * SHARES[length], size.turns, speech.segments(length), 1)
        figures.latency[length] = _timings(runners, turns, 1)
    figures.at_once[1] = figures.latency[TYPICAL_S]
    for number in AT_ONCE[1:]:
        print(f"{model}: {number} at once", flush=True)
        turns = until(share_s, size.turns, speech.segments(TYPICAL_S), number)
        figures.at_once[number] = _timings(runners, turns, number)
    for contestant in runners:
        if contestant.server and size.calls:
            print(f"{model}: what gRPC adds to {contestant.key.removeprefix(GRPC)}", flush=True)
            figures.overhead[contestant.key] = {
                length: overhead(contestant, list(islice(cycle(speech.wide_segments(length)), size.calls)))
                for length in OVERHEAD_S
            }
    return figures


def accuracy(engine: SttEngine, recordings: Sequence[Recording]) -> Accuracy:
    texts = [recording.text for recording in recordings]
    wide, _ = errors(engine, [recording.wide for recording in recordings], texts)
    telephone, _ = errors(engine, [recording.telephone for recording in recordings], texts)
    return Accuracy(wide, telephone)


def reference(model: str, recordings: Sequence[Recording]) -> Accuracy:
    """The same model with its whole context and nothing cut."""
    engine = FullContext(model, capacity=WORKERS)
    try:
        return accuracy(engine, recordings)
    finally:
        engine.close()


def until(seconds: float, at_least: int, clips: Sequence[Clip], at_once: int) -> Iterator[list[Clip]]:
    """Turns of so many clips, from the first again after the last, until the time is over."""
    deadline = time.monotonic() + seconds
    turn = 0
    while turn < at_least or time.monotonic() < deadline:
        yield [clips[(turn * at_once + i) % len(clips)] for i in range(at_once)]
        turn += 1


def _timings(contestants: Sequence[Contestant], turns: Iterator[list[Clip]], at_once: int) -> dict[str, Timing]:
    timings = take_turns([contestant.measured for contestant in contestants], turns, at_once)
    return {contestant.key: timing for contestant, timing in zip(contestants, timings, strict=True)}
