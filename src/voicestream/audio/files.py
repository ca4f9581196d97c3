"""Audio files of any kind that libsndfile reads (WAV, FLAC, OGG, MP3…), and their way into telephone frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from voicestream.audio.codecs import AudioFormat, Pcm
from voicestream.audio.resample import resample, to_int16
from voicestream.errors import AudioFileError


@dataclass(frozen=True, slots=True, eq=False)
class AudioFile:
    """A file in memory."""

    channels: npt.NDArray[np.int16]
    """Samples, of shape (n, 1) or (n, 2)."""
    sample_rate: int
    """Hz, as in the file."""
    path: Path

    @property
    def duration_ms(self) -> int:
        """Whole milliseconds."""
        return len(self.channels) * 1000 // self.sample_rate

    def channel(self, number: int) -> Pcm:
        """The samples of one channel, from 0 (left)."""
        return np.ascontiguousarray(self.channels[:, number])


def read_audio(path: Path | str) -> AudioFile:
    """Read a mono or stereo file of any rate; AudioFileError if it is missing, no audio, empty, or of more channels."""
    path = Path(path)
    if path.is_dir():
        raise AudioFileError(f"{path}: this is a folder; name the files in it")
    if not path.is_file():
        raise AudioFileError(f"{path}: there is no such file")
    try:
        # As float, because libsndfile does not scale float files when it is asked for integers.
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path}: not an audio file that can be read ({error.error_string})") from error
    if not len(audio):
        raise AudioFileError(f"{path}: the file holds no samples")
    if audio.shape[1] > 2:
        raise AudioFileError(f"{path}: {audio.shape[1]} channels; mono, or stereo with one party a side, is needed")
    return AudioFile(to_int16(np.nan_to_num(audio, nan=0.0, posinf=1.0, neginf=-1.0)), int(rate), path)


def to_frames(pcm: Pcm, rate: int, audio_format: AudioFormat, frame_ms: int = 20) -> Iterator[bytes]:
    """Frames of `frame_ms` as a telephone line sends them, from mono samples at `rate` Hz; silence fills the last."""
    samples, part = divmod(audio_format.sample_rate * frame_ms, 1000)
    if frame_ms <= 0 or part:
        raise ValueError(f"frames of {frame_ms} ms at {audio_format.sample_rate} Hz are no whole number of samples")
    audio = resample(pcm, rate, audio_format.sample_rate)
    audio = np.concatenate([audio, np.zeros(-len(audio) % samples, np.int16)])
    for start in range(0, len(audio), samples):
        yield audio_format.encode(audio[start : start + samples])
