"""One server of speech to text as its client sees it: the connection, whether it can be asked, and its metrics."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import grpc
from grpc import aio
from prometheus_client import Counter, Gauge

from voicestream.stt import stt_pb2
from voicestream.stt.breaker import Breaker
from voicestream.stt.messages import format_of

SERVICE: Final = "voicestream.stt.v1.SpeechToText"
_PROBE_S: Final = 5.0
_OPTIONS: Final = (
    # While there are clips in work a server that is frozen is noticed after 15 s, and by TCP_USER_TIMEOUT, which gRPC
    # sets to the second figure, a host that has vanished after 5 s. Servers take more frequent pings for an attack.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # gRPC waits up to two minutes before it connects again; when to try is the breaker's business.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),  # they would go to the same server
    ("grpc.enable_http_proxy", 0),  # the address is resolved already, no exception of the proxy's would match
)

_log = logging.getLogger(__name__)

REQUESTS: Final = Counter("voicestream_stt_requests", "Requests to servers of speech to text.", ("address", "outcome"))
BREAKER_OPEN: Final = Gauge(
    "voicestream_stt_breaker_open", "1: the server is away, or has another model, and gets no clips.", ("address",)
)


class Server:
    """A server at `address` (IP and port), known as `name`, that should have `model`.

    `changed` is set whenever it becomes usable or stops being so. To be made in the event loop that uses it.
    """

    def __init__(self, address: str, name: str, model: str, changed: asyncio.Event) -> None:
        self.address = address
        self.in_flight = 0
        self.full_until = {True: 0.0, False: 0.0}  # for interim clips, and for others: time.monotonic()
        self.trouble = "not asked yet"
        self.wrong_model = False
        self.checked = False
        self.answered_at = 0.0  # time.monotonic()
        self._model = model
        self._changed = changed
        self._closed = False
        self._breaker = Breaker()
        self._channel = aio.insecure_channel(address, options=(*_OPTIONS, ("grpc.default_authority", name)))
        self._transcribe = self._channel.unary_unary(
            f"/{SERVICE}/Transcribe",
            request_serializer=stt_pb2.TranscribeRequest.SerializeToString,
            response_deserializer=stt_pb2.Transcript.FromString,
        )
        self.stream = self._channel.stream_stream(
            f"/{SERVICE}/StreamingTranscribe",
            request_serializer=stt_pb2.StreamingRequest.SerializeToString,
            response_deserializer=stt_pb2.StreamingResponse.FromString,
        )
        self._opened = asyncio.Event()
        self._opened.set()
        BREAKER_OPEN.labels(address).set(1)
        self._watch = asyncio.create_task(self._probe_while_open())

    @property
    def usable(self) -> bool:
        return self._breaker.state == "closed"

    async def ask(self, request: stt_pb2.TranscribeRequest, timeout_s: float) -> stt_pb2.Transcript:
        """The answer; raises aio.AioRpcError. Cancelling it cancels the request on the server."""
        self.in_flight += 1
        try:
            transcript = await self._call(request, timeout_s)
        except aio.AioRpcError as error:
            refused = request.interim and error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            self.count("interim_refused" if refused else error.code().name.lower())
            raise
        except asyncio.CancelledError:
            self.count("cancelled")
            raise
        finally:
            self.in_flight -= 1
        self.count("ok" if self.has_right_model(transcript) else "wrong_model")
        return transcript

    def count(self, outcome: str) -> None:
        REQUESTS.labels(self.address, outcome).inc()

    def has_right_model(self, transcript: stt_pb2.Transcript) -> bool:
        return transcript.model == self._model

    def answered(self) -> None:
        """It is there, whatever it said."""
        self.answered_at = time.monotonic()
        self._note(self._breaker.succeeded)

    def failed(self, trouble: str) -> None:
        """It did not answer, or not as it should; several of these in a row, and it gets no more clips."""
        self.trouble = trouble
        self._note(self._breaker.failed)

    def leave_out(self, trouble: str, *, wrong_model: bool = False) -> None:
        """It is not what we need, and gets no more clips until a probe says otherwise."""
        self.trouble, self.wrong_model = trouble, wrong_model
        self._note(self._breaker.trip)

    def leave_out_for_model(self, transcript: stt_pb2.Transcript) -> None:
        self.leave_out(f"it has the model {transcript.model}, not {self._model}", wrong_model=True)

    async def close(self, grace_s: float | None = None) -> None:
        """End the connection, and after `grace_s` what is under way on it."""
        self._closed = True
        self._watch.cancel()
        with suppress(KeyError):  # another client of this process had it too
            BREAKER_OPEN.remove(self.address)
        await self._channel.close(grace_s)

    def _note(self, what: Callable[[], None]) -> None:
        if self._closed:
            return  # clips that were in work: its gauge would come back
        was_usable = self.usable
        what()
        if self.usable == was_usable:
            return
        BREAKER_OPEN.labels(self.address).set(0 if self.usable else 1)
        if self.usable:
            self.wrong_model, self.trouble = False, "it answers"
            _log.info("speech to text: the server %s takes clips", self.address)
        else:
            _log.warning("speech to text: the server %s gets no clips for now: %s", self.address, self.trouble)
            self._opened.set()
        self._changed.set()

    async def _call(self, request: stt_pb2.TranscribeRequest, timeout_s: float) -> stt_pb2.Transcript:
        try:
            transcript: stt_pb2.Transcript = await self._transcribe(request, timeout=timeout_s)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise cut_off() from None
        return transcript

    async def _probe_while_open(self) -> None:
        while True:
            await self._opened.wait()
            while not self.usable:
                await asyncio.sleep(self._breaker.probe_in_s * random.uniform(1.0, 1.2))  # clients not all at once
                if self._breaker.probe():
                    await self._probe()
                    self.checked = True
                    self._changed.set()
            self._opened.clear()

    async def _probe(self) -> None:
        """Ask for the words of nothing, which a server that is busy may refuse."""
        request = stt_pb2.TranscribeRequest(format=format_of(16_000, None), interim=True)
        known, self.wrong_model = self.trouble, False
        try:
            transcript = await self._call(request, _PROBE_S)
        except aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.answered()
            else:
                self.failed(trouble_of(error))
        except Exception as error:  # whatever it is, the next probe must come
            self.failed(f"the probe failed: {error!r}")
        except BaseException:
            self.failed("the probe was cut off")
            raise
        else:
            if self.has_right_model(transcript):
                self.answered()
            else:
                self.leave_out_for_model(transcript)
        if not self.usable and self.trouble != known:
            _log.warning("speech to text: the server %s gets no clips for now: %s", self.address, self.trouble)


def is_cancelled() -> bool:
    """Whether this task is to end; gRPC raises CancelledError too where it was the server that cancelled the call."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def cut_off() -> aio.AioRpcError:
    """What a server means that cancels a call: it stops."""
    nothing = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "the server cut the call off")


def trouble_of(error: aio.AioRpcError) -> str:
    """An error of gRPC in one line."""
    return f"{error.code().name}: {error.details()}"


def pushback_s(error: aio.AioRpcError) -> float | None:
    """In how many seconds the server wants to be asked again; infinite: not at all; None: it does not say (gRFC A6)."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-retry-pushback-ms":
            text = value.decode() if isinstance(value, bytes) else value
            return int(text) / 1000 if text.isdecimal() else float("inf")
    return None
