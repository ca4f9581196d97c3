"""What agents send, on its way to the broker: librdkafka, which spends a quarter of what aiokafka does on a message.

Everything runs on the event loop: delivery reports come out of ``poll``, which a task calls while something waits, and
whoever sent a batch is woken once, when the broker has all of it.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from voicestream.streams.errors import SendError, StreamsError
from voicestream.streams.message import Outgoing

log = logging.getLogger(__name__)

POLL_S = 0.001
LONGEST_POLL_S = 0.008  # while the broker takes its time
ROOM_S = 0.01
BATCH_BYTES = 100_000
"""Messages go to the broker in batches of so many bytes at most, and what is larger goes alone: a broker refuses a
batch as a whole, so small messages should not share one with a large message, or be too large together."""

OF_A_MESSAGE = frozenset({
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError._INVALID_DIFFERENT_RECORD,
})  # fmt: skip
"""Errors that are the fault of a message, or of its company in a batch."""

OF_A_TOPIC = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.POLICY_VIOLATION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
})  # fmt: skip
"""Errors of every message to a topic: those to other topics are taken."""


def producer_options(servers: str, *, idempotent: bool) -> dict[str, Any]:
    """Options of librdkafka for a producer that keeps the order, loses nothing and picks partitions as Java does.

    ``idempotent`` is false for a broker that knows no such producers; one request in flight keeps the order there.
    """
    order = {"enable.idempotence": True} if idempotent else {"max.in.flight.requests.per.connection": 1}
    return {
        "bootstrap.servers": servers,
        "partitioner": "murmur2_random",  # as Java, aiokafka and Faust do, so one key is one partition for all
        "compression.type": "none",
        "message.timeout.ms": 0,  # no limit: whoever sends bounds what waits
        "reconnect.backoff.max.ms": 1000,
        **order,
    }


class BatchProducer:
    """Sends messages in batches; ``options`` are those of librdkafka, see ``producer_options``.

    It is at work from when it is made, in a running event loop, until ``stop``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        own = {"linger.ms": 1, "batch.size": BATCH_BYTES, "message.max.bytes": 4_000_000}  # the broker's limit decides
        self._producer = Producer(own | dict(options), logger=log.getChild("rdkafka"))
        self._busy = asyncio.Event()
        self._poller = asyncio.create_task(self._poll_forever())

    async def send(self, messages: Iterable[Outgoing]) -> list[int]:
        """Send, and return the offsets when the broker has all of it; the order is kept within each partition.

        Raises ``SendError`` for messages that are refused for their own sake, when the broker has all the others, and
        ``StreamsError`` for any other failure.
        """
        batch = list(messages)
        offsets = [-1] * len(batch)
        refused = await self._deliver(batch, range(len(batch)), offsets)
        for position in sorted(refused):
            if refused[position].code() in OF_A_MESSAGE:
                # A broker refuses a batch for one of its messages: only what it refuses alone is at fault.
                del refused[position]
                refused |= await self._deliver(batch, [position], offsets)
        if refused:
            raise SendError({position: _refusal(batch[position], refused[position]) for position in sorted(refused)})
        return offsets

    async def stop(self, timeout_s: float) -> None:
        """Hand over what waits, for at most ``timeout_s``; what is left by then is dropped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self._producer):
                    self._producer.poll(0)
                    await asyncio.sleep(POLL_S)
        self._poller.cancel()
        await asyncio.gather(self._poller, return_exceptions=True)
        left = len(self._producer)
        if left:
            log.error("%d messages were not taken by the broker; what they are made of will be processed again", left)
            self._producer.purge()
            self._producer.poll(0)

    async def _deliver(
        self, batch: Sequence[Outgoing], positions: Sequence[int], offsets: list[int]
    ) -> dict[int, KafkaError]:
        """The messages that are refused, by position, once the broker has the others, at ``offsets``."""
        if not positions:
            return {}
        errors: dict[int, KafkaError] = {}
        left = len(positions)
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(position: int, error: KafkaError | None, sent: Any = None) -> None:
            nonlocal left
            if error is None:
                offsets[position] = sent.offset()
            else:
                errors[position] = error
            left -= 1
            if not left and not delivered.done():
                delivered.set_result(None)

        for position in positions:
            try:
                while not self._produce(batch[position], partial(settle, position)):
                    self._busy.set()
                    await asyncio.sleep(ROOM_S)
            except KafkaException as refusal:
                settle(position, refusal.args[0])
        self._busy.set()
        await delivered
        for position, error in errors.items():
            if error.code() not in OF_A_MESSAGE and error.code() not in OF_A_TOPIC:
                raise StreamsError(f"topic {batch[position].topic}: a message was not sent: {error.str()}")
        return errors

    def _produce(self, message: Outgoing, settle: partial[None]) -> bool:
        """Whether there was room for the message in the queue."""
        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                partition=-1 if message.partition is None else message.partition,
                on_delivery=settle,
                timestamp=message.timestamp_ms,
                headers=list(message.headers) or None,
            )
        except BufferError:
            return False
        return True

    async def _poll_forever(self) -> None:
        while True:
            await self._busy.wait()
            wait = POLL_S
            while len(self._producer):
                try:
                    served = self._producer.poll(0)
                except Exception:  # of one delivery report: the others must go on
                    log.exception("a delivery report failed")
                    served = 1
                wait = POLL_S if served else min(2 * wait, LONGEST_POLL_S)
                await asyncio.sleep(wait)
            self._busy.clear()


def _refusal(message: Outgoing, error: KafkaError) -> StreamsError:
    size = len(message.key or b"") + len(message.value or b"")
    return StreamsError(f"topic {message.topic}: the broker refused a message of {size} bytes: {error.str()}")
