"""Serves the gateway until it is told to stop, and lets the calls in progress end first."""

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn

from voicestream.errors import GatewayError
from voicestream.gateway import consumer, producer
from voicestream.gateway.app import create_app
from voicestream.gateway.gateway import Gateway
from voicestream.settings import Settings
from voicestream.streams.runtime.repeated import limit_repeated

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1024 * 1024


class GatewayServer(uvicorn.Server):
    """uvicorn that drains: the first signal lets calls end, the second one stops at once.

    ``port`` is known, and connections queue, as soon as the object exists; raises ``GatewayError`` where the address is
    taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._socket = _bind(settings.gateway_host, settings.gateway_port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{_for_people(settings.gateway_host)}:{self.port}"
        app = create_app(settings)
        self._gateway: Gateway = app.state.gateway
        self._draining: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # audio does not shrink, and it costs
                timeout_graceful_shutdown=5,
                access_log=False,
                log_config=None,
                # Below that uvicorn writes addresses with their query, where keys may be.
                log_level="warning",
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes, or ``drain_and_stop`` is called."""
        logging.getLogger("uvicorn.error").addFilter(_without_traceback)
        limit_repeated(*(f"{module.__name__}.rdkafka" for module in (consumer, producer)))
        await super().serve(sockets or [self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        log.info("the gateway listens on %s", self.url)

    def drain_and_stop(self) -> None:
        """Let the calls in progress end, as the settings allow, then stop; from the event loop."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is not None or not self.started:
            super().handle_exit(signal.Signals(sig), frame)
            return
        self._loop.call_soon_threadsafe(self.drain_and_stop)

    async def _drain(self) -> None:
        await self._gateway.drain()
        await asyncio.sleep(0.1)  # the last words of the connections go out
        self.should_exit = True


def run(settings: Settings) -> None:
    """Run a gateway in this process until SIGTERM or SIGINT; raises ``GatewayError`` where it cannot start."""
    GatewayServer(settings).run()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise GatewayError(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}; set VOICESTREAM_GATEWAY_HOST or "
            "VOICESTREAM_GATEWAY_PORT (0: a free port)"
        ) from error
    return bound


def _for_people(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host


def _without_traceback(record: logging.LogRecord) -> bool:
    """uvicorn logs text that is not UTF-8 with a traceback; it is the client's fault, and the message says it."""
    if "Invalid UTF-8" in record.msg:
        record.exc_info = None
    return True
