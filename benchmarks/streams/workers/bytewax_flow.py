"""The three jobs in Bytewax: ``python -m bytewax.run bytewax_flow``. It keeps no offsets, and no state of its own."""

from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import bytewax.operators.windowing as win
import records
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.connectors.kafka.operators import output
from bytewax.dataflow import Dataflow
from records import BOOTSTRAP, CALLS, FRAMES, JOB, RESULTS, of_frame, of_window

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def source(name, topic, avro):  # type: ignore[no-untyped-def]
    messages = op.input(name, flow, KafkaSource([BOOTSTRAP], [topic]))
    return op.map(f"decode {name}", messages, lambda message: avro.decode(message.value))


def at(frame):  # type: ignore[no-untyped-def]
    return datetime.fromtimestamp(frame["at_ms"] / 1000, UTC)


flow = Dataflow("bench")
frames = source("frames", FRAMES, records.frames)
if JOB == "map":
    found = op.map("size", frames, lambda frame: of_frame(frame, len(frame["audio"])))
elif JOB == "count":
    clock = win.EventClock(at, wait_for_system_duration=timedelta(seconds=10))
    windows = win.TumblingWindower(length=MINUTE, align_to=EPOCH)
    counted = win.count_window("count", frames, clock, windows, lambda frame: frame["call_id"])
    found = op.map("window", counted.down, lambda c: of_window(c[0], c[1][0] * 60_000, c[1][1]))
else:
    calls = source("calls", CALLS, records.calls)
    left = op.map("key frames", frames, lambda frame: (frame["call_id"], of_frame(frame, 0)))
    right = op.map("key calls", calls, lambda call: (call["call_id"], call["queue"]))
    pairs = op.join("join", left, right, emit_mode="running")
    both = op.filter("both", pairs, lambda pair: None not in pair[1])
    found = op.map("queue", both, lambda pair: pair[1][0] | {"value": pair[1][1]})
sent = op.map("encode", found, lambda r: KafkaSinkMessage(r["call_id"].encode(), records.results.encode(r)))
output("results", sent, brokers=[BOOTSTRAP], topic=RESULTS, add_config={"partitioner": "murmur2_random"})
