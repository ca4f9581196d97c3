"""The packaged model: what it makes of clear sentences, and what it must hold whatever it is given."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.errors import SentimentError, WeightsError
from voicestream.sentiment import EMOTIONS, SentimentModel, load_model
from voicestream.sentiment.onnx_encoder import WEIGHTS, OnnxEncoder
from voicestream.sentiment.transformers_hub import mood_from_scores

POSITIVE = [
    "Thank you so much, you've been incredibly helpful.",
    "oh that's brilliant thanks a lot",
    "We'd love to go ahead with the annual plan.",
]
NEUTRAL = [
    "Can you tell me your branch hours?",
    "My account number is four four two one.",
    "um i'd like to change the address on my account please",
    "I'm so sorry to hear that.",
    "Thank you for calling, how can I help you today?",
]
NEGATIVE = [
    "This is the third time I'm calling about the same bill.",
    "you people are useless i want to speak to a manager",
    "That's more than we wanted to spend.",
    "I'm really disappointed with how this was handled.",
]
EMOTIONAL = {
    "I'm furious, this is completely unacceptable.": "anger",
    "The room was filthy and it smelled revolting.": "disgust",
    "I'm scared somebody has stolen my identity.": "fear",
    "I'm so happy with it, thank you!": "joy",
    "It breaks my heart, we lost all of our photos.": "sadness",
    "Oh wow, I did not expect that at all!": "surprise",
    "The invoice number is nine eight seven.": "neutral",
}


@pytest.fixture(scope="module")
def model() -> SentimentModel:
    loaded = load_model("default")
    loaded.warm_up()
    return loaded


@pytest.mark.parametrize(
    ("text", "label"),
    [(text, "positive") for text in POSITIVE]
    + [(text, "neutral") for text in NEUTRAL]
    + [(text, "negative") for text in NEGATIVE],
)
def test_clear_sentences_have_their_polarity(model: SentimentModel, text: str, label: str) -> None:
    assert model.classify([text])[0].label == label


@pytest.mark.parametrize(("text", "emotion"), EMOTIONAL.items())
def test_clear_sentences_have_their_emotion(model: SentimentModel, text: str, emotion: str) -> None:
    assert model.classify([text])[0].emotion == emotion


@settings(max_examples=12, deadline=None)
@given(order=st.permutations([*POSITIVE, *NEUTRAL, *NEGATIVE, *EMOTIONAL]), size=st.integers(1, 19))
def test_the_answer_does_not_depend_on_the_batch(model: SentimentModel, order: list[str], size: int) -> None:
    batch = order[:size]
    assert model.classify(batch) == [model.classify([text])[0] for text in batch]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_text_gets_probabilities(model: SentimentModel, texts: list[str]) -> None:
    moods = model.classify(texts)
    assert len(moods) == len(texts)
    for mood in moods:
        assert sum(mood.emotions.values()) == pytest.approx(1, abs=1e-5)
        assert -1 <= mood.polarity <= 1
        assert 1 / 3 - 1e-6 <= mood.confidence <= 1 + 1e-6
        assert mood.emotion == max(mood.emotions, key=mood.emotions.__getitem__)


@pytest.mark.parametrize("text", ["", "   ", "...", "🙂🙂", "谢谢你的帮助"])
def test_a_text_without_readable_words_is_neutral_or_at_least_answered(model: SentimentModel, text: str) -> None:
    mood = model.classify([text])[0]
    assert set(mood.emotions) == set(EMOTIONS)
    if text.strip() in ("", "🙂🙂"):
        assert (mood.label, mood.emotion) == ("neutral", "neutral")


def test_a_very_long_text_is_cut_not_refused(model: SentimentModel) -> None:
    assert model.classify(["This is terrible. " * 50_000])[0].label == "negative"


def test_many_texts_come_back_in_order(model: SentimentModel) -> None:
    texts = [POSITIVE[0], NEGATIVE[1]] * 40
    assert [mood.label for mood in model.classify(texts)] == ["positive", "negative"] * 40


def test_an_unknown_model_is_named_with_those_that_there_are() -> None:
    with pytest.raises(SentimentError, match=r"'nonsense'.*default"):
        load_model("nonsense")


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(WEIGHTS, tmp_path / "weights")
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(WeightsError, match=r"tokenizer\.json is damaged"):
        OnnxEncoder(folder)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load_model(f"onnx:{tmp_path}")


def test_labels_of_an_emotion_model_give_both() -> None:
    mood = mood_from_scores({"anger": 0.7, "joy": 0.1, "neutral": 0.2})
    assert (mood.label, mood.emotion, mood.polarity) == ("negative", "anger", pytest.approx(-0.6))


def test_labels_of_a_polarity_model_say_nothing_of_emotion() -> None:
    mood = mood_from_scores({"Negative": 0.8, "Neutral": 0.1, "Positive": 0.1})
    assert (mood.label, mood.emotion) == ("negative", "neutral")


def test_labels_of_some_other_classifier_are_refused() -> None:
    with pytest.raises(SentimentError, match="SPAM"):
        mood_from_scores({"SPAM": 0.9, "HAM": 0.1})


def test_a_hub_model_without_the_extra_says_what_to_install() -> None:
    try:
        import transformers  # noqa: F401
    except ImportError:
        with pytest.raises(SentimentError, match=r"voicestream\[torch\]"):
            load_model("hub:some/model")
    else:
        pytest.skip("the extra is installed")
