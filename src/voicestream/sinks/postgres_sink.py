"""Records to PostgreSQL: one row a fact, an older record never in place of a newer one, none lost."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from voicestream.errors import PostgresDataError, PostgresUnavailableError
from voicestream.records import CallEvent, CallSummary, RoutingDecision, UtteranceResult
from voicestream.records.metrics import FIGURES
from voicestream.sinks.postgres import Postgres
from voicestream.sinks.writing import Rejected, until_there
from voicestream.streams.record import Record

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Upsert(Generic[R]):
    """The columns of a table that a record fills, its id first, and when it may take the place of a row of that id."""

    table: str
    record: type[R]
    columns: dict[str, Callable[[R], Any]]
    newer: str | None
    """A condition on the row ``old`` and the new one, ``excluded``; None: the first record of an id stays."""

    def sql(self) -> str:
        names = list(self.columns)
        values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        insert = f"INSERT INTO {self.table} AS old ({', '.join(names)}) VALUES ({values}) ON CONFLICT ({names[0]}) DO "
        if self.newer is None:
            return f"{insert}NOTHING"
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        return f"{insert}UPDATE SET {changes} WHERE {self.newer}"

    def row(self, record: R) -> list[Any]:
        return [read(record) for read in self.columns.values()]


def _same(*names: str) -> dict[str, Callable[[Any], Any]]:
    """Columns named and filled as the fields of the record."""
    return {name: attrgetter(name) for name in names}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


_CALL = {
    **_same("call_id", "protocol", "queue", "agent", "customer"),
    "metadata": lambda r: _json(r.metadata),
}

UPSERTS: tuple[Upsert[Any], ...] = (
    Upsert(
        "calls",
        CallEvent,
        {
            **_CALL,
            "status": lambda r: "live",
            "started_at": lambda r: _time(r.at_ms),
            "version": lambda r: 0,
        },
        newer=None,
    ),
    Upsert(
        "calls",
        CallSummary,
        {
            **_CALL,
            **_same("duration_ms", "reason", "outcome"),
            "status": lambda r: "ended",
            "started_at": lambda r: _time(r.started_at_ms),
            "ended_at": lambda r: _time(r.ended_at_ms),
            "summary": attrgetter("text"),
            "figures": lambda r: _json({name: getattr(r, name) for name in FIGURES if name != "duration_ms"}),
            "emotions": lambda r: _json(r.emotions),
            "version": lambda r: 2 if r.complete else 1,
        },
        newer="excluded.version > old.version",
    ),
    Upsert(
        "utterances",
        UtteranceResult,
        {
            **_same("utterance_id", "call_id", "track", "number", "start_ms", "end_ms", "text", "language"),
            **_same("confidence", "polarity", "label", "emotion", "complete"),
            "at": lambda r: _time(r.at_ms),
            "insights": lambda r: _json(r.insights),
        },
        newer="excluded.complete AND NOT old.complete",
    ),
    Upsert(
        "routing_decisions",
        RoutingDecision,
        {
            **_same("decision_id", "call_id", "rule", "action", "target", "priority", "reason", "evidence"),
            **_same("queue", "agent"),
            "at": lambda r: _time(r.at_ms),
        },
        newer=None,
    ),
)


class PostgresSink:
    """Writes batches of records, each in one transaction.

    The caller commits its offsets after ``write`` has returned, so a crash only makes it write again, and the tables
    keep one row a fact. While PostgreSQL is away ``write`` waits, at most ``give_up_after_s`` seconds (None: for ever).
    """

    def __init__(self, postgres: Postgres, *, give_up_after_s: float | None = None) -> None:
        self._postgres = postgres
        self._give_up_after_s = give_up_after_s

    async def write(self, records: Sequence[Record]) -> list[Rejected]:
        """Write ``records``; returns those that can never be written, with why. Others than ours are passed over.

        Raises:
            PostgresUnavailableError: PostgreSQL was away for longer than ``give_up_after_s``.
        """
        rows: list[tuple[Record, Upsert[Any], list[Any]]] = []
        rejected = []
        for record in records:
            upsert = next((upsert for upsert in UPSERTS if upsert.record is type(record)), None)
            if upsert is None or (isinstance(record, CallEvent) and record.kind != "started"):
                continue
            try:
                rows.append((record, upsert, upsert.row(record)))
            except (TypeError, ValueError, OverflowError) as error:
                rejected.append(_reject(record, PostgresDataError(f"a row of {upsert.table}: {error}")))
        # Two workers that write the same rows, as after a rebalance, take them in one order: no deadlocks.
        rows.sort(key=lambda entry: (UPSERTS.index(entry[1]), str(entry[2][0])))
        return rejected + (await self._write(rows) if rows else [])

    async def _write(self, rows: Sequence[tuple[Record, Upsert[Any], list[Any]]]) -> list[Rejected]:
        """Write rows in one transaction; where the data is at fault, by halves until the bad row is alone."""
        try:
            await until_there(
                lambda: self._write_now(rows),
                PostgresUnavailableError,
                f"{len(rows)} records wait for PostgreSQL",
                self._give_up_after_s,
            )
        except PostgresDataError as error:
            if len(rows) == 1:
                return [_reject(rows[0][0], error)]
            half = len(rows) // 2
            return await self._write(rows[:half]) + await self._write(rows[half:])
        return []

    async def _write_now(self, rows: Sequence[tuple[Record, Upsert[Any], list[Any]]]) -> None:
        async with self._postgres.transaction(f"writing {len(rows)} rows") as connection:
            for upsert in UPSERTS:
                of_table = [row for _, of, row in rows if of is upsert]
                if of_table:
                    await connection.executemany(upsert.sql(), of_table)


def _reject(record: Record, error: PostgresDataError) -> Rejected:
    log.error("%s of %a is not written: %s", type(record).__name__, record.key, error)
    return Rejected(record, error)
