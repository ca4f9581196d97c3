"""The records of every topic; their fields are documented in ``schemas/*.avsc``."""

from voicestream.records.audio import AudioChunk, SpeechPiece, SpeechSegment
from voicestream.records.call import CallEvent, EndOfCall, EndOfUtterance
from voicestream.records.metrics import CallMetric, WindowMetric
from voicestream.records.results import CallSummary, InsightRef, UtteranceResult
from voicestream.records.signals import Insight, RoutingDecision
from voicestream.records.speech import Sentiment, Transcript, Word
from voicestream.records.track import Track

__all__ = [
    "AudioChunk",
    "CallEvent",
    "CallMetric",
    "CallSummary",
    "EndOfCall",
    "EndOfUtterance",
    "Insight",
    "InsightRef",
    "RoutingDecision",
    "Sentiment",
    "SpeechPiece",
    "SpeechSegment",
    "Track",
    "Transcript",
    "UtteranceResult",
    "WindowMetric",
    "Word",
]
