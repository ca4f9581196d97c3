"""Errors of the stream library.

StreamsError
 ├── TopologyError      the stages and topics do not fit together
 ├── DecodeError        the bytes of a message are not a record of its topic
 ├── EncodeError        a record is not what its topic carries
 ├── RegistryError      the schema registry cannot be asked
 └── SendError          the broker refused some messages for their own sake
"""

from collections.abc import Mapping


class StreamsError(Exception):
    """Base of every error of ``voicestream.streams``."""


class TopologyError(StreamsError):
    """The stages and topics do not fit together."""


class DecodeError(StreamsError):
    """The bytes of a message are not a record of its topic."""


class EncodeError(StreamsError):
    """A record is not what its topic carries."""


class RegistryError(StreamsError):
    """The schema registry cannot be asked: nothing is said of the message or record, and it may pass by itself."""


class SendError(StreamsError):
    """The broker refused some messages for their own sake, such as one that is too large.

    ``failures`` has the position of each refused message in what was to be sent, with the reason. When this is
    raised, the broker has all the other messages.
    """

    def __init__(self, failures: Mapping[int, Exception]) -> None:
        super().__init__(f"{len(failures)} messages were refused; the first: {next(iter(failures.values()))}")
        self.failures = dict(failures)
