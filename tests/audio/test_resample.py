import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.audio.resample import StreamResampler, resample, to_float, to_int16


def tone(hertz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_a_tone_keeps_its_pitch_and_level(rate: int) -> None:
    there = resample(tone(1000, rate), rate, 16000)
    assert len(there) == 8000
    assert np.abs(there[500:-500] - tone(1000, 16000)[500:-500].astype(np.int32)).max() < 20


def test_what_the_lower_rate_cannot_hold_is_filtered_out() -> None:
    assert np.abs(resample(tone(11000, 48000), 48000, 16000)[500:-500]).max() < 20


def test_the_same_rate_changes_nothing() -> None:
    pcm = tone(300, 8000)
    assert resample(pcm, 8000, 8000) is pcm


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 12000), max_size=12), rate=st.sampled_from([24000, 48000]))
def test_a_stream_gives_the_whole_clip_however_it_is_cut(cuts: list[int], rate: int) -> None:
    noise = np.random.default_rng(0).integers(-20000, 20000, 12000).astype(np.int16)
    stream = StreamResampler(rate, 16000)
    parts = [stream.push(part) for part in np.split(noise, sorted(cuts))]
    assert np.array_equal(np.concatenate([*parts, stream.flush()]), resample(noise, rate, 16000))


def test_a_flushed_stream_starts_anew() -> None:
    stream = StreamResampler(48000, 16000)
    pcm = tone(500, 48000)
    first = np.concatenate([stream.push(pcm), stream.flush()])
    assert np.array_equal(first, np.concatenate([stream.push(pcm), stream.flush()]))


def test_16_bit_samples_survive_the_way_through_float() -> None:
    every = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    assert np.array_equal(to_int16(to_float(every)), every)


def test_too_loud_samples_are_clipped_not_wrapped() -> None:
    assert to_int16(np.array([1.5, -1.5], np.float32)).tolist() == [32767, -32768]
