"""Labels of the two heads, and how GoEmotions' 28 labels map to them."""

POLARITIES = ("negative", "neutral", "positive")
EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")

# In the order of their numbers in the data.
GOEMOTIONS = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire"),
    *("disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy"),
    *("love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral"),
)

# The authors' Ekman grouping puts curiosity, confusion and realization under surprise. On a telephone a plain question
# or an "oh, I see" is no surprise, so these three are neutral here.
_EMOTION_OF = {
    "anger": "anger annoyance disapproval",
    "disgust": "disgust",
    "fear": "fear nervousness",
    "joy": "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief",
    "sadness": "disappointment embarrassment grief remorse sadness",
    "surprise": "surprise",
    "neutral": "confusion curiosity realization neutral",
}
_POLARITY_OF = {
    "positive": "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief",
    "negative": (
        "anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness"
    ),
    "neutral": "confusion curiosity realization surprise neutral",
}

EMOTION_BY_GOEMOTION = {name: emotion for emotion, names in _EMOTION_OF.items() for name in names.split()}
POLARITY_BY_GOEMOTION = {name: polarity for polarity, names in _POLARITY_OF.items() for name in names.split()}
