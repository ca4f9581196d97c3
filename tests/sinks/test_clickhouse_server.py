"""The embedded ClickHouse over HTTP: what an ordinary client, curl and the shell see of it."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import clickhouse_connect
import httpx
import lz4.frame
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_process import Server
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.embedded.clickhouse_engine import Statement


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """The ordinary HTTP client, as it comes."""
    client = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, username="me", password="secret")
    client.command("DROP TABLE IF EXISTS things")
    client.command(
        "CREATE TABLE things (id UInt32, name String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id"
    )
    yield client
    client.close()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """What curl would send."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"Accept-Encoding": "identity"}) as client:
        yield client


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_the_ordinary_client_inserts_and_reads_back(client: Client, server: Server, compress: bool | str) -> None:
    other = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, compress=compress)
    rows = [[n, f"name;\n\n{n}", 1_000 * n] for n in range(5_000)]
    summary = other.insert("things", rows, column_names=["id", "name", "at"])
    assert summary.written_rows == 5_000
    result = other.query("SELECT id, name, toInt64(toUnixTimestamp64Milli(at)) FROM things ORDER BY id")
    assert [list(row) for row in result.result_rows] == rows
    other.close()


def test_data_frames_parameters_streams_and_empty_answers(client: Client) -> None:
    client.insert("things", [[1, "a", 0], [2, "b", 0], [3, "b", 0]], column_names=["id", "name", "at"])
    frame = client.query_df("SELECT name, count() AS n FROM things GROUP BY name ORDER BY name")
    assert frame.to_dict("list") == {"name": ["a", "b"], "n": [1, 2]}
    assert client.query("SELECT id FROM things WHERE name = {n:String}", parameters={"n": "a"}).result_rows == [(1,)]
    long = "x" * 100_000  # goes as a form, not in the URL
    assert client.query("SELECT length({n:String})", parameters={"n": long}).result_rows == [(100_000,)]
    with client.query_rows_stream("SELECT number FROM numbers(200000)") as stream:
        assert sum(row[0] for row in stream) == sum(range(200_000))
    assert client.query("SELECT id FROM things WHERE id = 99").result_rows == []
    assert client.command("EXISTS things") == 1


@settings(max_examples=25, deadline=None)
@given(names=st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_binary_data_behind_an_insert_arrives_as_it_is(server: Server, names: list[bytes]) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, compress=False)
    client.command("CREATE TABLE IF NOT EXISTS bytes (n UInt32, b String) ENGINE = Memory")
    client.command("TRUNCATE TABLE bytes")
    client.insert("bytes", list(enumerate(names)), column_names=["n", "b"])
    answer = client.query("SELECT hex(b) FROM bytes ORDER BY n").result_rows
    assert [bytes.fromhex(row[0]) for row in answer] == names
    client.close()


def test_errors_are_worded_and_numbered_as_clickhouse_does(client: Client, http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT nope FROM things")
    assert answer.status_code == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "47"
    assert answer.text.startswith("Code: 47. DB::Exception: ")
    assert "(UNKNOWN_IDENTIFIER) (version " in answer.text
    assert http.post("/", content="SELEC 1").status_code == 400
    assert (
        http.get("/", params={"query": "SELECT 1", "no_such_setting": "1"}).headers["X-ClickHouse-Exception-Code"]
        == "115"
    )
    assert http.get("/", params={"query": "SELECT 1", "database": "nowhere"}).status_code == 404
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM not_there")
    assert caught.value.code == 60


def test_curl_gets_formats_compression_and_pings(client: Client, http: httpx.Client) -> None:
    assert http.get("/ping").text == "Ok.\n"
    assert http.get("/").text == "Ok.\n"
    assert http.get("/", params={"query": "SELECT 1, 'x'"}).text == "1\tx\n"
    json = http.get("/", params={"query": "SELECT 1 AS a FORMAT JSON"})
    assert json.json()["data"] == [{"a": 1}]
    assert json.headers["X-ClickHouse-Format"] == "JSON"
    assert json.headers["Content-Type"].startswith("application/json")
    assert http.post("/?default_format=CSVWithNames", content="SELECT 1 AS a").text == '"a"\n1\n'
    assert http.post("/", content="SELECT 1 AS a", headers={"X-ClickHouse-Format": "JSONEachRow"}).text == '{"a":1}\n'
    assert http.get("/", params={"query": "SELECT {a:UInt8} + 1", "param_a": "4"}).text == "5\n"
    packed = {"query": "SELECT 7", "enable_http_compression": "1"}
    assert http.get("/", params=packed, headers={"Accept-Encoding": "gzip"}).text == "7\n"
    squeezed = http.get("/", params=packed, headers={"Accept-Encoding": "lz4"})
    assert lz4.frame.decompress(squeezed.content) == b"7\n"
    body = gzip.compress(b'{"id": 8, "name": "eight"}\n{"id": 9, "name": ";"}')
    insert = {"query": "INSERT INTO things (id, name) FORMAT JSONEachRow"}
    written = http.post("/", params=insert, content=body, headers={"Content-Encoding": "gzip"})
    assert '"written_rows": "2"' in written.headers["X-ClickHouse-Summary"]
    http.post("/", content="INSERT INTO things (id, name) FORMAT TSV\n10\tten\n")
    http.post("/", content="INSERT INTO things (id, name) VALUES (11, 'it''s; eleven')")
    names = http.get("/", params={"query": "SELECT name FROM things ORDER BY id"}).text
    assert names == "eight\n;\nten\nit\\'s; eleven\n"


def test_settings_hold_for_one_request_and_sessions_remember(http: httpx.Client) -> None:
    ask = {"query": "SELECT getSetting('max_threads')"}
    assert http.get("/", params={**ask, "max_threads": "3"}).text == "3\n"
    usual = http.get("/", params=ask).text
    session = {"session_id": "s1"}
    http.post("/", params=session, content="SET max_threads = 5")
    assert http.get("/", params={**ask, **session}).text == "5\n"
    assert http.get("/", params=ask).text == usual


def test_get_and_readonly_change_nothing(client: Client, http: httpx.Client) -> None:
    for answer in (
        http.get("/", params={"query": "DROP TABLE things"}),
        http.post("/?readonly=1", content="DROP TABLE things"),
    ):
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert client.command("EXISTS things") == 1


def test_web_pages_are_refused(http: httpx.Client) -> None:
    assert http.post("/", content="SELECT 1", headers={"Origin": "https://evil.example"}).status_code == 403
    assert http.get("/?query=SELECT+1", headers={"Host": "evil.example"}).status_code == 403


def test_many_clients_at_once_and_none_waits_for_slow_ones(client: Client, server: Server) -> None:
    failures: list[Exception] = []

    def work(worker: int) -> None:
        try:
            own = clickhouse_connect.get_client(host="127.0.0.1", port=server.port)
            for batch in range(5):
                rows = [[worker * 1_000 + batch * 10 + n, "x", 0] for n in range(10)]
                own.insert("things", rows, column_names=["id", "name", "at"])
            own.close()
        except Exception as error:
            failures.append(error)

    def ask_slowly() -> None:
        httpx.get(f"http://127.0.0.1:{server.port}/?query=SELECT+sleep(1.5)")

    slow = [threading.Thread(target=ask_slowly) for _ in range(3)]
    for thread in slow:
        thread.start()
    started = time.monotonic()
    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    assert httpx.get(f"http://127.0.0.1:{server.port}/ping").text == "Ok.\n"
    assert time.monotonic() - started < 1.0
    for thread in [*threads, *slow]:
        thread.join()
    assert failures == []
    assert client.command("SELECT count(), uniqExact(id) FROM things") == ["300", "300"]


def test_data_survives_a_kill_and_sigterm_ends_the_server_while_a_query_runs(
    start_server: Callable[[], Server],
) -> None:
    server = start_server()
    url = f"http://127.0.0.1:{server.port}/"
    httpx.post(url, content="CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    httpx.post(url, content="INSERT INTO kept VALUES (1)")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.stop()
    server.start()
    assert httpx.get(url, params={"query": "SELECT sum(n) FROM kept"}).text == "1\n"

    def ask() -> None:
        slow = "SELECT sleepEachRow(3) FROM numbers(3) SETTINGS max_block_size = 1"
        with pytest.raises(httpx.HTTPError):
            httpx.get(url, params={"query": slow}, timeout=20).raise_for_status()

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    started = time.monotonic()
    server.process.stop()
    assert time.monotonic() - started < 3
    assert not (server.path / "served_at").exists()
    asking.join()


def test_a_second_process_on_the_folder_is_told_who_has_it(server: Server) -> None:
    command = [
        sys.executable,
        "-m",
        "voicestream.embedded.clickhouse_server",
        "--port",
        "0",
        "--path",
        str(server.path),
    ]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"{server.path} is in use by process {server.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("text", "verb", "format_name", "data"),
    [
        (b"SELECT 1 FORMAT JSON", b"SELECT", "JSON", None),
        (b"-- FORMAT CSV\nselect 'FORMAT TSV' /* FORMAT XML */", b"SELECT", None, None),
        (b"INSERT INTO t (a) FORMAT Native\n\x00\x01", b"INSERT", "Native", b"\x00\x01"),
        (b"insert into `FORMAT x` format TSV\r\n1\n", b"INSERT", "TSV", b"1\n"),
        (b"INSERT INTO t VALUES ('FORMAT CSV x')", b"INSERT", None, None),
        (b"INSERT INTO t SELECT 1 FORMAT Null", b"INSERT", None, None),
        (b"INSERT INTO t SETTINGS a = 1 FORMAT CSV 1,2", b"INSERT", "CSV", b"1,2"),
    ],
)
def test_a_statement_is_taken_apart(text: bytes, verb: bytes, format_name: str | None, data: bytes | None) -> None:
    statement = Statement.of(text)
    assert (statement.verb, statement.format, statement.data) == (verb, format_name, data)
