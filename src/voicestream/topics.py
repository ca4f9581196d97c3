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
    SpeechSegment,
    Transcript,
    UtteranceResult,
    WindowMetric,
)
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

audio: Topic[AudioChunk | EndOfCall] = Topic("voice.audio", AudioChunk, EndOfCall)
calls: Topic[CallEvent] = Topic("voice.calls", CallEvent)
segments: Topic[SpeechSegment | EndOfCall] = Topic("voice.segments", SpeechSegment, EndOfCall)
transcripts: Topic[Transcript | EndOfCall] = Topic("voice.transcripts", Transcript, EndOfCall)
sentiment: Topic[Sentiment | EndOfCall] = Topic("voice.sentiment", Sentiment, EndOfCall)
insights: Topic[Insight | EndOfUtterance | EndOfCall] = Topic("voice.insights", Insight, EndOfUtterance, EndOfCall)
routing: Topic[RoutingDecision] = Topic("voice.routing", RoutingDecision)
metrics: Topic[WindowMetric | CallMetric] = Topic("voice.metrics", WindowMetric, CallMetric)
results: Topic[UtteranceResult | CallSummary] = Topic("voice.results", UtteranceResult, CallSummary)
dlq: Topic[DeadLetter] = Topic("voice.dlq", DeadLetter)

ALL: tuple[Topic[Record], ...] = (
    audio,
    calls,
    segments,
    transcripts,
    sentiment,
    insights,
    routing,
    metrics,
    results,
    dlq,
)
