"""OpenVINO in this process: int8 weights, bfloat16 where the processor has it, clips of several calls in one batch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicestream.errors import SttError, WeightsError
from voicestream.stt.batches import LARGEST, Batches, workers_for
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.ggml import checkpoint, read_ctranslate2
from voicestream.stt.pieces import Heard, Piece, Vocabulary, folder_of, hear
from voicestream.stt.whisper import noise

try:
    import openvino as ov
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[openvino]") from error

from voicestream.stt.openvino_decoding import Speller, Worker
from voicestream.stt.openvino_graph import Heads, Weights, whisper


class OpenVino:
    """The engine `openvino`.

    `model` is a name that `voicestream models list` has for ctranslate2, given without that ending, or the path of a
    folder with a Whisper model in CTranslate2's format and its tokenizer.json; `capacity` the number of clips that are
    transcribed at the same time: by as many workers as there are processors, of `threads` threads each, in batches
    where there are more clips than workers. Raises SttError when the model can't be loaded, and WeightsError when it
    can't be had.
    """

    name = "openvino"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = folder_of(model, self.name)
        self.model = path.name.removesuffix("-ctranslate2")
        self.capacity = capacity
        self._workers = workers_for(capacity, threads)
        try:
            self._vocabulary = Vocabulary((path / "tokenizer.json").read_bytes())
            config = json.loads((path / "config.json").read_bytes())
            tensors = dict(checkpoint(read_ctranslate2(memoryview((path / "model.bin").read_bytes()))))
            encoder, decoder = _compiled(tensors, config["alignment_heads"], self._workers, threads)
            speller = Speller(tensors, self._vocabulary, config["suppress_ids"], config["suppress_ids_begin"])
        except (OSError, RuntimeError, ValueError, KeyError, WeightsError) as error:
            raise SttError(f"{path} is no model that OpenVINO can load: {error}") from error
        self._batches = Batches[Piece, Heard](
            [Worker(encoder, decoder, speller).hear for _ in range(self._workers)],
            largest=LARGEST,
            alike=lambda piece: piece.context,
            name=self.name,
        )

    @staticmethod
    def unsuited() -> str | None:
        """Why `auto` should not take this engine on this machine; None where it should."""
        if Path("/dev/nvidia0").exists():
            return "openvino computes on the processor, and there is a GPU"
        try:
            able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        except RuntimeError as error:
            return f"openvino does not work on this processor: {error}"
        if "BF16" not in able:
            return "openvino gains little on this processor, which has no bfloat16"
        return None

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when it fails or the model doesn't know the language.

        Clips that wait at the same time and need the same context are computed together, whoever asks, which may move
        a word by 20 ms and its confidence by some hundredths: int8 rounds differently in other company.
        """
        return hear(self._batches, clips, self._vocabulary, self.model)

    def warm_up(self) -> None:
        """Run the workers once, which allocates what they work with."""
        self.transcribe(noise(self._workers))

    def close(self) -> None:
        """Wait for what is being transcribed, then end the workers."""
        self._batches.close()


def _compiled(tensors: Weights, heads: Heads, streams: int, threads: int) -> tuple[Any, Any]:
    """The encoder and the decoder for this processor, each with so many streams."""
    core = ov.Core()
    half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    graphs = whisper(tensors, heads, ov.Type.bf16 if half else ov.Type.f32)
    options = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        # Activations are rounded to int8 with one scale for so many of them: a whole row of a state.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": tensors["decoder.positional_embedding"].shape[1],
        "ENABLE_CPU_PINNING": False,  # other processes would pin theirs to the same cores
    }
    return core.compile_model(graphs.encoder, "CPU", options), core.compile_model(graphs.decoder, "CPU", options)
