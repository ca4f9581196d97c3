"""What there is to do: events of a known content, and what must come out of each job."""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import fastavro

from voicestream.streams.avro.schemas import Schema

Job = Literal["map", "count", "join"]
JOBS: dict[Job, str] = {
    "map": "Stateless map: a frame of 3.2 kB to a small record",
    "count": "Keyed count in a tumbling window of one minute of event time",
    "join": "Join of the frames with the table of their calls",
}

SCHEMAS = Path(__file__).parent / "schemas"
KEYS = 500
MINUTE_MS = 60_000
SPAN_MS = 10 * MINUTE_MS  # of event time that the frames of one phase cover
CLOSING_MS = 30 * MINUTE_MS  # after the start of a phase: a frame of every call that closes its windows
PHASE_MS = 60 * MINUTE_MS  # from the start of a phase to that of the next
AUDIO = bytes(range(256)) * 12 + bytes(128)  # 3,200 bytes


class Avro:
    """One schema in Avro's single-object encoding."""

    def __init__(self, name: str) -> None:
        schema = Schema.load(SCHEMAS / f"{name}.avsc")
        self._parsed, self._header = schema.parsed, b"\xc3\x01" + schema.fingerprint

    def encode(self, datum: Any) -> bytes:
        """The bytes with their header."""
        out = io.BytesIO()
        out.write(self._header)
        fastavro.schemaless_writer(out, self._parsed, datum)
        return out.getvalue()

    def decode(self, data: bytes) -> Any:
        """The datum behind the header."""
        return fastavro.schemaless_reader(io.BytesIO(data[10:]), self._parsed, None)


FRAME, CALL, RESULT = Avro("BenchFrame"), Avro("BenchCall"), Avro("BenchResult")


class Output(NamedTuple):
    """One result, and when the broker appended it."""

    appended_ms: int
    call_id: str
    number: int
    at_ms: int
    value: int


@dataclass
class Checked:
    """What is wrong with the results of a phase, and when each event was answered."""

    missing: int
    wrong: int
    repeated: int
    answered_ms: list[int]
    """By the place of the event; empty while something is missing."""

    @property
    def done_ms(self) -> int:
        return max(self.answered_ms)


def call_id(index: int) -> str:
    return f"call-{index % KEYS:03d}"


def queue(index: int) -> int:
    """The queue of a call; what the join must find."""
    return 7 * (index % KEYS) + 3


def calls(at_ms: int) -> Iterator[tuple[str, bytes]]:
    """Key and value of the rows of the table."""
    for index in range(KEYS):
        yield call_id(index), CALL.encode({"call_id": call_id(index), "at_ms": at_ms, "queue": queue(index)})


@dataclass(frozen=True)
class Phase:
    """Frames that are sent and checked together: ``events`` of them from ``number``, event time from ``start_ms``."""

    number: int
    start_ms: int
    events: int

    def at_ms(self, index: int) -> int:
        return self.start_ms + index * SPAN_MS // self.events

    def frames(self) -> Iterator[tuple[str, bytes]]:
        """Key and value of each frame."""
        for index in range(self.events):
            yield self._frame(index, self.number + index, self.at_ms(index))

    def closing(self) -> Iterator[tuple[str, bytes]]:
        """A frame of every call that is later than the grace of all windows; no result of it is looked at."""
        for index in range(KEYS):
            yield self._frame(index, -1, self.start_ms + CLOSING_MS)

    def check(self, job: Job, outputs: Iterable[Output]) -> Checked:
        """Compare the results that are of this phase with the truth."""
        if job == "count":
            return self._check_windows(outputs)
        value: Callable[[int], int] = (lambda _: len(AUDIO)) if job == "map" else queue
        answered: list[int | None] = [None] * self.events
        wrong = repeated = 0
        for output in outputs:
            index = output.number - self.number
            if not 0 <= index < self.events:
                continue
            wrong += (output.call_id, output.value) != (call_id(index), value(index))
            repeated += answered[index] is not None
            answered[index] = output.appended_ms if answered[index] is None else answered[index]
        return _checked(answered, wrong, repeated)

    def _check_windows(self, outputs: Iterable[Output]) -> Checked:
        """An event is answered by the first count of its window that includes it."""
        truth = Counter((call_id(i), self._window(i)) for i in range(self.events))
        seen: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        wrong = repeated = 0
        for output in outputs:
            window = (output.call_id, output.at_ms)
            if window not in truth:
                continue
            wrong += output.value > truth[window]
            if seen[window] and seen[window][-1][0] >= output.value:
                repeated += 1
            else:
                seen[window].append((output.value, output.appended_ms))
        nth: Counter[tuple[str, int]] = Counter()
        answered: list[int | None] = []
        for index in range(self.events):
            window = (call_id(index), self._window(index))
            nth[window] += 1
            counts = seen[window]
            while counts and counts[0][0] < nth[window]:
                counts.pop(0)
            answered.append(counts[0][1] if counts else None)
        return _checked(answered, wrong, repeated)

    def _window(self, index: int) -> int:
        at = self.at_ms(index)
        return at - at % MINUTE_MS

    def _frame(self, index: int, number: int, at_ms: int) -> tuple[str, bytes]:
        frame = {
            "call_id": call_id(index),
            "track": "caller",
            "number": number,
            "at_ms": at_ms,
            "sample_rate": 16_000,
            "audio": AUDIO,
        }
        return call_id(index), FRAME.encode(frame)


def _checked(answered: Sequence[int | None], wrong: int, repeated: int) -> Checked:
    missing = sum(at is None for at in answered)
    return Checked(missing, wrong, repeated, [] if missing else [at for at in answered if at is not None])
