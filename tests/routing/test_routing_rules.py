"""Files of rules: what is wrong is reported with file, line, rule and remedy; the examples of the guide load."""

import re
from pathlib import Path

import pytest

from voicestream.errors import ConfigFileError
from voicestream.routing import load_rules
from voicestream.routing.conditions import CONDITIONS
from voicestream.routing.rules import read_rules
from voicestream.yaml_file import YamlFile

GUIDE = Path(__file__).parents[2] / "docs" / "routing.md"
EXAMPLES: list[str] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)

HEAD = "rules:\n  - name: a\n"
THEN = "    then: {action: x}\n"

FAULTS = [
    ("rules:\n  - name: a\n   when: {}\n", 3, "no valid YAML"),
    ("rule:\n  - name: a\n", 1, "the file has no list of rules"),
    ("", 1, "the file has no list of rules"),
    ("rules: []\nextra: 1\n", 2, "'extra' is unknown"),
    ("rules:\n  - a\n", 2, "rule 1 is no mapping"),
    (HEAD + THEN, 2, "rule 'a': 'when' is missing; add it"),
    (HEAD + "    when: {dtmf: 0}\n", 2, "rule 'a': 'then' is missing; add it"),
    (HEAD + "    wenn: {dtmf: 0}\n" + THEN, 3, "rule 'a': 'wenn' is unknown; did you mean 'when'?"),
    (HEAD + "    when:\n      insigth: {kind: price}\n" + THEN, 4, "'insigth' is unknown; did you mean 'insight'?"),
    (HEAD + "    when:\n      insight:\n        knd: price\n" + THEN, 5, "did you mean 'kind'?"),
    (HEAD + "    when:\n      insight: {kind: churn_rsk}\n" + THEN, 4, "did you mean 'churn_risk'?"),
    (HEAD + "    when:\n      insight: {kind: price, at_least: 21}\n" + THEN, 4, "less than or equal to 20"),
    (HEAD + "    when:\n      insight: {kind: price, within: soon}\n" + THEN, 4, "write a time such as 30s"),
    (HEAD + "    when:\n      any:\n        - dtmf: 1\n        - foo: 1\n" + THEN, 6, "'foo' is unknown; known are"),
    (HEAD + "    when:\n      all: {dtmf: 1}\n" + THEN, 4, "'all' has a list of conditions"),
    (HEAD + "    when:\n      not: []\n" + THEN, 4, "a condition is such as"),
    (HEAD + "    when:\n      emotion: {is: angry}\n" + THEN, 4, "'anger'"),
    (HEAD + "    when:\n      emotion: {at_least: 0.5}\n" + THEN, 4, "'is' is missing"),
    (HEAD + "    when:\n      polarity: {track: customer}\n" + THEN, 4, "give 'below' or 'above'"),
    (HEAD + "    when:\n      polarity: {track: buyer, below: 0}\n" + THEN, 4, "'customer'"),
    (HEAD + "    when: {dtmf: 0}\n    then:\n      action: x\n      priority: 9\n", 6, "'then.priority'"),
    (HEAD + "    when: {dtmf: 0}\n    then: {action: x}\n    cooldown: 3 days\n", 5, "write a time such as"),
    (HEAD + "    when: {dtmf: 0}\n    when: {dtmf: 1}\n" + THEN, 4, "'when' is there twice"),
    (
        HEAD + "    when: {dtmf: 0}\n" + THEN + "  - name: a\n    when: {dtmf: 1}\n" + THEN,
        5,
        "the name is taken already",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), FAULTS)
def test_a_fault_is_reported_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFileError) as caught:
        load_rules(path)
    assert any(one.startswith(f"{path}:{line}: ") and message in one for one in caught.value.problems), caught.value


def test_all_faults_are_reported_at_once() -> None:
    text = "rules:\n" + "".join(f"  - {{name: r{n}, when: {{foo: 1}}, then: {{action: x}}}}\n" for n in range(3))
    with pytest.raises(ConfigFileError) as caught:
        read_rules(YamlFile(text, "rules.yaml"))
    assert [problem[:13] for problem in caught.value.problems] == ["rules.yaml:2:", "rules.yaml:3:", "rules.yaml:4:"]


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_guide_load(example: str) -> None:
    assert read_rules(YamlFile(example, "routing.md"))


def test_the_guide_has_examples_and_names_every_condition() -> None:
    assert len(EXAMPLES) >= 3
    text = GUIDE.read_text(encoding="utf-8")
    assert [name for name in CONDITIONS if f"| `{name}` |" not in text] == []
