"""Errors of the stream library.

StreamsError
 ├── TopologyError      the stages and topics do not fit together
 ├── DecodeError        the bytes of a message are not a record of its topic
 └── EncodeError        a record is not what its topic carries
"""


class StreamsError(Exception):
    """Base of every error of ``voicestream.streams``."""


class TopologyError(StreamsError):
    """The stages and topics do not fit together."""


class DecodeError(StreamsError):
    """The bytes of a message are not a record of its topic."""


class EncodeError(StreamsError):
    """A record is not what its topic carries."""
