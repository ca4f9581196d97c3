"""Labelled sentences: GoEmotions, and the service lines in `lines/`."""

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labels import EMOTION_BY_GOEMOTION, EMOTIONS, GOEMOTIONS, POLARITIES, POLARITY_BY_GOEMOTION

LINES = Path(__file__).parent / "lines"


@dataclass(frozen=True)
class Example:
    """A sentence with a distribution over polarities and one over emotions (each sums to 1)."""

    text: str
    polarity: tuple[float, ...]
    emotion: tuple[float, ...]
    scenario: str = ""
    role: str = ""

    @property
    def polarity_class(self) -> int | None:
        """Index of the only polarity, or None where the annotators chose several."""
        return self.polarity.index(1.0) if 1.0 in self.polarity else None

    @property
    def emotion_class(self) -> int | None:
        """Index of the only emotion, or None where the annotators chose several."""
        return self.emotion.index(1.0) if 1.0 in self.emotion else None


def _distribution(names: Sequence[str], classes: Sequence[str]) -> tuple[float, ...]:
    return tuple(names.count(name) / len(names) for name in classes)


def read_goemotions(folder: Path, split: str) -> list[Example]:
    """Read `goe_<split>.tsv`: text, label ids separated by commas, comment id."""
    examples = []
    with (folder / f"goe_{split}.tsv").open(encoding="utf-8", newline="") as file:
        for text, ids, _comment in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            names = [GOEMOTIONS[int(label)] for label in ids.split(",")]
            examples.append(
                Example(
                    text.replace("[NAME]", "Sam").replace("[RELIGION]", "Christian"),
                    _distribution([POLARITY_BY_GOEMOTION[name] for name in names], POLARITIES),
                    _distribution([EMOTION_BY_GOEMOTION[name] for name in names], EMOTIONS),
                    "goemotions",
                )
            )
    return examples


def example(polarity: str, emotion: str, text: str, scenario: str = "", role: str = "") -> Example:
    """An example with one polarity and one emotion."""
    return Example(text, _distribution([polarity], POLARITIES), _distribution([emotion], EMOTIONS), scenario, role)


def read_lines(paths: Iterable[Path]) -> list[Example]:
    """Read service lines: scenario, role, polarity, emotion, text, tab-separated with a header.

    Raises:
        ValueError: for a row with a wrong number of fields or an unknown label.
    """
    examples = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            next(rows)
            for number, row in enumerate(rows, start=2):
                if (
                    len(row) != 5
                    or row[1] not in ("agent", "customer")
                    or row[2] not in POLARITIES
                    or row[3] not in EMOTIONS
                ):
                    raise ValueError(f"{path}:{number}: expected scenario, role, polarity, emotion, text; got {row}")
                scenario, role, polarity, emotion, text = row
                examples.append(example(polarity, emotion, text, scenario, role))
    return examples


def joined_lines(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Longer turns: a neutral line and another line of the same role and scenario, with the mood of the other."""
    chance = random.Random(seed)
    neutral = POLARITIES.index("neutral"), EMOTIONS.index("neutral")
    plain: dict[tuple[str, str], list[str]] = {}
    for example in examples:
        if (example.polarity_class, example.emotion_class) == neutral:
            plain.setdefault((example.scenario, example.role), []).append(example.text)
    joined = []
    for _ in range(count):
        example = chance.choice(examples)
        others = plain[example.scenario, example.role]
        parts = [example.text, chance.choice(others)]
        chance.shuffle(parts)
        joined.append(replace(example, text=" ".join(parts)))
    return joined


def thin_neutral(examples: Sequence[Example], keep: float, seed: int) -> list[Example]:
    """Keep that share of the sentences that are plainly neutral: they are a third of GoEmotions."""
    chance = random.Random(seed)
    neutral = EMOTIONS.index("neutral")
    return [example for example in examples if example.emotion_class != neutral or chance.random() < keep]
