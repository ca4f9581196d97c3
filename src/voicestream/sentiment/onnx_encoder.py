"""The default model: a small encoder in int8 on ONNX Runtime."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from voicestream.errors import WeightsError
from voicestream.sentiment.engine import EMOTIONS, POLARITIES, TextMood, mood_of

WEIGHTS = Path(__file__).parent / "weights"
# More than the tokens that count can hold, and little enough that a huge text costs no time.
_MAX_CHARACTERS = 4096
_NO_MOOD = mood_of((0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))


class ModelCard(msgspec.Struct, frozen=True):
    """What `card.json` says of the files beside it."""

    name: str
    version: str
    polarities: tuple[str, ...]
    emotions: tuple[str, ...]
    max_tokens: int
    encoder: str
    data: str
    licence: str
    examples: dict[str, int]
    sha256: dict[str, str]


def _read_card(folder: Path) -> ModelCard:
    """Read `card.json` and hold the files beside it against its hashes.

    Raises:
        WeightsError: a file is missing or is not the one that the card describes.
    """
    try:
        card = msgspec.json.decode((folder / "card.json").read_bytes(), type=ModelCard)
        for name, expected in card.sha256.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
                raise WeightsError(f"{folder / name} is damaged: its hash is not the one in card.json. Fetch it again.")
    except OSError as error:
        raise WeightsError(f"No sentiment weights in {folder}: {error.strerror}: {error.filename}.") from error
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{folder / 'card.json'} is no model card: {error}.") from error
    if card.polarities != POLARITIES or card.emotions != EMOTIONS:
        raise WeightsError(f"{folder / 'card.json'} has other labels than this version of voicestream knows.")
    return card


class OnnxEncoder:
    """Sentiment and emotion by the encoder that `training/sentiment` makes.

    One thread: a worker scales by processes, and threads that spin on busy cores make each other slow. Texts run one by
    one: on one thread a batch of 32 saves a tenth of the time, but in int8 the last digits of an answer would hang on
    its neighbours, and a replayed record must come out as it did.

    Args:
        folder: where `mood.onnx`, `tokenizer.json` and `card.json` are; the packaged ones by default.

    Raises:
        WeightsError: the weights are missing or damaged.
    """

    def __init__(self, folder: str | Path = WEIGHTS) -> None:
        folder = Path(folder)
        self.card = _read_card(folder)
        self.name = self.card.name
        self.version = self.card.version
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.card.max_tokens)
        self._nothing = {self._tokenizer.token_to_id(token) for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "mood.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def warm_up(self) -> None:
        """Run once, so that the first call of a stream is not the slow one."""
        self.classify(["Hello, how can I help you?"])

    def classify(self, texts: Sequence[str]) -> list[TextMood]:
        """The mood of each text; only the first 128 tokens, about 100 words, of a text count.

        A text without a word that the tokenizer can read (empty, another script, emoji) is neutral.
        """
        return [self._classify_one(text) for text in texts]

    def _classify_one(self, text: str) -> TextMood:
        ids = self._tokenizer.encode(text[:_MAX_CHARACTERS]).ids
        if self._nothing.issuperset(ids):
            return _NO_MOOD
        polarity, emotion = self._session.run(["polarity", "emotion"], {"ids": np.array([ids], dtype=np.int64)})
        return mood_of(polarity[0].tolist(), emotion[0].tolist())
