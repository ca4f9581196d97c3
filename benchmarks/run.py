"""Every benchmark; writes what they print to ``docs/benchmarks.md``: ``python -m benchmarks.run``."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import page

BIN = Path(sys.executable).parent

HEAD = """# Benchmarks

What `make bench` measured, written by it; `make bench-stt` writes the section of speech to text, `make bench-streams`
that of the library beside its peers. Read ratios, not times: they are of one machine and of what else it did.

{machine}, Python {python}, {date}.
"""

MODELS = """The figures of the sentiment model beside VADER's are in [models.md](models.md) with their commands."""

DEMO = """Four scripted calls in real time through every part on one machine, as in `make demo`. Ingest is from the
arrival of a frame at the gateway to the broker's acknowledgement; end to end is from the arrival of the last audio of
an utterance to its result, with the 0.6 s of silence that end an utterance. The targets are 50 ms of ingest, 200 ms of
speech to text for a segment of 3 s, and 100 ms of sentiment."""

PARTS = [
    ("From the end of an utterance to its result", DEMO, "voicestream demo --calls 4 --report report.json"),
    (
        "The same with the engine whisper.cpp",
        "Where none of the extras `openvino` and `ctranslate2` is installed.",
        "VOICESTREAM_STT_ENGINE=whisper.cpp voicestream demo --calls 4 --report report.json",
    ),
    (
        "Chunking: 500 tracks at once",
        "Decoding, voice activity and endpointing on one thread.",
        "python benchmarks/voice_activity.py",
    ),
    (
        "A worker: what an event costs",
        "One process on Apache Kafka, step by step; what each row adds is in "
        "[architecture.md](architecture.md#where-the-time-of-an-event-goes).",
        "python benchmarks/worker.py",
    ),
    (
        "ClickHouse: rows a second",
        "The sink, through the HTTP interface of the embedded server.",
        "python benchmarks/clickhouse_insert.py",
    ),
]


def main() -> None:
    machine = f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f} at the start"
    page.put_head(HEAD.format(machine=machine, python=platform.python_version(), date=f"{datetime.now(UTC):%Y-%m-%d}"))
    for title, about, command in PARTS:
        print(f"{title} …", flush=True)
        output = latencies(command) if "report.json" in command else printed(command)
        page.put(title, f"{about}\n\n```\n$ {command}\n{output.strip()}\n```")
    page.put("Models", MODELS)
    subprocess.run([sys.executable, "-m", "benchmarks.streams"], check=True)


def printed(command: str) -> str:
    arguments = command.split()
    return subprocess.run([BIN / arguments[0], *arguments[1:]], check=True, capture_output=True, text=True).stdout


def latencies(command: str) -> str:
    """The latencies, word errors and counts of a demo's report."""
    *variables, arguments = command.partition("voicestream ")
    env = os.environ | dict(pair.split("=", 1) for pair in variables[0].split())
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = arguments.replace("report.json", str(report)).split()
        subprocess.run([BIN / "voicestream", *words], check=True, capture_output=True, env=env)
        found = json.loads(report.read_text())
    rows = [f"{name:12} p50 {ms['p50']:8.1f} ms   p95 {ms['p95']:8.1f} ms   p99 {ms['p99']:8.1f} ms"
            for name, ms in found["latency_ms"].items()]  # fmt: skip
    errors = [call["wer"] for call in found["calls"]]
    rows.append(f"word errors of the calls: {', '.join(f'{100 * wer:.1f} %' for wer in errors)}")
    rows.append(f"utterances: {found['clickhouse']['utterances']}, twice: {found['clickhouse']['duplicates']}, "
                f"dead letters: {found['dead_letters']}")  # fmt: skip
    return "\n".join(rows)


if __name__ == "__main__":
    main()
