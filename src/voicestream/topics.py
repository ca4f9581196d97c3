"""The topics of voicestream. The key is the call_id everywhere but in ``voice.metrics``."""

from voicestream.records import (
    AudioChunk,
    CallEvent,
    CallMetric,
    CallSummary,
    EndOfCall,
    EndOfUtterance,
    Insight,
    RoutingDecision,
    Sentiment,
    SpeechPiece,
    SpeechSegment,
    Transcript,
    UtteranceResult,
    WindowMetric,
)
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

audio: Topic[AudioChunk | EndOfCall] = Topic("voice.audio", AudioChunk, EndOfCall, external=True)
calls: Topic[CallEvent] = Topic("voice.calls", CallEvent, external=True)
segments: Topic[SpeechSegment | EndOfCall] = Topic("voice.segments", SpeechSegment, EndOfCall)
# Of use for seconds, and only for the words that are shown while somebody speaks.
speech: Topic[SpeechPiece | EndOfUtterance] = Topic("voice.speech", SpeechPiece, EndOfUtterance, retention="10m")
interims: Topic[Transcript] = Topic("voice.interims", Transcript, retention="10m")
transcripts: Topic[Transcript | EndOfCall] = Topic("voice.transcripts", Transcript, EndOfCall)
sentiment: Topic[Sentiment | EndOfCall] = Topic("voice.sentiment", Sentiment, EndOfCall)
insights: Topic[Insight | EndOfUtterance | EndOfCall] = Topic("voice.insights", Insight, EndOfUtterance, EndOfCall)
routing: Topic[RoutingDecision] = Topic("voice.routing", RoutingDecision)
# What routing decides by a figure is in the figures of the call again; a rule decides once, so that ends.
metrics: Topic[WindowMetric | CallMetric] = Topic("voice.metrics", WindowMetric, CallMetric, feedback=True)
results: Topic[UtteranceResult | CallSummary] = Topic("voice.results", UtteranceResult, CallSummary)
late: Topic[UtteranceResult] = Topic("voice.late", UtteranceResult)
dlq: Topic[DeadLetter | LetterReplay] = Topic(
    "voice.dlq", DeadLetter, LetterReplay, external=True
)  # every stage may write it

ALL: tuple[Topic[Record], ...] = (
    audio,
    calls,
    segments,
    speech,
    interims,
    transcripts,
    sentiment,
    insights,
    routing,
    metrics,
    results,
    late,
    dlq,
)
