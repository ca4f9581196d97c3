"""Plays a script of records, clock and deaths on stages, and says what came of it, to be compared with an oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st

from tests.streams.shop import CODEC, Click, clicks, drive, late, pairs, totals, views
from voicestream.streams.stage import Stage
from voicestream.streams.testing import TopologyTestDriver, WorkerKilled
from voicestream.streams.topic import Topic

END = 1_000_000
"""Event time of what only drives time on, so that everything before it is closed."""

UNLUCKY = 13

few = settings(max_examples=6, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
"""Hypothesis with the same examples each time."""


@dataclass(frozen=True)
class Sent:
    """What is sent at once to a topic, and how the workers die of it: after so many writes, with such a replay."""

    topic: Topic[Any]
    records: Sequence[Any]
    dies_after: int | None = None
    replay: int = 0
    advance_ms: int = 0


Script = list[Sent]


@st.composite
def scripts(
    draw: st.DrawFn,
    topics: Sequence[Topic[Any]] = (clicks,),
    disorder: int = 15,
    users: str = "abc",
    failing: bool = True,
    replays: bool = True,
    deaths: bool = True,
) -> Script:
    """Clicks with times that go on and back, each with a value of its own, of which some are to fail."""
    high, number, script = 40, 0, []
    for _ in range(draw(st.integers(1, 9))):
        records = []
        for after, user in draw(
            st.lists(st.tuples(st.integers(-disorder, 12), st.sampled_from(users)), min_size=1, max_size=7)
        ):
            time_ms = max(0, high + after)
            high = max(high, time_ms)
            number += 1
            unlucky = failing and draw(st.integers(0, 9)) == 0
            value = UNLUCKY if unlucky else number * 2_654_435_761 % (1 << 31) + 100  # so a sum tells what is in it
            records.append(Click(user=user, page=f"{user}{number}", value=value, at_ms=time_ms))
        script.append(
            Sent(
                draw(st.sampled_from(topics)),
                records,
                draw(st.none() | st.integers(0, 30)) if deaths else None,
                draw(st.integers(0, 12)) if replays else 0,
                draw(st.sampled_from([0, 0, 0, 500, 1_500])),
            )
        )
    return script


def end(*topics: Topic[Any], times: int = 3) -> Script:
    """Drives event time to where all is closed, in all windows behind each other."""
    return [
        Sent(topic, [Click(user="z", page="z", value=1, at_ms=END * n)], advance_ms=1_000)
        for n in range(1, times + 1)
        for topic in topics
    ]


@dataclass
class Outcome:
    """What came of a script: the records on each topic, and what the stores hold."""

    sent: dict[str, list[tuple[str, Any]]]
    stores: dict[str, dict[str, Any]]

    def of(self, topic: Topic[Any]) -> list[tuple[str, Any]]:
        """Keys and records on a topic, without those that only drove time on."""
        return [(key, record) for key, record in self.sent.get(topic.name, []) if key != "z"]

    def totals(self, final: bool = True) -> set[tuple[str, int, int, int]]:
        """What windows gave: key, start, end and value."""
        records = [record for _, record in self.of(totals)]
        return {(t.user, t.start_ms, t.end_ms, t.value) for t in records if t.final is final}

    def late(self) -> set[str]:
        """The pages of the late records."""
        return {record.page for _, record in self.of(late)}

    def pairs(self) -> set[tuple[str | None, str | None]]:
        """What joins gave."""
        return {(p.left, p.right) for _, p in self.of(pairs) if "z" not in (p.left, p.right)}

    def clicks(self) -> set[tuple[str, int, int]]:
        """Key, time and value of what went to ``views``."""
        return {(key, c.at_ms, c.value) for key, c in self.of(views)}


def play(build: Callable[[Stage], object], script: Script, *, dies: bool = True, at_once: bool = True) -> Outcome:
    """Run ``script`` on a stage; not ``dies``: nobody dies; not ``at_once``: each record for itself."""
    stage = Stage("s")
    build(stage)
    with drive(stage) as driver:
        for step in script:
            for records in [step.records] if at_once else [[record] for record in step.records]:
                _survive(driver, step, dies, partial(_send, driver, step.topic, records))
            if step.advance_ms:
                _survive(driver, step, dies, partial(driver.advance, step.advance_ms))
        inputs = {step.topic.name for step in script}
        return Outcome(
            {
                name: [((m.key or b"").decode(), _decoded(name, m.value)) for m in log]
                for name, log in driver._log.items()
                if name not in inputs and not name.endswith("-changelog")
            },
            {store.name: dict(store.items(0)) for store in stage.stores.values()},
        )


def _send(driver: TopologyTestDriver, topic: Topic[Any], records: Sequence[Any]) -> None:
    for record in records:
        if isinstance(record, str):
            driver.topic(topic).delete(record)
            return
    driver.topic(topic).send(*records)


def _survive(driver: TopologyTestDriver, step: Sent, dies: bool, work: Callable[[], None]) -> None:
    if dies and step.dies_after is not None:
        driver.kill_after(step.dies_after)
    try:
        work()
        driver.kill_after(1 << 30)
    except WorkerKilled:
        driver.restart(replay=step.replay)


def _decoded(name: str, value: bytes | None) -> Any:
    known = {topic.name: topic for topic in (totals, late, pairs, views, clicks)}
    return None if value is None or name not in known else CODEC.decode(known[name], value)


def lucky(c: Click) -> bool:
    return c.value != UNLUCKY


def add(total: int, c: Click) -> int:
    """Adds a value, or fails with half of it done."""
    if c.value == UNLUCKY:
        raise ValueError("unlucky")
    return total + c.value
