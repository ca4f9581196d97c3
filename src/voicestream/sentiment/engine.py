"""What a model of text sentiment is, and how one is found by name."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Literal, Protocol, cast, runtime_checkable

import msgspec

from voicestream.errors import SentimentError

Polarity = Literal["negative", "neutral", "positive"]
POLARITIES: tuple[Polarity, ...] = ("negative", "neutral", "positive")
EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")

ENTRY_POINTS = "voicestream.sentiment_models"


class TextMood(msgspec.Struct, frozen=True):
    """The sentiment and the emotion of one text.

    `polarity` is in [-1, 1]: the probability of positive less that of negative. `confidence` is the probability of
    `label`. `emotions` has a probability for each of the seven `EMOTIONS`; they sum to 1; `emotion` is the likeliest.
    """

    polarity: float
    label: Polarity
    confidence: float
    emotion: str
    emotions: dict[str, float]


@runtime_checkable
class SentimentModel(Protocol):
    """A model that tells the mood of texts; plug-ins implement this and register a factory as an entry point."""

    @property
    def name(self) -> str:
        """What records say made them."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same text may come out different."""
        ...

    def warm_up(self) -> None:
        """Do once what makes the first call slow."""
        ...

    def classify(self, texts: Sequence[str]) -> list[TextMood]:
        """The mood of each text, in the order of the texts; safe to call from several threads."""
        ...


def mood_of(polarities: Sequence[float], emotions: Sequence[float]) -> TextMood:
    """The mood for probabilities in the order of `POLARITIES` and of `EMOTIONS`."""
    label = max(range(len(POLARITIES)), key=polarities.__getitem__)
    strongest = max(range(len(EMOTIONS)), key=emotions.__getitem__)
    return TextMood(
        polarity=polarities[2] - polarities[0],
        label=POLARITIES[label],
        confidence=polarities[label],
        emotion=EMOTIONS[strongest],
        emotions=dict(zip(EMOTIONS, emotions, strict=True)),
    )


def load_model(spec: str) -> SentimentModel:
    """Load a model by the name of its entry point, and hand its factory what follows the first colon.

    `default` is the packaged encoder, `onnx:FOLDER` another one of its kind, `hub:OWNER/NAME` a model of the hub.

    Raises:
        SentimentError: no entry point has that name, or the model can't be loaded.
        WeightsError: the packaged weights are missing or damaged.
    """
    name, _, argument = spec.partition(":")
    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none (is voicestream installed?)"
        raise SentimentError(f"There is no sentiment model {name!r} (of {spec!r}); there are: {known}.")
    factory = cast(Callable[..., SentimentModel], found[name].load())
    return factory(argument) if argument else factory()
