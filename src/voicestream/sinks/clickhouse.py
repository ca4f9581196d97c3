"""The way to ClickHouse: a server over HTTP or the embedded engine, the same from here on."""

import logging
import os
import re
import struct
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, NotSupportedError, ProgrammingError
from clickhouse_connect.driver.insert import InsertContext

from voicestream.errors import ClickHouseDataError, ClickHouseError, ClickHouseUnavailableError

# Every error of the driver becomes one of ours; it need not log a stack trace of its own, nor its retries.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
logging.getLogger("urllib3").setLevel(logging.ERROR)

# ClickHouse's own numbers: what may pass by waiting, and what lies in the data.
_BUSY = frozenset({3, 159, 202, 209, 210, 241, 242, 243, 252, 319, 425, 745, 999})
_DATA = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 190, 321, 349, 407, 469})
_UNKNOWN_TABLE = 60
_NOT_MIGRATED = frozenset({16, _UNKNOWN_TABLE, 81})  # no such column, table, database
_UNAUTHENTICATED = frozenset({192, 193, 194, 516})
_REFUSED = frozenset({164, 497})  # read-only, access denied


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class ClickHouse:
    """A ClickHouse that is connected to when it is first needed, and again when the connection was lost.

    ``setting`` is ``clickhouse://user:password@host:8123/database`` (``clickhouses://`` for TLS) or the folder of the
    embedded engine. Where a process on this machine serves that folder over HTTP, it is asked instead, for one process
    at a time can have it. Safe to use from several threads.
    """

    def __init__(self, setting: str) -> None:
        self._address = _address(setting)
        self.where = _without_password(self._address) if self._address else str(Path(setting).expanduser().resolve())
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._inserts: dict[tuple[str, tuple[str, ...]], InsertContext] = {}

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        with self._errors("running a statement") as client:
            client.command(sql, parameters=dict(parameters or {}))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Table:
        """Run a query; ``{name:Type}`` in it stands for ``parameters["name"]``."""
        with self._errors("running a query") as client:
            result = client.query(sql, parameters=dict(parameters or {}))
            return Table(list(result.column_names), [tuple(row) for row in result.result_rows])

    def raw(self, sql: str, format_name: str) -> bytes:
        """The answer to a query in a format of ClickHouse, such as CSVWithNames or JSONEachRow."""
        with self._errors("running a query") as client:
            answer: bytes = client.raw_query(sql, fmt=format_name)
            return answer

    def insert(self, table: str, columns: Sequence[str], data: Sequence[Sequence[Any]], token: str) -> None:
        """Insert ``data``, a sequence a column; replicated tables drop a second insert with the same ``token``.

        Raises:
            ClickHouseDataError: a value does not fit its column.
        """
        with self._errors(f"inserting into {table}") as client:
            key = (table, tuple(columns))
            context = self._inserts.get(key)
            if context is None:
                context = self._inserts[key] = client.create_insert_context(
                    table, column_names=columns, column_oriented=True
                )
            context.settings = {"insert_deduplication_token": token}
            context.data = list(data)
            client.data_insert(context)

    def create_database(self) -> None:
        """Create the database of the setting where it isn't there; needs no connection to it."""
        if self._address is None or not (name := _database(self._address)):
            return
        client = self._open(database="default")
        try:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{name}`")
        finally:
            client.close()

    def close(self) -> None:
        """Close the connection; the embedded engine lets go of its folder."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._inserts.clear()
        if self._client is not None:
            with suppress(DatabaseError):
                self._client.close()
            self._client = None

    @contextmanager
    def _errors(self, doing: str) -> Iterator[Client]:
        """The client, for one caller at a time; its errors become ours."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            try:
                yield self._client
            except (DataError, struct.error, OverflowError, UnicodeError, TypeError, ValueError) as error:
                raise ClickHouseDataError(f"ClickHouse at {self.where}, {doing}: {error}") from error
            except DatabaseError as error:
                ours = self._explain(error, doing)
                if isinstance(ours, ClickHouseUnavailableError) or error.code == _UNKNOWN_TABLE:
                    self._drop()
                raise ours from error

    def _explain(self, error: DatabaseError, doing: str) -> ClickHouseError:
        what = f"ClickHouse at {self.where}, {doing}: {_first_line(error)}"
        if error.code in _DATA:
            return ClickHouseDataError(what, error.code)
        if error.code in _BUSY or (error.code is None and not isinstance(error, ProgrammingError | NotSupportedError)):
            return ClickHouseUnavailableError(what, error.code)
        if error.code in _NOT_MIGRATED or "Unrecognized column" in str(error):
            return ClickHouseUnavailableError(
                f"{what}. If its tables were never made or are old, run `voicestream db upgrade`", error.code
            )
        if error.code in _REFUSED:
            return ClickHouseUnavailableError(f"{what}. Give the user of VOICESTREAM_CLICKHOUSE the right", error.code)
        return ClickHouseError(what, error.code)

    def _open(self, database: str | None = None) -> Client:
        if self._address is None:
            served = _served_at(Path(self.where))
            if served is None:
                return self._open_engine()
            address = urlsplit(f"clickhouse://127.0.0.1:{served}")
        else:
            address = self._address
        secure = address.scheme == "clickhouses"
        try:
            return clickhouse_connect.get_client(
                host=address.hostname or "localhost",
                port=address.port or (8443 if secure else 8123),
                username=unquote(address.username) if address.username else "default",
                password=unquote(address.password or ""),
                database=database or _database(address) or "default",
                secure=secure,
                connect_timeout=5,
                # Without sessions one client may be used by several threads.
                autogenerate_session_id=False,
            )
        except DatabaseError as error:
            if error.code in _UNAUTHENTICATED:
                raise ClickHouseUnavailableError(
                    f"ClickHouse at {self.where} refused the user or password: correct VOICESTREAM_CLICKHOUSE",
                    error.code,
                ) from error
            if error.code is not None:
                raise self._explain(error, "connecting") from error
            raise ClickHouseUnavailableError(
                f"No ClickHouse answers at {self.where} ({_root(error)}): start it, or set "
                "VOICESTREAM_CLICKHOUSE to clickhouse://user:password@host:8123/database or to a folder for the "
                "embedded engine"
            ) from error

    def _open_engine(self) -> Client:
        from voicestream.embedded.clickhouse_engine import why_not_open

        path = Path(self.where)
        path.mkdir(parents=True, exist_ok=True)
        try:
            return clickhouse_connect.get_client(interface="chdb", path=str(path))
        except DatabaseError as error:
            raise ClickHouseUnavailableError(why_not_open(path, _first_line(error))) from error


def connect(setting: str) -> ClickHouse:
    """A ClickHouse that has answered.

    Raises:
        ClickHouseUnavailableError: nothing answers there, it refuses the user, password or database, or another
            process has the folder.
        ClickHouseError: the setting makes no sense.
    """
    clickhouse = ClickHouse(setting)
    clickhouse.query("SELECT 1")
    return clickhouse


def _address(setting: str) -> SplitResult | None:
    """The parts of an address; None where the setting is a folder."""
    if "://" not in setting:
        if not setting.strip():
            raise ClickHouseError(
                "VOICESTREAM_CLICKHOUSE is empty: give an address or the folder of the embedded engine"
            )
        return None
    address = urlsplit(setting)
    if address.scheme not in ("clickhouse", "clickhouses") or not address.hostname:
        raise ClickHouseError(
            f"VOICESTREAM_CLICKHOUSE {_without_password(address)!r} is not understood: write "
            "clickhouse://user:password@host:8123/database, clickhouses://… for TLS, or a folder"
        )
    if (name := _database(address)) and not re.fullmatch(r"\w+", name):
        raise ClickHouseError(f"VOICESTREAM_CLICKHOUSE names the database {name!r}: use letters, digits and _ only")
    return address


def _database(address: SplitResult) -> str:
    return unquote(address.path.strip("/"))


def _without_password(address: SplitResult) -> str:
    user = f"{address.username}@" if address.username else ""
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{user}{address.hostname}{port}{address.path}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


def _root(error: BaseException) -> str:
    """What lies at the bottom of an error that the driver wrapped several times."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return _first_line(error)


def _served_at(path: Path) -> int | None:
    """The port at which another process of this machine serves the folder, if one does."""
    note = path / "served_at"
    try:
        pid, port = (int(word) for word in note.read_text().split())
        if pid == os.getpid():
            return None
        os.kill(pid, 0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2) as answer:
            return port if answer.status == 200 else None
    except (OSError, ValueError):
        return None
