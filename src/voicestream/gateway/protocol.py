"""Our own protocol of ``WS /v1/calls/{call_id}``: its messages, its frames, and what it says when it refuses.

``docs/protocol.md`` is the same for people.
"""

import re
import struct
from typing import NamedTuple, TypeVar

import msgspec

from voicestream.errors import GatewayError
from voicestream.records import Track

MAX_FRAME_BYTES = 64 * 1024
BYTES_PER_SAMPLE = {"mulaw": 1, "alaw": 1, "pcm16": 2}
SAMPLE_RATES = (8000, 16000, 24000, 48000)

CLOSE_CODES = {
    "bad_json": 1007,
    "bad_message": 4400,
    "hello_expected": 4400,
    "bad_call_id": 4400,
    "bad_frame": 4400,
    "unauthorized": 4401,
    "unknown_call": 4404,
    "unknown_track": 4404,
    "call_live": 4409,
    "call_ended": 4410,
    "unsupported_codec": 4415,
    "sequence_gap": 4416,
    "frame_too_big": 1009,
    "overloaded": 1013,
    "draining": 1012,
    "internal": 1011,
}

M = TypeVar("M")

_CALL_ID = re.compile(r"[A-Za-z0-9._:@+-]{1,128}")
_HEADER = struct.Struct(">BBHI")


class Refusal(GatewayError):
    """The gateway does not go on with a connection: ``code`` is one of ``CLOSE_CODES``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.close_code = CLOSE_CODES[code]

    def payload(self) -> dict[str, object]:
        """The JSON message that goes out before the connection is closed."""
        return {"type": "error", "code": self.code, "message": str(self)}


class Hello(msgspec.Struct, tag_field="type", tag="hello", kw_only=True):
    """What a client says of its call; ``resume`` is not None when it goes on with one."""

    tracks: list[Track]
    codec: str
    sample_rate: int
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = {}
    resume: int | None = None


class Dtmf(msgspec.Struct, tag_field="type", tag="dtmf", kw_only=True):
    """A key was pressed."""

    digit: str
    track: Track | None = None


class Mark(msgspec.Struct, tag_field="type", tag="mark", kw_only=True):
    """The client marks a moment of the call."""

    name: str
    track: Track | None = None


class End(msgspec.Struct, tag_field="type", tag="end", kw_only=True):
    """The call is over."""

    reason: str = "completed"


class Frame(NamedTuple):
    """One binary message: the index of its track, its sequence on that track, its audio."""

    track: int
    sequence: int
    audio: bytes


ClientMessage = Hello | Dtmf | Mark | End

_MESSAGES: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def parse_message(text: str) -> ClientMessage:
    """The message in ``text``; raises ``Refusal`` (``bad_json``, ``bad_message``)."""
    return decode_json(_MESSAGES, text)


def decode_json(decoder: msgspec.json.Decoder[M], text: str) -> M:
    """What ``decoder`` makes of ``text``; raises ``Refusal`` (``bad_json``, ``bad_message``)."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise Refusal("bad_message", f"not a message of this protocol: {error}") from None
    except msgspec.DecodeError as error:
        raise Refusal("bad_json", f"a text message must be JSON: {error}") from None
    except RecursionError:
        raise Refusal("bad_json", "the JSON is nested too deep") from None


def parse_frame(data: bytes) -> Frame:
    """The frame in ``data``; raises ``Refusal`` (``bad_frame``)."""
    if len(data) <= _HEADER.size:
        raise Refusal(
            "bad_frame", f"a frame has a header of {_HEADER.size} bytes and audio behind it, got {len(data)} bytes"
        )
    version, track, reserved, sequence = _HEADER.unpack_from(data)
    if version != 1 or reserved != 0:
        raise Refusal(
            "bad_frame", f"the header begins with version 1 and has 0 in bytes 2 and 3, got {data[:4].hex(' ')}"
        )
    return Frame(track, sequence, data[_HEADER.size :])


def pack_frame(frame: Frame) -> bytes:
    """The binary message of ``frame``, as a client sends it."""
    return _HEADER.pack(1, frame.track, 0, frame.sequence) + frame.audio


def check_call_id(call_id: str) -> str:
    """``call_id`` where it may be one; raises ``Refusal`` (``bad_call_id``)."""
    if not _CALL_ID.fullmatch(call_id):
        raise Refusal("bad_call_id", "a call_id has 1 to 128 characters: letters, digits and . _ : @ + -")
    return call_id


def check_format(codec: str, sample_rate: int) -> None:
    """Raise ``Refusal`` (``unsupported_codec``) unless we speak ``codec`` at ``sample_rate``."""
    if codec not in BYTES_PER_SAMPLE:
        raise Refusal("unsupported_codec", f"codec {codec!r}: we speak {', '.join(BYTES_PER_SAMPLE)}")
    if sample_rate not in SAMPLE_RATES:
        raise Refusal("unsupported_codec", f"sample rate {sample_rate}: we speak {', '.join(map(str, SAMPLE_RATES))}")
