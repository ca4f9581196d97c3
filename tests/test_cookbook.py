"""The recipes of the cookbook, with the worker killed between any two messages that it writes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.test_docs import ROOT, blocks
from voicestream import topics
from voicestream.codec import codec
from voicestream.settings import settings
from voicestream.streams.testing import WorkerKilled
from voicestream.testing import TopologyTestDriver

COOKBOOK = ROOT / "docs" / "cookbook.md"
REPLAY = 12  # messages of each topic that come again after a kill, committed or not

Step = Callable[[TopologyTestDriver], Any]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """What the cookbook defines."""
    folder: Path = tmp_path_factory.mktemp("schemas")
    [(_, schema)] = blocks(COOKBOOK, "json")
    (folder / "figure.avsc").write_text(schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICESTREAM_SCHEMAS", str(folder))
        settings.cache_clear()
        codec.cache_clear()
        names: dict[str, Any] = {"__name__": "cookbook"}
        for _, code in blocks(COOKBOOK, "python"):
            exec(code, names)
        yield SimpleNamespace(**names)
    settings.cache_clear()
    codec.cache_clear()


def told(stage: Any, output: Any, steps: list[Step], deaths: int | None = None) -> set[object]:
    """The figures that came of the steps, with a kill after so many messages."""
    with TopologyTestDriver(stage) as driver:
        if deaths is not None:
            driver.kill_after(deaths)
        for step in [*steps, lambda driver: driver.advance(60_000)]:
            try:
                step(driver)
            except WorkerKilled:
                driver.restart(replay=REPLAY)
        driver.kill_after(1_000_000)  # no more
        driver.advance(120_000)
        return {(figure.of, figure.at_ms, round(figure.value, 3), figure.text) for figure in driver.topic(output)}


def talk_by_queue(book: SimpleNamespace) -> tuple[Any, Any, list[Step]]:
    results = [book.result(f"c{n % 3}", "sales" if n % 2 else "support", n * 7, 100 + n) for n in range(24)]
    return (
        book.talk,
        book.queue_talk,
        [lambda d, n=n: d.topic(topics.results).send(*results[n : n + 8]) for n in (0, 8, 16)],
    )


def moods(book: SimpleNamespace) -> tuple[Any, Any, list[Step]]:
    steps: list[Step] = []
    for first in (0, 6):
        said = [book.said(n, f"text {n}", at_s=n) for n in range(first, first + 6)]
        felt = [book.mood(n, n / 10, at_s=n + 1) for n in range(first, first + 6, 2)]
        steps += [
            lambda d, said=said: d.topic(topics.transcripts).send(*said),
            lambda d, felt=felt: d.topic(topics.sentiment).send(*felt),
        ]
    return book.moods, book.felt, steps


def mood_at_price(book: SimpleNamespace) -> tuple[Any, Any, list[Step]]:
    prices = [book.insight("", at_s=n, kind="price") for n in range(0, 30, 4)]
    felt = [book.mood(n, 0.0, at_s=n, call_polarity=n / 30) for n in range(0, 30, 5)]
    return (
        book.haggling,
        book.at_price,
        [
            lambda d: d.topic(topics.sentiment).send(*felt[:3]),
            lambda d: d.topic(topics.insights).send(*prices[:5]),
            lambda d: d.topic(topics.sentiment).send(*felt[3:]),
            lambda d: d.topic(topics.insights).send(*prices[5:]),
        ],
    )


@pytest.mark.parametrize("recipe", [talk_by_queue, moods, mood_at_price])
def test_a_recipe_tells_the_same_wherever_the_worker_dies(book: SimpleNamespace, recipe: Any) -> None:
    truth = told(*recipe(book))
    assert len(truth) > 4
    for deaths in range(0, 90, 4):
        assert told(*recipe(book), deaths) == truth, f"killed after {deaths} messages"
