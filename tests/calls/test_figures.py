"""The figures of a call, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.calls.figures import MIN_OVERLAP_MS, Spoken, figures


def spoken(track, start, end, words=10, polarity=None, number=0, insights=None):
    return Spoken(track, number, start, end, words, polarity, insights or {}, None)


def test_a_call_by_hand():
    measured = figures(
        "c",
        [
            spoken("agent", 0, 4_000, words=10, polarity=0.5),
            spoken("customer", 5_000, 8_000, words=9, polarity=-1.0, insights={"price": 2}),
            spoken("agent", 7_000, 9_000, words=4, polarity=0.1),  # interrupts the customer
            spoken("agent", 9_500, 10_000, words=1, polarity=0.0),
            spoken("customer", 12_000, 13_000, words=3, polarity=0.6, insights={"price": 1, "question": 1}),
        ],
        duration_ms=16_000,
    )
    assert measured.talk_ms == {"agent": 6_500, "customer": 4_000}
    assert measured.talk_ratio["agent"] == pytest.approx(6_500 / 10_500)
    assert measured.overlap_ms == 1_000
    assert measured.silence_ms == 16_000 - 9_500
    assert measured.interruptions == {"agent": 1, "customer": 0}
    assert measured.longest_monologue_ms == {"agent": 4_000, "customer": 3_000}
    assert measured.words_per_minute["agent"] == pytest.approx(15 * 60 / 6.5)
    assert measured.utterances == {"agent": 3, "customer": 2}
    assert measured.polarity["customer"] == pytest.approx(-0.2)
    assert measured.polarity_quarters["agent"] == pytest.approx([0.5, None, 0.05, None])
    assert measured.polarity_quarters["customer"] == pytest.approx([None, -1.0, None, 0.6])
    assert measured.insights == {"price": 3, "question": 1}


def test_a_back_channel_is_no_interruption():
    measured = figures("c", [spoken("agent", 0, 5_000), spoken("customer", 2_000, 2_500)], 5_000)
    assert measured.interruptions == {"agent": 0, "customer": 0}
    assert measured.overlap_ms == 500


@given(st.lists(st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 60_000), st.integers(0, 15_000))))
def test_interruptions_are_those_that_comparing_all_with_all_finds(drawn):
    said = [spoken(track, start, start + length) for track, start, length in drawn]
    expected = {
        track: sum(
            any(
                o.track != track and o.start_ms < m.start_ms <= o.end_ms - MIN_OVERLAP_MS and m.end_ms > o.end_ms
                for o in said
            )
            for m in said
            if m.track == track
        )
        for track in {s.track for s in said}
    }
    assert figures("c", said, 75_000).interruptions == expected


def test_nothing_said():
    measured = figures("c", [], 9_000)
    assert measured.silence_ms == 9_000
    assert measured.talk_ms == {}


times = st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 500), st.integers(1, 100))


@given(st.lists(times, max_size=30))
def test_against_counting_milliseconds(drawn):
    said = [spoken(track, start, start + length) for track, start, length in drawn]
    measured = figures("c", said, 700)
    heard = {track: {ms for s in said if s.track == track for ms in range(s.start_ms, s.end_ms)} for track in
             ("agent", "customer")}  # fmt: skip
    assert {t: ms for t, ms in measured.talk_ms.items() if ms} == {t: len(ms) for t, ms in heard.items() if ms}
    assert measured.overlap_ms == len(heard["agent"] & heard["customer"])
    assert measured.silence_ms == 700 - len(heard["agent"] | heard["customer"])
    assert sum(measured.talk_ratio.values()) == pytest.approx(1.0 if said else 0.0)
