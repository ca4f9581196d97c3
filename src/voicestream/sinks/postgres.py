"""The way to PostgreSQL: one connection, opened when it is first needed and again when it was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from voicestream.errors import PostgresDataError, PostgresError, PostgresUnavailableError

_CONNECT_S = 5.0
_COMMAND_S = 60.0
_CLOSE_S = 5.0

# Classes of SQLSTATE that lie in the data: data exceptions, broken constraints, values too large for an index.
_DATA = ("22", "23", "54")
_ADVICE = {
    "28000": "correct the user in VOICESTREAM_POSTGRES, or let it in (pg_hba.conf)",
    "28P01": "correct the user or password in VOICESTREAM_POSTGRES",
    "3D000": "create the database, or correct VOICESTREAM_POSTGRES",
    "42501": "give the user of VOICESTREAM_POSTGRES the right",
    "42P01": "if its tables were never made, run `voicestream db upgrade`",
    "42703": "if its tables are old, run `voicestream db upgrade`",
}


class Postgres:
    """A PostgreSQL at ``postgresql://user:password@host:5432/database``; for the tasks of one event loop."""

    def __init__(self, setting: str) -> None:
        address = urlsplit(setting)
        if address.scheme not in ("postgresql", "postgres"):
            raise PostgresError(
                f"VOICESTREAM_POSTGRES, which begins with {address.scheme or 'no scheme'!r}, is not understood: write "
                "postgresql://user:password@host:5432/database"
            )
        user = f"{address.username}@" if address.username else ""
        self.where = f"postgresql://{user}{address.netloc.rpartition('@')[2]}{address.path}"
        self._setting = setting
        self._one_at_a_time = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[asyncpg.Connection]:
        """A transaction, for one caller at a time; errors of the driver become ours.

        Raises:
            PostgresDataError: a value does not fit its column.
            PostgresUnavailableError: anything else, as it may pass by waiting or by a hand that helps.
        """
        async with self._one_at_a_time:
            try:
                connection = await self._open()
                async with connection.transaction():
                    yield connection
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                ours = self._explain(error, doing)
                if isinstance(ours, PostgresUnavailableError):
                    self._drop()
                raise ours from error
            except asyncio.CancelledError:
                self._drop()
                raise

    async def close(self) -> None:
        """Close the connection."""
        async with self._one_at_a_time:
            if self._connection is not None:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    await self._connection.close(timeout=_CLOSE_S)
                self._drop()

    async def _open(self) -> asyncpg.Connection:
        if self._connection is not None and self._connection.is_closed():
            self._connection = None
        if self._connection is None:
            self._connection = await asyncpg.connect(self._setting, timeout=_CONNECT_S, command_timeout=_COMMAND_S)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _explain(self, error: Exception, doing: str) -> PostgresError:
        what = f"PostgreSQL at {self.where}, {doing}: {str(error).strip() or type(error).__name__}"
        if isinstance(error, asyncpg.PostgresError):
            state: str = error.sqlstate or ""
            if state.startswith(_DATA):
                return PostgresDataError(what)
            advice = _ADVICE.get(state)
            return PostgresUnavailableError(f"{what}: {advice}" if advice else what)
        if self._connection is None:
            reason = str(error).strip() or type(error).__name__
            return PostgresUnavailableError(
                f"No PostgreSQL answers at {self.where} ({reason}): start it, or correct VOICESTREAM_POSTGRES"
            )
        return PostgresUnavailableError(what)
