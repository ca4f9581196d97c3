"""Records on their way to the broker: librdkafka, and a bound on what waits in it."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from voicestream import topics
from voicestream.codec import codec
from voicestream.errors import GatewayError
from voicestream.gateway.protocol import Refusal
from voicestream.streams.record import Record
from voicestream.streams.runtime.producer import producer_options
from voicestream.streams.topic import Topic

if TYPE_CHECKING:
    from voicestream.gateway.tracing import CallTraces

log = logging.getLogger(__name__)

Delivered = Callable[[KafkaError | None], None]

POLL_S = 0.003
PROBE_S = 2.0
ROOM_TIMEOUT_S = 5.0
MESSAGE_BYTES = 256  # what a message costs beside its value, about
NEEDED = frozenset({topics.audio.name, topics.calls.name})


def bootstrap_servers(broker: str) -> tuple[str, bool]:
    """``host:port,…`` of the setting ``broker``, and whether it is the embedded broker; raises ``GatewayError``."""
    scheme, _, servers = broker.partition("://")
    if scheme not in {"kafka", "embedded"} or not servers:
        raise GatewayError(
            f"VOICESTREAM_BROKER={broker!r}: the gateway needs kafka://host:9092, or start the embedded stack with "
            "`voicestream up`"
        )
    return servers, scheme == "embedded"


class RecordProducer:
    """Sends records, tells when the broker has them, and knows whether the broker can be reached.

    Everything runs on the event loop: delivery reports come out of ``poll``, which a task calls while something waits.
    A message stays in the queue until the broker has it; ``room`` makes senders of audio wait when the queue is full.
    """

    def __init__(self, servers: str, embedded: bool, buffer_bytes: int, traces: "CallTraces | None" = None) -> None:
        self._traces = traces
        self.servers = servers
        self.buffer_bytes = buffer_bytes
        self.queued_bytes = 0
        self.trouble: str | None = "the broker has not answered yet"
        options = producer_options(servers, idempotent=not embedded) | {
            "linger.ms": 5,
            "queue.buffering.max.messages": 2_000_000,
        }
        self._producer = Producer(options, logger=log.getChild("rdkafka"))
        self._codec = codec()
        self._busy = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to serve delivery reports and to watch the broker."""
        await self._probe()
        self._tasks = [asyncio.create_task(self._poll_forever()), asyncio.create_task(self._probe_forever())]

    def send(self, topic: Topic[Any], record: Record, delivered: Delivered | None = None) -> None:
        """Queue ``record``; ``delivered`` is called when the broker has it (None) or has refused it for good."""
        value = self._codec.encode(topic, record)
        size = len(value) + MESSAGE_BYTES

        def report(error: KafkaError | None, _: Message) -> None:
            self.queued_bytes -= size
            if error is not None:
                log.error("the broker refused a %s of %s: %s", type(record).__name__, record.key, error)
            if delivered is not None:
                delivered(error)

        headers: dict[str, Any] = {} if self._traces is None else {"headers": list(self._traces.headers(record))}
        self._producer.produce(topic.name, value, key=record.key, on_delivery=report, **headers)
        self.queued_bytes += size
        self._busy.set()

    @property
    def full(self) -> bool:
        return self.queued_bytes >= self.buffer_bytes

    async def room(self) -> None:
        """Wait until there is room in the queue; raises ``Refusal`` (``overloaded``) when there is none for long."""
        deadline = time.monotonic() + ROOM_TIMEOUT_S
        while self.full:
            if time.monotonic() > deadline:
                raise Refusal("overloaded", "the broker is down or too slow; try again later")
            await asyncio.sleep(0.02)

    async def stop(self, timeout_s: float) -> int:
        """Hand over what waits, for at most ``timeout_s``; how many messages the broker did not take."""
        deadline = time.monotonic() + timeout_s
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.poll(0)
            await asyncio.sleep(POLL_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = len(self._producer)
        if left:
            log.error("%d messages were not taken by the broker and are lost", left)
            self._producer.purge()
            self._producer.poll(0)
        if self._traces is not None:
            await asyncio.to_thread(self._traces.stop)
        return left

    async def _poll_forever(self) -> None:
        while True:
            await self._busy.wait()
            try:
                self._producer.poll(0)
            except Exception:  # of one delivery report: the others must go on
                log.exception("a delivery report failed")
            if not len(self._producer):
                self._busy.clear()
            else:
                await asyncio.sleep(POLL_S)

    async def _probe_forever(self) -> None:
        while True:
            await asyncio.sleep(PROBE_S)
            await self._probe()

    async def _probe(self) -> None:
        try:
            found = await asyncio.to_thread(self._producer.list_topics, timeout=PROBE_S)
        except KafkaException as error:
            trouble: str | None = f"the broker at {self.servers} does not answer: {error.args[0].str()}"
        else:
            missing = NEEDED - found.topics.keys()
            trouble = f"the broker has no topic {', '.join(sorted(missing))}" if missing else None
        if trouble != self.trouble:
            if trouble:
                log.warning("%s", trouble)
            else:
                log.info("the broker at %s is there", self.servers)
        self.trouble = trouble
        self._producer.poll(0)
