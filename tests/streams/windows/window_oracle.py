"""What windows must give, computed anew from all records after each one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

Bounds = tuple[int, int]
Record = tuple[int, int]
"""Time and value."""


class Oracle(Protocol):
    def add(self, time: int, value: int, watermark: int) -> bool:
        """Whether the record is late."""

    def open(self, watermark: int) -> dict[Bounds, list[int]]:
        """The open windows with the values in them."""

    def finals(self, watermark: int) -> list[tuple[Bounds, list[int]]]:
        """All windows that were closed until now, in the order in which they were."""


def _ordered(windows: dict[Bounds, list[int]]) -> list[tuple[Bounds, list[int]]]:
    return sorted(windows.items(), key=lambda window: (window[0][1], window[0][0]))


@dataclass
class FixedOracle:
    size: int
    advance: int
    grace: int
    records: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, time: int, value: int, watermark: int) -> bool:
        self.records.append((time, value, watermark))
        return not any(end + self.grace > watermark for _, end in self._of(time))

    def _of(self, time: int) -> Iterator[Bounds]:
        for start in range(0, time + 1, self.advance):
            if start <= time < start + self.size:
                yield start, start + self.size

    def _all(self) -> dict[Bounds, list[int]]:
        windows: dict[Bounds, list[int]] = {}
        for time, value, watermark in self.records:
            for bounds in self._of(time):
                if bounds[1] + self.grace > watermark:
                    windows.setdefault(bounds, []).append(value)
        return windows

    def open(self, watermark: int) -> dict[Bounds, list[int]]:
        return {b: values for b, values in self._all().items() if b[1] + self.grace > watermark}

    def finals(self, watermark: int) -> list[tuple[Bounds, list[int]]]:
        return _ordered({b: values for b, values in self._all().items() if b[1] + self.grace <= watermark})


@dataclass
class SlidingOracle:
    size: int
    grace: int
    records: list[Record] = field(default_factory=list)
    last_open: dict[Bounds, list[int]] = field(default_factory=dict)
    """Each window as it was at the last record that came while it was open."""

    def add(self, time: int, value: int, watermark: int) -> bool:
        if time + self.size + self.grace < watermark:
            return True
        self.records.append((time, value))
        self.last_open.update(self.open(watermark))
        return False

    def open(self, watermark: int) -> dict[Bounds, list[int]]:
        starts = {max(0, time - self.size) for time, _ in self.records} | {time + 1 for time, _ in self.records}
        windows = {}
        for start in starts:
            values = [value for time, value in self.records if start <= time <= start + self.size]
            if values and start + self.size + self.grace >= watermark:
                windows[start, start + self.size] = values
        return windows

    def finals(self, watermark: int) -> list[tuple[Bounds, list[int]]]:
        return _ordered({b: values for b, values in self.last_open.items() if b[1] + self.grace < watermark})


@dataclass
class SessionOracle:
    gap: int
    grace: int
    records: list[Record] = field(default_factory=list)
    """Those of open sessions."""
    closed: list[tuple[Bounds, list[int]]] = field(default_factory=list)

    def add(self, time: int, value: int, watermark: int) -> bool:
        self._close(watermark)
        self.records.append((time, value))
        mine = next(s for s in self._sessions() if (time, value) in s)
        if max(t for t, _ in mine) + self.gap + self.grace < watermark:
            self.records.pop()
            return True
        return False

    def _sessions(self) -> list[list[Record]]:
        sessions: list[list[Record]] = []
        for record in sorted(self.records):
            if sessions and record[0] - sessions[-1][-1][0] <= self.gap:
                sessions[-1].append(record)
            else:
                sessions.append([record])
        return sessions

    def _close(self, watermark: int) -> None:
        for session in self._sessions():
            if session[-1][0] + self.gap + self.grace < watermark:
                self.closed.append(((session[0][0], session[-1][0]), [value for _, value in session]))
                for record in session:
                    self.records.remove(record)

    def open(self, watermark: int) -> dict[Bounds, list[int]]:
        return {(s[0][0], s[-1][0]): [value for _, value in s] for s in self._sessions()}

    def finals(self, watermark: int) -> list[tuple[Bounds, list[int]]]:
        self._close(watermark)
        return self.closed
