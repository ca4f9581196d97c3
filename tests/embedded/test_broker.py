"""The embedded broker starts, says what is wrong, and leaves no process behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from voicestream.embedded.broker import Broker
from voicestream.embedded.child import Child, listens
from voicestream.errors import EmbeddedError


def gone(pid: int, within_s: float = 3.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # ended, and waits for its adoptive parent to notice
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


async def test_a_message_goes_through_it(broker: Broker) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        await producer.send_and_wait("embedded-hello", b"hello")
    async with AIOKafkaConsumer(
        "embedded-hello", bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"hello"


def test_it_starts_within_a_second_and_stops(tmp_path: Path) -> None:
    started = time.monotonic()
    with Broker(tmp_path / "log") as running:
        took, pid = time.monotonic() - started, running.child.pid
    assert took < 1.0
    assert gone(pid)
    assert not listens(running.port)


def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from voicestream.embedded.broker import Broker\n"
        "b = Broker(Path(sys.argv[1])); b.start(); print(b.child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(pid)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"127.0.0.1:{port}: another process does"):
            Broker(tmp_path / "log", port).start()


def test_a_missing_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "nothing"))
    with pytest.raises(EmbeddedError, match="No broker binary for this machine"):
        Broker(tmp_path / "log")


def test_a_child_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("The thing", [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"], tmp_path / "log")
    child.start()
    with pytest.raises(EmbeddedError, match=r"(?s)The thing ended with exit code 3\..*no such luck"):
        child.wait_ready(lambda: False, 10.0)
