"""What mypy knows of each operator: `make check` has it look here; nothing runs this."""

from typing import Any, assert_type

from voicestream.streams.aggregators import Mean, Several
from voicestream.streams.record import Record
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.stream import JoinedStream, Stream
from voicestream.streams.table import Table
from voicestream.streams.topic import Topic
from voicestream.streams.windowed_stream import WindowedTable
from voicestream.streams.windows import Windowed, tumbling


class A(Record, frozen=True):
    number: int


class B(Record, frozen=True):
    name: str


topic_a: Topic[A] = Topic("a", A)
topic_b: Topic[B] = Topic("b", B)
both: Topic[A | B] = Topic("both", A, B)
stage = Stage("typed")

stream = stage.stream(topic_a, time=lambda a: a.number)
assert_type(stream, Stream[A])
assert_type(stage.stream(both).of(B), Stream[B])
assert_type(stream.map(lambda a: str(a.number)), Stream[str])
assert_type(stream.filter(lambda a: a.number > 1), Stream[A])
assert_type(stream.flat_map(lambda a: [a.number, 2]), Stream[int])
assert_type(stream.branch(lambda a: True), tuple[Stream[A], ...])
assert_type(stream.merge(stage.stream(topic_b)), Stream[A | B])
assert_type(stream.key_by(lambda a: str(a.number), name="k"), Stream[A])
assert_type(stream.through(topic_a), Stream[A])


async def named(a: A) -> B:
    return B(name=str(a.number))


def counted(a: A, state: State[int]) -> list[B]:
    return [B(name=str(state.value))]


async def seen(a: A, state: State[int]) -> B | None:
    return None


store = stage.store("n", int)
assert_type(stream.map_async(named), Stream[B])
assert_type(stream.process(counted, state=store), Stream[B])
assert_type(stream.process(seen, state=store), Stream[B])
assert_type(stream.count(name="c"), Table[int])
assert_type(stream.aggregate(int, lambda total, a: total + a.number, name="sum"), Table[int])

windowed = stream.window(tumbling("1m"), name="w")
assert_type(windowed.count(), WindowedTable[A, int])
assert_type(windowed.count().final(), Stream[Windowed[int]])
assert_type(windowed.count().late(), Stream[A])
assert_type(windowed.collect().current(), Stream[Windowed[list[A]]])
assert_type(windowed.aggregate(int, lambda total, a: total + a.number).final(), Stream[Windowed[int]])

table = stage.table("b", topic_b)
assert_type(table, Table[B])
assert_type(stream.join(table, lambda a, b: (a.number, b.name)), Stream[tuple[int, str]])
assert_type(stream.left_join(table, lambda a, b: b), Stream[B | None])
assert_type(table.join(stream.count(name="d"), lambda b, n: n), Table[int])
assert_type(stream.join(stage.stream(topic_b), lambda a, b: b.name, within="5s", name="j"), JoinedStream[str, A | B])
assert_type(stream.join(stage.global_table(topic_b), lambda a, b: b, on=lambda a: str(a.number)), Stream[B])
assert_type(windowed.aggregate(Mean(lambda a: a.number)).final(), Stream[Windowed[float | None]])
assert_type(windowed.aggregate(Several(mean=Mean(lambda a: a.number))).final(), Stream[Windowed[dict[str, Any]]])
