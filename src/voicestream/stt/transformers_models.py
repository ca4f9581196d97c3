"""Models of speech to text for `transformers`: from our own weights, from a folder, or from the hub."""

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voicestream import weights
from voicestream.errors import SttError, WeightsError
from voicestream.stt.ggml import checkpoint, layers_of, read_ctranslate2
from voicestream.stt.whisper import token_bytes

try:
    import torch
    import transformers
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[torch]") from error

HUB: Final = "hub:"
_DESCRIPTIONS: Final = ["*.json", "*.txt", "*.model"]
_MULTILINGUAL_VOCABULARY: Final = 51865

# From OpenAI's names to those of transformers, in this order.
_RENAMED: Final = (
    ("positional_embedding", "embed_positions.weight"),
    ("token_embedding", "embed_tokens"),
    ("blocks.", "layers."),
    (".mlp_ln.", ".final_layer_norm."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".cross_attn.", ".encoder_attn."),
    (".attn.", ".self_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    (".ln.", ".layer_norm."),
    (".ln_post.", ".layer_norm."),
)


@dataclass(frozen=True, slots=True)
class WhisperModel:
    """A Whisper model, its feature extractor, its text tokens by id, and its special tokens by name."""

    model: Any
    extractor: Any
    tokens: list[bytes]
    special: Mapping[str, int]

    @property
    def multilingual(self) -> bool:
        return bool(self.model.config.vocab_size >= _MULTILINGUAL_VOCABULARY)

    @property
    def languages(self) -> dict[str, int]:
        """The tokens of the languages by ISO 639 code."""
        ids = range(self.special["<|startoftranscript|>"] + 1, self.special["<|translate|>"])
        return {token[2:-2]: index for token, index in self.special.items() if index in ids}


def fetch(model: str) -> tuple[str, Path]:
    """What a model is called in records, and its folder, downloaded where that is needed.

    Raises WeightsError when it can't be had, SttError when there is no such folder.
    """
    if model.startswith(HUB):
        return model.removeprefix(HUB), _download(model.removeprefix(HUB))
    if os.sep not in model:
        return model, weights.pull(weights.form(model, "transformers"))
    path = Path(model)
    if not path.is_dir():
        raise SttError(f"there is no model folder {path}")
    return path.name, path


def _download(repository: str) -> Path:
    try:
        path = Path(snapshot_download(repository, allow_patterns=[*_DESCRIPTIONS, "*.safetensors"]))
        if not any(path.glob("*.safetensors")):
            path = Path(snapshot_download(repository, allow_patterns=[*_DESCRIPTIONS, "pytorch_model*.bin"]))
    except (OSError, ValueError, HfHubHTTPError) as error:
        [reason, *_] = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"the model {repository!r} can't be had from the hub ({reason}): check its name and the network, or give "
            f"the path of a folder that has it"
        ) from error
    return path


def is_ctranslate2(folder: Path) -> bool:
    """Whether the folder holds weights in CTranslate2's format, as ours are."""
    return (folder / "model.bin").is_file()


def whisper_of_ctranslate2(folder: Path) -> WhisperModel:
    """A Whisper model that is made from the weights of CTranslate2 in memory, in float32.

    Raises WeightsError, OSError, ValueError, LookupError or RuntimeError when the folder holds none.
    """
    tokenizer = (folder / "tokenizer.json").read_bytes()
    special = {token["content"]: token["id"] for token in json.loads(tokenizer)["added_tokens"]}
    described = json.loads((folder / "config.json").read_text())
    tensors = read_ctranslate2(memoryview((folder / "model.bin").read_bytes()))
    vocabulary, width = tensors["decoder/embeddings/weight"].shape
    _, bands, _ = tensors["encoder/conv1/weight"].shape
    end = special["<|endoftext|>"]
    config = transformers.WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=bands,
        encoder_layers=layers_of(tensors, "encoder"),
        decoder_layers=layers_of(tensors, "decoder"),
        encoder_attention_heads=int(tensors["encoder/num_heads"].item()),
        decoder_attention_heads=int(tensors["decoder/num_heads"].item()),
        d_model=width,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        decoder_start_token_id=special["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    with torch.device("meta"):  # no time for random numbers that the weights replace
        model = transformers.WhisperForConditionalGeneration(config)
    state = {}
    for name, tensor in checkpoint(tensors):
        for old, new in _RENAMED:
            name = name.replace(old, new)
        state[f"model.{name}"] = torch.from_numpy(tensor.astype(np.float32))
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=described["suppress_ids"],
        begin_suppress_tokens=described["suppress_ids_begin"],
        alignment_heads=described["alignment_heads"],
    )
    extractor = transformers.WhisperFeatureExtractor(feature_size=bands)
    return _whole(WhisperModel(model, extractor, token_bytes(tokenizer), special))


def whisper_of_transformers(folder: Path) -> WhisperModel:
    """A Whisper model in the format of transformers, in float32.

    Raises OSError, ValueError, LookupError, RuntimeError or SafetensorError when the folder holds none.
    """
    model = load_whole(transformers.WhisperForConditionalGeneration, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str()
    special = {token["content"]: token["id"] for token in json.loads(tokenizer)["added_tokens"]}
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    return _whole(WhisperModel(model, extractor, token_bytes(tokenizer.encode()), special))


def load_whole(kind: Any, folder: Path) -> Any:
    """The model of a class of transformers in float32; ValueError where a weight is missing, which it would invent."""
    model, loading = kind.from_pretrained(folder, output_loading_info=True)
    if missing := sorted(loading["missing_keys"]):
        raise ValueError(f"{len(missing)} of its weights are missing, {missing[0]} among them")
    return model.float()


def _whole(whisper: WhisperModel) -> WhisperModel:
    """The model with what `generate` must know of it, which old models of the hub lack."""
    config, special = whisper.model.generation_config, whisper.special
    config.is_multilingual = whisper.multilingual
    config.no_timestamps_token_id = special["<|notimestamps|>"]
    config.prev_sot_token_id = special["<|startofprev|>"]
    config.forced_decoder_ids = None  # an old way to give the language
    if whisper.multilingual:
        config.lang_to_id = {f"<|{language}|>": index for language, index in whisper.languages.items()}
        config.task_to_id = {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")}
    if getattr(config, "alignment_heads", None) is None:  # as in openai/whisper: all heads of the upper layers
        layers, heads = whisper.model.config.decoder_layers, whisper.model.config.decoder_attention_heads
        config.alignment_heads = [[layer, head] for layer in range(layers // 2, layers) for head in range(heads)]
    # Word times come from the weights of the decoder's attention, which only the plain implementation shows. The
    # encoder, with a configuration of its own, keeps the fused one, which takes half the time.
    own = copy.deepcopy(whisper.model.config)
    for module in whisper.model.get_encoder().modules():
        if hasattr(module, "config"):
            module.config = own
    whisper.model.set_attn_implementation("eager")
    own._attn_implementation = "sdpa"
    return whisper
