from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.audio.segmenter import Endpointing, Piece, Segment, Segmenter

RULES = Endpointing()


def run(pattern: str, rules: Endpointing = RULES, loud: int = 1000) -> tuple[list[Segment], Segmenter]:
    """Segments of a track in which S is a window of speech, s an unsure one, . none and ! a very quiet S."""
    segmenter = Segmenter(8000, rules)
    segments = []
    for index, window in enumerate(pattern):
        probability = {"S": 0.9, "!": 0.9, "s": 0.4, ".": 0.05}[window]
        # Each window holds its own number, so that a test can see what audio came out.
        level = {"!": 1}.get(window, loud) if loud else index
        if segment := segmenter.push(np.full(256, level, np.int16), probability):
            segments.append(segment)
    return segments, segmenter


def windows_of(segment: Segment) -> list[int]:
    return segment.pcm[::256].tolist()


def test_a_pause_closes_the_segment_with_padding_on_both_sides() -> None:
    (segment,), _ = run("." * 20 + "S" * 10 + "." * 19, loud=0)
    assert segment.closed_by == "end_silence"
    assert (segment.number, segment.start_ms, segment.end_ms, segment.speech_ms) == (0, 14 * 32, 36 * 32, 10 * 32)
    assert windows_of(segment) == list(range(14, 36))


def test_a_shorter_pause_does_not_close_it() -> None:
    assert run("S" * 10 + "." * 18 + "S")[0] == []


def test_a_shorter_pause_closes_a_long_utterance() -> None:
    (segment,), _ = run("S" * 250 + "." * 10)
    assert segment.closed_by == "long_utterance"
    assert segment.end_ms == 256 * 32


def test_segments_are_numbered_in_order_and_do_not_overlap() -> None:
    rules = Endpointing(end_silence_ms=192, padding_before_ms=640)
    segments, _ = run(("S" * 10 + "." * 8) * 4, rules)
    assert [segment.number for segment in segments] == [0, 1, 2, 3]
    for before, after in pairwise(segments):
        assert before.end_ms <= after.start_ms


def test_unsure_windows_keep_speech_going_but_do_not_start_it() -> None:
    assert run("s" * 100 + "." * 30)[0] == []
    (segment,), _ = run("S" + "s" * 20 + "." * 19)
    assert segment.speech_ms == 21 * 32


def test_a_click_is_dropped_and_takes_no_number() -> None:
    (segment,), _ = run("S" * 6 + "." * 30 + "S" * 7 + "." * 19)
    assert (segment.number, segment.speech_ms) == (0, 7 * 32)


def test_no_segment_is_longer_than_the_longest_and_none_of_a_long_speech_is_lost() -> None:
    segments, segmenter = run("S" * 2000, loud=0)
    last = segmenter.flush(np.zeros(0, np.int16))
    assert last is not None
    assert {segment.closed_by for segment in segments} == {"max_length"}
    assert max(segment.end_ms - segment.start_ms for segment in [*segments, last]) <= RULES.max_length_ms
    assert [window for segment in [*segments, last] for window in windows_of(segment)] == list(range(2000))


def test_a_long_segment_is_cut_at_the_quietest_point() -> None:
    segments, segmenter = run("S" * 300 + "!!" + "S" * 200)
    assert segments[0].end_ms == 301 * 32
    assert segmenter.oldest_needed == 301


def test_what_follows_a_cut_is_kept_however_short() -> None:
    rules = Endpointing(max_length_ms=1600)
    segments, _ = run("S" * 39 + "!!" + "S" * 2 + "." * 40, rules)
    assert [(segment.closed_by, segment.speech_ms) for segment in segments] == [
        ("max_length", 40 * 32),
        ("end_silence", 3 * 32),
    ]


def test_the_end_of_the_call_closes_the_segment_and_keeps_its_tail() -> None:
    _, segmenter = run("S" * 10 + "..")
    segment = segmenter.flush(np.full(100, 7, np.int16))
    assert segment is not None
    assert segment.closed_by == "end_of_call"
    assert segment.end_ms == 12 * 32 + 12
    assert segment.pcm[-100:].tolist() == [7] * 100


def test_the_end_of_a_silent_call_closes_nothing() -> None:
    assert run("." * 50)[1].flush(np.zeros(0, np.int16)) is None


def test_only_the_padding_is_needed_while_nobody_speaks_and_the_whole_segment_while_somebody_does() -> None:
    assert run("." * 100)[1].oldest_needed == 94
    assert run("." * 100 + "S" * 50)[1].oldest_needed == 94
    assert run("." * 100 + "S" * 50 + "." * 19)[1].oldest_needed == 163


def test_a_gap_closes_the_segment_and_moves_the_clock() -> None:
    _, segmenter = run("S" * 10)
    (segment,) = segmenter.skip(1_000_000)
    assert (segment.closed_by, segment.end_ms) == ("end_silence", 16 * 32)
    assert segmenter.position == segmenter.oldest_needed == 1_000_010


def test_a_short_gap_is_a_pause_in_the_segment() -> None:
    _, segmenter = run("S" * 10)
    assert segmenter.skip(5) == []
    for _ in range(10):
        segmenter.push(np.zeros(256, np.int16), 0.9)
    segment = segmenter.flush(np.zeros(0, np.int16))
    assert segment is not None
    assert (segment.start_ms, segment.end_ms, segment.speech_ms) == (0, 25 * 32, 20 * 32)


@given(st.text("S!s.", max_size=900))
def test_segments_are_in_order_within_bounds_and_hold_the_audio_of_their_time(pattern: str) -> None:
    rules = Endpointing(max_length_ms=2000, long_utterance_ms=1000)
    segments, segmenter = run(pattern, rules, loud=0)
    if last := segmenter.flush(np.zeros(0, np.int16)):
        segments.append(last)
    end = 0
    for number, segment in enumerate(segments):
        assert segment.number == number
        assert end <= segment.start_ms < segment.end_ms <= len(pattern) * 32
        assert segment.end_ms - segment.start_ms <= rules.max_length_ms
        assert windows_of(segment) == list(range(segment.start_ms // 32, segment.end_ms // 32))
        end = segment.end_ms


def pieces_by_number(segmenter: Segmenter) -> dict[int, list[Piece]]:
    found: dict[int, list[Piece]] = {}
    for piece in segmenter.pieces():
        found.setdefault(piece.number, []).append(piece)
    return found


@given(st.text("SSS!s..", max_size=900))
def test_the_pieces_of_an_open_segment_together_are_its_audio_so_far(pattern: str) -> None:
    cuts = Endpointing(max_length_ms=2000, long_utterance_ms=1000, piece_ms=300)
    segments, segmenter = run(pattern, cuts, loud=0)
    assert [(s.number, s.start_ms, s.end_ms) for s in segments] == [
        (s.number, s.start_ms, s.end_ms) for s in run(pattern, replace(cuts, piece_ms=0), loud=0)[0]
    ]
    found = pieces_by_number(segmenter)
    if last := segmenter.flush(np.zeros(0, np.int16)):
        segments.append(last)
    assert found.keys() <= {segment.number for segment in segments}
    for segment in segments:
        pieces = found.get(segment.number, [])
        windows = [window for piece in pieces for window in piece.pcm[::256].tolist()]
        assert windows[: len(windows_of(segment))] == windows_of(segment)[: len(windows)]
        end_ms = segment.start_ms
        for piece in pieces:
            assert (piece.segment_start_ms, piece.voice_start_ms) == (segment.start_ms, segment.voice_start_ms)
            assert piece.start_ms == end_ms
            end_ms = piece.end_ms
            assert (end_ms - segment.start_ms) % 320 == 0
        if pieces:
            assert segment.end_ms - end_ms < 320


def test_too_little_speech_for_a_segment_gives_no_piece() -> None:
    rules = Endpointing(piece_ms=100, padding_before_ms=0)
    _, segmenter = run("S" * 6 + "." * 18, rules)
    assert segmenter.pieces() == []
    _, segmenter = run("S" * 7 + "." * 18, rules)
    assert [(piece.start_ms, piece.end_ms) for piece in segmenter.pieces()[:2]] == [(0, 8 * 32), (8 * 32, 12 * 32)]


def test_no_piece_is_given_out_unless_it_is_asked_for() -> None:
    assert run("S" * 600)[1].pieces() == []


@given(st.text("SSS!s..", min_size=1, max_size=600), st.data())
def test_a_segmenter_that_goes_on_from_a_state_gives_the_pieces_that_were_to_come(
    pattern: str, data: st.DataObject
) -> None:
    rules = Endpointing(max_length_ms=2000, long_utterance_ms=1000, piece_ms=300)
    at = data.draw(st.integers(0, len(pattern)))
    _, whole = run(pattern[:at], rules, loud=0)
    before = whole.pieces()
    resumed = Segmenter(8000, rules, whole.state())
    for window in range(whole.oldest_needed, at):
        resumed.refill(np.full(256, window, np.int16))
    for index, window in enumerate(pattern[at:], at):
        resumed.push(np.full(256, index, np.int16), {"S": 0.9, "!": 0.9, "s": 0.4, ".": 0.05}[window])
    everything = [(p.number, p.start_ms, p.pcm.tolist()) for p in run(pattern, rules, loud=0)[1].pieces()]
    assert [(p.number, p.start_ms, p.pcm.tolist()) for p in [*before, *resumed.pieces()]] == everything


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_threshold": 0.2},
        {"end_threshold": 0.0},
        {"padding_after_ms": 400},
        {"max_length_ms": 1000},
        {"min_speech_ms": -1},
        {"piece_ms": -1},
    ],
)
def test_rules_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Endpointing(**wrong)


def test_only_8_and_16_khz_are_segmented() -> None:
    with pytest.raises(ValueError, match="48000"):
        Segmenter(48000)
