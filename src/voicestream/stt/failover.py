"""The engine of a stage, and another one for as long as that can't be had."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client import Counter

from voicestream.errors import SttError, SttUnavailable
from voicestream.stt.batches import workers_for
from voicestream.stt.engine import Clip, Recognition, SttEngine, load_engine

_SAY_EVERY_S: Final = 60.0
_MORE_S: Final = 5.0  # that the start of the main engine may take where the fallback is ready

_log = logging.getLogger(__name__)

FALLBACKS: Final = Counter("voicestream_stt_fallbacks", "Segments that the fallback engine transcribed.")
UNAVAILABLE: Final = Counter(
    "voicestream_stt_unavailable", "Tries that found no engine of speech to text; the segment waits for the next one."
)


class Outage:
    """Says that nothing can be transcribed: at once, every minute, and when it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._said = 0.0

    def goes_on(self, error: SttError) -> None:
        UNAVAILABLE.inc()
        now = self._clock()
        if self._since is None:
            self._since = now
        elif now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        _log.warning("speech to text is not to be had for %.0f s, segments wait: %s", now - self._since, error)

    def is_over(self) -> None:
        if self._since is None:
            return
        _log.info("speech to text goes on after %.0f s", self._clock() - self._since)
        self._since = None


class Failover:
    """Engines to be called by `at_once` coroutines at once: `main`, and where that fails `fallback`."""

    def __init__(self, main: SttEngine, fallback: SttEngine | None, at_once: int) -> None:
        self.main = main
        self.fallback = fallback
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="stt")
        self._start = ThreadPoolExecutor(1, thread_name_prefix="stt start")  # a long one takes no thread from clips
        self._closed = False
        self._outage = Outage()
        self._said_failing = -math.inf  # time.monotonic()

    async def warm_up(self) -> None:
        """Get the engines ready; raises SttError, and SttUnavailable where not one of them can be had.

        Where the fallback is ready the main engine has 5 s more; after that its start goes on beside the work.
        """
        loop = asyncio.get_running_loop()
        main = loop.run_in_executor(self._start, self.main.warm_up)
        if self.fallback is None:
            await main
            return
        try:
            await loop.run_in_executor(self._threads, self.fallback.warm_up)
        except SttUnavailable as error:
            await main
            _log.warning("speech to text begins without %s: %s", self.fallback.name, error)
            return
        await asyncio.wait([main], timeout=_MORE_S)
        if not main.done():
            _log.warning("speech to text begins without %s, which is not ready yet", self.main.name)
            main.add_done_callback(self._main_has_started)
            return
        try:
            main.result()
        except SttUnavailable as error:
            _log.warning("speech to text begins without %s: %s", self.main.name, error)

    async def transcribe(self, clip: Clip) -> tuple[SttEngine, Recognition]:
        """What was heard, and by which engine.

        Raises SttUnavailable when neither engine could do it now, and SttError when the clip will never be understood.
        """
        engine = self.main
        try:
            recognition = await self._by(engine, clip)
        except SttError as error:
            if self.fallback is None:
                if isinstance(error, SttUnavailable):
                    self._outage.goes_on(error)
                raise
            engine = self.fallback
            recognition = await self._instead(engine, clip, error)
        self._outage.is_over()
        return engine, recognition

    def close(self) -> None:
        """Close the engines; what is in work ends first, or with SttUnavailable where the engine is another machine."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in (self.main, self.fallback):
            if engine is not None:
                engine.close()
        self._start.shutdown()

    async def _by(self, engine: SttEngine, clip: Clip) -> Recognition:
        loop = asyncio.get_running_loop()
        [recognition] = await loop.run_in_executor(self._threads, engine.transcribe, [clip])
        return recognition

    async def _instead(self, fallback: SttEngine, clip: Clip, error: SttError) -> Recognition:
        """What the fallback heard after this error of the main engine; the clip may be to blame, or the engine."""
        try:
            recognition = await self._by(fallback, clip)
        except SttError as second:
            if not isinstance(error, SttUnavailable):
                raise error from second
            both = SttUnavailable(f"{error}; and the fallback, {fallback.name}: {second}")
            self._outage.goes_on(both)
            raise both from second
        FALLBACKS.inc()
        now = time.monotonic()
        if not isinstance(error, SttUnavailable) and now - self._said_failing >= _SAY_EVERY_S:
            self._said_failing = now
            _log.warning("%s understands what %s fails on: %s", fallback.name, self.main.name, error)
        return recognition

    def _main_has_started(self, start: asyncio.Future[None]) -> None:
        """Tell how a start ended that was not waited for."""
        error = None if start.cancelled() else start.exception()
        if self._closed:
            return
        if error is None:
            _log.info("speech to text by %s/%s from now on", self.main.name, self.main.model)
        else:
            _log.warning("speech to text goes on without %s: %s", self.main.name, error)


def load_failover(spec: str, fallback: str | None, model: str, *, at_once: int) -> Failover:
    """The engines of these specs, loaded; SttError and WeightsError as `load_engine` raises them.

    The fallback computes here, for as many segments at once as this process has processors, at most `at_once`.
    """
    spare = None
    if fallback is not None:
        spare = load_engine(fallback, model, capacity=workers_for(at_once, threads=1))
    return Failover(load_engine(spec, model, capacity=at_once), spare, at_once)
