"""Who lags is said by the first stage that has not brought a call to its end."""

import pytest
from aiokafka import AIOKafkaProducer

from voicestream import topics
from voicestream.admin import create_topics, wanted_topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.results import read_topic, who_lags
from voicestream.records import CallEvent, EndOfCall
from voicestream.settings import Settings


@pytest.fixture
async def config(broker: Broker) -> Settings:
    config = Settings(_env_file=None, broker=broker.url)
    await create_topics(broker.bootstrap, wanted_topics(config.partitions), replication=1)
    return config


async def send(config: Settings, topic: topics.Topic, *records) -> None:
    async with AIOKafkaProducer(bootstrap_servers=config.broker.removeprefix("embedded://")) as producer:
        for record in records:
            await producer.send_and_wait(topic.name, codec().encode(topic, record), key=record.key.encode())


def ended(call_id: str) -> CallEvent:
    return CallEvent(call_id=call_id, event_id=f"{call_id}/1", kind="ended", sequence=1, at_ms=1, protocol="raw")


def end(call_id: str, stage: str) -> EndOfCall:
    return EndOfCall(call_id=call_id, stage=stage, at_ms=1, duration_ms=1, reason="completed")


async def test_the_first_stage_that_lags_is_named(config: Settings) -> None:
    assert await who_lags(config, ["lag-1"]) == "the stage gateway has not said on voice.calls that lag-1 has ended"
    await send(config, topics.calls, ended("lag-1"), ended("lag-2"))
    await send(config, topics.segments, end("lag-1", "chunking"), end("lag-2", "chunking"))
    await send(config, topics.transcripts, end("lag-1", "stt"))
    assert await who_lags(config, ["lag-1", "lag-2"]) == (
        "the stage stt has not said on voice.transcripts that lag-2 has ended"
    )
    assert "the stage sentiment" in await who_lags(config, ["lag-1"])


async def test_a_topic_is_read_whole_and_what_is_no_record_is_left_out(config: Settings) -> None:
    events = [ended(f"read-{number}") for number in range(20)]
    await send(config, topics.calls, *events[:10])
    async with AIOKafkaProducer(bootstrap_servers=config.broker.removeprefix("embedded://")) as producer:
        await producer.send_and_wait(topics.calls.name, b"hello")
    await send(config, topics.calls, *events[10:])
    found = [record for record in await read_topic(config, topics.calls) if record.call_id.startswith("read-")]
    assert sorted(record.call_id for record in found) == sorted(event.call_id for event in events)
