"""All extractors together: order, evidence, plug-ins that fail, faults in the files of phrases."""

import time
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st
from insight_lines import NEGATIVE, POSITIVE
from insight_support import said

from voicestream.errors import ConfigFileError
from voicestream.insights import CallContext, Extractor, extract, extract_all, load_extractors
from voicestream.insights.phrases import PhraseExtractor
from voicestream.records import Insight
from voicestream.settings import Settings
from voicestream.yaml_file import YamlFile

CONTEXT = CallContext()
LINES = [line[1] for lines in (*POSITIVE.values(), *NEGATIVE.values()) for line in lines]
WORDS = sorted({word for line in LINES for word in line.split()} | {"$", "49", "1,2,3", "march", "31st", "٣", "½", "İ"})


def test_every_kind_has_its_extractor() -> None:
    names = {extractor.name for extractor in load_extractors(Settings())}
    assert names >= {*POSITIVE, "competitor", "entity"}


@given(
    text=st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)),
    track=st.sampled_from(["agent", "customer", "mono"]),
    at_ms=st.integers(-(2**62), 2**62) | st.just(1_795_600_000_000),
)
def test_any_text_gives_insights_whose_evidence_is_in_it(
    extractors: list[Extractor], text: str, track: str, at_ms: int
) -> None:
    transcript = said(text, track, at_ms)
    insights = [insight for extractor in extractors for insight in extractor.extract(transcript, CONTEXT)]
    for insight in insights:
        assert text[insight.start : insight.end] == insight.text != ""
        assert 0 < insight.confidence <= 1
    together = extract_all(transcript, CONTEXT, extractors)
    assert together == extract_all(transcript, CONTEXT, [*reversed(extractors)])
    assert len({insight.insight_id for insight in together}) == len(together)
    assert [insight.start for insight in together] == sorted(insight.start for insight in together)


class Broken:
    name = "broken"

    def extract(self, transcript, context):
        yield Insight.of(transcript, kind="half")
        raise RuntimeError("the plug-in is broken")


class Twice:
    name = "twice"

    def extract(self, transcript, context):
        yield Insight.of(transcript, kind="thanks", span=(0, 5), confidence=0.5)
        yield Insight.of(transcript, kind="thanks", span=(0, 9), confidence=0.9)


def test_a_plug_in_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    before = extract.failures.labels("broken")._value.get()
    found = extract_all(said("thank you so much"), CONTEXT, [Broken(), Twice()])
    assert [insight.confidence for insight in found if insight.kind == "thanks"] == [0.9]
    assert "broken failed on call-1/customer/0" in caplog.text
    assert extract.failures.labels("broken")._value.get() == before + 1


def test_a_plug_in_that_cannot_be_loaded_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        EntryPoint("gone", "no_such_module:make", extract.GROUP),
        EntryPoint("question", "voicestream.insights.question:question", extract.GROUP),
    ]
    monkeypatch.setattr(extract, "entry_points", lambda group: entries)
    assert [extractor.name for extractor in load_extractors(Settings())] == ["question"]
    assert "gone" in caplog.text


def test_a_faulty_catalogue_is_not_passed_over(write) -> None:
    with pytest.raises(ConfigFileError, match="twice"):
        load_extractors(Settings(catalogue=write("products: []\nproducts: []\n")))


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("i really want", "'really' is never seen"),
        ("(one|two", "has no ')'"),
        ("one) two", "has no '('"),
        ("one|two", "put alternatives in brackets"),
        ("<wihs> cancel", "'<wihs>' is unknown"),
        ("one & two", "'&' means nothing here"),
    ],
)
def test_a_faulty_phrase_is_reported_with_its_line(phrase: str, message: str) -> None:
    text = f"labels:\n  a:\n    phrases:\n      0.9:\n        - fine\n        - {phrase}\n"
    with pytest.raises(ConfigFileError) as caught:
        PhraseExtractor("kind", YamlFile(text, "kind.yaml"), {})
    assert str(caught.value).startswith("kind.yaml:6: ")
    assert message in str(caught.value)


def test_an_utterance_takes_less_than_a_millisecond_of_processor_time(extractors: list[Extractor]) -> None:
    extract_all(said("warm up"), CONTEXT, extractors)
    best = float("inf")
    for repeat in range(3):
        transcripts = [said(f"{line} {repeat}") for line in LINES]
        start = time.process_time()
        for transcript in transcripts:
            extract_all(transcript, CONTEXT, extractors)
        best = min(best, (time.process_time() - start) / len(transcripts))
    # Twice the aim, for a machine that is busy; measured 0.6 ms.
    assert best < 0.002
