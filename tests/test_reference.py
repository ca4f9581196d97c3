"""The reference is that of the code."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[1] / "docs" / "reference.py"


def test_the_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("reference", PATH)
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text() == reference.page(), "docs/reference.md is stale: run `make docs`"
