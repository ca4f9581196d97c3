"""The embedded ClickHouse server as a process of the tests."""

import sys
from pathlib import Path

from voicestream.embedded.child import Child


class Server:
    """The server process; it can be stopped and started again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data"
        self._port_file = folder / "port"
        self._log = folder / "server.log"
        self.port = 0
        self.start()

    def start(self) -> None:
        self._port_file.unlink(missing_ok=True)
        module = "voicestream.embedded.clickhouse_server"
        command = [sys.executable, "-m", module, "--path", str(self.path), "--port", str(self.port)]
        self.process = Child("ClickHouse", [*command, "--port-file", str(self._port_file)], self._log)
        self.process.start()
        self.process.wait_ready(self._port_file.exists, 60)
        self.port = int(self._port_file.read_text())

    def setting(self, database: str = "default") -> str:
        return f"clickhouse://voice:stream@127.0.0.1:{self.port}/{database}"
