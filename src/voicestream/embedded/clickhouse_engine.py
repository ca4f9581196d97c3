"""ClickHouse's engine inside this process (chDB): a handle a statement, so statements run at the same time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chdb.state.sqlitelike import Connection

from voicestream.errors import EmbeddedError

# What a statement is made of, as far as finding its clauses needs it: comments, quoted text, words, brackets.
_TOKEN = re.compile(
    rb"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`|(?P<word>[A-Za-z_]\w*)|(?P<bracket>[()])",
    re.DOTALL,
)
_FORMAT_NAME = re.compile(rb"\s+(\w+)[ \t\f]*;?[ \t]*\r?\n?")
_RETURNS_ROWS = frozenset({b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"CHECK", b"FROM"})
_CODE = re.compile(r"Code: (\d+)\. ")


class QueryError(Exception):
    """An error of the engine, as ClickHouse words it; ``code`` is ClickHouse's number for it."""

    def __init__(self, message: str) -> None:
        start = message.find("Code: ")
        super().__init__(message[max(start, 0) :].strip())
        found = _CODE.search(message)
        self.code = int(found.group(1)) if found else 1002  # UNKNOWN_EXCEPTION


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: ``body`` in ``format``, which is None for a statement that returns no rows."""

    body: bytes
    format: str | None
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    result_rows: int
    elapsed_ns: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement taken apart as far as running it needs: its first word, its format, and the data behind an INSERT."""

    sql: bytes
    verb: bytes
    format: str | None
    data: bytes | None

    @classmethod
    def of(cls, text: bytes) -> "Statement":
        """``INSERT … FORMAT name data`` gives its data apart; the engine reads it wrongly when it is binary."""
        verb = b""
        depth = 0
        format_name: str | None = None
        for token in _TOKEN.finditer(text):
            if bracket := token["bracket"]:
                depth += 1 if bracket == b"(" else -1
                continue
            word = token["word"].upper() if token["word"] else b""
            if not word:
                continue
            verb = verb or word
            if verb == b"INSERT" and depth == 0 and word in (b"VALUES", b"SELECT", b"WITH", b"INFILE"):
                break
            if depth == 0 and word == b"FORMAT" and (name := _FORMAT_NAME.match(text, token.end())):
                format_name = name[1].decode()
                if verb == b"INSERT":
                    return cls(text[: token.start()], verb, format_name, text[name.end() :])
        return cls(text, verb, format_name, None)


class Engine:
    """Owner of a folder of ClickHouse data; safe to use from several threads.

    Raises:
        EmbeddedError: another process has the folder, or it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            # The engine lives for as long as one handle is open.
            self._keeper = Connection(str(self.path))
        except RuntimeError as error:
            raise EmbeddedError(why_not_open(self.path, str(error))) from error
        version, timezone = self._keeper.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        self.version: str = version
        self.timezone: str = timezone

    def run(
        self,
        text: bytes,
        *,
        default_format: str = "TabSeparated",
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        before: tuple[bytes, ...] = (),
    ) -> Answer:
        """Run one statement on a handle of its own, so that settings and ``USE`` end with it.

        ``before`` are statements that prepare the handle (the ``SET`` and ``USE`` of a session).

        Raises:
            QueryError: the engine refused the statement or failed at it.
        """
        statement = Statement.of(text)
        try:
            handle = Connection(str(self.path))
            try:
                for preparation in before:
                    handle.query(preparation.decode(), "Null")
                if database:
                    handle.query(f"USE {_quoted(database, '`')}", "Null")
                if settings:
                    handle.query(
                        "SET " + ", ".join(f"{k} = {_quoted(v, chr(39))}" for k, v in settings.items()), "Null"
                    )
                if statement.data is not None:
                    return _insert(handle, statement)
                # chDB takes bytes as well as text, which a statement with binary values needs.
                sql: Any = statement.sql
                result = handle.query(sql, default_format, params=dict(parameters or {}))
                rows = statement.verb in _RETURNS_ROWS
                return Answer(
                    body=result.bytes(),
                    format=(statement.format or default_format) if rows else None,
                    read_rows=result.storage_rows_read(),
                    read_bytes=result.storage_bytes_read(),
                    written_rows=result.rows_written(),
                    written_bytes=result.bytes_written(),
                    result_rows=result.rows_read() if rows else 0,
                    elapsed_ns=int(result.elapsed() * 1e9),
                )
            finally:
                handle.close()
        except RuntimeError as error:
            raise QueryError(str(error)) from error

    def close(self) -> None:
        self._keeper.close()


def why_not_open(path: Path, error: str) -> str:
    """Why the engine can't have ``path``, in words, with the process that has it where ClickHouse wrote it down."""
    owner = ""
    status = path / "status"
    if status.exists() and (found := re.search(r"PID: (\d+)", status.read_text(errors="replace"))):
        owner = found[1]
    if owner and Path(f"/proc/{owner}").exists():
        return (
            f"ClickHouse data at {path} is in use by process {owner}, and one process at a time can have it: "
            "stop it, or set VOICESTREAM_CLICKHOUSE to clickhouse://127.0.0.1:PORT, the port where it serves"
        )
    return f"the embedded ClickHouse can't open {path}: {error}; choose a folder that you may write"


def _insert(handle: Connection, statement: Statement) -> Answer:
    with handle.send_insert(statement.sql.decode(), statement.format or "Values") as insert:
        if statement.data:
            insert.append(statement.data)
        result = insert.finish()
    return Answer(
        body=b"",
        format=None,
        read_rows=result.rows_written,
        read_bytes=result.bytes_written,
        written_rows=result.rows_written,
        written_bytes=result.bytes_written,
        result_rows=result.rows_written,
        elapsed_ns=int(result.elapsed * 1e9),
    )


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
