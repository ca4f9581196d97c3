"""Windows in the graph give what a naive computation gives, however messages are cut, and wherever a worker dies."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.operators.oracle import END, Script, add, end, few, lucky, play, scripts
from tests.streams.shop import Click, Total, at, clicks, late, totals
from tests.streams.windows.window_oracle import FixedOracle, Oracle, SessionOracle, SlidingOracle
from voicestream.streams.stage import Stage
from voicestream.streams.windows import Windows, hopping, session, sliding, tumbling

KINDS: dict[str, Callable[[int, int], tuple[Windows, Callable[[], Oracle]]]] = {
    "tumbling": lambda size, grace: (tumbling(size, grace), lambda: FixedOracle(size, size, grace)),
    "hopping": lambda size, grace: (
        hopping(size, (size + 1) // 2, grace),
        lambda: FixedOracle(size, (size + 1) // 2, grace),
    ),
    "sliding": lambda size, grace: (sliding(size, grace), lambda: SlidingOracle(size, grace)),
    "session": lambda size, grace: (session(size, grace), lambda: SessionOracle(size, grace)),
}
Found = set[tuple[str, int, int, int]]


def summed(windows: Windows, close: str, idle: str | None = None) -> Callable[[Stage], None]:
    def build(stage: Stage) -> None:
        table = (
            stage.stream(clicks, time=at, idle=idle)
            .window(windows, name="w", close=close)  # type: ignore[arg-type]
            .aggregate(int, add, merge=lambda a, b: a + b)
        )
        table.final().map(Total.of).to(totals)
        table.current().map(Total.of).to(totals)
        table.late().to(late)

    return build


def expected(script: Script, oracle: Callable[[], Oracle], by_key: bool) -> tuple[Found, set[str]]:
    """The final results, and the pages of the late records."""
    keys: dict[str, Oracle] = {}
    highest: dict[str, int] = {}
    late_pages = set()
    for step in script:
        for c in step.records:
            lane = c.user if by_key else ""
            if lucky(c) or not by_key:  # time goes on with a record that fails, but that of a key is in its state
                highest[lane] = max(highest.get(lane, 0), c.at_ms)
            known = keys.setdefault(c.user, oracle())
            known = known if lucky(c) else copy.deepcopy(known)  # what is late is not added, and does not fail
            if known.add(c.at_ms, c.value, highest.get(lane, c.at_ms)):
                late_pages.add(c.page)
    finals = {
        (user, start, stop, sum(values))
        for user, known in keys.items()
        for (start, stop), values in known.finals(END * 10)
        if user != "z"
    }
    return finals, late_pages


@pytest.mark.parametrize("close", ["partition", "key"])
@pytest.mark.parametrize("kind", KINDS)
@few
@given(script=scripts(), size=st.integers(1, 15), grace=st.integers(0, 15))
def test_windows_are_those_of_the_oracle(kind: str, close: str, script: Script, size: int, grace: int):
    windows, oracle = KINDS[kind](size, grace)
    last = end(clicks) if close == "partition" else [
        replace(end(clicks)[0], records=[Click(user=u, page="z", value=1, at_ms=END) for u in "abc"])
    ]  # fmt: skip
    finals, late_pages = expected(script, oracle, close == "key")
    apart = play(summed(windows, close), script, dies=False, at_once=False)
    for outcome in (play(summed(windows, close), script, dies=False), play(summed(windows, close), script)):
        assert outcome.stores == apart.stores
        assert outcome.totals(final=False) == apart.totals(final=False)
        assert outcome.totals() <= finals
    outcome = play(summed(windows, close), [*script, *last])
    assert {t for t in outcome.totals() if t[2] < END} == finals
    assert outcome.late() - {"z"} == late_pages


@pytest.mark.parametrize("close", ["partition", "key"])
@pytest.mark.parametrize("kind", KINDS)
@few
@given(
    script=scripts(disorder=8, failing=False),
    size=st.integers(1, 15),
    quiet=st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_windows_that_the_clock_closes_are_those_of_the_oracle(kind, close, script, size, quiet):
    """After a quiet time the records are of later times, as those of a call are; so none is late by the clock."""
    windows, oracle = KINDS[kind](size, 12)
    later, shifted = 0, []
    for step, is_quiet in zip(script, quiet, strict=False):
        records = [Click(user=c.user, page=c.page, value=c.value, at_ms=c.at_ms + later) for c in step.records]
        later += 10_000 if is_quiet else 0
        shifted.append(replace(step, records=records, advance_ms=5_000 if is_quiet else 0))
    shifted += [replace(step, records=[], advance_ms=9_000, dies_after=dies) for dies in (step.dies_after, None)]
    finals, late_pages = expected(shifted, oracle, close == "key")
    outcome = play(summed(windows, close, idle="1s"), shifted)
    if close == "partition":
        assert outcome.late() <= late_pages
    if not late_pages:
        assert outcome.totals() == finals
