"""docs/insights.md: its code runs, its catalogue loads, its table is what the extractors find."""

import re
from pathlib import Path

from insight_support import said

from voicestream.insights import CallContext, Catalogue
from voicestream.insights.phrases import packaged
from voicestream.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "insights.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_extractor_of_the_guide_works() -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    extractor = names["compliments"](Settings())  # type: ignore[operator]
    (insight,) = extractor.extract(said("Oh, thank you so much."), CallContext())
    assert insight.text == "thank you"


def test_the_catalogue_of_the_guide_loads(write) -> None:
    (text,) = blocks("yaml")
    assert Catalogue.load(write(text)).products[0].id == "fiber-500"


def test_the_table_has_the_labels_that_the_phrases_have() -> None:
    for kind in ("churn_risk", "objection", "buying_signal", "price", "next_step", "commitment", "compliance"):
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{kind}` |")]
        labels = {label.split(" ")[0] for label in row.split("|")[2].strip().split(", ")}
        extractor = packaged(kind)(Settings())
        assert labels == {label.name for label in extractor._labels}  # type: ignore[attr-defined]
