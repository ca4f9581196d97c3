"""``WS /v1/twilio``: Twilio Media Streams, as Twilio speaks it.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

import time

import msgspec
from starlette.websockets import WebSocket

from voicestream.gateway.auth import ApiKeys
from voicestream.gateway.connection import Connection
from voicestream.gateway.producer import RecordProducer
from voicestream.gateway.protocol import Refusal, check_call_id, decode_json
from voicestream.gateway.session import Call, Session
from voicestream.gateway.sessions import Sessions
from voicestream.gateway.stats import GatewayStats
from voicestream.records import Track

TRACKS: dict[str, Track] = {"inbound": "customer", "outbound": "agent"}


class _Message(msgspec.Struct, tag_field="event", rename="camel", kw_only=True):
    pass


class Connected(_Message, tag="connected"):
    protocol: str = ""
    version: str = ""


class MediaFormat(msgspec.Struct, rename="camel", kw_only=True):
    encoding: str
    sample_rate: int
    channels: int = 1


class StartBody(msgspec.Struct, rename="camel", kw_only=True):
    call_sid: str
    stream_sid: str = ""
    account_sid: str = ""
    tracks: list[str]
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class Start(_Message, tag="start"):
    start: StartBody


class MediaBody(msgspec.Struct, kw_only=True):
    track: str
    chunk: int
    timestamp: int
    payload: bytes  # base64 on the wire


class Media(_Message, tag="media"):
    media: MediaBody


class DtmfBody(msgspec.Struct, kw_only=True):
    digit: str
    track: str = ""


class Dtmf(_Message, tag="dtmf"):
    dtmf: DtmfBody


class MarkBody(msgspec.Struct, kw_only=True):
    name: str


class Mark(_Message, tag="mark"):
    mark: MarkBody


class Stop(_Message, tag="stop"):
    pass


Message = Connected | Start | Media | Dtmf | Mark | Stop

# Twilio writes numbers as text ("chunk": "2"): not strict.
_MESSAGES: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message, strict=False)


def parse_message(text: str) -> Message:
    """The message in ``text``; raises ``Refusal`` (``bad_json``, ``bad_message``)."""
    return decode_json(_MESSAGES, text)


class TwilioStream:
    """One stream of Twilio: the whole of a call, or a further part of it."""

    def __init__(
        self, socket: WebSocket, keys: ApiKeys, sessions: Sessions, producer: RecordProducer, stats: GatewayStats
    ) -> None:
        self._socket = socket
        self._keys = keys
        self._sessions = sessions
        self._producer = producer
        self._connection = Connection(socket, stats)
        self._session: Session | None = None
        self._index: dict[str, int] = {}
        self._first_sequence: list[int] = []
        self._offset_ms = 0

    async def serve(self) -> None:
        """Run the connection to its end."""
        try:
            await self._connection.serve(self._protocol)
        finally:
            if self._session is not None:
                self._session.detach(self._connection, self._connection.closed_cleanly)

    async def _protocol(self) -> None:
        received = await self._connection.receive_first()
        while await self._handle(received):
            received = await self._connection.receive()

    async def _handle(self, received: str | bytes) -> bool:
        """Do what a message says; False after the last one."""
        if isinstance(received, bytes):
            raise Refusal("bad_message", "Twilio sends text messages, this one is binary")
        message = parse_message(received)
        session = self._session
        match message:
            case Connected():
                return True
            case Start():
                if session is not None:
                    raise Refusal("bad_message", "start comes once")
                self._begin(message.start)
                return True
        if session is None:
            raise Refusal("hello_expected", "start comes before media, dtmf, mark and stop")
        match message:
            case Media(media=media):
                self._media(session, media)
                if self._producer.full:
                    await self._producer.room()
            case Dtmf(dtmf=dtmf):
                # Twilio names the track "inbound_track" here, and "inbound" everywhere else.
                track = TRACKS.get(dtmf.track.removesuffix("_track"))
                session.note("dtmf", dtmf.digit, track if session.has(track) else None)
            case Mark(mark=mark):
                session.note("mark", mark.name, None)
            case Stop():
                self._sessions.end(session, "completed")
                return False
        return True

    def _begin(self, start: StartBody) -> None:
        parameters = dict(start.custom_parameters)
        key = parameters.pop("api_key", None)
        if not (self._keys.admit(key) or self._keys.admit_request(self._socket.headers, self._socket.query_params)):
            raise Refusal("unauthorized", 'send a key: <Parameter name="api_key" value="KEY"/>')
        form = start.media_format
        if (form.encoding, form.sample_rate, form.channels) != ("audio/x-mulaw", 8000, 1):
            raise Refusal(
                "unsupported_codec",
                "Twilio sends audio/x-mulaw at 8000 Hz with 1 channel, not "
                f"{form.encoding} at {form.sample_rate} Hz with {form.channels}",
            )
        unknown = [track for track in start.tracks if track not in TRACKS]
        if unknown or not start.tracks or len(set(start.tracks)) != len(start.tracks):
            raise Refusal("bad_message", f"tracks are inbound, outbound, or both; got {start.tracks}")
        call = Call(
            call_id=self._call_id(check_call_id(start.call_sid)),
            protocol="twilio",
            tracks=tuple(TRACKS[track] for track in start.tracks),
            codec="mulaw",
            sample_rate=8000,
            queue=parameters.pop("queue", None),
            agent=parameters.pop("agent", None),
            customer=parameters.pop("customer", None),
            metadata=parameters | {"stream_sid": start.stream_sid, "account_sid": start.account_sid},
        )
        live = self._sessions.live.get(call.call_id)
        session = (
            self._sessions.resume(call, self._connection)
            if live is not None and live.line is None
            else self._sessions.open(call, self._connection)
        )
        # A stream numbers its media from 1 and stamps them from 0; a resumed call is longer than that already.
        self._index = {track: index for index, track in enumerate(start.tracks)}
        self._first_sequence = [track.next_sequence - 1 for track in session.tracks]
        self._offset_ms = round((time.monotonic() - session.began) * 1000) if live is not None else 0
        self._session = session

    def _call_id(self, call_sid: str) -> str:
        """The id of the stream's call: the ``callSid``, with a number once a stream of it has ended."""
        call_id, number = call_sid, 1
        while self._sessions.has_ended(call_id):
            number += 1
            call_id = f"{call_sid}.{number}"
        return call_id

    def _media(self, session: Session, media: MediaBody) -> None:
        index = self._index.get(media.track)
        if index is None:
            raise Refusal("unknown_track", f"track {media.track!r}: the stream has {', '.join(self._index)}")
        sequence = self._first_sequence[index] + media.chunk
        session.add_frame(index, sequence, media.payload, self._offset_ms + media.timestamp)
