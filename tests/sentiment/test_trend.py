"""The trend of a call: closed formula against the running sums, and its bounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.sentiment import CallTrend, Trend
from voicestream.sentiment.trend import RIDGE_MIN, TAU_MIN

utterances = st.lists(
    st.tuples(st.integers(0, 1_800_000), st.floats(-1, 1), st.floats(0.1, 10)), min_size=1, max_size=25
)


def run(points: list[tuple[int, float, float]]) -> Trend:
    trend = Trend()
    for at_ms, polarity, weight in points:
        trend = trend.add(at_ms, polarity, weight)
    return trend


@given(utterances)
def test_running_sums_equal_the_formula(points: list[tuple[int, float, float]]) -> None:
    at, y, w = np.array(points).T
    minutes = (at - at.max()) / 60_000
    w = w * np.exp(minutes / TAU_MIN)
    mean_t, mean_y = np.average(minutes, weights=w), np.average(y, weights=w)
    variance = np.average((minutes - mean_t) ** 2, weights=w)
    covariance = np.average((minutes - mean_t) * (y - mean_y), weights=w)
    trend = run(points)
    assert trend.level == pytest.approx(mean_y, abs=1e-6)
    assert trend.slope == pytest.approx(covariance / (variance + RIDGE_MIN**2), abs=1e-6)


@given(utterances, st.randoms())
def test_order_of_arrival_does_not_matter(points: list[tuple[int, float, float]], chance: object) -> None:
    shuffled = list(points)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = run(points), run(shuffled)
    assert one.level == pytest.approx(other.level, abs=1e-6)
    assert one.slope == pytest.approx(other.slope, abs=1e-6)


@given(utterances)
def test_level_and_slope_stay_within_one(points: list[tuple[int, float, float]]) -> None:
    trend = run(points)
    assert abs(trend.level) <= 1 + 1e-9
    assert abs(trend.slope) <= 1 / (2 * RIDGE_MIN) + 1e-6


@given(utterances)
def test_opposite_moods_have_the_opposite_trend(points: list[tuple[int, float, float]]) -> None:
    mirrored = run([(at_ms, -polarity, weight) for at_ms, polarity, weight in points])
    assert mirrored.level == pytest.approx(-run(points).level, abs=1e-9)
    assert mirrored.slope == pytest.approx(-run(points).slope, abs=1e-9)


@given(st.floats(-1, 1), st.integers(2, 20))
def test_a_constant_mood_has_no_slope(polarity: float, count: int) -> None:
    trend = run([(number * 9_000, polarity, 1.0) for number in range(count)])
    assert trend.level == pytest.approx(polarity, abs=1e-6)
    assert trend.slope == pytest.approx(0, abs=1e-6)


def test_a_call_that_gets_better_has_a_positive_slope() -> None:
    trend = run([(number * 20_000, -0.8 + number * 0.2, 1.0) for number in range(9)])
    assert 0.3 < trend.slope < 0.7
    assert trend.level > 0


def test_nothing_said_is_level_and_flat() -> None:
    assert (Trend().level, Trend().slope) == (0.0, 0.0)


def test_one_utterance_has_a_level_but_no_slope() -> None:
    trend = Trend().add(1_700_000_000_000, -0.5)
    assert (trend.level, trend.slope) == (-0.5, 0.0)


def test_a_long_silence_forgets_but_stays_finite() -> None:
    trend = Trend().add(0, -1.0).add(100_000_000, 0.5)
    assert math.isclose(trend.level, 0.5)
    assert math.isfinite(trend.slope)


def test_tracks_have_their_own_trend_beside_the_call() -> None:
    trend = CallTrend().add("customer", 0, -1.0).add("agent", 1_000, 1.0)
    assert trend.tracks["customer"].level == -1.0
    assert trend.tracks["agent"].level == 1.0
    assert -0.1 < trend.call.level < 0.1
