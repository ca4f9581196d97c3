"""The letters on the dead-letter topic: reading them, and putting their messages back where they came from.

A replay is noted on the same topic before and after it: before, so that a replay that is cut off is not made twice
without anybody noticing; after, with where the message is now. The message has a new offset, so a stage with state
applies it once, as it had not applied it when it failed.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from voicestream import topics
from voicestream.codec import codec
from voicestream.errors import BrokerError
from voicestream.settings import Settings
from voicestream.streams.clock import now_ms
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.errors import DecodeError
from voicestream.streams.failures import VALUE_LEFT_OUT
from voicestream.streams.message import Headers
from voicestream.streams.operators.sink import ORIGIN

REPLAYED_FROM = "voicestream-replayed-from"
"""Header of a message that was put back: the identifier of its letter."""

FETCH_WAIT_MS = 100


@dataclass(frozen=True)
class Letter:
    """A dead letter, and the newest note of its replay."""

    letter: DeadLetter
    replay: LetterReplay | None = None

    @property
    def refusal(self) -> str | None:
        """Why its message must not be put back as a matter of course; ``None``: it may."""
        if self.replay is None:
            return None
        if self.replay.offset is None:
            return (
                f"a replay was begun and cut off: look for the header {REPLAYED_FROM} on {self.letter.topic}, and "
                "use --force if it is not there"
            )
        return f"it is on {place(self.letter, self.replay)} already; --force puts it there once more"

    @property
    def impossible(self) -> str | None:
        """Why its message cannot be put back at all; ``None``: it can."""
        if self.letter.source_value is None and self.letter.message.endswith(VALUE_LEFT_OUT):
            return "its value was too large for the letter, so it is only where it came from"
        return None


def place(letter: DeadLetter, replay: LetterReplay | None = None) -> str:
    """``TOPIC[PARTITION]@OFFSET`` of the message, as it was or as it was put back."""
    where = replay or letter
    return letter.topic if where.offset in (None, -1) else f"{letter.topic}[{where.partition}]@{where.offset}"


async def read_letters(config: Settings) -> list[Letter]:
    """Every letter that the topic holds, oldest first, each once; raises ``BrokerError`` without a broker."""
    letters: dict[str, DeadLetter] = {}
    replays: dict[str, LetterReplay] = {}
    async for value in _values(_bootstrap(config)):
        try:
            record = codec().decode(topics.dlq, value)
        except DecodeError:
            continue  # somebody else's: it is no letter
        if isinstance(record, DeadLetter):
            letters[record.letter_id] = record
        elif isinstance(record, LetterReplay):
            known = replays.get(record.letter_id)
            if known is None or (record.at_ms, record.offset is not None) >= (known.at_ms, known.offset is not None):
                replays[record.letter_id] = record
    found = [Letter(letter, replays.get(letter_id)) for letter_id, letter in letters.items()]
    return sorted(found, key=lambda one: one.letter.at_ms)


async def replay(config: Settings, letters: Iterable[DeadLetter]) -> AsyncIterator[tuple[DeadLetter, LetterReplay]]:
    """Put the messages of ``letters`` back on their topics, one after the other; each with where it is now.

    Key, value and timestamp are as they were, and the headers with ``REPLAYED_FROM`` added; the mark of where a copy on
    a repartition topic came from is left out, as the stage would pass over what it has seen. Raises ``BrokerError``
    when the broker refuses one.
    """
    async with _producer(config) as producer:
        for letter in letters:
            yield letter, await _replay(producer, letter)


async def _replay(producer: AIOKafkaProducer, letter: DeadLetter) -> LetterReplay:
    begun = LetterReplay(letter_id=letter.letter_id, at_ms=now_ms())
    await _note(producer, begun)
    known = await producer.partitions_for(letter.topic)
    sent = await producer.send_and_wait(
        letter.topic,
        key=letter.source_key,
        value=letter.source_value,
        partition=letter.partition if letter.partition in known else None,
        timestamp_ms=letter.timestamp_ms,
        headers=list(_headers(letter)),
    )
    ended = LetterReplay(
        letter_id=letter.letter_id, at_ms=max(now_ms(), begun.at_ms), offset=sent.offset, partition=sent.partition
    )
    await _note(producer, ended)
    return ended


async def _note(producer: AIOKafkaProducer, record: LetterReplay) -> None:
    await producer.send_and_wait(topics.dlq.name, key=record.key.encode(), value=codec().encode(topics.dlq, record))


def _headers(letter: DeadLetter) -> Headers:
    kept = [(name, value) for name, value in letter.headers.items() if name not in (ORIGIN, REPLAYED_FROM)]
    return (*kept, (REPLAYED_FROM, letter.letter_id.encode()))


def _bootstrap(config: Settings) -> str:
    scheme, _, servers = config.broker.partition("://")
    if scheme not in ("kafka", "embedded") or not servers:
        raise BrokerError(
            f"VOICESTREAM_BROKER is {config.broker!r}: set it to kafka://host:9092, or to the embedded://host:port "
            "that `voicestream up` prints"
        )
    return servers


@asynccontextmanager
async def _producer(config: Settings) -> AsyncIterator[AIOKafkaProducer]:
    servers = _bootstrap(config)
    idempotent = not config.broker.startswith("embedded")
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=idempotent, max_request_size=4_000_000
    )
    try:
        await producer.start()
        yield producer
    except KafkaError as error:
        raise BrokerError(f"the broker at {servers}: {error}") from error
    finally:
        await producer.stop()


async def _values(servers: str) -> AsyncIterator[bytes | None]:
    """The values on the dead-letter topic, from its first message to its present end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, fetch_max_wait_ms=FETCH_WAIT_MS)
    try:
        await consumer.start()
        await consumer.topics()  # asks for the metadata
        partitions = consumer.partitions_for_topic(topics.dlq.name)
        if not partitions:
            raise BrokerError(f"the broker at {servers} has no topic {topics.dlq.name}: no stage has run there")
        waiting = {TopicPartition(topics.dlq.name, partition) for partition in partitions}
        consumer.assign(list(waiting))
        await consumer.seek_to_beginning()
        while waiting:
            for messages in (await consumer.getmany(timeout_ms=FETCH_WAIT_MS)).values():
                for message in messages:
                    yield message.value
            ends = {tp: consumer.highwater(tp) for tp in waiting}
            waiting -= {tp for tp, end in ends.items() if end is not None and await consumer.position(tp) >= end}
    except KafkaError as error:
        raise BrokerError(f"the broker at {servers}: {error}") from error
    finally:
        await consumer.stop()
