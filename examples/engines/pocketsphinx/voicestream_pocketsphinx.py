"""PocketSphinx as an engine of speech to text: your own recogniser behind voicestream's protocol."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
from pocketsphinx import Decoder, Segment, get_model_path

from voicestream.audio.resample import resample
from voicestream.errors import SttError
from voicestream.stt.engine import Clip, Recognition, Word

RATE: Final = 16000
FRAME_MS: Final = 10
SHORTEST: Final = RATE // 10  # samples


class PocketSphinx:
    """The engine `pocketsphinx`.

    `model` is the path of a folder with an acoustic model (a folder in it), a language model (`*.lm.bin`) and a
    dictionary (`*.dict`); any other name means the American English that the package carries. A decoder is not for
    two threads at once, so there are `capacity` of them. It holds Python's lock while it decodes: run more workers
    rather than more threads.
    """

    name = "pocketsphinx"

    def __init__(self, model: str, *, capacity: int) -> None:
        folder = Path(model) if os.sep in model else Path(get_model_path("en-us"))
        self.model = folder.name
        self.capacity = capacity
        self._idle: SimpleQueue[Decoder | None] = SimpleQueue()
        try:
            [lm] = (path for path in folder.glob("*.lm.bin") if "phone" not in path.name)
            [words] = folder.glob("*.dict")
            [hmm] = (path.parent for path in folder.glob("*/mdef"))
            for _ in range(capacity):
                self._idle.put(Decoder(hmm=str(hmm), lm=str(lm), dict=str(words), loglevel="FATAL"))
        except (ValueError, RuntimeError) as error:
            raise SttError(f"{folder} is no model that PocketSphinx can load: {error}") from error

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError for another language than English."""
        return [self._transcribe(clip) for clip in clips]

    def warm_up(self) -> None:
        """Nothing: the decoders are ready when they are made."""

    def close(self) -> None:
        """Wait for the calls that are on, and leave a sign for those that come later."""
        for _ in range(self.capacity):
            self._idle.get()
        self._idle.put(None)

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        if clip.language and clip.language.partition("-")[0].lower() != "en":
            raise SttError(f"this model knows English alone, the clip is in {clip.language!r}")
        pcm = resample(clip.pcm, clip.sample_rate, RATE)
        words: list[Word] = []
        if len(pcm) >= SHORTEST:
            with self._decoder() as decoder:
                decoder.reinit_feat()  # else what it heard before changes what it hears
                decoder.start_utt()
                decoder.process_raw(pcm.tobytes(), full_utt=True)
                decoder.end_utt()
                words = [word for segment in decoder.seg() or () if (word := _word(segment, clip.duration_ms))]
        confidence = float(np.mean([word.confidence for word in words])) if words else 0.0
        return Recognition(
            text=" ".join(word.text for word in words),
            words=tuple(words),
            confidence=confidence,
            no_speech_probability=0.0 if words else 1.0,  # it has no estimate of its own
            language="en",
            inference_ms=(time.perf_counter() - started) * 1000,
        )

    @contextmanager
    def _decoder(self) -> "Iterator[Decoder]":
        decoder = self._idle.get()
        try:
            if decoder is None:
                raise SttError("this engine is closed")
            yield decoder
        finally:
            self._idle.put(decoder)


def _word(segment: Segment, duration_ms: int) -> Word | None:
    """A segment as a word; None for silence and noises. "and(2)" is the second way to say "and"."""
    text = re.sub(r"\(\d+\)$", "", segment.word)
    if not text[:1].isalnum():
        return None
    start_ms = min(segment.start_frame * FRAME_MS, duration_ms)
    end_ms = min((segment.end_frame + 1) * FRAME_MS, duration_ms)
    return Word(text, start_ms, end_ms, min(max(segment.prob, 0.0), 1.0))
