"""Topics on a Kafka broker: made before anything starts, because Faust creates no source topics."""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from voicestream import topics
from voicestream.errors import BrokerError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

log = logging.getLogger(__name__)

RETRY_S = 0.2
DEAD_LETTERS = topics.dlq.name  # nothing is joined with them, so any number of partitions will do


def wanted_topics(partitions: int) -> dict[str, int]:
    """Every topic of voicestream and its number of partitions, which is ``partitions`` where the topic does not say."""
    return {topic.name: topic.partitions or partitions for topic in topics.ALL}


def retentions(topics: Iterable[Topic[Record]]) -> dict[str, int]:
    """The milliseconds for which messages are kept, of the topics that say so."""
    return {topic.name: topic.retention_ms for topic in topics if topic.retention_ms is not None}


async def create_topics(
    bootstrap: str,
    topics: Mapping[str, int],
    *,
    replication: int,
    compacted: Container[str] = (),
    retention: Mapping[str, int] | None = None,
    check: Callable[[Mapping[str, int]], None] | None = None,
    timeout_s: float = 15.0,
) -> None:
    """Create ``topics`` (name to number of partitions) that do not exist yet; call it as often as you like.

    Of the ``compacted`` ones the broker keeps the last value of each key, of those in ``retention`` what is not older
    than so many milliseconds, or twice that: it removes a file at a time. ``check`` is given the partitions of those
    that exist; when it raises, none is created.

    Tries again until ``timeout_s``, as a broker that has just started may refuse. Raises ``BrokerError`` when the
    broker cannot be reached, refuses a topic, or has a topic with another number of partitions.
    """
    try:
        async with asyncio.timeout(timeout_s):
            admin = await _connect(bootstrap)
            try:
                if check is not None:
                    check(await _there(admin, topics))
                await _create(admin, topics, replication, partial(_config, compacted, retention or {}))
                await _check_partitions(admin, topics)
            finally:
                await admin.close()
    except TimeoutError as error:
        raise BrokerError(
            f"No Kafka broker answered at {bootstrap} within {timeout_s:g} s: is it running, and is "
            "VOICESTREAM_BROKER right?"
        ) from error


async def _connect(bootstrap: str) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
        except KafkaError as error:
            log.debug("broker %s: %s", bootstrap, error)
            await admin.close()
            await asyncio.sleep(RETRY_S)
        else:
            return admin


async def _there(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    names = set(await admin.list_topics()).intersection(topics)
    described = await admin.describe_topics(sorted(names)) if names else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _create(
    admin: AIOKafkaAdminClient, topics: Mapping[str, int], replication: int, config: Callable[[str], dict[str, str]]
) -> None:
    wanted = [
        NewTopic(name, partitions, replication, topic_configs=config(name)) for name, partitions in topics.items()
    ]
    while wanted:
        response = await admin.create_topics(wanted)
        again = set()
        for name, code, *message in response.topic_errors:
            error = for_code(code)
            if code == 0 or error is TopicAlreadyExistsError:
                continue
            if not error.retriable:
                raise BrokerError(f"The broker refuses to create topic {name}: {error.__name__} {message[0] or ''}")
            again.add(name)
        wanted = [topic for topic in wanted if topic.name in again]
        await asyncio.sleep(RETRY_S if wanted else 0)


def _config(compacted: Container[str], retention: Mapping[str, int], name: str) -> dict[str, str]:
    config = {"cleanup.policy": "compact"} if name in compacted else {}
    if name in retention:
        # A file to which is written is not removed: without the second one a busy topic would be kept for a week.
        config |= {"retention.ms": str(retention[name]), "segment.ms": str(retention[name])}
    return config


async def _check_partitions(admin: AIOKafkaAdminClient, topics: Mapping[str, int]) -> None:
    """Wait until the broker knows all of every topic: Kafka agrees to make one before it does."""
    waiting = set(topics)
    while waiting:
        for described in await admin.describe_topics(sorted(waiting)):
            name, found = described["topic"], described["partitions"]
            error = next((for_code(part["error_code"]) for part in (described, *found) if part["error_code"]), None)
            if error is not None and not error.retriable:
                raise BrokerError(f"The broker says nothing of topic {name}: {error.__name__}")
            if error is not None or not found:
                continue
            if len(found) != topics[name] and name != DEAD_LETTERS:
                raise BrokerError(
                    f"Topic {name} has {len(found)} partitions, not {topics[name]}: stages that read two topics need "
                    f"the same number in both. Delete the topic, set VOICESTREAM_PARTITIONS={len(found)}, or declare "
                    f"it as Topic(…, partitions={len(found)})."
                )
            waiting.discard(name)
        await asyncio.sleep(RETRY_S if waiting else 0)
