"""The native server as a child of the benchmark, on TCP of loopback as in production."""

import re
import tempfile
import time
from pathlib import Path

from benchmarks.process import cpu_seconds
from voicestream import weights
from voicestream.embedded.child import LOOPBACK, Child
from voicestream.errors import EmbeddedError

BUILT = Path("build/native")
START_TIMEOUT_S = 60.0
SERVING = re.compile(r"^serving .* on (\S+:\d+) ", re.MULTILINE)


class NativeServer:
    """``stt_server`` of a preset with a model; raises EmbeddedError where it is not built or doesn't start."""

    def __init__(self, preset: str, model: str, workers: int) -> None:
        binary = BUILT / preset / "stt_server"
        if not binary.is_file():
            raise EmbeddedError(f"{binary} is not built: `make native PRESET={preset}`")
        self._folder = tempfile.TemporaryDirectory(prefix="bench-stt-")
        log = Path(self._folder.name) / "stt_server.log"
        command = [str(binary), "--model", str(weights.pull(model)), "--listen", f"{LOOPBACK}:0"]
        self._child = Child(f"stt_server ({preset})", [*command, "--workers", str(workers)], log)
        self._child.start()
        try:
            self._child.wait_ready(lambda: bool(SERVING.search(log.read_text())), START_TIMEOUT_S)
        except EmbeddedError:
            self.stop()
            raise
        self.address = SERVING.findall(log.read_text())[0]

    def cpu_seconds(self) -> float:
        """Of the processor, for the server and for its client: this process."""
        return cpu_seconds(self._child.pid) + time.process_time()

    def stop(self) -> None:
        self._child.stop()
        self._folder.cleanup()
