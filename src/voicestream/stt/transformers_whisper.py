"""The engine `transformers`: Whisper and other models of the hub in pure Python, on torch.

It computes as people run these models: Whisper always hears 30 s, whatever the length of the clip. That makes it the
reference that other engines are compared with, not the engine for hundreds of calls.
"""

import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voicestream.errors import SttError, WeightsError
from voicestream.stt.alignment import POSITION_MS, ends_ms
from voicestream.stt.batches import LARGEST, LARGEST_GPU
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.transformers_models import (
    WhisperModel,
    fetch,
    is_ctranslate2,
    whisper_of_ctranslate2,
    whisper_of_transformers,
)
from voicestream.stt.whisper import RATE, Token, language_of, max_tokens, noise, recognition_of, windows

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait starve those that work

try:
    import torch
    import transformers
    from safetensors import SafetensorError
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[torch]") from error


Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model heard in a piece of audio; times from the start of the piece."""

    tokens: tuple[Token, ...]
    no_speech_probability: float
    language: str


class Listener(Protocol):
    """A kind of model: pieces of at most 30 s at 16 kHz go in, several at once."""

    def language(self, clip: Clip, name: str) -> str | None:
        """The language to hear a clip in, None for unknown; SttError for one that the model `name` doesn't know."""

    def hear(self, pieces: Sequence[Samples], languages: Sequence[str | None]) -> list[Heard]: ...


class TransformersWhisper:
    """The engine `transformers`.

    `model` is a name that `voicestream models list` has for ctranslate2, given without the ending `-ctranslate2`;
    `hub:OWNER/NAME`; or the path of a folder in the format of transformers or of CTranslate2. It runs on a GPU in
    float16 where there is one, else in float32. `capacity` is the number of workers, each of which computes on
    `threads` threads; torch knows one such number in a process, so what else uses torch there gets the same.

    Raises SttError when the model can't be loaded, and WeightsError when it can't be had.
    """

    name = "transformers"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        self.model, path = fetch(model)
        self._gpu = torch.cuda.is_available()
        try:
            self._listener = self._load(path)
        except (OSError, RuntimeError, ValueError, LookupError, SafetensorError, WeightsError) as error:
            raise SttError(f"{path} is no model that transformers can load: {error}") from error
        self.capacity = capacity
        self._pool = ThreadPoolExecutor(
            capacity, thread_name_prefix="transformers", initializer=torch.set_num_threads, initargs=(threads,)
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when it fails or the model doesn't know the language."""
        languages = [self._listener.language(clip, self.model) for clip in clips]
        pieces = [
            (number, start_ms, samples) for number, clip in enumerate(clips) for start_ms, samples in windows(clip)
        ]
        size = min(math.ceil(len(pieces) / self.capacity), LARGEST_GPU if self._gpu else LARGEST)
        batches = [pieces[at : at + size] for at in range(0, len(pieces), max(size, 1))]

        def hear(batch: Sequence[tuple[int, int, Samples]]) -> tuple[list[Heard], float]:
            started = time.perf_counter()
            try:
                with torch.inference_mode():
                    heard = self._listener.hear(
                        [samples for _, _, samples in batch], [languages[number] for number, _, _ in batch]
                    )
            except (RuntimeError, ValueError) as error:
                raise SttError(f"transformers failed on {len(batch)} pieces of audio: {error}") from error
            return heard, (time.perf_counter() - started) * 1000

        started = time.perf_counter()
        of_clips: list[list[tuple[Heard, float]]] = [[] for _ in clips]
        for batch, (heard, ms) in zip(batches, self._pool.map(hear, batches), strict=True):
            for (number, start_ms, _), one in zip(batch, heard, strict=True):
                tokens = tuple(replace(token, end_ms=start_ms + token.end_ms) for token in one.tokens)
                of_clips[number].append((replace(one, tokens=tokens), ms))
        least_ms = (time.perf_counter() - started) * 1000
        return [
            recognition_of(
                clip,
                [token for one, _ in of_clip for token in one.tokens],
                of_clip[-1][0].language if of_clip else language or "en",
                [one.no_speech_probability for one, _ in of_clip],
                sum(ms for _, ms in of_clip) or least_ms,
            )
            for clip, language, of_clip in zip(clips, languages, of_clips, strict=True)
        ]

    def warm_up(self) -> None:
        """Run every worker once, which allocates what it works with."""
        self.transcribe(noise(self.capacity))

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._pool.shutdown()
        del self._listener

    def _load(self, path: Path) -> Listener:
        device, dtype = ("cuda", torch.float16) if self._gpu else ("cpu", torch.float32)
        if is_ctranslate2(path):
            return WhisperListener(whisper_of_ctranslate2(path), device, dtype)
        config = transformers.AutoConfig.from_pretrained(path)
        if config.model_type == "whisper":
            return WhisperListener(whisper_of_transformers(path), device, dtype)
        from voicestream.stt.transformers_others import other_listener

        return other_listener(path, config, device, dtype)


class WhisperListener:
    """Whisper as transformers runs it: 30 s of context, greedily, no second try at a higher temperature."""

    def __init__(self, whisper: WhisperModel, device: str, dtype: Any) -> None:
        self._whisper = whisper
        self._model = whisper.model.to(device, dtype).eval()
        self._languages = {index: language for language, index in whisper.languages.items()}
        self._start = whisper.special["<|startoftranscript|>"]
        self._end = whisper.special["<|endoftext|>"]
        self._no_speech = whisper.special["<|notimestamps|>"] - 1  # has two names
        self._step = threading.local()
        self._model.get_decoder().register_forward_hook(self._keep_first)

    def language(self, clip: Clip, name: str) -> str | None:
        return language_of(clip, self._whisper.languages, name, multilingual=self._whisper.multilingual)

    def hear(self, pieces: Sequence[Samples], languages: Sequence[str | None]) -> list[Heard]:
        features = self._whisper.extractor(list(pieces), sampling_rate=RATE, return_tensors="pt").input_features
        encoded = self._model.get_encoder()(features.to(self._model.device, self._model.dtype))
        self._step.first = None
        known = self._found(encoded, languages)
        asked = {"language": known, "task": "transcribe"} if self._whisper.multilingual else {}
        result = self._model.generate(
            encoder_outputs=encoded,
            attention_mask=torch.ones(features.shape[0], features.shape[-1]),  # Whisper has none; silences a warning
            max_length=max(max_tokens(samples) for samples in pieces),  # generate() adds the prompt
            output_attentions=True,
            output_scores=True,
            return_dict_in_generate=True,
            force_unique_generate_call=True,
            **asked,
        )
        no_speech = self._model.proj_out(self._step.first).float().softmax(-1)[:, self._no_speech].tolist()
        ids = result["sequences"][:, -len(result["scores"]) :]
        probabilities = torch.stack(result["scores"], 1).float().softmax(-1).gather(2, ids[..., None])[..., 0]
        attention = self._attention(result["cross_attentions"])
        heard = []
        for i, samples in enumerate(pieces):
            text = [index for index in ids[i].tolist() if index < self._end][: max_tokens(samples)]
            # The last token may be the one at which the decoder was stopped, and which it never looked back at.
            rows = attention[i, :, : len(text) + 1, : len(samples) * 1000 // RATE // POSITION_MS]
            ends = ends_ms(rows)
            tokens = tuple(
                Token(self._whisper.tokens[index], end_ms, probability)
                for index, end_ms, probability in zip(
                    text, [*ends, *ends[-1:]][: len(text)], probabilities[i].tolist(), strict=False
                )
            )
            heard.append(Heard(tokens, no_speech[i], known[i]))
        return heard

    def _attention(self, steps: Any) -> npt.NDArray[np.float32]:
        """Of each piece what the aligned heads looked at, step by step: [pieces, heads, steps, positions]."""
        heads = self._model.generation_config.alignment_heads
        rows = [torch.stack([step[layer][:, head, -1] for layer, head in heads], 1) for step in steps]
        attention: npt.NDArray[np.float32] = torch.stack(rows, 2).float().cpu().numpy()
        return attention

    def _keep_first(self, _module: Any, _args: Any, output: Any) -> None:
        """Keep the first position of the decoder's first step, from which Whisper says whether there is speech."""
        if self._step.first is None:
            self._step.first = output.last_hidden_state[:, 0]

    def _found(self, encoded: Any, languages: Sequence[str | None]) -> list[str]:
        """The language of each piece by the decoder's first step; that step is saved where all are known."""
        if all(languages):
            return [str(language) for language in languages]
        start = torch.full((len(languages), 1), self._start, device=self._model.device)
        logits = self._model(encoder_outputs=encoded, decoder_input_ids=start, use_cache=False).logits[:, 0]
        ids = torch.tensor(list(self._languages), device=logits.device)
        found = [self._languages[index] for index in ids[logits[:, ids].argmax(-1)].tolist()]
        return [language or best for language, best in zip(languages, found, strict=True)]
