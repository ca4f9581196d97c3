"""Records to ClickHouse, each fact once, none lost."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from voicestream.errors import ClickHouseDataError, ClickHouseUnavailableError
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.clickhouse_rows import Mapping, by_table
from voicestream.sinks.writing import Rejected, until_there
from voicestream.streams.record import Record

log = logging.getLogger(__name__)


class ClickHouseSink:
    """Writes batches of records; one batch at a time, whoever calls.

    The caller commits its offsets after ``write`` has returned, so a crash only makes it write again, and the tables
    keep one row a fact. While ClickHouse is away ``write`` waits, at most ``give_up_after_s`` seconds (None: for ever).
    """

    def __init__(self, clickhouse: ClickHouse, *, give_up_after_s: float | None = None) -> None:
        self._clickhouse = clickhouse
        self._give_up_after_s = give_up_after_s
        self._one_at_a_time = asyncio.Lock()

    async def write(self, records: Sequence[Record]) -> list[Rejected]:
        """Write ``records``; returns those that can never be written, with why. Markers and the like are passed over.

        Raises:
            ClickHouseUnavailableError: ClickHouse was away for longer than ``give_up_after_s``.
            ClickHouseError: it refuses to work with us at all (tables missing, no rights).
        """
        rejected: list[Rejected] = []
        async with self._one_at_a_time:
            for mapping, of_table in by_table(records).values():
                rejected += await self._write_table(mapping, of_table)
        return rejected

    async def _write_table(self, mapping: Mapping[Any], records: Sequence[Record]) -> list[Rejected]:
        """Insert the records of one table; where the data is at fault, by halves until the bad record is alone."""
        try:
            await self._insert(mapping, records)
        except ClickHouseDataError as error:
            if len(records) == 1:
                log.error("%s of %a is not written: %s", mapping.record.__name__, records[0].key, error)
                return [Rejected(records[0], error)]
            half = len(records) // 2
            first = await self._write_table(mapping, records[:half])
            return first + await self._write_table(mapping, records[half:])
        return []

    async def _insert(self, mapping: Mapping[Any], records: Sequence[Record]) -> None:
        """Insert, and again as long as ClickHouse is away."""
        await until_there(
            lambda: asyncio.to_thread(self._insert_now, mapping, records),
            ClickHouseUnavailableError,
            f"{len(records)} records of {mapping.table} wait for ClickHouse",
            self._give_up_after_s,
        )

    def _insert_now(self, mapping: Mapping[Any], records: Sequence[Record]) -> None:
        try:
            rows = [mapping.row(record) for record in records]
            columns = [list(column) for column in zip(*rows, strict=True)]
            content = msgspec.msgpack.encode([mapping.record.__name__, columns])
        except (TypeError, ValueError, OverflowError) as error:
            raise ClickHouseDataError(f"a {mapping.record.__name__} for {mapping.table}: {error}") from error
        token = hashlib.blake2b(content, digest_size=16).hexdigest()
        self._clickhouse.insert(mapping.table, list(mapping.columns), columns, token)
