"""Every error that voicestream raises on purpose."""


class VoicestreamError(Exception):
    """Base of them all: what went wrong, where, and what to do about it."""


class AudioFormatError(VoicestreamError, ValueError):
    """Audio, or the description of audio, that we do not speak."""


class AudioFileError(VoicestreamError):
    """A file that holds no audio we can use."""


class WeightsError(VoicestreamError):
    """Model weights that are missing or damaged."""


class EmbeddedError(VoicestreamError):
    """A part of the embedded stack that did not start, or died."""
