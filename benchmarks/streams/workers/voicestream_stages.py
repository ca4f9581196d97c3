"""The jobs as stages of voicestream; which one, the environment says."""

import os
from collections.abc import Callable, Sequence

import msgspec

from voicestream import Batch, Stage, State
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic
from voicestream.streams.windowed_stream import WindowedTable
from voicestream.streams.windows import Windowed, tumbling

MINUTE_MS = 60_000


class OfCall(Record, frozen=True, kw_only=True):
    call_id: str
    at_ms: int

    @property
    def key(self) -> str:
        return self.call_id


class BenchFrame(OfCall, frozen=True, kw_only=True):
    track: str
    number: int
    sample_rate: int
    audio: bytes


class BenchCall(OfCall, frozen=True, kw_only=True):
    queue: int


class BenchResult(OfCall, frozen=True, kw_only=True):
    number: int
    value: int


class Counts(msgspec.Struct):
    """Frames by the minute that they are of; the minutes that can still change."""

    by_minute: dict[int, int] = {}


frames = Topic(os.environ["BENCH_FRAMES"], BenchFrame)
calls = Topic(os.environ["BENCH_CALLS"], BenchCall)
results = Topic(os.environ["BENCH_RESULTS"], BenchResult)
stage = Stage(os.environ["BENCH_NAME"])


def of_frame(frame: BenchFrame, value: int) -> BenchResult:
    return BenchResult(call_id=frame.call_id, number=frame.number, at_ms=frame.at_ms, value=value)


def size(frame: BenchFrame) -> BenchResult:
    return of_frame(frame, len(frame.audio))


def agent() -> None:
    @stage.agent(frames, out=results)
    async def each(frame: BenchFrame) -> BenchResult:
        return size(frame)


def batch_agent() -> None:
    @stage.agent(frames, out=results, batch=Batch(500))
    async def many(batch: Sequence[BenchFrame]) -> list[BenchResult]:
        return [size(frame) for frame in batch]


def state_agent() -> None:
    counts = stage.store("counts", Counts)

    @stage.agent(frames, out=results, state=counts)
    async def count(frame: BenchFrame, state: State[Counts]) -> BenchResult:
        start = frame.at_ms - frame.at_ms % MINUTE_MS
        state.value = state.value or Counts()
        by_minute = state.value.by_minute
        by_minute[start] = by_minute.get(start, 0) + 1
        if len(by_minute) > 2:
            del by_minute[min(by_minute)]
        return BenchResult(call_id=frame.call_id, number=0, at_ms=start, value=by_minute[start])


def operators() -> None:
    stage.stream(frames).map(size).to(results)


def current() -> None:
    counted().current().map(of_window).to(results)


def final() -> None:
    counted().final().map(of_window).to(results)


def counted() -> WindowedTable[BenchFrame, int]:
    stream = stage.stream(frames, time=lambda frame: frame.at_ms)
    return stream.window(tumbling("1m", grace="10s"), name="counts").count()


def of_window(counted: Windowed[int]) -> BenchResult:
    return BenchResult(call_id=counted.key, number=0, at_ms=counted.start_ms, value=counted.value)


def join() -> None:
    def both(frame: BenchFrame, call: BenchCall) -> BenchResult:
        return of_frame(frame, call.queue)

    stage.stream(frames).join(stage.table("calls", calls), both).to(results)


JOBS: dict[str, Callable[[], None]] = {
    "agent": agent,
    "batch-agent": batch_agent,
    "state-agent": state_agent,
    "operators": operators,
    "current": current,
    "final": final,
    "join": join,
}
JOBS[os.environ["BENCH_JOB"]]()
app = stage.app()
