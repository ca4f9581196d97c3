import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voicestream.audio.codecs import CODECS, AudioFormat, Codec, decode, encode
from voicestream.errors import AudioFormatError

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)


@pytest.mark.parametrize(
    ("codec", "code", "level"),
    [
        # ITU-T G.711, tables 1 and 2: the ends of the scale and the codes around zero.
        ("mulaw", 0xFF, 0),
        ("mulaw", 0x7F, 0),
        ("mulaw", 0xFE, 8),
        ("mulaw", 0x7E, -8),
        ("mulaw", 0x80, 32124),
        ("mulaw", 0x00, -32124),
        ("alaw", 0xD5, 8),
        ("alaw", 0x55, -8),
        ("alaw", 0xAA, 32256),
        ("alaw", 0x2A, -32256),
    ],
)
def test_g711_codes_have_the_levels_of_the_recommendation(codec: Codec, code: int, level: int) -> None:
    assert decode(codec, bytes([code])).tolist() == [level]


@pytest.mark.parametrize(("codec", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_decoding_agrees_with_libsndfile_for_every_code(codec: Codec, subtype: str, tmp_path) -> None:
    raw = tmp_path / "every.raw"
    raw.write_bytes(bytes(range(256)))
    theirs, _ = soundfile.read(raw, channels=1, samplerate=8000, format="RAW", subtype=subtype, dtype="int16")
    assert np.array_equal(decode(codec, bytes(range(256))), theirs)


@pytest.mark.parametrize("codec", ["mulaw", "alaw"])
def test_every_level_encodes_to_itself(codec: Codec) -> None:
    levels = decode(codec, bytes(range(256)))
    assert np.array_equal(decode(codec, encode(codec, levels)), levels)


@pytest.mark.parametrize(("codec", "bias"), [("mulaw", 132), ("alaw", 256)])
def test_every_sample_is_within_half_a_step_and_in_order(codec: Codec, bias: int) -> None:
    back = decode(codec, encode(codec, EVERY_SAMPLE)).astype(np.int32)
    # 16 steps in each segment of the logarithmic scale: half a step is at most a 32nd of the sample.
    assert (np.abs(back - EVERY_SAMPLE) <= (np.abs(EVERY_SAMPLE.astype(np.int32)) + bias) / 32 + 1).all()
    assert (np.diff(back) >= 0).all()


@given(st.lists(st.integers(-32768, 32767)))
def test_pcm16_comes_back_unchanged(samples: list[int]) -> None:
    pcm = np.array(samples, np.int16)
    assert np.array_equal(decode("pcm16", encode("pcm16", pcm)), pcm)


def test_pcm16_is_little_endian() -> None:
    assert decode("pcm16", b"\x01\x02").tolist() == [0x0201]


def test_half_a_pcm16_sample_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="3 bytes"):
        decode("pcm16", b"abc")


def test_samples_that_are_not_int16_are_refused() -> None:
    with pytest.raises(AudioFormatError, match="float64"):
        encode("mulaw", np.zeros(4))


def test_unknown_codec_and_rate_are_refused_with_those_we_speak() -> None:
    with pytest.raises(AudioFormatError, match="mulaw, alaw, pcm16"):
        AudioFormat("opus", 8000)
    with pytest.raises(AudioFormatError, match="8000, 16000, 24000, 48000"):
        AudioFormat("pcm16", 44100)
    with pytest.raises(AudioFormatError, match="opus"):
        decode("opus", b"")


@pytest.mark.parametrize("codec", CODECS)
def test_a_twentieth_of_a_second_lasts_50_ms(codec: Codec) -> None:
    audio_format = AudioFormat(codec, 48000)
    assert audio_format.duration_ms(len(audio_format.encode(np.zeros(2400, np.int16)))) == 50


def test_duration_of_half_a_sample_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="2 bytes each"):
        AudioFormat("pcm16", 8000).duration_ms(321)


def test_segments_are_kept_at_8_or_16_khz() -> None:
    assert [AudioFormat("pcm16", rate).segment_rate for rate in (8000, 16000, 24000, 48000)] == [8000] + [16000] * 3
