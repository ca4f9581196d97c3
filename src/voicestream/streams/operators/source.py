"""The way into the graph, and event time: what was seen of each source partition."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from voicestream.streams.message import TopicPartition
from voicestream.streams.operators.node import Node
from voicestream.streams.topic import Topic

BEGINNING = -(1 << 62)
WATERMARK = ""
"""Stands for a topic where a store remembers the watermark of a partition."""


class Source(Node):
    """A topic that is read. ``time`` takes the event time of a record, in ms; without it the message has it.

    A ``timeless`` source (that of a table) does not drive event time.
    """

    def __init__(
        self, topic: Topic[Any], time: Callable[[Any], int] | None, idle_ms: int | None, *, timeless: bool = False
    ) -> None:
        super().__init__()
        self.topic = topic
        self.label = f"from {topic.name}"
        self.time = time
        self.idle_ms = idle_ms
        self.timeless = timeless


class EventTime:
    """How far event time has got, by partition: the stream time of a source, the least of several.

    Of several, one that was silent for its ``idle_ms`` of wall clock does not hold the others back. When all are, time
    goes on at the clock's pace from where it was.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.topic.name: source for source in sources if not source.timeless}
        self._single = len(self._sources) == 1
        self._stream: dict[TopicPartition, int] = {}
        self._heard: dict[TopicPartition, int] = {}
        self._watermarks: dict[int, int] = {}

    def assign(self, tps: Sequence[TopicPartition], stream_ms: dict[TopicPartition, int], now_ms: int) -> None:
        """Begin with these partitions, at the stream times that the stores remember."""
        ours = [tp for tp in tps if tp.topic in self._sources]
        self._stream = {tp: stream_ms[tp] for tp in ours if tp in stream_ms}
        self._heard = dict.fromkeys(ours, now_ms)
        self._watermarks = {tp.partition: ms for tp, ms in stream_ms.items() if tp.topic == WATERMARK}

    @property
    def watermarks(self) -> dict[int, int]:
        """How far each partition has got."""
        return self._watermarks

    @property
    def stream_ms(self) -> dict[TopicPartition, int]:
        """The highest event time seen of each source partition."""
        return self._stream

    def snapshot(self) -> tuple[dict[TopicPartition, int], dict[int, int]]:
        return dict(self._stream), dict(self._watermarks)

    def restore(self, snapshot: tuple[dict[TopicPartition, int], dict[int, int]]) -> None:
        self._stream, self._watermarks = dict(snapshot[0]), dict(snapshot[1])

    def heard(self, tp: TopicPartition, time_ms: int, now_ms: int) -> int:
        """A record of ``time_ms`` has come: the watermark of its partition, with it."""
        if tp.topic in self._sources:
            if time_ms > self._stream.get(tp, BEGINNING):
                self._stream[tp] = time_ms
            self._heard[tp] = now_ms
            if self._single:
                self._watermarks[tp.partition] = max(self._stream[tp], self._watermarks.get(tp.partition, BEGINNING))
                return self._watermarks[tp.partition]
        return self.watermark(tp.partition, now_ms)

    def watermark(self, partition: int, now_ms: int) -> int:
        """How far the partition has got; never less than before."""
        active, known, last, quiet = [], [], BEGINNING, bool(self._sources)
        for topic, source in self._sources.items():
            tp = TopicPartition(topic, partition)
            heard = self._heard.get(tp)
            if heard is None:
                continue  # another worker has it, or nothing was assigned: it does not hold us back
            stream = self._stream.get(tp)
            if stream is not None:
                known.append(stream)
            last = max(last, heard)
            if source.idle_ms is None or now_ms - heard < source.idle_ms:
                quiet = False
                active.append(BEGINNING if stream is None else stream)
        found = min(active, default=BEGINNING)
        if quiet and known:
            found = max(known) + now_ms - last
        found = max(found, self._watermarks.get(partition, BEGINNING))
        if found > BEGINNING:
            self._watermarks[partition] = found
        return found

    def partitions(self) -> list[int]:
        """The partitions that are assigned."""
        return sorted({tp.partition for tp in self._heard})
