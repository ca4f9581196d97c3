"""The whole stack as a user starts it: it works, it says what died, and it leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from voicestream.embedded.scripts import scripted_calls

ROOT = Path(__file__).parents[2]


class Command:
    """``voicestream …`` in a folder of its own, with its output line by line."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        env = {**os.environ, "VOICESTREAM_CLICKHOUSE": str(folder / "clickhouse"), "VOICESTREAM_GATEWAY_PORT": "0"}
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "voicestream", *arguments],
            cwd=folder,
            env={**env, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen += line
            if word in line:
                return
        pytest.fail(f"never said {word!r}:\n{self.seen}")

    def finish(self, timeout_s: float = 60.0) -> int:
        rest, _ = self.process.communicate(timeout=timeout_s)
        self.seen += rest
        return self.process.returncode

    def children(self) -> dict[int, str]:
        """Processes that it has started: id to command line."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if parent == self.process.pid:
                found[int(folder.name)] = command
        return found


@pytest.fixture
def command(tmp_path: Path):
    started = []

    def start(*arguments: str) -> Command:
        started.append(Command(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def assert_gone(pids: dict[int, str], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    left = dict(pids)
    while left and time.monotonic() < deadline:
        for pid in list(left):
            stat = Path(f"/proc/{pid}/stat")
            if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
                del left[pid]
        time.sleep(0.05)
    assert left == {}


def test_no_process_is_left_when_the_parent_is_killed(command) -> None:
    up = command("up")
    up.wait_for("gateway")
    children = up.children()
    assert len(children) == 4, children
    up.process.kill()
    assert_gone(children)


def test_a_part_that_dies_is_named_and_the_others_are_stopped(command) -> None:
    up = command("up")
    up.wait_for("gateway")
    children = up.children()
    (gateway,) = (pid for pid, line in children.items() if line.endswith("voicestream gateway "))
    os.kill(gateway, signal.SIGKILL)
    assert up.finish() == 1
    assert "The gateway process was killed by SIGKILL" in up.seen
    assert_gone(children, within_s=0.5)


def test_sigterm_stops_everything_in_order(command) -> None:
    up = command("up")
    up.wait_for("broker")
    children = up.children()
    up.process.terminate()
    assert up.finish() == 0, up.seen
    assert up.seen.endswith("stopped\n")
    assert_gone(children, within_s=0.5)


@pytest.mark.timeout(240)
def test_a_file_becomes_a_call_in_clickhouse(command, tmp_path: Path) -> None:
    script = scripted_calls(1)[0]
    audio, rate = soundfile.read(ROOT / "examples" / "calls" / "audio" / "01-upgrade-quote.wav", stop=8000 * 12)
    soundfile.write(tmp_path / "mine.flac", audio, rate)
    demo = command("demo", "--audio", "mine.flac", "--report", "r.json")
    assert demo.finish(200) == 0, demo.seen
    found = json.loads((tmp_path / "r.json").read_text())
    (call,) = found["calls"]
    assert call["duration_s"] == pytest.approx(12.0, abs=0.1)
    assert call["reference"] is None
    heard = {
        track: " ".join(u["text"] for u in call["utterances"] if u["track"] == track) for track in ("agent", "customer")
    }
    assert "calling Blue River" in heard["agent"]
    assert "fiber" in heard["customer"]
    assert found["clickhouse"] == {"calls": 1, "utterances": len(call["utterances"]), "duplicates": 0}
    assert found["dead_letters"] == 0
    assert all(figure is not None for figures in found["latency_ms"].values() for figure in figures.values())
    assert script.reference[0].text.split()[0] in heard["agent"]
    assert "What became of the calls" in demo.seen
