"""Keeps the Kafka client from filling the log: without a broker it says the same some seventy times a second."""

import logging
import time

EVERY_S = 10.0
LOGGERS = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
    "voicestream.streams.runtime.producer.rdkafka",
)
_KINDS = 1_000  # of messages that are told apart


class Repeated(logging.Filter):
    """Passes a warning or error on once in ``every_s`` seconds, with the number of those that were held back."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.name, str(record.msg)), time.monotonic()
        said_at, held = self._seen.get(kind, (None, 0))
        if said_at is not None and now - said_at < self._every_s:
            self._seen[kind] = said_at, held + 1
            return False
        if len(self._seen) >= _KINDS:
            self._seen.clear()
        self._seen[kind] = now, 0
        if held:
            record.msg = f"{record.msg} ({held} times more since it was last said)"
        return True


_FILTER = Repeated()


def limit_repeated(*names: str) -> None:
    """Apply it to the loggers of these names; without any, to those of the Kafka client of workers."""
    for name in names or LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
