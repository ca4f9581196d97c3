"""What ``voicestream agent new`` writes works as written."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voicestream.cli.main import app

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=[(), ("--windowed",)], ids=["plain", "windowed"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    written = CliRunner().invoke(app, ["agent", "new", "asked_questions", *request.param, "--folder", str(folder)])
    assert written.exit_code == 0, written.output
    return folder


@pytest.mark.parametrize(
    ("name", "why"), [("1st", "a letter first"), ("class", "Python has that word"), ("stt", "one of voicestream is")]
)
def test_a_name_that_cannot_work_is_refused(name, why, tmp_path):
    refused = CliRunner().invoke(app, ["agent", "new", name, "--folder", str(tmp_path)])
    assert why in refused.output
    assert not list(tmp_path.iterdir())


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_passes_as_written(project):
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=project)


def test_the_agent_is_typed(project):
    run(BIN / "mypy", "--strict", "agents/asked_questions.py", cwd=project)


@pytest.mark.parametrize("check", [("check",), ("format", "--check")], ids=["check", "format"])
def test_ruff_likes_it_by_the_rules_of_this_repository(project, check):
    run(BIN / "ruff", *check, "--no-cache", "--config", ROOT / "pyproject.toml", ".", cwd=project)


def test_it_fits_the_stages_that_are_there(project):
    run(BIN / "voicestream", "topology", "--check", cwd=project)


def test_nothing_is_overwritten(project):
    again = CliRunner().invoke(app, ["agent", "new", "asked_questions", "--folder", str(project)])
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_a_name_that_is_no_module_is_refused(tmp_path):
    refused = CliRunner().invoke(app, ["agent", "new", "My-Agent", "--folder", str(tmp_path)])
    assert refused.exit_code == 1
    assert "small letters" in refused.output
