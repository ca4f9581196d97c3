"""A WebSocket that carries a call: its one reader, its one writer, and how it is closed."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from voicestream.gateway.protocol import MAX_FRAME_BYTES, Refusal
from voicestream.gateway.stats import GatewayStats
from voicestream.records import Track

log = logging.getLogger(__name__)

HEADER_ROOM = 1024
FIRST_MESSAGE_S = 10.0
CLOSED_CLEANLY = (1000, 1001)


class Connection:
    """Implements ``session.Line``. ``serve`` runs the protocol and turns whatever goes wrong into a message and a close
    code; acknowledgements go out by a writer of their own, only the newest of each track."""

    def __init__(self, socket: WebSocket, stats: GatewayStats) -> None:
        self.socket = socket
        self.closed_cleanly = False
        self._stats = stats
        self._acks: dict[Track, int] = {}
        self._ack_ready = asyncio.Event()
        self._last_words: tuple[dict[str, object], int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    async def serve(self, protocol: Callable[[], Awaitable[None]]) -> None:
        """Accept, run ``protocol`` to its end, close; never raises."""
        await self.socket.accept()
        self._task = asyncio.current_task()
        try:
            await protocol()
            await self._close(1000, "")
        except WebSocketDisconnect as gone:
            self.closed_cleanly = gone.code in CLOSED_CLEANLY
        except Refusal as refusal:
            log.info("connection refused: %s: %s", refusal.code, refusal)
            await self._refuse(refusal)
        except asyncio.CancelledError:
            if self._last_words is None:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # we are in a task
            payload, code = self._last_words
            await self._say_and_close(payload, code, str(payload.get("code", payload.get("reason", ""))))
        except Exception:
            log.exception("a connection failed")
            await self._refuse(Refusal("internal", "a fault of the gateway; its log says more"))
        finally:
            if self._writer is not None:
                self._writer.cancel()

    async def receive(self) -> str | bytes:
        """The next message; raises ``WebSocketDisconnect`` or ``Refusal`` (``frame_too_big``)."""
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message.get("reason"))
        data: bytes | None = message.get("bytes")
        received: str | bytes = message["text"] if data is None else data
        if len(received) > MAX_FRAME_BYTES + HEADER_ROOM:
            raise Refusal("frame_too_big", f"a message has at most {MAX_FRAME_BYTES} bytes, got {len(received)}")
        return received

    async def receive_first(self) -> str | bytes:
        """As ``receive``; raises ``Refusal`` (``hello_expected``) where nothing comes for long."""
        try:
            return await asyncio.wait_for(self.receive(), FIRST_MESSAGE_S)
        except TimeoutError:
            raise Refusal("hello_expected", f"nothing came for {FIRST_MESSAGE_S:g} s") from None

    async def say(self, payload: dict[str, object]) -> None:
        """Send a JSON message; one that finds nobody is dropped."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            await self.socket.send_text(msgspec.json.encode(payload).decode())

    def begin_acks(self) -> None:
        """From now on send acknowledgements as they come."""
        self._writer = asyncio.create_task(self._write_acks())

    async def flush_acks(self) -> None:
        """Send the acknowledgements that wait."""
        while self._acks:
            track, sequence = self._acks.popitem()
            await self.say({"type": "ack", "track": track, "sequence": sequence})

    def acknowledge(self, track: Track, sequence: int) -> None:
        self._acks[track] = sequence
        self._ack_ready.set()

    def refuse(self, refusal: Refusal) -> None:
        self._stats.refused[refusal.code] += 1
        self._interrupt(refusal.payload(), refusal.close_code)

    def farewell(self, reason: str, duration_ms: int) -> None:
        self._interrupt({"type": "ended", "reason": reason, "duration_ms": duration_ms}, 1012)

    def _interrupt(self, payload: dict[str, object], code: int) -> None:
        self._last_words = (payload, code)
        if self._task is not None and not self._closing:
            self._task.cancel()

    async def _write_acks(self) -> None:
        while True:
            await self._ack_ready.wait()
            self._ack_ready.clear()
            await self.flush_acks()

    async def _refuse(self, refusal: Refusal) -> None:
        self._stats.refused[refusal.code] += 1
        await self._say_and_close(refusal.payload(), refusal.close_code, refusal.code)

    async def _say_and_close(self, payload: dict[str, object], code: int, reason: str) -> None:
        self._closing = True
        await self.say(payload)
        await self._close(code, reason)

    async def _close(self, code: int, reason: str) -> None:
        self._closing = True
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            await self.socket.close(code, reason)
