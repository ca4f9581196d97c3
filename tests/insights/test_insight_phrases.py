"""Each kind is found in many wordings, and not in lines that only look like it."""

import pytest
from insight_lines import NEGATIVE, POSITIVE
from insight_support import said

from voicestream.insights import CallContext, Extractor, extract_all
from voicestream.insights.phrases import packaged
from voicestream.settings import Settings


def found(extractors: list[Extractor], kind: str, track: str, text: str) -> list[tuple[str, str]]:
    insights = extract_all(said(text, track), CallContext(), extractors)
    return [(insight.label, insight.text) for insight in insights if insight.kind == kind]


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in POSITIVE.items() for line in lines])
def test_a_signal_is_found_with_its_label(extractors: list[Extractor], kind: str, line: tuple[str, ...]) -> None:
    labels = [label for label, _ in found(extractors, kind, line[0], line[1])]
    assert labels
    if len(line) == 3:
        assert line[2] in labels


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in NEGATIVE.items() for line in lines])
def test_what_only_looks_like_a_signal_is_left_alone(
    extractors: list[Extractor], kind: str, line: tuple[str, str]
) -> None:
    assert found(extractors, kind, *line) == []


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in POSITIVE.items() for line in lines])
def test_a_signal_survives_without_capitals_and_punctuation(
    extractors: list[Extractor], kind: str, line: tuple[str, ...]
) -> None:
    bare = "".join(letter for letter in line[1].lower() if letter not in ".,?!")
    if kind == "question" and not found(extractors, kind, line[0], bare):
        assert line[1] == "You can deliver on Saturdays?", "only a question by its tone needs its question mark"
        return
    assert found(extractors, kind, line[0], bare)


def test_the_evidence_is_the_phrase_and_not_the_sentence(extractors: list[Extractor]) -> None:
    text = "Well, um, I'm sorry, but I really want to cancel my subscription today."
    assert found(extractors, "churn_risk", "customer", text) == [("cancellation", "want to cancel my subscription")]


def test_a_promise_carries_its_date(extractors: list[Extractor]) -> None:
    insights = extract_all(said("I'll send you the quote by Friday.", "agent"), CallContext(), extractors)
    assert [insight.value for insight in insights if insight.kind == "commitment"] == ["2026-11-27"]


def test_a_quote_carries_its_amount(extractors: list[Extractor]) -> None:
    insights = extract_all(said("that would be thirty five dollars a month", "agent"), CallContext(), extractors)
    assert [insight.value for insight in insights if insight.kind == "price"] == ["35.00 USD"]


def test_nobody_knows_who_speaks_on_a_mono_track() -> None:
    extractor = packaged("churn_risk")(Settings(catalogue=None))
    sure = [*extractor.extract(said("I want to cancel my subscription."), CallContext())]
    mono = [*extractor.extract(said("I want to cancel my subscription.", "mono"), CallContext())]
    assert mono[0].confidence < sure[0].confidence
