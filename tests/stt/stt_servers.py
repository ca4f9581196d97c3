"""Real gRPC servers of speech to text that do what a test tells them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import grpc
from grpc import aio

from voicestream.stt import stt_pb2

T = TypeVar("T")
Request = stt_pb2.TranscribeRequest
Answer = Callable[[Request, Any], Awaitable[stt_pb2.Transcript]]
Stream = Callable[[AsyncIterator[stt_pb2.StreamingRequest], Any], AsyncIterator[stt_pb2.StreamingResponse]]

SERVICE = "voicestream.stt.v1.SpeechToText"


def said(text: str, model: str = "tiny.en") -> stt_pb2.Transcript:
    return stt_pb2.Transcript(text=text, model=model, language="en", confidence=0.9, inference_ms=1.0)


async def echo(request: Request, context: Any) -> stt_pb2.Transcript:
    """Says how many samples it was given."""
    return said(f"{len(request.audio) // 2} samples")


def refuse(code: grpc.StatusCode, pushback_ms: str | None = None) -> Answer:
    async def answer(request: Request, context: Any) -> stt_pb2.Transcript:
        if pushback_ms is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback_ms),))
        await context.abort(code, f"scripted {code.name}")

    return answer


async def hang(request: Request, context: Any) -> stt_pb2.Transcript:
    await asyncio.sleep(3600)
    return said("too late")


class ScriptedServer:
    """Answers clips by `script`, one entry each, and then by `answer`; probes (clips of nothing) by its model."""

    def __init__(self, answer: Answer = echo, *, script: tuple[Answer, ...] = (), model: str = "tiny.en") -> None:
        self.answer = answer
        self.script = list(script)
        self.model = model
        self.stream: Stream | None = None
        self.requests: list[Request] = []
        self.in_work = 0
        self.cancelled = 0
        self.probes = 0
        self.address = "127.0.0.1:0"

    async def start(self) -> None:
        """At the address that it had before, if it had one."""
        self._server = aio.server(options=(("grpc.so_reuseport", 0),))
        methods = {
            "Transcribe": grpc.unary_unary_rpc_method_handler(
                self._transcribe, Request.FromString, stt_pb2.Transcript.SerializeToString
            ),
            "StreamingTranscribe": grpc.stream_stream_rpc_method_handler(
                self._stream, stt_pb2.StreamingRequest.FromString, stt_pb2.StreamingResponse.SerializeToString
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        port = self._server.add_insecure_port(self.address)
        self.address = f"{self.address.rpartition(':')[0]}:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """At once, as when it crashes."""
        await self._server.stop(None)

    async def _transcribe(self, request: Request, context: Any) -> stt_pb2.Transcript:
        if not request.audio:
            self.probes += 1
            return said("", self.model)
        self.requests.append(request)
        self.in_work += 1
        try:
            transcript = await (self.script.pop(0) if self.script else self.answer)(request, context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_work -= 1
        transcript.model = self.model
        return transcript

    async def _stream(self, requests: AsyncIterator[stt_pb2.StreamingRequest], context: Any) -> AsyncIterator[Any]:
        assert self.stream is not None, "the test says what it streams"
        self.in_work += 1
        try:
            async for response in self.stream(requests, context):
                response.transcript.model = self.model
                yield response
        finally:
            self.in_work -= 1


@asynccontextmanager
async def serving(*servers: ScriptedServer) -> AsyncIterator[str]:
    """The URL of the servers, which run in this event loop."""
    for server in servers:
        await server.start()
    try:
        yield "grpc://" + ",".join(server.address for server in servers)
    finally:
        for server in servers:
            await server.stop()


class Beside:
    """An event loop in a thread, for servers whose callers block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def later(self, delay_s: float, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(delay_s)
            await work()

        asyncio.run_coroutine_threadsafe(wait(), self.loop)


@contextmanager
def beside(*servers: ScriptedServer) -> Iterator[Beside]:
    """The servers run beside the caller's thread."""
    at = Beside()
    at.thread.start()
    try:
        for server in servers:
            at.do(server.start())
        yield at
        for server in servers:
            at.do(server.stop())
    finally:
        at.loop.call_soon_threadsafe(at.loop.stop)
        at.thread.join()
        at.loop.close()
