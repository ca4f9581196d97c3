"""The words so far of segments that are still open, for captions while somebody speaks.

Nothing here is kept or done twice: captions are of use for seconds, and the final transcript replaces them. So whatever
is lost, late or too much is left out, and the utterance has its words when it ends.
"""

import asyncio
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import numpy as np
from prometheus_client import Counter

from voicestream.errors import SttError, SttUnavailable
from voicestream.records import EndOfUtterance, SpeechPiece, Transcript, Word
from voicestream.streams.clock import now_ms
from voicestream.stt.agreement import Agreement
from voicestream.stt.engine import Clip, SttEngine
from voicestream.stt.guards import guard

log = logging.getLogger(__name__)

LATE_MS: Final = 2_000  # behind the voice: nobody waits for a caption as long
BEGIN_S: Final = 0.5  # of a batch in which passes are begun: what waits meanwhile is newer
PASS_S: Final = 3.0  # that a batch waits for a pass, of a server that hangs, say
FORGET_MS: Final = 10_000  # without a piece: what would have ended the utterance is on its way to another worker
NICENESS: Final = 10  # more than that of the process

Outcome = Literal["shown", "nothing_new", "late", "unavailable", "failed"]
T = TypeVar("T")

PASSES: Final = Counter("voicestream_captions_passes", "Passes over open segments, by what came of them.", ("outcome",))


@dataclass
class _Open:
    """An utterance that goes on: its audio so far and the words that have been shown."""

    newest: SpeechPiece
    heard_ms: int
    audio: bytearray = field(default_factory=bytearray)
    words: Agreement = field(default_factory=Agreement)
    waits_since_ms: int | None = None
    """When the first audio came that no pass has heard."""


class BackgroundThreads:
    """Threads for passes; on Linux they, and threads that an engine starts in them, give way to all others.

    So where finals are transcribed on the same machine, they don't wait for interims.
    """

    def __init__(self, count: int) -> None:
        self.count: Final = count
        self._pool = ThreadPoolExecutor(count, "captions", initializer=_give_way)

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns, or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Begin nothing more, and let the threads end behind what they do."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Captions:
    """The open utterances of a worker."""

    def __init__(self, engine: SttEngine, threads: BackgroundThreads, language: str | None = None) -> None:
        self._engine = engine
        self._threads = threads
        self._language = language
        self._open: dict[str, _Open] = {}  # the one that was heard of last is last

    async def hear(self, batch: Iterable[SpeechPiece | EndOfUtterance]) -> list[Transcript]:
        """Take what has come, transcribe what is new, and return what can be shown of it.

        Utterances are transcribed in the order in which they began to wait, each as far as it has come. Those for which
        there is no time wait for the next batch.
        """
        now = now_ms()
        for record in batch:
            if isinstance(record, EndOfUtterance):
                self._open.pop(record.utterance_id, None)
            else:
                self._take(record, now)
        self._forget(now)
        waiting = deque(self._waiting(now))
        shown: list[Transcript] = []
        loop = asyncio.get_running_loop()
        end = loop.time() + BEGIN_S

        async def work() -> None:
            while waiting and loop.time() < end:
                if (caption := await self._pass(waiting.popleft())) is not None:
                    shown.append(caption)

        await asyncio.gather(*(work() for _ in range(min(self._threads.count, len(waiting)))))
        return shown

    def _take(self, piece: SpeechPiece, now: int) -> None:
        utterance = self._open.pop(piece.utterance_id, None)
        if utterance is None:
            if piece.start_ms != piece.segment_start_ms:
                return  # its beginning is lost, with the worker that had it
            utterance = _Open(piece, now)
        elif piece.start_ms > utterance.newest.end_ms:
            return  # a piece is lost, and the words would be of other audio than what is shown
        elif piece.start_ms == utterance.newest.end_ms:
            utterance.newest = piece
        self._open[piece.utterance_id] = utterance
        utterance.heard_ms = now
        if piece is utterance.newest:  # else it came before
            utterance.audio += piece.audio
            utterance.waits_since_ms = utterance.waits_since_ms or now

    def _forget(self, now: int) -> None:
        for utterance_id, utterance in list(self._open.items()):
            if now - utterance.heard_ms < FORGET_MS:
                return
            del self._open[utterance_id]

    def _waiting(self, now: int) -> list[_Open]:
        waiting = []
        for utterance in self._open.values():
            if utterance.waits_since_ms is None:
                continue
            if now - utterance.newest.at_ms > LATE_MS:
                utterance.waits_since_ms = None
                PASSES.labels("late").inc()
            else:
                waiting.append(utterance)
        return sorted(waiting, key=lambda utterance: utterance.waits_since_ms or 0)

    async def _pass(self, utterance: _Open) -> Transcript | None:
        utterance.waits_since_ms = None
        outcome, caption = await self._transcribe(utterance)
        PASSES.labels(outcome).inc()
        return caption

    async def _transcribe(self, utterance: _Open) -> tuple[Outcome, Transcript | None]:
        newest = utterance.newest
        clip = Clip(np.frombuffer(bytes(utterance.audio), "<i2"), newest.sample_rate, self._language, interim=True)
        try:
            work = self._threads.run(lambda: self._engine.transcribe([clip]))
            [recognition] = await asyncio.wait_for(work, PASS_S)
        except TimeoutError:
            return "late", None
        except SttUnavailable:
            return "unavailable", None
        except SttError as error:
            log.warning("utterance %s: no caption: %s", newest.utterance_id, error)
            return "failed", None
        heard = guard(recognition, clip).recognition
        if not utterance.words.add(heard.words):
            return "nothing_new", None
        shown = utterance.words.shown
        start_ms = newest.segment_start_ms
        words = [
            Word(text=w.text, start_ms=start_ms + w.start_ms, end_ms=start_ms + w.end_ms, confidence=w.confidence)
            for w in shown
        ]
        caption = Transcript(
            utterance_id=newest.utterance_id,
            call_id=newest.call_id,
            track=newest.track,
            number=newest.number,
            start_ms=newest.voice_start_ms,
            end_ms=newest.end_ms,
            at_ms=newest.at_ms,
            text=" ".join(word.text for word in shown),
            words=words,
            confidence=sum(word.confidence for word in shown) / len(shown),
            language=heard.language,
            final=False,
            engine=f"{self._engine.name}/{self._engine.model}",
            inference_ms=heard.inference_ms,
        )
        return "shown", caption


def _give_way() -> None:
    if sys.platform == "linux":  # where a thread has a priority of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
