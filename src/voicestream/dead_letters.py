"""The letters on the dead-letter topic: reading them, and putting their messages back where they came from.

A replay is noted on the same topic before and after it: before, so that a replay that is cut off is not made twice
without anybody noticing; after, with where the message is now. The message has a new offset, so a stage with state
applies it once, as it had not applied it when it failed.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from voicestream import topics
from voicestream.codec import codec
from voicestream.errors import BrokerError
from voicestream.reading import bootstrap_servers, messages
from voicestream.settings import Settings
from voicestream.streams.clock import now_ms
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.errors import DecodeError
from voicestream.streams.message import REPLAYED_FOR, Headers
from voicestream.streams.operators.sink import ORIGIN
from voicestream.streams.runtime.failures import NOWHERE, VALUE_LEFT_OUT

REPLAYED_FROM = "voicestream-replayed-from"
"""Header of a message that was put back: the identifier of its letter."""


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
    return letter.topic if where.offset in (None, NOWHERE) else f"{letter.topic}[{where.partition}]@{where.offset}"


async def read_letters(config: Settings) -> list[Letter]:
    """Every letter that the topic holds, oldest first, each once; raises ``BrokerError`` without a broker."""
    letters: dict[str, DeadLetter] = {}
    replays: dict[str, LetterReplay] = {}
    async for message in messages(config, topics.dlq.name):
        try:
            record = codec().decode(topics.dlq, message.value)
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


async def replay(
    config: Settings, letters: Iterable[DeadLetter], *, for_all: bool = False
) -> AsyncIterator[tuple[DeadLetter, LetterReplay]]:
    """Put the messages of ``letters`` back on their topics, one after the other; each with where it is now.

    Of the agents that read the topic only the one that failed takes it, as the others did the first time; with
    ``for_all`` all of them do. A message that its topic refused is for all.

    Key, value and timestamp are as they were, and the headers with ``REPLAYED_FROM`` added; the mark of where a copy on
    a repartition topic came from is left out, as the stage would pass over what it has seen. Raises ``BrokerError``
    when the broker refuses one.
    """
    async with _producer(config) as producer:
        for letter in letters:
            yield letter, await _replay(producer, letter, for_all)


async def _replay(producer: AIOKafkaProducer, letter: DeadLetter, for_all: bool) -> LetterReplay:
    begun = LetterReplay(letter_id=letter.letter_id, at_ms=now_ms())
    await _note(producer, begun)
    known = await producer.partitions_for(letter.topic)
    sent = await producer.send_and_wait(
        letter.topic,
        key=letter.source_key,
        value=letter.source_value,
        partition=letter.partition if letter.partition in known else None,
        timestamp_ms=letter.timestamp_ms,
        headers=list(_headers(letter, for_all)),
    )
    ended = LetterReplay(
        letter_id=letter.letter_id, at_ms=max(now_ms(), begun.at_ms), offset=sent.offset, partition=sent.partition
    )
    await _note(producer, ended)
    return ended


async def _note(producer: AIOKafkaProducer, record: LetterReplay) -> None:
    await producer.send_and_wait(topics.dlq.name, key=record.key.encode(), value=codec().encode(topics.dlq, record))


def _headers(letter: DeadLetter, for_all: bool) -> Headers:
    ours = (ORIGIN, REPLAYED_FROM, REPLAYED_FOR)
    kept = [(name, value) for name, value in letter.headers.items() if name not in ours]
    about = [(REPLAYED_FROM, letter.letter_id.encode())]
    if not for_all and letter.offset != NOWHERE:
        about.append((REPLAYED_FOR, f"{letter.stage}/{letter.agent}".encode()))
    return (*kept, *about)


@asynccontextmanager
async def _producer(config: Settings) -> AsyncIterator[AIOKafkaProducer]:
    servers = bootstrap_servers(config)
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
