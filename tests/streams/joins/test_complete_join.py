"""Rows of several ordered inputs, each out once, with all that was said of it, however the inputs mix and repeat."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.streams.joins.complete import CompleteJoin, Waiting

INPUTS = ("a", "b", "c")


class Parts(msgspec.Struct):
    name: str = ""
    said: list[str] = []


STATE = msgspec.msgpack.Decoder(Waiting[Parts])


def add(join, waiting, input, lane, number):
    """One input speaks of a row, for the last time."""
    parts = join.parts(waiting, lane, number, Parts)
    if parts is not None:
        parts.name = f"{lane}{number}"
        if input not in parts.said:
            parts.said.append(input)
        join.reach(waiting, input, lane, number)


rows = st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 9)), unique=True, max_size=12).map(sorted)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_row_is_out_once_in_order_with_all_that_was_said(data):
    streams = {}
    for input in INPUTS:
        stream = [*data.draw(rows), None]
        killed = data.draw(st.integers(0, len(stream)))
        again = data.draw(st.integers(0, killed))
        streams[input] = [*stream[:killed], *stream[again:]]
    said = {
        (lane, number): {i for i in INPUTS if (lane, number) in streams[i]}
        for lane, number in {row for stream in streams.values() for row in stream if row}
    }
    join, waiting, out = CompleteJoin(INPUTS), Waiting[Parts](), []
    passed = {input: {"x": -1, "y": -1} for input in INPUTS}
    while any(streams.values()):
        input = data.draw(st.sampled_from([i for i in INPUTS if streams[i]]))
        row = streams[input].pop(0)
        if row is None:
            join.end(waiting, input)
            passed[input] = {"x": 99, "y": 99}
        else:
            add(join, waiting, input, *row)
            passed[input][row[0]] = max(passed[input][row[0]], row[1])
        out += join.complete(waiting)
        due = {r for r in said if all(passed[i][r[0]] >= r[1] for i in INPUTS)}
        assert {parts.name for parts in out} == {f"{lane}{number}" for lane, number in due}
        waiting = STATE.decode(msgspec.msgpack.encode(waiting))
    assert join.give_up(waiting) == []
    for lane in "xy":
        assert [p.name for p in out if p.name[0] == lane] == [
            f"{row[0]}{row[1]}" for row in sorted(said) if row[0] == lane
        ]
    assert all(set(p.said) == said[p.name[0], int(p.name[1:])] for p in out)


def test_rows_that_an_input_never_comes_to_are_given_up_and_not_taken_again():
    join, waiting = CompleteJoin(INPUTS), Waiting[Parts]()
    for input, number in (("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("a", 3)):
        add(join, waiting, input, "x", number)
    assert [p.name for p in join.complete(waiting)] == ["x0"]
    assert [(p.name, p.said) for p in join.give_up(waiting)] == [("x1", ["a", "b"]), ("x3", ["a"])]
    add(join, waiting, "c", "x", 1)
    add(join, waiting, "c", "x", 4)
    assert join.complete(waiting) == []
    assert [p.name for p in join.give_up(waiting)] == ["x4"]


def test_an_input_that_skips_a_row_passes_it():
    join, waiting = CompleteJoin(INPUTS), Waiting[Parts]()
    for input, number in (("a", 0), ("b", 0), ("c", 7)):
        add(join, waiting, input, "x", number)
    assert [(p.name, p.said) for p in join.complete(waiting)] == [("x0", ["a", "b"])]


def test_an_input_that_the_join_does_not_have_is_refused():
    join, waiting = CompleteJoin(INPUTS), Waiting[Parts]()
    with pytest.raises(ValueError, match="no input 'd' in this join: it has a, b, c"):
        join.reach(waiting, "d", "x", 0)
    with pytest.raises(ValueError, match="no input 'd'"):
        join.end(waiting, "d")
