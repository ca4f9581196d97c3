"""Every stage in one worker: for a laptop, a demo, or a small load."""

from agents import analytics, captions, chunking, clickhouse, insights, results, routing, sentiment, stt
from voicestream.settings import settings
from voicestream.stage import app as app_of

STAGES = (
    chunking.stage,
    stt.stage,
    sentiment.stage,
    insights.stage,
    routing.stage,
    analytics.stage,
    results.stage,
    clickhouse.stage,
    *([captions.stage] if settings().interim_ms else []),
)

app = app_of(*STAGES, name="all")
