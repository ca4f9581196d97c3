"""A child process with a log: started, waited for, watched and stopped."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from voicestream.embedded import leash
from voicestream.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
HURRY_S = 5.0  # that a process gets to end after it was asked twice: the gateway then waits for no call
EXCEPTION = re.compile(r"(\w+\.)*\w*(Error|Exception)\b")  # the last line of a traceback


class Child:
    """A process of our own group, so that Ctrl-C reaches only us, which dies when we do.

    Start it from a thread that lives as long as it should: the kernel ends it with the thread that started it.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; its output goes to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until ``ready()``; raises ``EmbeddedError`` with the tail of the log if it dies or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} is not ready after {timeout_s:.0f} s.{self.tail()}")
            time.sleep(0.02)
        self.check()

    def check(self) -> None:
        """Raise ``EmbeddedError`` with the tail of the log if the process is gone."""
        code = self._running().poll()
        if code is None:
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise EmbeddedError(f"{self.name} {how}.{self.tail()}")

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the process to end (SIGTERM), once more after ``timeout_s``, and kill it if that does not help."""
        if self._process is None:
            return
        for patience_s in (timeout_s, HURRY_S):
            self._process.terminate()
            try:
                self._process.wait(patience_s)
                return
            except subprocess.TimeoutExpired:
                continue
        self._process.kill()
        self._process.wait()

    def tail(self, lines: int = 20) -> str:
        """What the log says of the end, to be put behind an error message: the last error and what follows it."""
        text = self.log.read_text(errors="replace").rstrip() if self.log.exists() else ""
        if not text:
            return f" Its log {self.log} is empty."
        every = text.splitlines()
        ends = [number for number, line in enumerate(every) if EXCEPTION.match(line) or "[CRITICAL]" in line]
        end = ends[-1] + 1 if ends else len(every)
        last = "\n".join(f"  {line}" for line in every[max(0, end - lines) : end])
        return f" From its log ({self.log}):\n{last}"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EmbeddedError(f"{self.name} was not started")
        return self._process


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nothing listens there, else a port of loopback that was free a moment ago."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise EmbeddedError("No free port on 127.0.0.1")


def listens(port: int) -> bool:
    """Whether something accepts connections at ``port`` of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
