"""Punctuators go through all entries without all of them being in memory."""

import pytest

from tests.streams.shop import Click, at, click, clicks, drive
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State


@pytest.mark.parametrize("time", ["wall", "stream"])
def test_entries_that_a_punctuator_leaves_as_they_were_do_not_stay(time):
    stage = Stage("s")
    counts = stage.store("counts", int, backend="rocksdb")
    decoded: list[int] = []
    odd: list[str] = []

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + c.value

    def tell(now_ms: int, state: State[int]) -> None:
        decoded.append(len(counts._partitions[0].entries))
        if state.value is not None and state.value % 2:
            odd.append(state.key)
            state.value += 1

    stage.stream(clicks, time=at, idle="1s").process(count, state=counts, every=Every("1s", tell, time=time)).foreach(
        print
    )
    with drive(stage, start_ms=1_000) as driver:
        for n in range(40):
            driver.topic(clicks).send(click(n, value=n, user=f"u{n:02}"))
        driver.topic(clicks).send(click(1_001, value=0, user="u00"))
        driver.advance(1_500)
        assert set(odd) == {f"u{n:02}" for n in range(1, 40, 2)}
        assert len(odd) == 20
        assert max(decoded[:20]) < 20
        driver.restart(replay=5)
        assert dict(counts.items(0)) == {f"u{n:02}": n + n % 2 for n in range(40)}
