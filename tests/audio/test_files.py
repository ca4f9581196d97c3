from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicestream.audio.codecs import AudioFormat
from voicestream.audio.files import read_audio, to_frames
from voicestream.errors import AudioFileError

RAMP = np.arange(-4000, 4000, dtype=np.int16)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16"), ("a.aiff", "PCM_16")],
)
def test_lossless_files_give_their_samples(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, RAMP.astype(np.float64) / 32768, 22050, subtype=subtype)
    audio = read_audio(tmp_path / name)
    assert (audio.sample_rate, audio.duration_ms, audio.channels.shape) == (22050, 362, (8000, 1))
    assert np.array_equal(audio.channel(0), RAMP)


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
def test_telephone_wav_files_are_decoded(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", RAMP, 8000, subtype=subtype)
    assert np.abs(read_audio(tmp_path / "a.wav").channel(0) - RAMP).max() <= 128


def test_stereo_channels_stay_apart(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([RAMP, -RAMP], axis=1), 8000)
    audio = read_audio(tmp_path / "a.wav")
    assert np.array_equal(audio.channel(0), RAMP)
    assert np.array_equal(audio.channel(1), -RAMP)


def test_what_is_no_number_in_a_float_file_is_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.5, np.nan, -np.inf, 2.0]), 8000, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav").channel(0).tolist() == [16384, 0, -32768, 32767]


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="this is a folder"):
        read_audio(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"nowhere\.wav: there is no such file"):
        read_audio(tmp_path / "nowhere.wav")


@pytest.mark.parametrize("content", [b"", b"These are words, not sound. " * 40, b"RIFF\x24\0\0\0WAVEfmt "])
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match=r"a\.wav: not an audio file"):
        read_audio(tmp_path / "a.wav")


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.int16), 8000)
    with pytest.raises(AudioFileError, match="holds no samples"):
        read_audio(tmp_path / "a.wav")


def test_more_than_two_channels_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((800, 3), np.int16), 8000)
    with pytest.raises(AudioFileError, match="3 channels"):
        read_audio(tmp_path / "a.wav")


def test_frames_are_whole_and_the_last_is_filled_with_silence() -> None:
    frames = list(to_frames(np.full(170, 1000, np.int16), 8000, AudioFormat("mulaw", 8000)))
    assert [len(frame) for frame in frames] == [160, 160]
    assert frames[1][10:] == b"\xff" * 150


def test_frames_have_the_rate_of_the_line() -> None:
    frames = list(to_frames(np.zeros(44100, np.int16), 44100, AudioFormat("pcm16", 16000), frame_ms=100))
    assert [len(frame) for frame in frames] == [3200] * 10


def test_frames_of_broken_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of samples"):
        next(to_frames(RAMP, 8000, AudioFormat("mulaw", 8000), frame_ms=0))
