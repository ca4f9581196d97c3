"""Amounts, dates, times and names, written and spoken."""

from pathlib import Path

import pytest
from insight_support import said

from voicestream.errors import ConfigFileError
from voicestream.insights import CallContext, Catalogue, Competitor, Product
from voicestream.insights.competitor import CompetitorExtractor
from voicestream.insights.entity import EntityExtractor

CATALOGUE = Catalogue(
    products=[
        Product(id="fiber-500", name="Fiber 500", aliases=["fibre 500"]),
        Product(id="pro", name="Pro"),
        Product(id="guard", name="Home Guardian"),
    ],
    competitors=[
        Competitor(name="Zendrive", aliases=["Zen Drive"]),
        Competitor(name="City Cable"),
        Competitor(name="Orange"),
        Competitor(name="Acme"),
    ],
)


def entities(text: str, label: str) -> list[tuple[str, str | None]]:
    found = EntityExtractor(CATALOGUE).extract(said(text), CallContext())
    return [(insight.text, insight.value) for insight in found if insight.label == label]


def competitors(text: str) -> list[str]:
    return [insight.label for insight in CompetitorExtractor(CATALOGUE).extract(said(text), CallContext())]


@pytest.mark.parametrize(
    ("text", "evidence", "value"),
    [
        ("It's $49.", "$49", "49.00 USD"),
        ("that is forty nine dollars", "forty nine dollars", "49.00 USD"),
        ("about 1,200 dollars a year", "1,200 dollars", "1200.00 USD"),
        ("twelve hundred bucks", "twelve hundred bucks", "1200.00 USD"),
        ("two hundred and forty euros", "two hundred and forty euros", "240.00 EUR"),
        ("forty nine dollars and ninety nine cents", "forty nine dollars and ninety nine cents", "49.99 USD"),
        ("it's forty nine ninety nine a month", "forty nine ninety nine", "49.99 USD"),
        ("we pay two forty a month", "two forty", "240.00 USD"),
        ("a hundred pounds", "a hundred pounds", "100.00 GBP"),
        ("$1.5 million in savings", "$1.5 million", "1500000.00 USD"),
        ("fifty cents each", "fifty cents", "0.50 USD"),
        ("that would be €19.90 then", "€19.90", "19.90 EUR"),
    ],
)
def test_money_is_normalised(text: str, evidence: str, value: str) -> None:
    assert entities(text, "money") == [(evidence, value)]


@pytest.mark.parametrize(
    "text",
    [
        "There are 20 people in our office.",
        "I called three times.",
        "My extension is four five one.",
        "In 2026 we moved.",
        "It takes ten minutes.",
        "one of the two",
        "page forty nine",
        "$ is a symbol",
    ],
)
def test_a_number_is_not_money(text: str) -> None:
    assert entities(text, "money") == []


@pytest.mark.parametrize(
    ("text", "evidence", "value"),
    [
        ("Call me next Tuesday.", "next Tuesday", "2026-12-01"),
        ("on thursday morning then", "thursday morning", "2026-11-26"),
        ("tomorrow at 3 pm", "tomorrow at 3 pm", "2026-11-26T15:00"),
        ("Friday at half past two", "Friday at half past two", "2026-11-27T14:30"),
        ("It starts on March third.", "March third", "2027-03-03"),
        ("on the 3rd of March 2028", "the 3rd of March 2028", "2028-03-03"),
        ("in two weeks", "in two weeks", "2026-12-09"),
        ("by the end of the month", "end of the month", "2026-11-30"),
        ("It has been so since February.", "February", "2026-02"),
        ("in May we move", "May", "2027-05"),
        ("the due date is 2026-12-24", "2026-12-24", "2026-12-24"),
        ("three days ago", "three days ago", "2026-11-22"),
        ("maybe next week", "next week", "2026-W49"),
        ("on the fifteenth", "the fifteenth", "2026-12-15"),
    ],
)
def test_a_date_is_resolved_against_the_time_of_the_call(text: str, evidence: str, value: str) -> None:
    assert entities(text, "date") == [(evidence, value)]


@pytest.mark.parametrize(
    "text",
    [
        "You may call me.",
        "March on!",
        "Wait a second.",
        "on the first call",
        "We have two offices.",
        "I am the second one.",
        "February 30th",
        "for the last time",
    ],
)
def test_what_is_no_date_is_left_alone(text: str) -> None:
    assert entities(text, "date") == []


def test_times_percentages_addresses_and_numbers() -> None:
    assert entities("at 3:30 p.m. please", "time") == [("at 3:30 p.m.", "15:30")]
    assert entities("we could do twenty percent", "percent") == [("twenty percent", "20%")]
    assert entities("Write to Jo.Smith@example.com", "email") == [("Jo.Smith@example.com", "jo.smith@example.com")]
    assert entities("It is +1 202 555 0101.", "phone") == [("+1 202 555 0101", "+12025550101")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I have Fiber 500.", "fiber-500"),
        ("i have fiber five hundred", "fiber-500"),
        ("the home guardian is loud", "guard"),
        ("my Home Gardian is loud", "guard"),
        ("the homeguardian is loud", "guard"),
        ("we want the pro plan", "pro"),
    ],
)
def test_a_product_is_found_as_speech_to_text_writes_it(text: str, value: str) -> None:
    assert [found for _, found in entities(text, "product")] == [value]


@pytest.mark.parametrize("text", ["the home page is loud", "I guard my home", "fiber 200", "he is a pro at this"])
def test_an_ordinary_word_is_no_product(text: str) -> None:
    assert entities(text, "product") == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Zendrive is cheaper.", "Zendrive"),
        ("we use zen drive today", "Zendrive"),
        ("we use zendrives app", "Zendrive"),
        ("City Cable's router", "City Cable"),
        ("i moved to citycable", "City Cable"),
        ("sitty cable called me", "City Cable"),
        ("I switched to Orange.", "Orange"),
        ("we are with orange now", "Orange"),
        ("acme has it too", "Acme"),
    ],
)
def test_a_competitor_is_found(text: str, name: str) -> None:
    assert competitors(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "I ate an orange.",
        "The orange light is on.",
        "The cable is in the city.",
        "a pretty cable",
        "we send drivers",
        "Is the acne gone?",
        "the city table",
        "I drive in zen mode",
    ],
)
def test_an_ordinary_word_is_no_competitor(text: str) -> None:
    assert competitors(text) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("products:\n  - {id: a, name: A}\n  - {id: b, nmae: B}\n", 3, "did you mean 'name'?"),
        ("products:\n  - {id: a, name: A}\n  - {id: a, name: B}\n", 3, "twice"),
        ("competitors:\n  - name: A\n    aliases: B\n", 3, "aliases"),
        ("competitor:\n  - name: A\n", 1, "did you mean 'competitors'?"),
        ("products:\n  - {id: a, name: A, price: cheap}\n", 2, "price"),
        ("products:\n  - {id: a\n", 3, "no valid YAML"),
        ("- a\n", 1, "a catalogue begins with"),
    ],
)
def test_a_faulty_catalogue_says_where_and_what(write, text: str, line: int, message: str) -> None:
    path: Path = write(text)
    with pytest.raises(ConfigFileError) as caught:
        Catalogue.load(path)
    assert any(f"{path}:{line}:" in problem and message in problem for problem in caught.value.problems), caught.value


def test_a_missing_catalogue_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read"):
        Catalogue.load(tmp_path / "none.yaml")
