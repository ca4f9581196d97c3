"""ClickHouse's HTTP interface on loopback, in front of the embedded engine.

One process at a time can have the engine's folder; this one has it and serves everyone else, so that
clickhouse-connect, curl, Grafana and ``voicestream sql`` see an ordinary ClickHouse. Run it with
``python -m voicestream.embedded.clickhouse_server --path FOLDER --port 8123``.

Every user and password is taken: only this machine can connect. Settings in the URL hold for one request; a session
(``session_id``) remembers its ``SET`` and ``USE`` statements, and not its temporary tables.
"""

import argparse
import asyncio
import email.parser
import email.policy
import gzip
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import lz4.frame
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from voicestream.embedded import native_format
from voicestream.embedded.clickhouse_engine import Answer, Engine, QueryError, Statement
from voicestream.errors import EmbeddedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

# Statements at once; the others wait in their queue. Inserts have their own, so slow queries don't hold up the data.
_READERS, _WRITERS = 4, 2
_SESSIONS = 256  # the oldest is forgotten
_DATABASE = "default"

# Parameters of the URL that speak to the transport; every other one is a setting of the engine.
_TRANSPORT = frozenset(
    [
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "query_id",
        "quota_key",
        "session_id",
        "session_timeout",
        "session_check",
        "role",
        "buffer_size",
        "compress",
        "decompress",
        "wait_end_of_query",
        "client_protocol_version",
        "stacktrace",
        "close_session",
        "enable_http_compression",
        "http_zlib_compression_level",
        "send_progress_in_http_headers",
        "add_http_cors_header",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    ]
)
_SETTING = re.compile(r"[A-Za-z_]\w*")
_NOT_FOUND = frozenset({46, 47, 50, 56, 60, 63, 67, 73, 81, 115})  # unknown function, column, table, database, setting…
_BAD_REQUEST = frozenset({6, 26, 27, 33, 36, 38, 41, 42, 43, 44, 53, 62, 70, 72, 117, 130, 190, 386, 456})
_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
}
_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda body: zstd.compress(body, 1),
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": lambda body: zlib.compress(body, 1),
}


class ClickHouseHttp:
    """The HTTP interface of one engine; statements run on a few threads, so the event loop is never blocked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = ThreadPoolExecutor(_READERS, "reader")
        self._writers = ThreadPoolExecutor(_WRITERS, "writer")
        self._sessions: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        self.app = Starlette(
            routes=[
                Route("/ping", self._ping, methods=["GET"]),
                Route("/replicas_status", self._ping, methods=["GET"]),
                Route("/", self._query, methods=["GET", "POST"]),
            ]
        )

    async def _ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def _query(self, request: Request) -> Response:
        # A web page may not reach this server through the reader's browser, by its own name or by one that points here.
        if "origin" in request.headers or request.url.hostname not in ("127.0.0.1", "localhost"):
            return PlainTextResponse("Only programs on this machine may ask here, not web pages.\n", 403)
        body = await request.body()
        if request.method == "GET" and "query" not in request.query_params and not body:
            return PlainTextResponse("Ok.\n")
        # What comes compressed is data, with the statement before it in the URL or inside.
        statement = request.query_params.get("query", "").encode() or body[:1000]
        inserts = "content-encoding" in request.headers or statement.lstrip()[:6].upper() == b"INSERT"
        threads = self._writers if inserts else self._readers
        return await asyncio.get_running_loop().run_in_executor(threads, self._answer, request, body)

    def _answer(self, request: Request, body: bytes) -> Response:
        """Decode the request, run it, encode the answer; all of it on a thread."""
        parameters: dict[str, str] = dict(request.query_params)
        headers = {
            "X-ClickHouse-Server-Display-Name": "voicestream",
            "X-ClickHouse-Query-Id": parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        try:
            text = _statement_text(request.headers, parameters, body)
            answer = self._run(request, parameters, text)
            content = _for_client(answer, parameters)
        except QueryError as error:
            status = 404 if error.code in _NOT_FOUND else 400 if error.code in _BAD_REQUEST else 500
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return PlainTextResponse(f"{error} (version {self._engine.version})\n", status, headers)
        headers["X-ClickHouse-Summary"] = json.dumps(
            {
                "read_rows": str(answer.read_rows),
                "read_bytes": str(answer.read_bytes),
                "written_rows": str(answer.written_rows),
                "written_bytes": str(answer.written_bytes),
                "total_rows_to_read": "0",
                "result_rows": str(answer.result_rows),
                "result_bytes": str(len(content)),
                "elapsed_ns": str(answer.elapsed_ns),
            }
        )
        if answer.format is not None:
            headers["X-ClickHouse-Format"] = answer.format
        if parameters.get("enable_http_compression") == "1":
            for encoding in _accepted(request.headers.get("accept-encoding", "")):
                content = _COMPRESS[encoding](content)
                headers["Content-Encoding"] = encoding
                break
        media = _CONTENT_TYPES.get(answer.format or "TabSeparated", "text/plain; charset=UTF-8")
        return Response(content, 200, headers, media)

    def _run(self, request: Request, parameters: Mapping[str, str], text: bytes) -> Answer:
        settings = {}
        for name, value in parameters.items():
            if name in _TRANSPORT or name.startswith("param_"):
                continue
            if not _SETTING.fullmatch(name):
                raise QueryError(f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)")
            settings[name] = value
        if request.method == "GET" and settings.get("readonly", "0") == "0":
            settings["readonly"] = "2"  # as ClickHouse: what is asked for by GET changes nothing
        if readonly := settings.pop("readonly", None):
            settings["readonly"] = readonly  # last, for it forbids the other settings
        session = parameters.get("session_id")
        answer = self._engine.run(
            text,
            default_format=parameters.get("default_format")
            or request.headers.get("x-clickhouse-format", "TabSeparated"),
            database=parameters.get("database") or request.headers.get("x-clickhouse-database"),
            settings=settings,
            parameters={k[len("param_") :]: v for k, v in parameters.items() if k.startswith("param_")},
            before=self._sessions.get(session, ()) if session else (),
        )
        if session and Statement.of(text).verb in (b"SET", b"USE"):
            self._sessions[session] = (*self._sessions.pop(session, ()), text)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        return answer


def _statement_text(headers: Mapping[str, str], parameters: dict[str, str], body: bytes) -> bytes:
    """The statement of a request: ``query`` of the URL, then the body; the fields of a form become parameters."""
    encoding = headers.get("content-encoding", "").lower()
    if encoding and encoding != "identity":
        if encoding not in _DECOMPRESS:
            raise QueryError(
                f"Code: 89. DB::Exception: Unknown compression method: {encoding}. (UNKNOWN_COMPRESSION_METHOD)"
            )
        try:
            body = _DECOMPRESS[encoding](body)
        except (OSError, RuntimeError, EOFError, zlib.error, zstd.ZstdError) as error:
            raise QueryError(
                f"Code: 271. DB::Exception: Cannot decompress {encoding}: {error}. (CANNOT_DECOMPRESS)"
            ) from error
    if parameters.get("compress") == "1" or parameters.get("decompress") == "1":
        raise QueryError(
            "Code: 48. DB::Exception: compress=1 and decompress=1 (ClickHouse's own blocks) are not served here: "
            "use Content-Encoding and Accept-Encoding with enable_http_compression=1. (NOT_IMPLEMENTED)"
        )
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        for part in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).iter_parts():
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(value, bytes):
                parameters[name] = value.decode()
        body = b""
    query = parameters.get("query", "").encode()
    text = query + b"\n" + body if query and body else query or body
    if not text.strip():
        raise QueryError("Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)")
    return text


def _for_client(answer: Answer, parameters: Mapping[str, str]) -> bytes:
    """The body in the form of the client's protocol version; older versions have no form of their own over HTTP."""
    version = parameters.get("client_protocol_version", "")
    if answer.format != "Native" or not version.isdecimal() or int(version) < native_format.CUSTOM_SERIALIZATION:
        return answer.body
    try:
        return native_format.with_revision(answer.body, int(version))
    except native_format.UnsupportedTypeError as error:
        raise QueryError(
            f"Code: 48. DB::Exception: Columns of type {error} are not served here in the Native format with "
            "client_protocol_version: convert them with toString or ask for another format. (NOT_IMPLEMENTED)"
        ) from error


def _accepted(header: str) -> list[str]:
    """The encodings of an Accept-Encoding header that we have, in its order."""
    names = [part.split(";")[0].strip().lower() for part in header.split(",")]
    return [name for name in names if name in _COMPRESS]


def main(argv: list[str] | None = None) -> None:
    """Serve a folder until SIGTERM or Ctrl-C; ``--port-file`` gets the port once the server answers."""
    parser = argparse.ArgumentParser(prog="python -m voicestream.embedded.clickhouse_server", description=main.__doc__)
    parser.add_argument("--path", type=Path, required=True, help="folder of the data; made where it isn't there")
    parser.add_argument("--port", type=int, default=8123, help="port on 127.0.0.1; 0: a free one")
    parser.add_argument("--port-file", type=Path, help="file that gets the port once the server answers")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", arguments.port))
    except OSError as error:
        sys.exit(
            f"ClickHouse server: port {arguments.port} of 127.0.0.1 is taken ({error}): choose another with --port"
        )
    try:
        engine = Engine(arguments.path)
    except EmbeddedError as error:
        sys.exit(f"ClickHouse server: {error}")
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: _leave(engine))  # also called by uvicorn, once it has closed its connections
    _Server(engine, listener, arguments.port_file).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells the port once connections are accepted."""

    def __init__(self, engine: Engine, listener: socket.socket, port_file: Path | None) -> None:
        app = ClickHouseHttp(engine).app
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        self._engine = engine
        self._port: int = listener.getsockname()[1]
        self._port_file = port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("ClickHouse %s serves %s at http://127.0.0.1:%d", self._engine.version, self._engine.path, self._port)
        # Who is given the folder as VOICESTREAM_CLICKHOUSE finds the way here.
        _write_whole(self._engine.path / "served_at", f"{os.getpid()} {self._port}\n")
        if self._port_file is not None:
            _write_whole(self._port_file, f"{self._port}\n")


def _write_whole(file: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(text)
    unfinished.replace(file)


def _leave(engine: Engine) -> NoReturn:
    """End at once: a statement that still runs can't be stopped, and what it wrote so far is safe on disk."""
    (engine.path / "served_at").unlink(missing_ok=True)
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(1)
    os._exit(0)


if __name__ == "__main__":
    main()
