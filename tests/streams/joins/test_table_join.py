"""Table-table joins against a join of the whole tables, and Kafka Streams' documented example."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.streams.joins.tables import Outcome, Sides, change

SIDES = msgspec.msgpack.Decoder(Sides[str, str])
HOWS = ("inner", "left", "outer")


def whole_join(how, left, right):
    keys = {"inner": left.keys() & right.keys(), "left": left.keys(), "outer": left.keys() | right.keys()}[how]
    return {key: (left.get(key), right.get(key)) for key in keys}


@given(
    st.sampled_from(HOWS),
    st.lists(st.tuples(st.sampled_from("lr"), st.sampled_from("xyz"), st.none() | st.sampled_from("ab")), max_size=60),
)
def test_the_joined_table_follows_both_and_every_message_changes_it(how, writes):
    tables = {"l": {}, "r": {}}
    states, joined = {}, {}
    for side, key, value in writes:
        before = whole_join(how, tables["l"], tables["r"])
        if value is None:
            tables[side].pop(key, None)
        else:
            tables[side][key] = value
        after = whole_join(how, tables["l"], tables["r"])
        old = states.get(key, Sides())
        new = Sides(value, old.right) if side == "l" else Sides(old.left, value)
        outcome = change(how, old, new)
        if outcome is Outcome.RESULT:
            joined[key] = (new.left, new.right)
        elif outcome is Outcome.TOMBSTONE:
            del joined[key]  # there was one
        assert (outcome is Outcome.NOTHING) == (before == after)
        assert joined == after
        states[key] = SIDES.decode(msgspec.msgpack.encode(new))
        assert new.empty == (key not in tables["l"] and key not in tables["r"])


# "Semantics of table-table joins" of the developer guide: side, value, results by join; "" is no message, "null" is a
# tombstone.
TABLE_TABLE = [
    ("l", None, "", "", ""),
    ("r", None, "", "", ""),
    ("l", "A", "", "A-", "A-"),
    ("r", "a", "Aa", "Aa", "Aa"),
    ("l", "B", "Ba", "Ba", "Ba"),
    ("r", "b", "Bb", "Bb", "Bb"),
    ("l", None, "null", "null", "-b"),
    ("r", None, "", "", "null"),
    ("l", "C", "", "C-", "C-"),
    ("r", "c", "Cc", "Cc", "Cc"),
    ("r", None, "null", "C-", "C-"),
    ("l", None, "", "null", "null"),
    ("r", None, "", "", ""),
    ("r", "d", "", "", "-d"),
    ("l", "D", "Dd", "Dd", "Dd"),
]


@pytest.mark.parametrize(("how", "column"), [("inner", 2), ("left", 3), ("outer", 4)])
def test_kafka_streams_example_of_table_table_joins(how, column):
    sides = Sides()
    for row in TABLE_TABLE:
        new = Sides(row[1], sides.right) if row[0] == "l" else Sides(sides.left, row[1])
        outcome = change(how, sides, new)
        shown = {
            Outcome.NOTHING: "", Outcome.TOMBSTONE: "null", Outcome.RESULT: f"{new.left or '-'}{new.right or '-'}"
        }  # fmt: skip
        assert shown[outcome] == row[column], row
        sides = new
