"""What became of some calls: their rows in ClickHouse, and what the topics say of them."""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from voicestream import topics
from voicestream.codec import codec
from voicestream.records import CallEvent, CallSummary, EndOfCall
from voicestream.settings import Settings
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.streams.errors import DecodeError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

FETCH_WAIT_MS = 100

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of ClickHouse, each fact once; those of a call in the order in which they happened."""

    calls: list[Row]
    utterances: list[Row]
    insights: list[Row]
    routing: list[Row]

    @property
    def ids(self) -> set[str]:
        """Identifiers of the utterances, insights and decisions."""
        return {
            *(row["utterance_id"] for row in self.utterances),
            *(row["insight_id"] for row in self.insights),
            *(row["decision_id"] for row in self.routing),
        }

    def of(self, call_id: str) -> "Rows":
        """The rows of one call."""
        tables = (self.calls, self.utterances, self.insights, self.routing)
        return Rows(*([row for row in table if row["call_id"] == call_id] for table in tables))


def read_rows(clickhouse: ClickHouse, call_ids: Collection[str]) -> Rows:
    """The rows of the calls ``call_ids``; of ``calls`` only those whose summary is there."""

    def select(query: str) -> list[Row]:
        answer = clickhouse.query(query, {"ids": list(call_ids)})
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    mine = "WHERE call_id IN {ids:Array(String)}"
    return Rows(
        calls=select(f"SELECT * EXCEPT (version) FROM calls FINAL {mine} AND state = 'ended' ORDER BY started_at"),
        utterances=select(f"SELECT * FROM v_utterances {mine} ORDER BY start_ms, track"),
        insights=select(f"SELECT * FROM v_insights {mine} ORDER BY at, start"),
        routing=select(f"SELECT * FROM v_routing_decisions {mine} ORDER BY at"),
    )


def summaries_in(clickhouse: ClickHouse, call_ids: Collection[str]) -> int:
    """How many of the calls have their summary in ClickHouse."""
    query = "SELECT count() FROM calls FINAL WHERE call_id IN {ids:Array(String)} AND state = 'ended'"
    return int(clickhouse.query(query, {"ids": list(call_ids)}).rows[0][0])


async def read_topic(settings: Settings, topic: Topic[Any]) -> list[Record]:
    """Every record of a topic from its first message to its present end; what is no record of it is left out."""
    found: list[Record] = []
    bootstrap = settings.broker.partition("://")[2]
    waiting = {TopicPartition(topic.name, partition) for partition in range(topic.partitions or settings.partitions)}
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=FETCH_WAIT_MS) as consumer:
        consumer.assign(list(waiting))
        await consumer.seek_to_beginning()
        while waiting:
            for messages in (await consumer.getmany(timeout_ms=FETCH_WAIT_MS)).values():
                for message in messages:
                    with contextlib.suppress(DecodeError):
                        found.append(codec().decode(topic, message.value))
            ends = {tp: consumer.highwater(tp) for tp in waiting}
            waiting -= {tp for tp, end in ends.items() if end is not None and await consumer.position(tp) >= end}
    return found


async def who_lags(settings: Settings, call_ids: Collection[str]) -> str:
    """In words, the first stage on the way of a call that has not brought these calls to their end."""
    for stage, topic, is_end in ENDS:
        records = await read_topic(settings, topic)
        done = {record.call_id for record in records if is_end(record)}  # type: ignore[attr-defined]
        behind = [call_id for call_id in call_ids if call_id not in done]
        if behind:
            return (
                f"the stage {stage} has not said on {topic.name} that {', '.join(behind)} "
                f"{'has' if len(behind) == 1 else 'have'} ended"
            )
    return "every stage has finished, but the rows are not in ClickHouse: the stage clickhouse lags"


def _end_by(stage: str) -> Callable[[Record], bool]:
    return lambda record: isinstance(record, EndOfCall) and record.stage == stage


ENDS: tuple[tuple[str, Topic[Any], Callable[[Record], bool]], ...] = (
    ("gateway", topics.calls, lambda record: isinstance(record, CallEvent) and record.kind == "ended"),
    ("chunking", topics.segments, _end_by("chunking")),
    ("stt", topics.transcripts, _end_by("stt")),
    ("sentiment", topics.sentiment, _end_by("sentiment")),
    ("insights", topics.insights, _end_by("insights")),
    ("results", topics.results, lambda record: isinstance(record, CallSummary)),
)
