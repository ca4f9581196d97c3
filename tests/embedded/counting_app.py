"""A small Faust app with a table, run as a worker by test_faust_repairs: it counts words, and dies or reports."""

import json
import os
import signal
from pathlib import Path

import faust

from voicestream.embedded import faust_repairs

faust_repairs.apply()

app = faust.App(
    os.environ["APP_ID"],
    broker=f"aiokafka://{os.environ['BOOTSTRAP']}",
    topic_partitions=2,
    broker_session_timeout=3,
    broker_heartbeat_interval=1,
    broker_rebalance_timeout=3,
    producer_linger=0.2,  # changelog records in batches: what Tansu's ListOffsets is wrong about
    web_enabled=False,
    datadir=os.environ["DATADIR"],
)
words = app.topic(os.environ["WORDS"], value_type=bytes, value_serializer="raw", key_serializer="raw")
counts = app.Table("counts", key_type=str, value_type=int, default=int, partitions=2)


@app.agent(words)
async def count(stream):
    seen = 0
    async for word in stream:
        counts[word.decode()] += 1
        seen += 1
        if seen == int(os.environ.get("DIE_AFTER", "0")):
            await app.producer.flush()
            os.kill(os.getpid(), signal.SIGKILL)


@counts.on_recover
async def write_report():
    if "REPORT" in os.environ:
        report = Path(os.environ["REPORT"])
        unfinished = report.with_suffix(".part")
        unfinished.write_text(json.dumps(dict(counts.items())))
        unfinished.rename(report)
