"""State of windows and joins in RocksDB and on standby, on real Kafka: killed, asked over HTTP, and exact."""

import socket
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.kafka.agents_under_test import WINDOW_MS, Reading
from tests.kafka.support import Run, Totals
from tests.kafka.test_kafka_operators import START_MS, closed, end_of_time, timed, windows
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(240)

GROUPS = [f"group-{n}" for n in range(10)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def kept_on_disk(folder: Path, port: int) -> dict[str, str]:
    """The settings of a worker that keeps its state in RocksDB, that of others too, and answers queries."""
    return {
        "VOICESTREAM_STATE": "rocksdb",
        "VOICESTREAM_STATE_FOLDER": str(folder / "state"),
        "VOICESTREAM_STANDBY": "true",
        "VOICESTREAM_QUERY_PORT": str(port),
    }


def ask(run: Run, port: int, group: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/stores/{run.name}-windowed-tallies/{group}", timeout=10)


def tells(run: Run, port: int, start_ms: int) -> tuple[Totals, list[str]]:
    """The open windows that begin at ``start_ms``, as a worker tells, and why it does not tell of others."""
    found: Totals = {}
    reasons = []
    for group in GROUPS:
        answer = ask(run, port, group)
        if answer.status_code == 503:
            reasons.append(answer.json()["error"])
        elif answer.status_code == 200:
            for window in answer.json()["value"]:
                if window["start_ms"] == start_ms:
                    found[group, start_ms] = window["state"]["count"], window["state"]["sum"]
    return found, reasons


def test_open_windows_are_told_by_any_worker_and_survive_the_death_of_each(run: Run, tmp_path: Path) -> None:
    given = timed(4_000)
    ports = free_port(), free_port()
    first, second = (
        run.worker("windowed", name, **kept_on_disk(tmp_path, port), UNDER_TEST_IDLE="10m")
        for name, port in zip(("first", "second"), ports, strict=True)
    )
    with run.feeding(given, per_s=1_000):
        run.wait_sent(60)
        first.kill()
        first.start()
        run.wait_sent(200)
        second.kill()
        second.start()
    for worker in first, second:
        worker.wait_ready()
    truth = windows(given)
    start_ms = START_MS + (len(given) // 100 - 1) * WINDOW_MS
    still_open = {key: total for key, total in truth.items() if key[1] == start_ms}
    assert len(still_open) == len(GROUPS)
    for port in ports:
        wait_until("open windows", lambda port=port: tells(run, port, start_ms) == (still_open, []))

    second.freeze()  # its partitions stay its own until the broker notices
    found, reasons = tells(run, ports[0], start_ms)
    assert found.items() < still_open.items()
    assert reasons
    assert all(str(ports[1]) in reason for reason in reasons)
    second.kill()
    wait_until("open windows", lambda: tells(run, ports[0], start_ms) == (still_open, []))

    run.kafka.send(run.topics.readings, *end_of_time())
    wait_until("all windows", lambda: len(closed(run)) >= len(truth))
    assert closed(run) == truth


def test_what_has_outlived_its_time_is_gone_from_the_changelog_too(run: Run, tmp_path: Path) -> None:
    port = free_port()
    worker = run.worker("expiring", **kept_on_disk(tmp_path, port))
    store = f"http://127.0.0.1:{port}/stores/{run.name}-expiring-tallies"
    changelog = f"{run.name}-expiring-tallies-changelog"

    def counted(sensor: str) -> int | None:
        answer = httpx.get(f"{store}/{sensor}", timeout=10)
        assert answer.status_code in (200, 404)
        return answer.json().get("value")

    def left() -> set[str]:
        """The sensors that a reader of the whole changelog finds."""
        entries = {(m.partition(), m.key()): m.value() for m in run.messages(changelog)}
        return {key.decode() for (_, key), value in entries.items() if value is not None and key[:1] != b"\x00"}

    run.kafka.send(run.topics.readings, *timed(200))
    wait_until("the count", lambda: counted("sensor-1") == 2)
    wait_until("the end of all", lambda: httpx.get(store, timeout=10).json()["keys"] == [])
    assert counted("sensor-1") is None
    wait_until("the removals", lambda: not left())
    run.wait_committed("expiring", 200)
    worker.kill()
    worker.start()
    worker.wait_ready()
    assert counted("sensor-1") is None
    run.kafka.send(run.topics.readings, *timed(100))
    wait_until("the count", lambda: counted("sensor-1") == 1)


def test_a_join_in_rocksdb_pairs_each_reading_once_though_workers_are_killed(run: Run, tmp_path: Path) -> None:
    given: list[Reading] = [reading for reading in timed(4_000) if reading.number % 10]
    first, second = (run.worker("joined", name, **kept_on_disk(tmp_path, free_port())) for name in ("first", "second"))
    with run.feeding(given, per_s=1_000):
        run.wait_sent(300)
        first.kill()
        run.wait_sent(900)
        first.start()
        first.wait_ready()
        second.kill()
    run.kafka.send(run.topics.readings, *end_of_time())
    counts: Counter[tuple[str, int]] = Counter()
    sums: Counter[tuple[str, int]] = Counter()
    for reading in given:
        counts[reading.sensor, reading.number // 2] += 1
        sums[reading.sensor, reading.number // 2] += reading.value
    truth = {key: (count, sums[key]) for key, count in counts.items()}
    wait_until("all pairs", lambda: len(run.totals()) >= len(truth))
    assert {key: total for key, total in run.totals().items() if key[1] < 49_999} == truth
