"""The three jobs as Faust's documentation writes them: agents and tables, a record at a time."""

import faust
import records
from faust.serializers import codecs
from records import BOOTSTRAP, CALLS, FRAMES, JOB, MINUTE_MS, NAME, PARTITIONS, RESULTS, of_frame, of_window


class Codec(codecs.Codec):
    """Avro as one of Faust's serializers."""

    def __init__(self, avro: records.Avro) -> None:
        super().__init__()
        self._avro = avro

    def _loads(self, data: bytes) -> object:
        return self._avro.decode(data)

    def _dumps(self, datum: object) -> bytes:
        return self._avro.encode(datum)


for name in ("frames", "calls", "results"):
    codecs.register(name, Codec(getattr(records, name)))

app = faust.App(
    NAME,
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=1.0,
    key_serializer="raw",
)
frames = app.topic(FRAMES, value_serializer="frames")
results = app.topic(RESULTS, value_serializer="results")

if JOB == "map":

    @app.agent(frames)
    async def size(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            await results.send(key=event.key, value=of_frame(event.value, len(event.value["audio"])))

elif JOB == "count":
    counts = app.Table("counts", default=int).tumbling(MINUTE_MS / 1000)
    counts = counts.relative_to(lambda event: event.value["at_ms"] / 1000)

    @app.agent(frames)
    async def count(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            call_id, at_ms = event.value["call_id"], event.value["at_ms"]
            counts[call_id] += 1
            result = of_window(call_id, at_ms - at_ms % MINUTE_MS, counts[call_id].value())
            await results.send(key=event.key, value=result)

else:
    calls = app.topic(CALLS, value_serializer="calls")
    queues = app.Table("queues", default=int)

    @app.agent(calls)
    async def remember(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            queues[event.value["call_id"]] = event.value["queue"]

    @app.agent(frames)
    async def join(stream):  # type: ignore[no-untyped-def]
        async for event in stream.events():
            call_id = event.value["call_id"]
            if call_id in queues:
                await results.send(key=event.key, value=of_frame(event.value, queues[call_id]))
