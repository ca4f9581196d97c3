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


class BrokerError(VoicestreamError):
    """A Kafka broker that cannot be reached, or that has not what we need."""


class ConfigFileError(VoicestreamError):
    """A file of settings that does not say what it should; ``problems`` has file, line and remedy of each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SttError(VoicestreamError):
    """An engine of speech to text that is missing, can't be loaded, or fails."""
