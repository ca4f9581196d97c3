"""A worker that is killed when the changelog of one of its stores is written and that of another is not."""

from tests.streams.shop import Click, Total, at, click, clicks, drive, late, totals, views
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.testing import WorkerKilled
from voicestream.streams.windows import tumbling


def add(total: int, c: Click) -> int:
    return total + c.value


def test_what_was_counted_is_not_late_after_a_kill():
    for deaths in range(12):
        stage = Stage("s")
        small = stage.stream(clicks, time=at).window(tumbling("10ms"), name="small").aggregate(int, add)
        small.late().to(late)
        (
            small.final()
            .map(lambda w: click(w.start_ms, w.value, w.key), type=Click)
            .window(tumbling("20ms", grace="20ms"), name="big")
            .aggregate(int, add)
            .final()
            .map(Total.of)
            .to(totals)
        )
        with drive(stage) as driver:
            driver.topic(clicks).send(*[click(t) for t in range(0, 40, 2)])
            driver.kill_after(deaths)
            again = [click(t) for t in range(40, 80, 2)]
            try:
                driver.topic(clicks).send(*again)
            except WorkerKilled:
                driver.restart(replay=len(again))
            assert driver.topic(late).read_all() == [], deaths


def test_a_punctuator_of_event_time_misses_no_turn_when_the_worker_restarts():
    found = []
    for restarts in (False, True):
        stage = Stage("s")

        def count(c: Click, state: State[int]) -> None:
            state.value = (state.value or 0) + 1

        def tell(now_ms: int, state: State[int]) -> Click:
            return click(now_ms, state.value or 0, state.key)

        stage.stream(clicks, time=at).process(
            count, state=stage.store("n", int), every=Every("10ms", tell, time="stream"), type=Click
        ).to(views)
        with drive(stage) as driver:
            driver.topic(clicks).send(click(1), click(9))
            if restarts:
                driver.restart()
            driver.topic(clicks).send(click(12), click(22))
            found.append([c.value for c in driver.topic(views)])
    assert found[0] == found[1]
