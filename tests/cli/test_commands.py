"""What the command line prints, and with which exit code it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voicestream.cli.main import Commands, app
from voicestream.cli.settings import shown
from voicestream.embedded.broker import Broker
from voicestream.settings import Settings, settings


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch):
    """Set settings by environment variables for one test."""

    def configure(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"VOICESTREAM_{name.upper()}", value)
        settings.cache_clear()

    yield configure
    settings.cache_clear()


def test_help_names_every_command() -> None:
    output = run("--help").output
    for name in Commands.COMMANDS:
        assert f" {name} " in output


def test_help_loads_none_of_the_heavy_packages() -> None:
    code = (
        "import sys; from voicestream.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded:', {'faust', 'fastapi', 'numpy', 'clickhouse_connect', 'onnxruntime'} & set(sys.modules))"
    )
    assert "loaded: set()" in python(code).stdout


def test_help_shows_defaults_that_depend_on_something() -> None:
    assert "one a file" in run("call", "--help").output
    assert "what the cores can follow" in " ".join(run("demo", "--help").output.replace("│", " ").split())


@pytest.mark.parametrize("name", list(Commands.COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert f"voicestream {name}" in result.output.replace("root", "voicestream")


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['soundfile'] = None; from voicestream.cli.main import app; app(['call', 'a.wav'])"
    result = python(code)
    assert result.returncode == 1
    assert result.stderr == "error: this needs the package soundfile: pip install 'voicestream[client]'\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run("fly").exit_code == 2


def test_settings_tell_value_source_and_meaning_and_hide_secrets(configured) -> None:
    configured(clickhouse="clickhouse://me:hunter2@db:8123/x", api_keys="abc,def")
    output = run("settings").output
    assert "VOICESTREAM_STT_MODEL" in output
    assert "clickhouse://me:(hidden)@db:8123/x" in output.replace("\n", "")
    assert "environment" in output
    assert "default" in output
    assert "hunter2" not in output
    assert "abc" not in output


def test_a_setting_that_makes_no_sense_is_named(configured) -> None:
    configured(partitions="many", gateway_port="-1")
    result = run("settings")
    assert result.exit_code == 1
    assert "VOICESTREAM_PARTITIONS is 'many': Input should be a valid integer" in result.output
    assert "VOICESTREAM_GATEWAY_PORT is '-1'" in result.output
    assert "Traceback" not in result.output


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_setting_that_is_not_set_is_shown_as_none() -> None:
    assert shown("catalogue", None) == "none"
    assert shown("api_keys", "") == "none"


def test_topics_create_needs_a_broker(configured) -> None:
    configured(broker="embedded")
    result = run("topics", "create")
    assert result.exit_code == 1
    assert "VOICESTREAM_BROKER names no broker" in result.output


def test_topics_are_created_on_the_configured_broker(configured, tmp_path: Path) -> None:
    with Broker(tmp_path / "broker.log") as broker:  # of its own: others may have made topics of other sizes
        configured(broker=broker.url)
        result = run("topics", "create")
    assert result.exit_code == 0, result.output
    assert "voice.audio" in result.output


def test_models_list_names_the_default_model() -> None:
    assert "tiny.en" in run("models", "list").output


def test_models_quantize_names_the_types_it_knows() -> None:
    result = run("models", "quantize", "tiny.en", "--type", "q2")
    assert result.exit_code == 2
    assert "q8_0, q5_1, q5_0" in result.output


def test_a_call_of_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = run("call", str(tmp_path / "nothing.wav"))
    assert result.exit_code == 1
    assert "there is no such file" in result.output


def test_metadata_of_a_call_are_pairs(tmp_path: Path) -> None:
    result = run("call", str(tmp_path / "nothing.wav"), "--metadata", "campaign")
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def test_a_demo_of_no_audio_fails_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("hello")
    result = run("demo", "--audio", str(tmp_path / "notes.wav"))
    assert result.exit_code == 1
    assert "notes.wav: not an audio file" in result.output
    assert "Starting" not in result.output


def test_a_demo_plays_scripts_or_files(tmp_path: Path) -> None:
    assert run("demo", "--calls", "2", "--audio", "a.wav").exit_code == 2
    assert run("demo", "a.wav").exit_code == 2


def test_a_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    result = run("demo", "--report", str(tmp_path / "no" / "r.json"))
    assert result.exit_code == 2
    assert "cannot write" in result.output


def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("VOICESTREAM_ROUTNG_RULES", "rules.yaml")
    settings.cache_clear()
    settings()
    assert (
        "VOICESTREAM_ROUTNG_RULES is no setting of voicestream; did you mean VOICESTREAM_ROUTING_RULES?" in caplog.text
    )
