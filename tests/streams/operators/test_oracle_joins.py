"""Tables and joins in the graph give what nested loops over all records give, wherever a worker dies."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.operators.oracle import Script, end, few, lucky, play, scripts
from tests.streams.shop import Click, Pair, at, clicks, pairs, views
from voicestream.streams.stage import Stage
from voicestream.streams.stream import Stream

BOTH = (clicks, views)
GRACE = 100  # so that nothing is late; what is late is told by the oracle of the joins themselves


def pair(left: Click | None, right: Click | None) -> Pair:
    known = left or right
    assert known is not None
    if "fails" in (left.page if left else "", right.page if right else ""):
        raise ValueError("unlucky")
    return Pair(
        user=known.user, left=left.page if left else None, right=right.page if right else None, at_ms=known.at_ms
    )


def records(script: Script, topic: object) -> list[Click]:
    return [c for step in script if step.topic is topic for c in step.records]


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@few
@given(script=scripts(BOTH, failing=False), before=st.integers(0, 12), after=st.integers(0, 12))
def test_streams_joined_in_a_window_are_those_of_nested_loops(how: str, script: Script, before: int, after: int):
    def build(stage: Stage) -> None:
        left, right = stage.stream(clicks, time=at, idle=None), stage.stream(views, time=at, idle=None)
        within = before, after
        if how == "inner":
            joined: Stream[Pair] = left.join(right, pair, within=within, name="j", grace=GRACE)
        elif how == "left":
            joined = left.left_join(right, pair, within=within, name="j", grace=GRACE)
        else:
            joined = left.outer_join(right, pair, within=within, name="j", grace=GRACE)
        joined.to(pairs)

    lefts, rights = records(script, clicks), records(script, views)
    found = {
        (left.page, right.page)
        for left in lefts
        for right in rights
        if left.user == right.user and left.at_ms - before <= right.at_ms <= left.at_ms + after
    }
    if how != "inner":
        found |= {(left.page, None) for left in lefts if left.page not in {pair[0] for pair in found}}
    if how == "outer":
        found |= {(None, right.page) for right in rights if right.page not in {pair[1] for pair in found}}
    outcome = play(build, [*script, *end(clicks, views)])
    assert outcome.pairs() == found
    apart = play(build, script, dies=False, at_once=False)
    assert play(build, script).stores == apart.stores


@few
@given(script=scripts(BOTH, failing=False), tolerance=st.none() | st.integers(0, 15))
def test_an_as_of_join_is_that_of_a_search(script: Script, tolerance: int | None):
    def build(stage: Stage) -> None:
        left, right = stage.stream(clicks, time=at, idle=None), stage.stream(views, time=at, idle=None)
        left.as_of_join(right, pair, name="j", grace=GRACE, tolerance=tolerance).to(pairs)

    found = set()
    for left in records(script, clicks):
        known = [
            (right.at_ms, number, right.page)
            for number, right in enumerate(records(script, views))
            if right.user == left.user
            and right.at_ms <= left.at_ms
            and (tolerance is None or right.at_ms + tolerance >= left.at_ms)
        ]
        found.add((left.page, max(known)[2] if known else None))
    assert play(build, [*script, *end(clicks, views)]).pairs() == found


@st.composite
def changes(draw: st.DrawFn, replays: bool = True) -> Script:
    """Clicks and views, and removals of keys."""
    script = draw(scripts(BOTH, failing=False, replays=replays))
    made = []
    for step in script:
        made.append(step)
        if draw(st.booleans()):
            made.append(replace(step, topic=draw(st.sampled_from(BOTH)), records=[draw(st.sampled_from("abc"))]))
    return made


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@few
@given(script=changes())
def test_tables_joined_are_those_of_two_dicts(how: str, script: Script):
    def build(stage: Stage) -> None:
        left, right = stage.table("left", clicks), stage.table("right", views)
        joins = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}
        joins[how](right, pair).to(pairs)  # type: ignore[operator]

    def wants(left: str | None, right: str | None) -> bool:
        return bool({"inner": left and right, "left": left, "outer": left or right}[how])

    lefts: dict[str, str] = {}
    rights: dict[str, str] = {}
    known: dict[str, tuple[str | None, str | None]] = {}
    seen: set[tuple[str, tuple[str | None, str | None] | None]] = set()
    for step in script:
        side = lefts if step.topic is clicks else rights
        for record in step.records:
            user = record if isinstance(record, str) else record.user
            before = known.get(user)
            if isinstance(record, str):
                side.pop(user, None)
            else:
                side[user] = record.page
            sides = lefts.get(user), rights.get(user)
            known.pop(user, None)
            if wants(*sides):
                known[user] = sides
            if known.get(user) != before:
                seen.add((user, known.get(user)))
    outcome = play(build, script)
    sent = [(key, (p.left, p.right) if p else None) for key, p in outcome.of(pairs)]
    assert {key: p for key, p in dict(sent).items() if p} == known
    assert set(sent) == seen
    assert {key: c.page for key, c in outcome.stores["s-left"].items()} == lefts
    assert {key: c.page for key, c in outcome.stores["s-right"].items()} == rights


@pytest.mark.parametrize("how", ["inner", "left"])
@few
@given(script=changes())
def test_a_stream_joined_with_a_table_is_that_of_a_dict(how: str, script: Script):
    """A replay gives no other result, either, though the table has gone on: what is done is not done again."""

    def build(stage: Stage) -> None:
        stream, table = stage.stream(clicks), stage.table("right", views)
        (stream.join if how == "inner" else stream.left_join)(table, pair).to(pairs)  # type: ignore[arg-type, operator]

    table: dict[str, str] = {}
    found = set()
    script = [step for step in script if step.topic is views or not isinstance(step.records[0], str)]
    for step in script:
        for record in step.records:
            if step.topic is clicks:
                if how == "left" or record.user in table:
                    found.add((record.page, table.get(record.user)))
            elif isinstance(record, str):
                table.pop(record, None)
            else:
                table[record.user] = record.page
    outcome = play(build, script)
    assert outcome.pairs() == found
    assert {key: c.page for key, c in outcome.stores["s-right"].items()} == table


@few
@given(script=changes(replays=False))
def test_a_stream_joined_with_a_global_table_is_that_of_a_dict(script: Script):
    def build(stage: Stage) -> None:
        stage.stream(clicks).left_join(stage.global_table(views), pair, on=lambda c: c.user).to(pairs)

    table: dict[str, str] = {}
    found = set()
    script = [step for step in script if step.topic is views or not isinstance(step.records[0], str)]
    for step in script:
        for record in step.records:
            if step.topic is clicks:
                found.add((record.page, table.get(record.user)))
            elif isinstance(record, str):
                table.pop(record, None)
            else:
                table[record.user] = record.page
    assert play(build, script).pairs() == found


CALLS: dict[str, tuple[Callable[[Stream[Click]], object], Callable[[list[int]], object]]] = {
    "count": (lambda s: s.count(name="t"), len),
    "aggregate": (lambda s: s.aggregate(int, lambda total, c: total + c.value, name="t"), sum),
    "reduce": (
        lambda s: s.reduce(lambda a, b: replace_value(b, a.value + b.value), name="t").map(lambda c: c.value),
        sum,
    ),
}


def replace_value(c: Click, value: int) -> Click:
    return Click(user=c.user, page=c.page, value=value, at_ms=c.at_ms)


@pytest.mark.parametrize("call", CALLS)
@few
@given(script=scripts())
def test_tables_of_aggregates_are_those_of_lists(call: str, script: Script):
    make, naive = CALLS[call]

    def build(stage: Stage) -> None:
        table = make(stage.stream(clicks).peek(unlucky_fails))
        table.map(lambda n: Click(user="", page="", value=n, at_ms=0)).to(views)  # type: ignore[attr-defined]

    known: dict[str, list[int]] = {}
    seen = set()
    for c in records(script, clicks):
        if lucky(c):
            known.setdefault(c.user, []).append(c.value)
            seen.add((c.user, naive(known[c.user])))
    outcome = play(build, script)
    state = {key: getattr(value, "value", value) for key, value in outcome.stores["s-t"].items()}
    assert state == {user: naive(values) for user, values in known.items()}
    assert {value for _, _, value in outcome.clicks()} == {value for _, value in seen}


def unlucky_fails(c: Click) -> None:
    if not lucky(c):
        raise ValueError("unlucky")
