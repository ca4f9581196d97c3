"""PostgreSQL and Redis from Debian's packages, as processes of the tests."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def postgres_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """A process that can be killed and started again on the same data and port."""

    killed_by = signal.SIGKILL

    def __init__(self, answers: Callable[[int], bool]) -> None:
        self.port = free_port()
        self._answers = answers
        self.folder = Path(tempfile.mkdtemp(prefix="voicestream-test-"))

    def run(self, command: list[str], **options: Any) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        deadline = time.monotonic() + 30
        while not self._answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def crash(self) -> None:
        """Kill it; it recovers from its log when it comes back."""
        self.process.send_signal(self.killed_by)
        self.process.wait(30)

    def remove(self) -> None:
        if self.process.poll() is None:
            self.crash()
        shutil.rmtree(self.folder)


class PostgresServer(Server):
    """Run as the user ``postgres`` where we are root, as it refuses to be run by root."""

    killed_by = signal.SIGQUIT  # takes its other processes along, and cleans nothing up

    def __init__(self, programs: Path) -> None:
        def answers(port: int) -> bool:
            command = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(command).returncode == 0

        super().__init__(answers)
        self._programs = programs
        self._who = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._who:
            shutil.chown(self.folder, "postgres", "postgres")
        password = self.folder / "password"
        password.write_text("stream")
        password.chmod(0o644)
        subprocess.run(
            [programs / "initdb", "-D", self.folder / "data", "-U", "voice", "--pwfile", password, "-A",
             "scram-sha-256", "-N", "-E", "UTF8", "--locale", "C.UTF-8"],
            check=True, capture_output=True, cwd="/", **self._who,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        arguments = [f"-c{name}={value}" for name, value in options.items()]
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *arguments]
        self.run(command, cwd="/", **self._who)

    def setting(self, database: str = "postgres") -> str:
        return f"postgresql://voice:stream@127.0.0.1:{self.port}/{database}"


class RedisServer(Server):
    """Keeps an append-only file, so that it comes back with what it had."""

    def __init__(self, program: str) -> None:
        def answers(port: int) -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        super().__init__(answers)
        self._program = program
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--dir", str(self.folder), "--appendonly", "yes", "--save", ""]
        self.run([self._program, "--port", str(self.port), *options])

    def setting(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"
