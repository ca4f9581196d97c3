"""The live state of calls in Redis: a hash a call, the set of live calls, and a channel of routing decisions."""

import logging
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis import exceptions as driver
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from voicestream.errors import RedisDataError, RedisError, RedisUnavailableError
from voicestream.records import RoutingDecision
from voicestream.records.base import CallRecord
from voicestream.sinks.redis_changes import changes, json
from voicestream.sinks.writing import Rejected, until_there
from voicestream.streams.record import Record

log = logging.getLogger(__name__)

CALL = "voicestream:call:"
"""What the key of the hash of a call begins with; its ``call_id`` follows."""

LIVE = "voicestream:calls:live"
"""A sorted set of the ``call_id`` of each live call, by its start in epoch milliseconds."""

ROUTING = "voicestream:routing"
"""The channel on which each routing decision is published as JSON, at least once."""

KEEP_ENDED_MS = 3_600_000
KEEP_LIVE_MS = (
    86_400_000  # from the last that was heard of it: the end of a call that is lost must not keep it for ever
)


class RedisSink:
    """Writes batches of records to the Redis at ``redis://host:6379/0`` (``rediss://`` for TLS; no cluster).

    The caller commits its offsets after ``write`` has returned. A crash only makes it write again, which takes nothing
    back but publishes again. While Redis is away ``write`` waits, at most ``give_up_after_s`` seconds (None: for ever).
    """

    def __init__(self, setting: str, *, give_up_after_s: float | None = None) -> None:
        address = urlsplit(setting)
        self.where = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
        try:
            self._client = redis.asyncio.from_url(
                setting, socket_connect_timeout=5, socket_timeout=30, retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            raise RedisError(
                f"VOICESTREAM_REDIS, which begins with {address.scheme or 'no scheme'!r}, is not understood: write "
                "redis://host:6379/0"
            ) from error
        self._script = self._client.register_script((resources.files(__package__) / "live.lua").read_text())
        self._give_up_after_s = give_up_after_s

    async def check(self) -> None:
        """Raise ``RedisUnavailableError`` when nothing answers, or refuses us."""
        try:
            await self._client.exists(LIVE)
        except (driver.RedisError, OSError) as error:
            raise RedisUnavailableError(
                f"No Redis answers at {self.where} ({error}): start it, or correct VOICESTREAM_REDIS"
            ) from error

    async def write(self, records: Sequence[Record]) -> list[Rejected]:
        """Write ``records``; returns those that can never be written, with why. Others than ours are passed over.

        Raises:
            RedisUnavailableError: Redis was away for longer than ``give_up_after_s``.
        """
        commands = []
        rejected: list[Rejected] = []
        for record in records:
            try:
                commands.append((record, *_commands(record)))
            except ValueError as error:
                rejected.append(_reject(record, error))

        async def attempt() -> None:
            refused = await self._send(commands)
            rejected.extend(_reject(record, error) for record, error in refused)

        if any(calls or message for _, calls, message in commands):
            waiting = f"{len(commands)} records wait for Redis"
            await until_there(attempt, RedisUnavailableError, waiting, self._give_up_after_s)
        return rejected

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(
        self, commands: Sequence[tuple[Record, list[list[bytes]], bytes | None]]
    ) -> list[tuple[Record, Exception]]:
        """Send everything in one go; the records whose key holds what is none of ours, with the error of each."""
        sources: list[Record] = []
        pipeline: Any
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for record, calls, message in commands:
                    for arguments in calls:
                        await self._script(keys=[CALL.encode() + arguments[2], LIVE], args=arguments, client=pipeline)
                        sources.append(record)
                    if message is not None:
                        pipeline.publish(ROUTING, message)
                        sources.append(record)
                answers = await pipeline.execute(raise_on_error=False)
        except (driver.RedisError, OSError) as error:
            raise RedisUnavailableError(f"Redis at {self.where}: {error}") from error
        refused: dict[int, tuple[Record, Exception]] = {}
        for record, answer in zip(sources, answers, strict=True):
            if isinstance(answer, Exception):
                if "WRONGTYPE" not in str(answer):
                    raise RedisUnavailableError(f"Redis at {self.where}: {answer}") from answer
                refused[id(record)] = record, answer
        return list(refused.values())


def _commands(record: Record) -> tuple[list[list[bytes]], bytes | None]:
    """The arguments of the script for each change of a record, and what is to be published."""
    calls = []
    for change in changes(record):
        assert isinstance(record, CallRecord)
        fields = [text for field in change.fields.items() for text in field]
        keep = (str(KEEP_LIVE_MS), str(KEEP_ENDED_MS), CALL)
        texts = [change.part, change.version, record.call_id, str(change.at_ms), *keep, *fields]
        calls.append([text.encode() for text in texts])
    return calls, json(record).encode() if isinstance(record, RoutingDecision) else None


def _reject(record: Record, error: Exception) -> Rejected:
    log.error("%s of %a is not written: %s", type(record).__name__, record.key, error)
    return Rejected(record, RedisDataError(f"a {type(record).__name__} for Redis: {error}"))
