"""The tutorial, done as it says: what a reader has written passes the tests that the reader has written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT, blocks

TUTORIAL = ROOT / "docs" / "tutorial.md"


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a reader who has got to section 3."""
    run(tmp_path, "voicestream", "agent", "new", "talk_time")
    [(_, schema)] = blocks(TUTORIAL, "json")
    (tmp_path / "schemas" / "talk_time.avsc").write_text(schema)
    return tmp_path


def test_the_stream_passes_its_test(folder: Path) -> None:
    record, stream, test, *_ = [block for _, block in blocks(TUTORIAL, "python")]
    (folder / "agents" / "talk_time.py").write_text(f"{record}\n\n{stream}")
    (folder / "tests" / "test_talk_time.py").write_text(test)
    assert "1 passed" in run(folder, "pytest", "tests", "-q")


def test_the_window_passes_its_tests(folder: Path) -> None:
    record, stream, _, window, *tests = [block for _, block in blocks(TUTORIAL, "python")]
    functions, _, _ = stream.partition("stage = ")
    (folder / "agents" / "talk_time.py").write_text(f"{record}\n\n{functions}{window}")
    (folder / "tests" / "test_talk_time.py").write_text("\n\n".join(tests))
    assert "5 passed" in run(folder, "pytest", "tests", "-q")
