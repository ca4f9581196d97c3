"""Any text classifier of the hub, by name, for those who have a network, or a GPU, and the extra `torch`."""

from collections.abc import Mapping, Sequence
from typing import Any

from voicestream.errors import SentimentError
from voicestream.sentiment.engine import EMOTIONS, POLARITIES, Polarity, TextMood, mood_of

# The polarity of a label, and its emotion where it is one; names as hub models have them, those of GoEmotions too.
_LABELS: dict[tuple[Polarity, str], tuple[str, ...]] = {
    ("negative", "anger"): ("anger", "annoyance", "disapproval"),
    ("negative", "disgust"): ("disgust",),
    ("negative", "fear"): ("fear", "nervousness"),
    ("negative", "sadness"): ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    ("neutral", "surprise"): ("surprise",),
    ("negative", "neutral"): ("negative", "neg", "label_0"),
    ("neutral", "neutral"): ("neutral", "neu", "label_1", "confusion", "curiosity", "realization"),
    ("positive", "neutral"): ("positive", "pos", "label_2"),
    ("positive", "joy"): (
        *("joy", "happiness", "admiration", "amusement", "approval", "caring", "desire", "excitement"),
        *("gratitude", "love", "optimism", "pride", "relief"),
    ),
}
_MEANING = {label: meaning for meaning, labels in _LABELS.items() for label in labels}


def mood_from_scores(scores: Mapping[str, float]) -> TextMood:
    """The mood for the scores of a model's own labels, be they polarities or emotions.

    An emotion counts for its polarity too. A model that knows only polarities says nothing of emotion: that is neutral.

    Raises:
        SentimentError: none of the labels is a polarity or an emotion that we know.
    """
    polarities, emotions = dict.fromkeys(POLARITIES, 0.0), dict.fromkeys(EMOTIONS, 0.0)
    for label, score in scores.items():
        if meaning := _MEANING.get(label.lower()):
            polarity, emotion = meaning
            polarities[polarity] += score
            emotions[emotion] += score
    total = sum(emotions.values())
    if not total:
        raise SentimentError(f"The labels {sorted(scores)} are neither polarities nor emotions that voicestream knows.")
    return mood_of([score / total for score in polarities.values()], [score / total for score in emotions.values()])


class TransformersModel:
    """A text-classification model of the hub, run by `transformers`.

    Args:
        model: its name there, such as `cardiffnlp/twitter-roberta-base-sentiment-latest`, or a folder.

    Raises:
        SentimentError: the extra `torch` is not installed, or the model can't be loaded.
    """

    def __init__(self, model: str) -> None:
        try:
            import torch
            from transformers import pipeline
        except ImportError as error:
            raise SentimentError(
                f"The model {model!r} wants torch and transformers: pip install 'voicestream[torch]'."
            ) from error
        torch.set_num_threads(1)
        try:
            self._pipeline: Any = pipeline("text-classification", model=model, top_k=None, truncation=True)
        except (OSError, ValueError) as error:
            raise SentimentError(f"The model {model!r} can't be loaded: {error}") from error
        self.name = model
        self.version = str(getattr(self._pipeline.model.config, "_commit_hash", None) or "local")

    def warm_up(self) -> None:
        """Run once."""
        self.classify(["Hello, how can I help you?"])

    def classify(self, texts: Sequence[str]) -> list[TextMood]:
        """The mood of each text.

        Raises:
            SentimentError: the model's labels are not ones that we know.
        """
        if not texts:
            return []
        answers = self._pipeline(list(texts), batch_size=len(texts))
        return [mood_from_scores({row["label"]: row["score"] for row in rows}) for rows in answers]
