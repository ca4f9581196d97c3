"""The examples of Kafka Streams' developer guide, through streams and tables."""

import pytest

from tests.streams.shop import Click, Pair, Total, at, click, clicks, drive, pairs, totals, views
from voicestream.streams.stage import Stage
from voicestream.streams.windows import Windows, hopping, session, sliding, tumbling


def pair(left: Click | None, right: Click | None) -> Pair:
    return Pair(user="u", left=left.page if left else None, right=right.page if right else None, at_ms=0)


def shown(pair: Pair) -> str:
    return f"{pair.left or '-'}{pair.right or '-'}"


# "Semantics of stream-table joins": side, value (None: a removal; a stream's record without one is passed over there),
# results by join.
STREAM_TABLE = [
    ("r", None, "", ""),
    ("l", "A", "", "A-"),
    ("r", "a", "", ""),
    ("l", "B", "Ba", "Ba"),
    ("r", "b", "", ""),
    ("r", None, "", ""),
    ("l", "C", "", "C-"),
    ("r", "c", "", ""),
    ("r", None, "", ""),
    ("r", None, "", ""),
    ("r", "d", "", ""),
    ("l", "D", "Dd", "Dd"),
]


@pytest.mark.parametrize(("how", "column"), [("inner", 2), ("left", 3)])
def test_stream_table_joins(how, column):
    stage = Stage("s")
    stream, table = stage.stream(clicks), stage.table("t", views)
    (stream.join if how == "inner" else stream.left_join)(table, pair).to(pairs)
    with drive(stage) as driver:
        for row in STREAM_TABLE:
            topic = driver.topic(clicks if row[0] == "l" else views)
            topic.delete("u") if row[1] is None else topic.send(click(0, page=row[1]))
            assert "".join(map(shown, driver.topic(pairs))) == row[column], row


# "Semantics of stream-stream joins": time, side, value; as in the tests of the join, its window is 11 to 15.
STREAM_STREAM = [
    (3, "l", "A"), (4, "r", "a"), (5, "l", "B"), (6, "r", "b"), (9, "l", "C"), (10, "r", "c"), (14, "r", "d"),
    (15, "l", "D"), (40, "l", "E"), (60, "l", "F"), (80, "r", "f"), (100, "l", "G"),
]  # fmt: skip
PAIRS = {a + b for a in "ABC" for b in "abcd"} | {"Da", "Db", "Dc", "Dd"}
ALONE = {"inner": set(), "left": {"E-", "F-", "G-"}, "outer": {"E-", "F-", "G-", "-f"}}


@pytest.mark.parametrize("how", ALONE)
def test_stream_stream_joins(how):
    stage = Stage("s")
    left, right = stage.stream(clicks, time=at, idle="1s"), stage.stream(views, time=at, idle="1s")
    join = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}[how]
    join(right, pair, within=15, name="j").to(pairs)
    with drive(stage) as driver:
        for time_ms, side, page in STREAM_STREAM:
            driver.topic(clicks if side == "l" else views).send(click(time_ms, page=page))
        driver.advance(3_000)
        results = [shown(p) for p in driver.topic(pairs)]
        assert sorted(results) == sorted(PAIRS | ALONE[how])


WINDOWS = {
    "tumbling": (tumbling("5s"), [1000, 4999, 5000, 9999], {(0, 5000, 2), (5000, 10000, 2)}),
    "hopping": (hopping("5s", "3s"), [0, 3000, 4999, 5000], {(0, 5000, 3), (3000, 8000, 3)}),
    "sliding": (
        sliding("5s", grace="1m"),
        [8000, 9200, 12400],
        {(3000, 8000, 1), (4200, 9200, 2), (7400, 12400, 3), (8001, 13001, 2), (9201, 14201, 1)},
    ),
    "session": (session("5ms", grace="10ms"), [10, 12, 20, 16], {(10, 20, 4)}),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_windows(kind):
    windows: Windows
    windows, times, expected = WINDOWS[kind]
    stage = Stage("s")
    stage.stream(clicks, time=at, idle="1s").window(windows, name="w").count().final().map(Total.of).to(totals)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(time_ms) for time_ms in times])
        driver.advance(90_000)
        found = {(t.start_ms, t.end_ms, t.value) for t in driver.topic(totals)}
        assert found == expected
