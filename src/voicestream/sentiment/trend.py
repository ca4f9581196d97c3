"""How the mood of a call goes: its level and its slope, in constant space.

The level is the exponentially weighted mean of polarity, the slope its exponentially weighted least-squares slope over
time: an utterance that is `a` minutes old counts exp(-a / TAU_MIN). With means and covariances over those weights,

    level = mean(y)                                        in [-1, 1]
    slope = cov(t, y) / (var(t) + RIDGE_MIN ** 2)          polarity per minute, in [-1, 1]

The ridge draws the slope to 0 while all utterances lie within a few seconds, where two opposite ones would otherwise
make a cliff; since |cov(t, y)| <= sqrt(var(t)) for |y| <= 1, it also bounds the slope by 1 / (2 * RIDGE_MIN). Five sums
and a time hold all of it, and utterances may come in any order.
"""

import math

import msgspec

from voicestream.records import Track

TAU_MIN = 3.0
RIDGE_MIN = 0.5
_MS_PER_MIN = 60_000


class Trend(msgspec.Struct, frozen=True):
    """Sums over the utterances so far, times counted in minutes from the latest one (`at_ms`)."""

    at_ms: int = 0
    weight: float = 0.0
    time: float = 0.0
    time_squared: float = 0.0
    polarity: float = 0.0
    product: float = 0.0

    def add(self, at_ms: int, polarity: float, weight: float = 1.0) -> "Trend":
        """The trend with one more utterance; `weight` may be its length or its confidence."""
        if not self.weight:
            return Trend(at_ms=at_ms, weight=weight, polarity=weight * polarity)
        latest = self._seen_from(at_ms) if at_ms > self.at_ms else self
        minutes = (at_ms - latest.at_ms) / _MS_PER_MIN
        weight *= math.exp(minutes / TAU_MIN)
        return Trend(
            at_ms=latest.at_ms,
            weight=latest.weight + weight,
            time=latest.time + weight * minutes,
            time_squared=latest.time_squared + weight * minutes**2,
            polarity=latest.polarity + weight * polarity,
            product=latest.product + weight * minutes * polarity,
        )

    def _seen_from(self, at_ms: int) -> "Trend":
        """The same sums decayed to a later moment, which becomes their origin."""
        minutes = (at_ms - self.at_ms) / _MS_PER_MIN
        decay = math.exp(-minutes / TAU_MIN)
        return Trend(
            at_ms=at_ms,
            weight=decay * self.weight,
            time=decay * (self.time - minutes * self.weight),
            time_squared=decay * (self.time_squared - 2 * minutes * self.time + minutes**2 * self.weight),
            polarity=decay * self.polarity,
            product=decay * (self.product - minutes * self.polarity),
        )

    @property
    def level(self) -> float:
        """Mean polarity of late, in [-1, 1]; 0 before the first utterance."""
        return self.polarity / self.weight if self.weight else 0.0

    @property
    def slope(self) -> float:
        """Change of polarity per minute of late, in [-1, 1]; 0 before the second utterance."""
        if not self.weight:
            return 0.0
        mean_time = self.time / self.weight
        variance = max(self.time_squared / self.weight - mean_time**2, 0.0)
        covariance = self.product / self.weight - mean_time * self.level
        return covariance / (variance + RIDGE_MIN**2)


class CallTrend(msgspec.Struct, frozen=True):
    """The trend of a whole call and of each of its tracks."""

    call: Trend = Trend()
    tracks: dict[Track, Trend] = {}

    def add(self, track: Track, at_ms: int, polarity: float, weight: float = 1.0) -> "CallTrend":
        """The trend with one more utterance of that track."""
        of_track = self.tracks.get(track, Trend()).add(at_ms, polarity, weight)
        return CallTrend(self.call.add(at_ms, polarity, weight), {**self.tracks, track: of_track})
