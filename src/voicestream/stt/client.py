"""An asyncio client of the native server of speech to text, or of several.

gRPC itself would retry and balance, but within one name, blind to how much each server has in work, to which model it
has and to whether it answers at all. Hence here: a connection to each address, the one with the fewest clips in work
is asked, what fails is asked of another one, and an address that fails again and again is left alone until a probe
succeeds.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import grpc
from grpc import aio

from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError, SttUnavailable
from voicestream.stt import stt_pb2
from voicestream.stt.addresses import Host, addresses_of, hosts_of
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.messages import format_of, recognition_of, request_of
from voicestream.stt.server import Server, cut_off, is_cancelled, pushback_s, trouble_of

_QUEUE_S: Final = 5.0  # that a server may take for a clip beside the clip's own length, its queue included
_TRIES: Final = 2  # that may run into that limit: so long is a clip tried at all
_LOOK_UP_S: Final = 30.0
_GRACE_S: Final = 60.0  # that clips in work may take at a server whose address is gone
_SAY_S: Final = 10.0
_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 1.0
_INTERNAL_TRIES: Final = 2  # of a clip that a server fails on: maybe it is the server

_RACE: Final = "Internal error from Core"  # grpc.aio, where a stream ended while it was written to: not the true end

_NEVER_WORKS: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE}
)
_NO_SUCH_SERVICE: Final = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript within a stream: of which segment, counted from 0, and whether more will come of it."""

    segment: int
    final: bool
    recognition: Recognition


class SttClient:
    """Servers at `url`, `grpc://HOST:PORT[,HOST:PORT...]`, that have `model`; an async context manager.

    A name that has several addresses stands for as many servers, and is looked up again every 30 s. A server with
    another model gets no clips. A clip is tried for twice its length and 10 s, with half of that for each try; an
    interim one is tried once. Raises SttError where the URL makes no sense.
    """

    def __init__(self, url: str, model: str) -> None:
        self.model = model
        self._hosts = hosts_of(url)
        self._servers: dict[str, Server] = {}
        self._found: dict[Host, list[str]] = {}
        self._unknown: dict[Host, str] = {}
        self._retired: set[asyncio.Task[None]] = set()
        self._looked_up = asyncio.Event()
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow_names())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._following is not None, "entered before"
        for task in (self._following, *self._retired):
            task.cancel()
        await asyncio.gather(self._following, *self._retired, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        self._servers.clear()

    async def ready(self, within_s: float) -> None:
        """Wait until a server can be asked.

        Raises SttError when there are servers, and all have another model, and SttUnavailable after `within_s`.
        """
        started = time.monotonic()
        while not any(server.usable for server in self._servers.values()):
            left_s = started + within_s - time.monotonic()
            if left_s <= 0:
                raise SttUnavailable(
                    f"no server of speech to text within {within_s:g} s ({self._troubles()}): "
                    "start `stt_server --listen ADDRESS --model FILE` there, or correct the address"
                )
            if self._servers and not self._unknown and all(one.wrong_model for one in self._servers.values()):
                raise SttError(f"no server of speech to text has the model {self.model}: {self._troubles()}")
            self._changed.clear()
            try:
                async with asyncio.timeout(min(left_s, _SAY_S)):
                    await self._changed.wait()
            except TimeoutError:
                _log.warning("still waiting for a server of speech to text: %s", self._troubles())

    async def transcribe(self, clip: Clip) -> Recognition:
        """What a server heard in the clip.

        Raises SttUnavailable when none can take it now: all are away, full, or too slow; and SttError when it will
        never work: the server refuses the clip, or inference failed twice.
        """
        request = request_of(clip)
        try_s = _QUEUE_S + clip.duration_ms / 1000
        end = time.monotonic() + _TRIES * try_s
        await self._checked(end)
        not_before: dict[Server, float] = {}
        failures = internal = 0
        failed_on_it: Server | None = None
        while True:
            server, wait_s = self._choose(not_before, interim=clip.interim, last_resort=failed_on_it)
            left_s = end - time.monotonic() - wait_s
            if left_s <= 0 or (clip.interim and (failures or wait_s > 0)):
                raise SttUnavailable(f"every server of speech to text is full or too slow: {self._troubles()}")
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            asked_at = time.monotonic()
            try:
                transcript = await server.ask(request, min(try_s, left_s))
            except aio.AioRpcError as error:
                failures += 1
                if error.code() == grpc.StatusCode.INTERNAL:
                    internal, failed_on_it = internal + 1, server
                not_before[server] = time.monotonic() + self._judge(
                    server, error, asked_at, failures, interim=clip.interim
                )
                if internal >= _INTERNAL_TRIES:
                    raise SttError(f"speech to text by {server.address}: {trouble_of(error)}") from error
                continue
            if server.has_right_model(transcript):
                server.answered()
                return recognition_of(transcript)
            server.leave_out_for_model(transcript)

    async def stream(
        self,
        audio: AsyncIterable[Pcm | None],
        *,
        sample_rate: int,
        language: str | None = None,
        interim_interval_ms: int = 0,
    ) -> AsyncIterator[Heard]:
        """Transcripts of speech while it is spoken: interim ones of a growing segment, then its final one.

        `audio` gives pieces of mono speech, and None where a segment ends. An interim transcript is made whenever the
        segment has grown by `interim_interval_ms` (0: as the server has it, a second). Nothing is asked again: the
        audio is gone. Raises SttUnavailable when the server is away, full, or went away in the middle, and SttError
        when it refuses the audio.
        """
        await self._checked(time.monotonic() + _QUEUE_S)
        server, _ = self._choose({}, interim=False)
        call = server.stream()
        writing = asyncio.create_task(_write(call, audio, sample_rate, language, interim_interval_ms))
        server.in_flight += 1
        asked_at = time.monotonic()
        outcome = "cancelled"
        try:
            async for response in call:
                if not server.has_right_model(response.transcript):
                    server.leave_out_for_model(response.transcript)
                    raise SttUnavailable(f"speech to text by {server.address}: {server.trouble}")
                yield Heard(response.segment, response.final, recognition_of(response.transcript))
            await writing
            outcome = "ok"
            server.answered()
        except (aio.AioRpcError, asyncio.CancelledError) as error:
            if writing.done() and not writing.cancelled() and (cause := writing.exception()) is not None:
                raise cause from None  # what `audio` raised ended the call
            if isinstance(error, asyncio.CancelledError):
                if is_cancelled():
                    raise
                error = cut_off()
            outcome = error.code().name.lower()
            self._judge(server, error, asked_at)
            kind = SttError if outcome == "internal" and error.details() != _RACE else SttUnavailable
            raise kind(f"speech to text by {server.address}: {trouble_of(error)}") from error
        finally:
            server.count(outcome)
            server.in_flight -= 1
            call.cancel()
            writing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await writing

    def _choose(
        self, not_before: dict[Server, float], *, interim: bool, last_resort: Server | None = None
    ) -> tuple[Server, float]:
        """Whom to ask, and in how many seconds; raises SttUnavailable when there is nobody.

        `last_resort` is asked where no server is usable: it has failed on the clip, and whether the clip is to blame
        must come out, else a clip that trips the breaker each time would wait for ever.
        """
        servers = self._servers.values()
        usable = [server for server in servers if server.usable] or [one for one in servers if one is last_resort]
        if not usable:
            raise SttUnavailable(f"no server of speech to text can be asked: {self._troubles()}")
        now = time.monotonic()

        def eligible_in(server: Server) -> float:
            return max(server.full_until[interim], server.full_until[False], not_before.get(server, 0.0)) - now

        best = min(usable, key=lambda server: (max(0.0, eligible_in(server)), server.in_flight, random.random()))
        return best, max(0.0, eligible_in(best))

    def _judge(
        self, server: Server, error: aio.AioRpcError, asked_at: float, failures: int = 1, *, interim: bool = False
    ) -> float:
        """What an error says of the server; in how many seconds it may be asked again for the same clip."""
        code, trouble = error.code(), trouble_of(error)
        backoff_s = min(_FIRST_BACKOFF_S * 2.0**failures, _LONGEST_BACKOFF_S) * random.uniform(0.5, 1.0)
        if code in _NEVER_WORKS:
            server.answered()
            raise SttError(f"speech to text by {server.address}: {error.details()}") from error
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            server.answered()
            server.trouble = trouble
            asked_s = pushback_s(error)
            if asked_s is None:
                return backoff_s
            if math.isfinite(asked_s):
                # For all clips of the kind, but not for all at the same moment: interim ones make way for others.
                server.full_until[interim] = time.monotonic() + asked_s * random.uniform(1.0, 1.3)
            return max(asked_s, _FIRST_BACKOFF_S)
        if code in _NO_SUCH_SERVICE:
            server.leave_out(trouble)
        elif code == grpc.StatusCode.DEADLINE_EXCEEDED and server.answered_at > asked_at:
            server.trouble = trouble  # it is slow, not away: it answered others meanwhile
        else:
            server.failed(trouble)
        return backoff_s

    async def _checked(self, end: float) -> None:
        """Wait until a server can be asked, or all have been probed once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                await self._looked_up.wait()
                while not any(server.usable for server in self._servers.values()):
                    if all(server.checked for server in self._servers.values()):
                        break
                    self._changed.clear()
                    await self._changed.wait()

    def _troubles(self) -> str:
        said = [f"{server.address}: {server.trouble}" for server in self._servers.values()]
        return "; ".join([*said, *(f"{host}: {trouble}" for host, trouble in self._unknown.items())])

    async def _follow_names(self) -> None:
        while True:
            await asyncio.gather(*(self._look_up(host) for host in self._hosts))
            known = {address: host for host, found in self._found.items() for address in found}
            for address in known.keys() - self._servers.keys():
                self._servers[address] = Server(address, str(known[address]), self.model, self._changed)
            for address in self._servers.keys() - known.keys():
                _log.info("speech to text: the server %s is no more", address)
                task = asyncio.create_task(self._servers.pop(address).close(_GRACE_S))
                self._retired.add(task)
                task.add_done_callback(self._retired.discard)
            self._looked_up.set()
            self._changed.set()
            await asyncio.sleep(_LOOK_UP_S if not self._unknown else 1.0)

    async def _look_up(self, host: Host) -> None:
        try:
            self._found[host] = await addresses_of(host)
        except (OSError, ValueError) as error:  # what was found before stays
            if host not in self._unknown:
                _log.warning("speech to text: the name %s has no address: %s", host.name, error)
            self._unknown[host] = f"the name has no address ({error})"
        else:
            self._unknown.pop(host, None)


async def _write(
    call: aio.StreamStreamCall, audio: AsyncIterable[Pcm | None], sample_rate: int, language: str | None, every_ms: int
) -> None:
    try:
        first = stt_pb2.StreamingRequest(format=format_of(sample_rate, language), interim_interval_ms=every_ms)
        await call.write(first)
        async for piece in audio:
            message = (
                stt_pb2.StreamingRequest(end_of_segment=True)
                if piece is None
                else stt_pb2.StreamingRequest(audio=piece.astype("<i2").tobytes())
            )
            await call.write(message)
        await call.done_writing()
    except (aio.AioRpcError, asyncio.InvalidStateError):
        pass  # the call has ended, and says why where it is read
    except Exception:
        call.cancel()
        raise
