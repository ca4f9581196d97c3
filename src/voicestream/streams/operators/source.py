"""The way into the graph, and event time: what was seen of each source partition."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicestream.streams.message import TopicPartition
from voicestream.streams.operators.node import Node
from voicestream.streams.topic import Topic

BEGINNING = -(1 << 62)
WATERMARK = ""
"""Stands for a lane where a store remembers the watermark of a partition."""


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


@dataclass(slots=True)
class Lane:
    """Messages that come in order of each other: those of a topic, or on a repartition topic those of one origin."""

    idle_ms: int | None
    heard_ms: int
    stream_ms: int = BEGINNING


class EventTime:
    """How far event time has got, by partition: the highest time seen of its lane, the least of several lanes.

    Of several, one that was silent for its ``idle_ms`` of wall clock does not hold the others back. When all are, time
    goes on at the clock's pace from where it was. So a topic that lags, or after a crash a partition from which records
    were sent under another key, does not make the others' records come too late.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.topic.name: source for source in sources if not source.timeless}
        self._lanes: dict[int, dict[str, Lane]] = {}
        self._before: dict[int, tuple[dict[str, Lane], int | None]] = {}
        self.watermarks: dict[int, int] = {}
        """How far each partition has got."""

    def assign(self, tps: Sequence[TopicPartition], known: Mapping[int, Mapping[str, int]], now_ms: int) -> None:
        """Begin with these partitions, at the times that the stores remember of them: what ``remembered`` gave."""
        self._lanes = {tp.partition: {} for tp in tps}
        self.watermarks = {}
        self._before.clear()
        for topic, partition in tps:
            source = self._sources.get(topic)
            if source is None:
                continue
            lanes, times = self._lanes[partition], known.get(partition, {})
            names = [name for name in times if name == topic or name.startswith(f"{topic}|")]
            names = [n for n in names if not (n.endswith("|") and any(m.startswith(n) and m != n for m in names))]
            for name in names or [topic]:
                lanes[name] = Lane(source.idle_ms, now_ms, times.get(name, BEGINNING))
            if WATERMARK in times:
                self.watermarks[partition] = times[WATERMARK]

    def remembered(self, partition: int) -> dict[str, int]:
        """What a store is to remember of a partition."""
        times = {name: lane.stream_ms for name, lane in self._lanes[partition].items() if lane.stream_ms > BEGINNING}
        if partition in self.watermarks:
            times[WATERMARK] = self.watermarks[partition]
        return times

    def begin(self) -> None:
        """A run begins: ``undo`` goes back to how far event time is now."""
        self._before.clear()

    def undo(self) -> None:
        """Go back to where the run began."""
        for partition, (lanes, watermark_ms) in self._before.items():
            self._lanes[partition] = lanes
            self.watermarks.pop(partition, None)
            if watermark_ms is not None:
                self.watermarks[partition] = watermark_ms
        self._before.clear()

    def changed(self) -> list[int]:
        """The partitions of which the run had a record, or where time went on without."""
        return sorted(self._before)

    def advance(self, partition: int, watermark_ms: int) -> None:
        """Time goes on without a record."""
        self._keep(partition)
        self.watermarks[partition] = watermark_ms

    def heard(self, topic: str, partition: int, origin: str, time_ms: int, now_ms: int) -> int:
        """A record of ``time_ms`` has come: the watermark of its partition, with it.

        ``origin`` is where it comes from, as a ``Position`` says. What the clock brought forth there counts for all
        that comes from there.
        """
        source = self._sources.get(topic)
        known = self.watermarks.get(partition, BEGINNING)
        if source is None:
            return known
        self._keep(partition)
        lanes = self._lanes.setdefault(partition, {})
        names = [name for name in lanes if name.startswith(origin)] if origin.endswith("|") else ()
        moved = False
        for lane in [lanes[name] for name in names] or [self._lane(lanes, origin, source, now_ms)]:
            lane.heard_ms = now_ms
            if time_ms > lane.stream_ms:
                moved = moved or lane.stream_ms <= known  # it may have been the one that was behind
                lane.stream_ms = time_ms
        if not moved:
            return known
        if len(lanes) == 1:
            self.watermarks[partition] = known = max(known, time_ms)
            return known
        return self.watermark(partition, now_ms)

    def _keep(self, partition: int) -> None:
        """Note how far a partition is, before the run first changes it."""
        if partition not in self._before:
            lanes = self._lanes.get(partition, {})
            copies = {name: Lane(lane.idle_ms, lane.heard_ms, lane.stream_ms) for name, lane in lanes.items()}
            self._before[partition] = copies, self.watermarks.get(partition)

    def _lane(self, lanes: dict[str, Lane], origin: str, source: Source, now_ms: int) -> Lane:
        lane = lanes.get(origin)
        if lane is None:
            lane = lanes[origin] = Lane(source.idle_ms, now_ms)
            topic = source.topic.name
            if origin != topic and topic in lanes and lanes[topic].stream_ms == BEGINNING:
                del lanes[topic]  # it stood for what was to come
            for name in [name for name in lanes if name.endswith("|") and name != origin and origin.startswith(name)]:
                lane.stream_ms = max(lane.stream_ms, lanes.pop(name).stream_ms)
        return lane

    def watermark(self, partition: int, now_ms: int) -> int:
        """How far the partition has got; never less than before."""
        found = self.ahead(partition, now_ms)
        if found > BEGINNING:
            self.watermarks[partition] = found
        return found

    def ahead(self, partition: int, now_ms: int) -> int:
        """How far the partition would be if it was asked now, with the clock of those that are quiet."""
        lanes = self._lanes.get(partition, {}).values()
        found = self.watermarks.get(partition, BEGINNING)
        if not lanes:
            return found
        awake = [lane.stream_ms for lane in lanes if lane.idle_ms is None or now_ms - lane.heard_ms < lane.idle_ms]
        if awake:
            found = max(found, min(awake))
        else:
            last = max(lane.stream_ms for lane in lanes)
            if last > BEGINNING:
                found = max(found, last + now_ms - max(lane.heard_ms for lane in lanes))
        return found

    def partitions(self) -> list[int]:
        """The partitions that are assigned."""
        return sorted(self._lanes)
