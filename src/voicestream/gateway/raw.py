"""``WS /v1/calls/{call_id}``: our own protocol (``docs/protocol.md``)."""

from starlette.websockets import WebSocket

from voicestream.gateway.auth import ApiKeys
from voicestream.gateway.connection import Connection
from voicestream.gateway.producer import RecordProducer
from voicestream.gateway.protocol import (
    Dtmf,
    End,
    Hello,
    Mark,
    Refusal,
    check_call_id,
    check_format,
    parse_frame,
    parse_message,
)
from voicestream.gateway.session import Call, Session
from voicestream.gateway.sessions import Sessions
from voicestream.gateway.stats import GatewayStats

SETTLE_S = 10.0


class RawCall:
    """One connection of our own protocol."""

    def __init__(
        self,
        socket: WebSocket,
        call_id: str,
        keys: ApiKeys,
        sessions: Sessions,
        producer: RecordProducer,
        stats: GatewayStats,
    ) -> None:
        self._socket = socket
        self._call_id = call_id
        self._keys = keys
        self._sessions = sessions
        self._producer = producer
        self._connection = Connection(socket, stats)
        self._session: Session | None = None

    async def serve(self) -> None:
        """Run the connection to its end."""
        try:
            await self._connection.serve(self._protocol)
        finally:
            if self._session is not None:
                self._session.detach(self._connection, self._connection.closed_cleanly)

    async def _protocol(self) -> None:
        session = self._session = await self._hello()
        while True:
            received = await self._connection.receive()
            if isinstance(received, bytes):
                session.add_frame(*parse_frame(received))
                if self._producer.full:
                    await self._producer.room()
                continue
            match parse_message(received):
                case Dtmf(digit=digit, track=track):
                    session.note("dtmf", digit, track)
                case Mark(name=name, track=track):
                    session.note("mark", name, track)
                case End(reason=reason):
                    await self._end(session, reason)
                    return
                case Hello():
                    raise Refusal("bad_message", "hello comes once, first")

    async def _hello(self) -> Session:
        # A refusal waits for the first message, so that every client is there to hear it.
        received = await self._connection.receive_first()
        if not self._keys.admit_request(self._socket.headers, self._socket.query_params):
            raise Refusal("unauthorized", "send a key: Authorization: Bearer KEY, or ?api_key=KEY")
        check_call_id(self._call_id)
        hello = parse_message(received) if isinstance(received, str) else None
        if not isinstance(hello, Hello):
            raise Refusal("hello_expected", 'the first message is {"type": "hello", …}')
        check_format(hello.codec, hello.sample_rate)
        if not hello.tracks or len(set(hello.tracks)) != len(hello.tracks):
            raise Refusal("bad_message", "name at least one track, each at most once")
        call = Call(
            call_id=self._call_id,
            protocol="raw",
            tracks=tuple(hello.tracks),
            codec=hello.codec,
            sample_rate=hello.sample_rate,
            queue=hello.queue,
            agent=hello.agent,
            customer=hello.customer,
            metadata=hello.metadata,
        )
        begin = self._sessions.open if hello.resume is None else self._sessions.resume
        session = begin(call, self._connection)
        following = {track.name: track.next_sequence for track in session.tracks}
        await self._connection.say({"type": "welcome", "call_id": self._call_id, "next": following})
        self._connection.begin_acks()
        return session

    async def _end(self, session: Session, reason: str) -> None:
        if reason not in {"completed", "hangup"}:
            raise Refusal("bad_message", f"a client ends a call with reason completed or hangup, not {reason!r}")
        self._sessions.end(session, reason)
        await session.settled(SETTLE_S)
        await self._connection.flush_acks()
        await self._connection.say(
            {"type": "ended", "call_id": self._call_id, "reason": reason, "duration_ms": session.duration_ms}
        )
