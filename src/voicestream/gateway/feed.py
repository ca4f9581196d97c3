"""``WS /v1/feed``: the records of the result topics as JSON, to as many readers as there are."""

import asyncio
import contextlib
from collections import deque

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from voicestream.gateway.auth import ApiKeys
from voicestream.gateway.connection import Connection
from voicestream.gateway.protocol import Refusal
from voicestream.gateway.stats import GatewayStats
from voicestream.streams.record import Record

QUEUE = 1_000
MARKERS = frozenset({"EndOfCall", "EndOfUtterance"})

_JSON = msgspec.json.Encoder()


class Subscription:
    """What waits for one reader; messages that find no room are dropped and counted."""

    def __init__(self, call_id: str | None = None, types: frozenset[str] = frozenset(), size: int = QUEUE) -> None:
        self._call_id = call_id
        self._types = types
        self._size = size
        self._waiting: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self.dropped = 0

    def wants(self, name: str, record: Record) -> bool:
        if self._call_id is not None and getattr(record, "call_id", None) != self._call_id:
            return False
        return name in self._types if self._types else name not in MARKERS

    def push(self, message: bytes) -> bool:
        """Queue ``message``; False where there is no room."""
        if len(self._waiting) >= self._size:
            self.dropped += 1
            return False
        self._waiting.append(message)
        self._ready.set()
        return True

    async def next(self) -> bytes:
        """The next message for the reader: first of all how many were dropped, if any were."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            return _JSON.encode({"type": "Dropped", "count": dropped})
        return self._waiting.popleft()


class Feed:
    """All readers of the feed."""

    def __init__(self, stats: GatewayStats) -> None:
        self.subscriptions: set[Subscription] = set()
        self._stats = stats

    def publish(self, record: Record) -> None:
        """Give ``record`` to the readers who want it."""
        name = type(record).__name__
        message: bytes | None = None
        for subscription in self.subscriptions:
            if not subscription.wants(name, record):
                continue
            if message is None:
                message = _JSON.encode({"type": name} | msgspec.structs.asdict(record))
            if not subscription.push(message):
                self._stats.feed_dropped += 1

    async def serve(self, socket: WebSocket, keys: ApiKeys) -> None:
        """Serve one reader until it goes."""
        connection = Connection(socket, self._stats)
        await connection.serve(lambda: self._send(connection, keys))

    async def _send(self, connection: Connection, keys: ApiKeys) -> None:
        socket = connection.socket
        query = socket.query_params
        if not keys.admit_request(socket.headers, query):
            raise Refusal("unauthorized", "send a key: Authorization: Bearer KEY, or ?api_key=KEY")
        types = frozenset(name for name in query.get("types", "").split(",") if name)
        subscription = Subscription(query.get("call_id"), types)
        self.subscriptions.add(subscription)
        await connection.say({"type": "Hello"})
        sender = asyncio.create_task(self._forward(connection, subscription))
        try:
            while True:
                await connection.receive()  # readers have nothing to say: this waits for the end
        finally:
            self.subscriptions.discard(subscription)
            sender.cancel()

    async def _forward(self, connection: Connection, subscription: Subscription) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            while True:
                await connection.socket.send_text((await subscription.next()).decode())
