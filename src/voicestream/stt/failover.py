"""The engine of a stage, and another one for as long as that can't be had."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client import Counter

from voicestream.errors import SttError, SttUnavailable
from voicestream.stt.engine import Clip, Recognition, SttEngine, load_engine

_SAY_EVERY_S: Final = 60.0

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
    """Engines to be called by `at_once` coroutines at once: `main`, and while that is unavailable `fallback`."""

    def __init__(self, main: SttEngine, fallback: SttEngine | None, at_once: int) -> None:
        self.main = main
        self.fallback = fallback
        self._engines = [main] if fallback is None else [main, fallback]
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="stt")
        self._outage = Outage()

    async def warm_up(self) -> None:
        """Get the engines ready; raises SttError, and SttUnavailable where not one of them can be had."""
        loop = asyncio.get_running_loop()
        away: list[tuple[SttEngine, SttUnavailable]] = []
        for engine in self._engines:
            try:
                await loop.run_in_executor(self._threads, engine.warm_up)
            except SttUnavailable as error:
                away.append((engine, error))
        if len(away) == len(self._engines):
            raise away[0][1]
        for engine, why in away:
            _log.warning("speech to text begins without %s: %s", engine.name, why)

    async def transcribe(self, clip: Clip) -> tuple[SttEngine, Recognition]:
        """What was heard, and by which engine.

        Raises SttUnavailable when neither engine could do it now, and SttError when the clip will never be understood.
        """
        loop = asyncio.get_running_loop()
        engine = self.main
        try:
            [recognition] = await loop.run_in_executor(self._threads, engine.transcribe, [clip])
        except SttUnavailable as error:
            if self.fallback is None:
                self._outage.goes_on(error)
                raise
            engine = self.fallback
            try:
                [recognition] = await loop.run_in_executor(self._threads, engine.transcribe, [clip])
            except SttError as second:
                both = SttUnavailable(f"{error}; and the fallback, {engine.name}: {second}")
                self._outage.goes_on(both)
                raise both from second
            FALLBACKS.inc()
        self._outage.is_over()
        return engine, recognition

    def close(self) -> None:
        """Close the engines; what is in work ends first, or with SttUnavailable where the engine is another machine."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for engine in self._engines:
            engine.close()


def load_failover(spec: str, fallback: str | None, model: str, *, at_once: int) -> Failover:
    """The engines of these specs, loaded; SttError and WeightsError as `load_engine` raises them.

    The fallback computes here, for as many segments at once as there are processors, at most `at_once`.
    """
    spare = None
    if fallback is not None:
        spare = load_engine(fallback, model, capacity=min(at_once, os.cpu_count() or 1))
    return Failover(load_engine(spec, model, capacity=at_once), spare, at_once)
