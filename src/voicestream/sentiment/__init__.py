"""Sentiment and emotion of what is said, and how they go over a call; knows nothing of Kafka."""

from voicestream.sentiment.engine import EMOTIONS, POLARITIES, SentimentModel, TextMood, load_model
from voicestream.sentiment.trend import CallTrend, Trend

__all__ = ["EMOTIONS", "POLARITIES", "CallTrend", "SentimentModel", "TextMood", "Trend", "load_model"]
