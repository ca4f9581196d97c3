"""Chains of operators with state and repartitions give what one computation over all records gives."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.operators.oracle import END, Outcome, Script, add, end, few, lucky, play, scripts
from tests.streams.shop import Click, Pair, Total, at, click, clicks, late, pairs, totals, views
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.stream import Stream
from voicestream.streams.topic import Topic
from voicestream.streams.windows import Windowed, tumbling

BOTH = (clicks, views)
GRACE = 100  # so that nothing is late
SIZE = 20
Found = set[tuple[str, int, int, int]]

between: Topic[Click] = Topic("between", Click)


def pages(c: Click) -> str:
    """A key of three others for each user."""
    return "z" if c.user == "z" else "xyw"[int(c.page[1:]) % 3]


def users(c: Click) -> str:
    return c.user


def letters_of(c: Click) -> str:
    return "z" if c.user == "z" else "ab"[c.user > "a"]


def total(stream: Stream[Click], name: str = "w") -> None:
    table = stream.window(tumbling(SIZE, GRACE), name=name).aggregate(int, add)
    table.final().map(Total.of).to(totals)
    table.late().to(late)


def whole(w: Windowed[int]) -> Click:
    return click(w.start_ms, w.value, w.key)


def source(stage: Stage, topic: Topic[Click]) -> Stream[Click]:
    return stage.stream(topic, time=at, idle=None)


def repartitioned(stage: Stage) -> None:
    total(source(stage, clicks).key_by(pages, name="pages"))


def repartitioned_twice(stage: Stage) -> None:
    total(source(stage, clicks).key_by(pages, name="pages").key_by(letters_of, name="letters"))


def merged(stage: Stage) -> None:
    total(source(stage, clicks).merge(source(stage, views)).key_by(pages, name="pages"))


def by_two_ways(stage: Stage) -> None:
    """Two repartition topics that are filled from one topic, and meet again."""
    stream = source(stage, clicks)
    total(stream.key_by(letters_of, name="one").merge(stream.key_by(letters_of, name="two")))


def through_a_topic(stage: Stage) -> None:
    total(source(stage, clicks).through(between))


def spread(stage: Stage) -> None:
    def three(c: Click) -> list[Click]:
        return [Click(user=c.user, page=c.page, value=c.value, at_ms=c.at_ms + n) for n in range(3)]

    total(source(stage, clicks).flat_map(three, type=Click).key_by(letters_of, name="letters"))


def windows_of_windows(stage: Stage) -> None:
    """In one pipeline."""
    small = source(stage, clicks).window(tumbling(SIZE // 2, GRACE), name="small").aggregate(int, add).final()
    table = small.map(whole, type=Click).window(tumbling(SIZE), name="big").aggregate(int, add)
    table.final().map(Total.of).to(totals)
    table.late().to(late)


def windows_of_windows_apart(stage: Stage) -> None:
    """With another key between them."""
    small = source(stage, clicks).window(tumbling(SIZE // 2, GRACE), name="small").aggregate(int, add).final()
    table = (
        small.map(whole, type=Click)
        .key_by(letters_of, name="letters")
        .window(tumbling(SIZE), name="big")
        .aggregate(int, add)
    )
    table.final().map(Total.of).to(totals)
    table.late().to(late)


Key = Callable[[Click], str]
CHAINS: dict[str, tuple[Callable[[Stage], None], Key, int]] = {
    "repartitioned": (repartitioned, pages, 1),
    "repartitioned twice": (repartitioned_twice, letters_of, 1),
    "merged": (merged, pages, 1),
    "by two ways": (by_two_ways, letters_of, 2),
    "through a topic": (through_a_topic, users, 1),
    "windows of windows": (windows_of_windows, users, 1),
    "windows of windows apart": (windows_of_windows_apart, letters_of, 1),
}


def expected(script: Script, key: Key, times: int) -> Found:
    sums: dict[tuple[str, int], int] = {}
    for step in script:
        for c in step.records:
            if lucky(c):
                place = key(c), c.at_ms // SIZE * SIZE
                sums[place] = sums.get(place, 0) + c.value * times
    return {(user, start, start + SIZE, value) for (user, start), value in sums.items()}


def before_end(outcome: Outcome) -> Found:
    return {t for t in outcome.totals() if t[2] < END}


@pytest.mark.parametrize("chain", CHAINS)
@few
@given(script=scripts(BOTH))
def test_a_chain_gives_what_one_computation_gives(chain: str, script: Script):
    build, key, times = CHAINS[chain]
    topics = BOTH if build is merged else (clicks,)
    script = [step if step.topic in topics else replace(step, topic=clicks) for step in script]
    outcome = play(build, [*script, *end(*topics)])
    assert before_end(outcome) == expected(script, key, times)
    assert outcome.late() <= {"z"}
    apart = play(build, script, dies=False, at_once=False)
    state = play(build, script).stores
    if build is not merged:  # with two topics, event time between them is that of the replay
        assert {name: sorted(entries) for name, entries in state.items()} == {
            name: sorted(entries) for name, entries in apart.stores.items()
        }
        assert state == apart.stores


@few
@given(script=scripts())
def test_values_that_one_record_gives_are_counted_once_each(script: Script):
    outcome = play(spread, [*script, *end(clicks)])  # flat_map keeps the time of its record
    assert before_end(outcome) == expected(script, letters_of, 3)


@pytest.mark.parametrize("chain", ["windows of windows", "windows of windows apart"])
@few
@given(script=scripts(failing=False), quiet=st.lists(st.booleans(), min_size=9, max_size=9))
def test_a_chain_of_windows_that_the_clock_closes_counts_once(chain: str, script: Script, quiet: list[bool]):
    def build(stage: Stage) -> None:
        small = stage.stream(clicks, time=at, idle="1s").window(tumbling(SIZE // 2, GRACE), name="small")
        stream = small.aggregate(int, add).final().map(whole, type=Click)
        if chain.endswith("apart"):
            stream = stream.key_by(letters_of, name="letters")
        stream.window(tumbling(SIZE), name="big").aggregate(int, add).final().map(Total.of).to(totals)

    later, shifted = 0, []
    for step, is_quiet in zip(script, quiet, strict=False):
        records = [Click(user=c.user, page=c.page, value=c.value, at_ms=c.at_ms + later) for c in step.records]
        later += 10_000 if is_quiet else 0
        shifted.append(replace(step, records=records, advance_ms=5_000 if is_quiet else 0))
    shifted += [replace(shifted[-1], records=[], advance_ms=9_000, dies_after=dies) for dies in (3, 9, None)]
    outcome = play(build, shifted)
    assert outcome.totals() == expected(shifted, letters_of if chain.endswith("apart") else users, 1)


@few
@given(script=scripts())
def test_state_and_punctuators_of_event_time_are_those_of_a_loop(script: Script):
    def build(stage: Stage) -> None:
        def take(c: Click, state: State[int]) -> Click:
            state.value = (state.value or 0) + c.value
            if not lucky(c):
                raise ValueError("unlucky")
            return click(c.at_ms, state.value, c.user)

        def tell(now_ms: int, state: State[int]) -> Click:
            state.value = (state.value or 0) + 1
            return click(now_ms, -state.value, state.key)

        source(stage, clicks).process(
            take, state=stage.store("n", int), every=Every("10ms", tell, time="stream"), type=Click
        ).to(views)

    state: dict[str, int] = {}
    found = set()
    fired, high = None, 0
    for step in script:
        for c in step.records:
            high = max(high, c.at_ms)
            begun = high // 10 * 10
            if fired is not None and begun > fired:
                for user in state:
                    state[user] += 1
                    found.add((user, high, -state[user]))
            fired = begun
            if lucky(c):
                state[c.user] = state.get(c.user, 0) + c.value
                found.add((c.user, c.at_ms, state[c.user]))
    outcome = play(build, script)
    assert outcome.stores["s-n"] == state
    assert outcome.clicks() == found


@few
@given(script=scripts(failing=False))
def test_a_list_of_a_batch_has_every_record_and_a_death_sends_some_again(script: Script):
    def build(stage: Stage) -> None:
        source(stage, clicks).batch(4).flat_map(list, type=Click).key_by(letters_of, name="letters").process(
            collect, state=stage.store("seen", dict[str, int])
        ).foreach(print)

    def collect(c: Click, state: State[dict[str, int]]) -> None:
        state.value = state.value or {}
        state.value[c.page] = state.value.get(c.page, 0) + 1

    def seen(outcome: Outcome) -> dict[str, int]:
        return {page: times for entry in outcome.stores["s-seen"].values() for page, times in entry.items()}

    everything = dict.fromkeys((c.page for step in script for c in step.records), 1)
    assert seen(play(build, script, dies=False)) == everything
    assert set(seen(play(build, script))) == set(everything)


@few
@given(script=scripts(BOTH, failing=False))
def test_streams_that_were_repartitioned_are_joined(script: Script):
    def pair(left: Click, right: Click) -> Pair:
        return Pair(user=left.user, left=left.page, right=right.page, at_ms=max(left.at_ms, right.at_ms))

    def build(stage: Stage) -> None:
        left = source(stage, clicks).key_by(pages, name="left")
        right = source(stage, views).key_by(pages, name="right")
        left.join(right, pair, within=10, grace=GRACE, name="j").to(pairs)

    def of(topic: Topic[Click]) -> list[Click]:
        return [c for step in script if step.topic is topic for c in step.records]

    assert play(build, [*script, *end(clicks, views)]).pairs() == {
        (left.page, right.page)
        for left in of(clicks)
        for right in of(views)
        if pages(left) == pages(right) and abs(left.at_ms - right.at_ms) <= 10
    }
