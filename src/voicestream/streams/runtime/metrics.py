"""Prometheus metrics of every agent, without the agent knowing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from voicestream.streams.state.store import Store

_LABELS = ("stage", "agent")


class AgentMetrics:
    """The metrics of one agent."""

    def __init__(self, owner: "Metrics", stage: str, agent: str) -> None:
        labels = (stage, agent)
        self._owner = owner
        self._labels = labels
        self._received = owner.received.labels(*labels)
        self._sent = owner.sent.labels(*labels)
        self._size = owner.batch_size.labels(*labels)
        self._seconds = owner.seconds.labels(*labels)
        self.waiting = owner.waiting.labels(*labels)

    @contextmanager
    def batch(self, received: int, size: int) -> Iterator[None]:
        """Count and time one call of the agent."""
        self._received.inc(received)
        self._size.observe(size)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.observe(time.perf_counter() - start)

    def sent(self, count: int) -> None:
        self._sent.inc(count)

    def failed(self, step: str) -> None:
        self._owner.failed.labels(*self._labels, step).inc()


class Metrics:
    """All metrics of the library; one a process."""

    def __init__(self) -> None:
        self.received = Counter("voicestream_agent_messages", "Messages taken from topics.", _LABELS)
        self.sent = Counter("voicestream_agent_outputs", "Messages sent to topics.", _LABELS)
        self.failed = Counter("voicestream_agent_errors", "Messages that failed.", (*_LABELS, "step"))
        self.seconds = Histogram("voicestream_agent_seconds", "Time of one call of an agent.", _LABELS)
        self.batch_size = Histogram(
            "voicestream_agent_batch_size",
            "Records of one call.",
            _LABELS,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        )
        self.late = Counter("voicestream_late_records", "Records that came behind their window and grace.", ("store",))
        self.waiting = Gauge("voicestream_agent_waiting", "Messages fetched and not yet processed.", _LABELS)
        self.lag = Gauge(
            "voicestream_agent_lag", "Messages in the topic behind what was committed.", ("topic", "partition")
        )
        self.store_entries = Gauge("voicestream_store_entries", "Entries of the partitions owned.", ("store",))
        self.store_bytes = Gauge("voicestream_store_bytes", "Bytes of these entries, encoded.", ("store",))
        self.standby_lag = Gauge("voicestream_standby_lag", "Changes that copies on standby lack.", ("store",))
        self.recovery_records = Gauge("voicestream_recovery_records", "Changelog records of the last recovery.")
        self.recovery_seconds = Gauge("voicestream_recovery_seconds", "Time of the last recovery.")

    def watch(self, store: Store[Any]) -> None:
        """Report the size of ``store`` whenever the metrics are read."""
        self.store_entries.labels(store.name).set_function(lambda: store.size()[0])
        self.store_bytes.labels(store.name).set_function(lambda: store.size()[1])
        self.standby_lag.labels(store.name).set_function(store.lag)

    def recovered(self, records: int, seconds: float) -> None:
        """State has been read back from changelogs."""
        self.recovery_records.set(records)
        self.recovery_seconds.set(seconds)

    def of(self, stage: str, agent: str) -> AgentMetrics:
        return AgentMetrics(self, stage, agent)


METRICS = Metrics()
