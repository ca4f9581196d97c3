"""The figures of one call, from its utterances alone: pure, and the same whether computed live or afterwards."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from voicestream.records import UtteranceResult
from voicestream.records.metrics import CallFigures

MIN_OVERLAP_MS = 250
"""Shorter overlaps at the change of speakers are neither an interruption nor counted as overlap of it."""


class Spoken(msgspec.Struct, frozen=True, array_like=True):
    """One utterance, as far as the figures of a call need it. Times are milliseconds from the start of the call."""

    track: str
    number: int
    start_ms: int
    end_ms: int
    words: int
    polarity: float | None
    insights: dict[str, int]
    emotion: str | None

    @classmethod
    def of(cls, result: UtteranceResult) -> "Spoken":
        """What an utterance contributes."""
        return cls(
            result.track,
            result.number,
            result.start_ms,
            result.end_ms,
            result.words,
            result.polarity,
            dict(Counter(insight.kind for insight in result.insights)),
            result.emotion,
        )


def figures(call_id: str, spoken: Iterable[Spoken], duration_ms: int) -> CallFigures:
    """The figures of a call that has lasted ``duration_ms`` and of which ``spoken`` is known."""
    said = sorted(spoken, key=lambda s: (s.start_ms, s.end_ms, s.track))
    tracks = sorted({s.track for s in said})
    of = {track: [s for s in said if s.track == track] for track in tracks}
    talk = {track: _covered(of[track]) for track in tracks}
    covered = _covered(said)
    total = sum(talk.values())
    words = {track: sum(s.words for s in of[track]) for track in tracks}
    return CallFigures(
        call_id=call_id,
        duration_ms=duration_ms,
        talk_ms=talk,
        talk_ratio={track: talk[track] / total for track in tracks if total},
        silence_ms=max(0, duration_ms - covered),
        overlap_ms=total - covered,
        interruptions={track: _interruptions(of[track], [s for s in said if s.track != track]) for track in tracks},
        longest_monologue_ms=_monologues(said),
        words_per_minute={track: words[track] * 60_000 / talk[track] for track in tracks if talk[track]},
        utterances={track: len(of[track]) for track in tracks},
        polarity={track: mean for track in tracks if (mean := _mean(of[track])) is not None},
        polarity_quarters={track: _quarters(of[track], duration_ms) for track in tracks},
        insights=dict(sum((Counter(s.insights) for s in said), Counter())),
    )


def _covered(said: Sequence[Spoken]) -> int:
    """Milliseconds in which at least one of ``said``, sorted by start, goes on."""
    covered, until = 0, 0
    for s in said:
        covered += max(0, s.end_ms - max(s.start_ms, until))
        until = max(until, s.end_ms)
    return covered


def _interruptions(mine: Sequence[Spoken], others: Sequence[Spoken]) -> int:
    """Times that one of ``mine`` began within one of the others, which are sorted by start, and went on after it.

    An utterance that ends before the other's does ("mhm") is a back-channel, not an interruption.
    """
    starts = [o.start_ms for o in others]
    longest = max((o.end_ms - o.start_ms for o in others), default=0)
    # Asked with every utterance of a call: of a long one only those are looked at that may still go on.
    return sum(
        any(
            m.start_ms <= o.end_ms - MIN_OVERLAP_MS and m.end_ms > o.end_ms
            for o in others[bisect_left(starts, m.start_ms - longest) : bisect_left(starts, m.start_ms)]
        )
        for m in mine
    )


def _monologues(said: Sequence[Spoken]) -> dict[str, int]:
    """Of each track the longest run of utterances that no other track breaks, from first start to last end."""
    longest: dict[str, int] = {}
    for track, run in groupby(said, key=lambda s: s.track):
        turn = list(run)
        length = max(s.end_ms for s in turn) - turn[0].start_ms
        longest[track] = max(longest.get(track, 0), length)
    return longest


def _mean(said: Iterable[Spoken]) -> float | None:
    polarities = [s.polarity for s in said if s.polarity is not None]
    return sum(polarities) / len(polarities) if polarities else None


def _quarters(said: Sequence[Spoken], duration_ms: int) -> list[float | None]:
    """Mean polarity of the utterances whose middle lies in each quarter of the call."""

    def quarter(s: Spoken) -> int:
        return min(3, (s.start_ms + s.end_ms) * 2 // max(duration_ms, 1))

    return [_mean(s for s in said if quarter(s) == q) for q in range(4)]
