"""The whole thing in real processes: a broker, a ClickHouse server, and each stage as a worker of its own."""

import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.processes import PATIENCE_S, Topics, Worker
from voicestream.client.call import FRAME_MS, Call
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import Child, free_port
from voicestream.records import AudioChunk, CallEvent, EndOfCall
from voicestream.sinks.clickhouse import ClickHouse

ROOT = Path(__file__).parents[2]
CALLS = ROOT / "examples" / "calls" / "audio"
STAGES = ("chunking", "stt", "sentiment", "insights", "routing", "analytics", "results", "clickhouse")
CHUNK_FRAMES = 5


class Server:
    """The embedded ClickHouse server; it can be killed and started again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self.start()

    def start(self) -> None:
        port_file = self._folder / "clickhouse.port"
        port_file.unlink(missing_ok=True)
        module = [sys.executable, "-m", "voicestream.embedded.clickhouse_server"]
        arguments = ["--path", str(self._folder / "data"), "--port", self._port, "--port-file", str(port_file)]
        self.process = Child("ClickHouse", [*module, *arguments], self._folder / "clickhouse.log")
        self.process.start()
        self.process.wait_ready(port_file.exists, PATIENCE_S)
        self._port = port_file.read_text().strip()

    @property
    def setting(self) -> str:
        return f"clickhouse://127.0.0.1:{self._port}/default"


class Cluster:
    """Everything that a call needs, on loopback."""

    def __init__(self, folder: Path, broker: Broker, clickhouse: str, **env: str) -> None:
        self.folder = folder
        self.topics = Topics(broker.bootstrap, codec())
        self.clickhouse = ClickHouse(clickhouse)
        self.env = {"VOICESTREAM_BROKER": broker.url, "VOICESTREAM_CLICKHOUSE": clickhouse, **env}
        self.workers: dict[str, Worker] = {}
        self.metrics_ports: dict[str, str] = {}

    def start(self, names: Iterable[str]) -> None:
        """Start workers at once, and wait until all are ready."""
        for name in names:
            port = str(free_port())
            self.metrics_ports[name] = port
            self.workers[name] = Worker(name, self.folder, **self.env, VOICESTREAM_METRICS_PORT=port)
        for worker in self.workers.values():
            worker.wait_ready()

    def kill(self, *names: str) -> None:
        for name in names:
            self.workers[name].kill()

    def restart(self, *names: str) -> None:
        """Start killed workers again; they take over when they are ready."""
        for name in names:
            self.workers[name].start()

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()
        self.clickhouse.close()

    def metrics(self, name: str) -> dict[str, float]:
        """What a worker tells Prometheus, by metric with its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_ports[name]}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {metric: float(value) for metric, _, value in (line.rpartition(" ") for line in lines)}

    def lag(self, name: str) -> float:
        return sum(value for metric, value in self.metrics(name).items() if metric.startswith("voicestream_agent_lag{"))

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.clickhouse.query(sql, parameters).rows


class Script:
    """Some seconds of an example call, as the records that a gateway makes of them."""

    def __init__(self, file: str, call_id: str, started_at_ms: int, *, from_s: float, seconds: float) -> None:
        self.call_id = call_id
        self.queue, self.agent = "sales", f"agent of {call_id}"
        self._at_ms = started_at_ms
        self._duration_ms = int(seconds * 1000)
        first = round(from_s * 1000) // FRAME_MS
        self._frames = {track: frames[first:] for track, frames in Call.of_file(CALLS / file).frames.items()}

    def event(self, kind: str, sequence: int, **fields: Any) -> CallEvent:
        return CallEvent(
            event_id=f"{self.call_id}/{kind}/{sequence}",
            call_id=self.call_id,
            kind=kind,
            sequence=sequence,
            at_ms=self._at_ms,
            protocol="raw",
            queue=self.queue,
            agent=self.agent,
            customer="Dana",
            **fields,
        )

    def audio(self, from_s: float, to_s: float) -> list[AudioChunk]:
        """The chunks of 100 ms of both tracks that begin in this stretch."""
        chunk_ms = CHUNK_FRAMES * FRAME_MS
        chunks = []
        for number in range(round(from_s * 1000) // chunk_ms, min(round(to_s * 1000), self._duration_ms) // chunk_ms):
            for track, frames in self._frames.items():
                audio = b"".join(frames[number * CHUNK_FRAMES : (number + 1) * CHUNK_FRAMES])
                chunks.append(
                    AudioChunk(
                        call_id=self.call_id,
                        track=track,
                        sequence=number,
                        start_ms=number * chunk_ms,
                        duration_ms=chunk_ms,
                        at_ms=self._at_ms + (number + 1) * chunk_ms,
                        codec="mulaw",
                        sample_rate=8000,
                        audio=audio,
                    )
                )
        return chunks

    def end(self) -> EndOfCall:
        return EndOfCall(
            call_id=self.call_id,
            stage="gateway",
            at_ms=self._at_ms + self._duration_ms,
            duration_ms=self._duration_ms,
            reason="completed",
        )
