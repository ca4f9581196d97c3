"""A changed schema must stay compatible, both ways, with what was released."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voicestream.codec import schema_folder
from voicestream.compatibility import problems
from voicestream.errors import SchemaError


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    folder = tmp_path / "schemas"
    shutil.copytree(schema_folder(), folder)
    return folder


def change(folder: Path, name: str, edit) -> None:
    path = folder / name
    schema = json.loads(path.read_text())
    edit(schema)
    path.write_text(json.dumps(schema))


def test_the_schemas_are_compatible_with_every_release():
    assert problems(schema_folder()) == []
    assert list((schema_folder() / "released").iterdir())


def test_a_new_field_with_a_default_is_fine(schemas):
    change(
        schemas, "insight.avsc", lambda s: s["fields"].append({"name": "new", "type": "int", "doc": "", "default": 0})
    )
    assert problems(schemas) == []


@pytest.mark.parametrize(
    ("edit", "who"),
    [
        (
            lambda s: s["fields"].append({"name": "new", "type": "int", "doc": ""}),
            "the new Insight cannot",
        ),
        (lambda s: s["fields"].pop(0), "the old Insight cannot"),
        (lambda s: s["fields"][-1].update(type="double"), "cannot read"),
    ],
    ids=["field without default", "required field removed", "type changed"],
)
def test_what_breaks_is_named(schemas, edit, who):
    change(schemas, "insight.avsc", edit)
    found = problems(schemas)
    assert any(who in problem for problem in found)
    assert all(problem.startswith("0.1.0: ") for problem in found)


def test_a_released_record_must_stay(schemas):
    (schemas / "insight.avsc").unlink()
    assert problems(schemas) == ["0.1.0: Insight was released and is gone; messages of it could not be read"]


def test_the_command_fails_when_something_breaks(schemas):
    command = [Path(sys.executable).parent / "voicestream", "schemas", "check", "--folder", schemas]
    assert subprocess.run(command, capture_output=True).returncode == 0
    change(schemas, "insight.avsc", lambda s: s["fields"].pop(0))
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "insight_id" in failed.stderr


def test_a_file_that_is_no_schema_is_named(schemas):
    (schemas / "insight.avsc").write_text("{")
    with pytest.raises(SchemaError, match=r"insight\.avsc"):
        problems(schemas)
