"""What the engines are compared with, behind their own protocol: faster-whisper, and whisper.cpp with nothing cut."""

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from voicestream import weights
from voicestream.audio.resample import resample, to_float
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.whisper import noise

RATE = 16000


class FasterWhisper:
    """``transcribe()`` of faster-whisper: int8, otherwise as it comes (beam of 5, 30 s a window, hotter retries)."""

    name = "faster-whisper"

    def __init__(self, model: str, *, capacity: int) -> None:
        from faster_whisper import WhisperModel

        path = weights.pull(weights.form(model, "ctranslate2"))
        self.model, self.capacity = model, capacity
        self._model = WhisperModel(
            str(path), device="cpu", compute_type="int8", cpu_threads=1, num_workers=capacity, local_files_only=True
        )
        self._pool = ThreadPoolExecutor(capacity)

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        return list(self._pool.map(self._transcribe, clips))

    def warm_up(self) -> None:
        warm_up(self.transcribe, self.capacity)

    def close(self) -> None:
        self._pool.shutdown()

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        found, _ = self._model.transcribe(to_float(resample(clip.pcm, clip.sample_rate, RATE)), language=clip.language)
        segments = list(found)  # it computes while they are taken
        return Recognition(
            text="".join(segment.text for segment in segments).strip(),
            words=(),
            confidence=min((math.exp(segment.avg_logprob) for segment in segments), default=0.0),
            no_speech_probability=min((segment.no_speech_prob for segment in segments), default=1.0),
            language=clip.language or "en",
            inference_ms=(time.perf_counter() - started) * 1000,
        )


class FullContext:
    """whisper.cpp through pywhispercpp as it comes: 30 s of context for each clip, no cap of tokens, hotter retries."""

    name = "whisper.cpp, full context"

    def __init__(self, model: str, *, capacity: int) -> None:
        from pywhispercpp.model import Model

        path = weights.pull(model)
        self.model, self.capacity = model, capacity
        self._models: SimpleQueue[Model] = SimpleQueue()
        for _ in range(capacity):
            self._models.put(
                Model(
                    str(path),
                    redirect_whispercpp_logs_to=os.devnull,
                    n_threads=1,
                    print_progress=False,
                    print_realtime=False,
                )
            )
        self._pool = ThreadPoolExecutor(capacity)

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        return list(self._pool.map(self._transcribe, clips))

    def warm_up(self) -> None:
        """Nothing: it is not timed."""

    def close(self) -> None:
        self._pool.shutdown()

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        model = self._models.get()
        try:
            samples = to_float(resample(clip.pcm, clip.sample_rate, RATE))
            segments = model.transcribe(samples, extract_probability=True, language=clip.language or "en")
        finally:
            self._models.put(model)
        return Recognition(
            text=" ".join(segment.text.strip() for segment in segments),
            words=(),
            confidence=min((segment.probability for segment in segments), default=0.0),
            no_speech_probability=0.0,
            language=clip.language or "en",
            inference_ms=(time.perf_counter() - started) * 1000,
        )


def warm_up(transcribe: Callable[[Sequence[Clip]], object], capacity: int) -> None:
    """Run every worker once on noise."""
    transcribe(noise(capacity))
