"""The circuit breaker, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.stt.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Closed: the first probe has succeeded."""
    breaker = Breaker(threshold=3, pause_s=1.0, longest_pause_s=5.0, clock=clock)
    assert breaker.probe()
    breaker.succeeded()
    return breaker


def test_what_nothing_is_known_of_is_probed_first(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    assert (breaker.state, breaker.probe_in_s) == ("open", 0)
    assert breaker.probe()
    assert breaker.state == "half-open"
    breaker.succeeded()
    assert breaker.state == "closed"


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"


def test_one_probe_at_a_time_and_the_pause_grows(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    for pause_s in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert breaker.probe_in_s == pause_s
        clock.now_s += pause_s - 0.01
        assert not breaker.probe()
        clock.now_s += 0.01
        assert breaker.probe()
        assert not breaker.probe()
        breaker.failed()
    clock.now_s += 5.0
    assert breaker.probe()
    breaker.succeeded()
    breaker.trip()
    assert breaker.probe_in_s == 5.0  # a probe alone does not make it good
    clock.now_s += 5.0
    assert breaker.probe()
    breaker.succeeded()
    breaker.succeeded()
    breaker.trip()
    assert breaker.probe_in_s == 1.0


def test_after_a_probe_one_failure_is_enough_until_a_call_succeeds(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    for _ in range(3):
        clock.now_s += 5.0
        assert breaker.probe()
        breaker.succeeded()
        breaker.failed()
        assert breaker.state == "open"
    clock.now_s += 5.0
    assert breaker.probe()
    breaker.succeeded()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state == "closed"


def test_calls_from_before_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    breaker.trip()
    clock.now_s += 0.5
    breaker.failed()
    breaker.succeeded()
    breaker.trip()
    assert (breaker.state, breaker.probe_in_s) == ("open", 0.5)


@given(st.lists(st.sampled_from(["probe", "succeeded", "failed", "trip", "wait"]), max_size=60))
def test_it_never_stays_open_for_good_and_probes_singly(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(threshold=3, pause_s=1.0, longest_pause_s=5.0, clock=clock)
    for step in steps:
        state = breaker.state
        if step == "wait":
            clock.now_s += 1.5
        elif (result := getattr(breaker, step)()) is not None and result:
            assert (state, breaker.state) == ("open", "half-open")
        assert breaker.probe_in_s <= 5.0
    if breaker.state == "half-open":
        breaker.failed()
    clock.now_s += 5.0
    assert breaker.state == "closed" or breaker.probe()
