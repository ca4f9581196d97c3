"""Two hundred more lines: nearly all signals are found, and none where there is none."""

from pathlib import Path

from insight_support import said

from voicestream.insights import CallContext, Extractor, extract_all

LINES = [
    line.split("|")
    for line in (Path(__file__).parent / "paraphrases.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def kinds(extractors: list[Extractor], track: str, text: str) -> set[str]:
    return {insight.kind for insight in extract_all(said(text, track), CallContext(), extractors)}


def test_nearly_all_signals_are_found(extractors: list[Extractor]) -> None:
    signals = [line for line in LINES if line[1] != "-"]
    missed = [line for line in signals if line[1] not in kinds(extractors, line[0], line[2])]
    assert len(missed) <= 0.03 * len(signals), missed


def test_nothing_is_found_where_nothing_is(extractors: list[Extractor]) -> None:
    plain = [line for line in LINES if line[1] == "-"]
    assert [line for line in plain if kinds(extractors, line[0], line[2]) - {"question", "entity"}] == []
