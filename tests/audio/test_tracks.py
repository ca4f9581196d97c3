from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.audio.codecs import AudioFormat, Pcm
from voicestream.audio.resample import resample
from voicestream.audio.segmenter import Endpointing, Segment
from voicestream.audio.tracks import TrackChunker, feed_many
from voicestream.audio.vad import VoiceActivity
from voicestream.errors import AudioFormatError

MULAW = AudioFormat("mulaw", 8000)
PCM = AudioFormat("pcm16", 8000)


def facts(segments: Iterable[Segment]) -> list[tuple[object, ...]]:
    """All of each segment, comparable."""
    return [
        (s.number, s.start_ms, s.end_ms, s.speech_ms, s.sample_rate, s.closed_by, s.pcm.tobytes()) for s in segments
    ]


def chunk(audio_format: AudioFormat, vad: VoiceActivity, parts: Iterable[Pcm]) -> list[Segment]:
    chunker = TrackChunker(audio_format, vad)
    segments = [segment for part in parts for segment in chunker.feed(audio_format.encode(part))]
    return segments + chunker.flush()


def test_phrases_of_real_speech_become_segments_that_hold_all_of_it(
    vad: VoiceActivity, speech: Pcm, noise: Pcm
) -> None:
    silence = noise[:16000]
    audio = np.concatenate([silence, speech, silence])
    segments = chunk(PCM, vad, np.split(audio, range(800, len(audio), 800)))
    assert [segment.closed_by for segment in segments] == ["end_silence"] * len(segments)
    assert 2 <= len(segments) <= 5
    outside = audio.astype(np.float64)
    for segment in segments:
        first = segment.start_ms * 8
        assert np.array_equal(segment.pcm, audio[first : first + len(segment.pcm)])
        outside[first : first + len(segment.pcm)] = 0
    # What is in no segment is hiss: it has hardly any of the energy of the speech.
    assert np.square(outside).sum() < 0.002 * np.square(audio.astype(np.float64)).sum()


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 88000), max_size=30))
def test_segments_do_not_depend_on_how_the_audio_was_cut(vad: VoiceActivity, speech: Pcm, cuts: list[int]) -> None:
    assert facts(chunk(MULAW, vad, np.split(speech, sorted(cuts)))) == facts(chunk(MULAW, vad, [speech]))


@pytest.mark.parametrize("rate", [24000, 48000])
def test_wide_band_audio_is_cut_like_its_16_khz_version(vad: VoiceActivity, speech: Pcm, rate: int) -> None:
    wide = resample(speech, 8000, rate)
    segments = chunk(AudioFormat("pcm16", rate), vad, np.split(wide, range(777, len(wide), 777)))
    expected = chunk(AudioFormat("pcm16", 16000), vad, [resample(wide, rate, 16000)])
    assert facts(segments) == facts(expected)
    assert {segment.sample_rate for segment in segments} == {16000}


def test_many_tracks_at_once_give_what_each_gives_alone(vad: VoiceActivity, speech: Pcm, noise: Pcm) -> None:
    wide = AudioFormat("pcm16", 16000)
    tracks = [
        (MULAW, speech),
        (PCM, noise[:80000]),
        (PCM, np.roll(speech, 30000)),
        (wide, resample(speech, 8000, 16000)),
    ]
    chunkers = [TrackChunker(audio_format, vad) for audio_format, _ in tracks]
    together: list[list[Segment]] = [[] for _ in tracks]
    for step in range(10):
        items = []
        for chunker, (audio_format, pcm) in zip(chunkers, tracks, strict=True):
            items.append((chunker, audio_format.encode(np.array_split(pcm, 10)[step])))
        for done, segments in zip(together, feed_many(items), strict=True):
            done += segments
    for (audio_format, pcm), chunker, segments in zip(tracks, chunkers, together, strict=True):
        assert facts(segments + chunker.flush()) == facts(chunk(audio_format, vad, [pcm]))


def test_two_items_of_one_track_each_get_the_segments_they_closed(vad: VoiceActivity, speech: Pcm) -> None:
    chunker, other = TrackChunker(PCM, vad), TrackChunker(PCM, vad)
    halves = [PCM.encode(half) for half in np.split(speech, [30000])]
    first, between, second = feed_many([(chunker, halves[0]), (other, b""), (chunker, halves[1])])
    assert [segment.number for segment in first] == [0]
    assert between == []
    assert [segment.number for segment in second] == [1]


def test_malformed_audio_is_refused_before_any_track_has_taken_anything(vad: VoiceActivity, speech: Pcm) -> None:
    good, bad = TrackChunker(PCM, vad), TrackChunker(PCM, vad)
    with pytest.raises(AudioFormatError, match="pcm16"):
        feed_many([(good, PCM.encode(speech)), (bad, b"odd")])
    assert facts(good.feed(PCM.encode(speech)) + good.flush()) == facts(chunk(PCM, vad, [speech]))


def test_a_gap_is_silence_of_its_length(vad: VoiceActivity, speech: Pcm) -> None:
    chunker = TrackChunker(PCM, vad)
    before = chunker.feed(PCM.encode(speech[:18000]))
    chunker.skip(3_600_005)
    closed = chunker.feed(PCM.encode(speech))
    segments = before + closed + chunker.flush()
    whole = chunk(PCM, vad, [speech])
    assert segments[0].closed_by == "end_silence"
    assert [segment.number for segment in segments] == list(range(len(segments)))
    shift = 3_600_005 + 18000 // 8
    for segment, same in zip(segments[-len(whole) :], whole, strict=True):
        assert abs(segment.start_ms - shift - same.start_ms) <= 64


def test_what_comes_after_a_gap_is_heard_as_at_the_start_of_a_call(vad: VoiceActivity, speech: Pcm) -> None:
    chunker = TrackChunker(PCM, vad)
    before = chunker.feed(PCM.encode(speech[: 256 * 70]))
    chunker.skip(320_000)
    segments = before + chunker.feed(PCM.encode(speech)) + chunker.flush()
    shift = 320_000 + 70 * 32
    fresh = chunk(PCM, vad, [speech])
    after = [(s.start_ms - shift, s.end_ms - shift, s.pcm.tobytes()) for s in segments[-len(fresh) :]]
    assert after == [(s.start_ms, s.end_ms, s.pcm.tobytes()) for s in fresh]


def test_a_gap_in_wide_band_audio_comes_after_all_that_was_before_it(vad: VoiceActivity, speech: Pcm) -> None:
    wide = AudioFormat("pcm16", 48000)
    before = resample(speech[:18000], 8000, 48000)
    chunker = TrackChunker(wide, vad)
    segments = chunker.feed(wide.encode(before))
    chunker.skip(1000)
    segments += chunker.flush()
    audio = np.concatenate([resample(before, 48000, 16000), np.zeros(16000, np.int16)])
    first = segments[0].start_ms * 16
    assert np.array_equal(segments[0].pcm, audio[first : first + len(segments[0].pcm)])
    assert segments[0].end_ms > len(before) // 48


def test_a_negative_gap_is_refused(vad: VoiceActivity) -> None:
    with pytest.raises(ValueError, match="-5 ms"):
        TrackChunker(PCM, vad).skip(-5)


@settings(max_examples=20, deadline=None)
@given(snapshot=st.integers(0, 109), gap=st.integers(0, 4000))
def test_a_restart_gives_the_segments_of_an_unbroken_run(
    vad: VoiceActivity, speech: Pcm, snapshot: int, gap: int
) -> None:
    # Chunks of 100 ms and a gap before chunk 60. The state is saved after chunk `snapshot`, and the worker dies later.
    rules = Endpointing(max_length_ms=2500)
    chunks = [MULAW.encode(part) for part in np.split(speech, range(800, 88000, 800))]
    starts = [number * 100 + (gap if number >= 60 else 0) for number in range(len(chunks))]

    def feed(chunker: TrackChunker, number: int, fresh: bool = False) -> list[Segment]:
        if number == 60 and not fresh:
            chunker.skip(gap)
        return chunker.feed(chunks[number])

    unbroken = TrackChunker(MULAW, vad, rules)
    after: list[Segment] = []
    for number in range(len(chunks)):
        segments = feed(unbroken, number)
        after += segments if number > snapshot else []
        if number == snapshot:
            state = unbroken.state()
    after += unbroken.flush()

    # Read again from the last chunk that begins at or before what is still needed.
    number = max(number for number, start in enumerate(starts) if start <= state.oldest_needed_ms)
    resumed = TrackChunker.resume(MULAW, vad, rules, state, starts[number])
    again = feed(resumed, number, fresh=True)
    for later in range(number + 1, len(chunks)):
        again += feed(resumed, later)
    assert facts(again + resumed.flush()) == facts(after)


def test_a_restart_may_find_a_gap_that_began_before_and_ends_after_the_saved_state(
    vad: VoiceActivity, speech: Pcm
) -> None:
    unbroken = TrackChunker(PCM, vad)
    unbroken.feed(PCM.encode(speech[:16000]))
    unbroken.skip(200)
    unbroken.feed(b"")
    state = unbroken.state()
    unbroken.skip(5000)
    resumed = TrackChunker.resume(PCM, vad, None, state, 0)
    first = resumed.feed(PCM.encode(speech[:16000]))
    resumed.skip(5200)
    rest = PCM.encode(speech[16000:])
    assert facts([*first, *resumed.feed(rest), *resumed.flush()]) == facts(unbroken.feed(rest) + unbroken.flush())


def test_a_restart_without_the_audio_it_needs_is_refused(vad: VoiceActivity, speech: Pcm) -> None:
    chunker = TrackChunker(PCM, vad)
    chunker.feed(PCM.encode(speech[:16000]))
    state = chunker.state()
    with pytest.raises(ValueError, match=f"needs it from {state.oldest_needed_ms} ms"):
        TrackChunker.resume(PCM, vad, None, state, state.oldest_needed_ms + 1)
