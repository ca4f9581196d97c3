"""The three jobs in Quix Streams."""

import records
from quixstreams import Application
from quixstreams.models import Deserializer, Serializer
from records import BOOTSTRAP, CALLS, FRAMES, JOB, MINUTE_MS, NAME, RESULTS, of_frame, of_window


class Decode(Deserializer):
    def __init__(self, avro: records.Avro) -> None:
        super().__init__()
        self._avro = avro

    def __call__(self, value: bytes, ctx: object) -> object:
        return self._avro.decode(value)


class Encode(Serializer):
    def __call__(self, value: object, ctx: object) -> bytes:
        return records.results.encode(value)


def event_time(value: dict, *_: object) -> int:  # type: ignore[type-arg]
    return value["at_ms"]  # type: ignore[no-any-return]


def main() -> None:
    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=NAME,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir="state",
        loglevel="WARNING",
        auto_create_topics=True,
    )
    frames = app.topic(FRAMES, value_deserializer=Decode(records.frames), timestamp_extractor=event_time)
    results = app.topic(RESULTS, value_serializer=Encode())
    sdf = app.dataframe(frames)
    if JOB == "map":
        sdf = sdf.apply(lambda frame: of_frame(frame, len(frame["audio"])))
    elif JOB == "count":
        sdf = sdf.tumbling_window(MINUTE_MS, grace_ms=10_000).count().current()
        sdf = sdf.apply(lambda w, key, *_: of_window(key.decode(), w["start"], w["value"]), metadata=True)
    else:
        calls = app.topic(CALLS, value_deserializer=Decode(records.calls), timestamp_extractor=event_time)
        sdf = sdf.join_asof(
            app.dataframe(calls), how="inner", on_merge=lambda frame, call: of_frame(frame, call["queue"])
        )
    sdf.to_topic(results)
    app.run()


if __name__ == "__main__":
    main()
