"""The stores of a worker: where they are kept, how they come back, and what is done to them beside the agents."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicestream.streams.clock import now_ms
from voicestream.streams.message import TopicPartition
from voicestream.streams.runtime.delivery import Send
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.runtime.recovery import Owned, keep_warm, recover
from voicestream.streams.runtime.runner import send_changes
from voicestream.streams.runtime.work import Work
from voicestream.streams.stage import Stage
from voicestream.streams.state.rocks import WorkerFolder
from voicestream.streams.state.store import Backend, Store

EXPIRE_AT_LEAST_S, EXPIRE_AT_MOST_S = 0.5, 60.0  # between two looks for entries whose time to live is over


@dataclass(frozen=True)
class StateConfig:
    """How a worker keeps its stores."""

    backend: Backend = "memory"
    """Of the stores that do not say it themselves."""
    folder: Path = Path(".voicestream") / "state"
    """Where RocksDB keeps its files; workers of one machine may share it."""
    standby: bool = False
    """Whether the partitions of other workers are kept warm."""


class StoreKeeper:
    """Keeps the stores of ``stages`` in the worker ``name``; ``consumer_options`` are those of ``AIOKafkaConsumer``."""

    def __init__(
        self, name: str, stages: Iterable[Stage], config: StateConfig, consumer_options: Mapping[str, Any]
    ) -> None:
        self._name = name
        self._sources = {
            store: {topic.name for agent in stage.agents if store in agent.stores for topic in agent.inputs}
            for stage in stages
            for store in stage.stores.values()
        }
        self._config = config
        self._options = consumer_options
        self._folder: WorkerFolder | None = None
        self._standby: Owned = {}

    def open(self) -> None:
        """Find a folder for what is kept on disk, and report the sizes."""
        for store in self._sources:
            METRICS.watch(store)
            if (store.backend or self._config.backend) == "rocksdb":
                if self._folder is None:
                    self._folder = WorkerFolder(self._config.folder / self._name)
                store.place(self._folder.path / store.name)

    def close(self) -> None:
        """Let the files go."""
        for store in self._sources:
            store.close()
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    async def recover(self, assigned: Collection[TopicPartition], count: Callable[[Collection[str]], int]) -> None:
        """Own of each store the partitions of the topics that change it, as its changelog has them.

        ``count`` says how many partitions some topics have.
        """
        owned = {s: {tp.partition for tp in assigned if tp.topic in topics} for s, topics in self._sources.items()}
        if self._config.standby:
            self._standby = {s: set(range(count(self._sources[s]))) - mine for s, mine in owned.items()}
        await recover(owned, self._options, self._standby)

    async def keep_warm(self) -> None:
        """Follow the partitions that are on standby, until cancelled."""
        await keep_warm(self._standby, self._options)

    def expiries(
        self, locks: Mapping[str, asyncio.Lock], opened: asyncio.Event, work: Work, send: Send
    ) -> list[Coroutine[Any, Any, None]]:
        """What removes the entries whose time to live is over; ``locks``: that of each store, by name."""
        return [_expire(s, locks[s.name], opened, work, send) for s in self._sources if s.ttl_ms is not None]


async def _expire(store: Store[Any], lock: asyncio.Lock, opened: asyncio.Event, work: Work, send: Send) -> None:
    assert store.ttl_ms is not None
    every_s = min(max(store.ttl_ms / 10_000, EXPIRE_AT_LEAST_S), EXPIRE_AT_MOST_S)

    async def expire(stale: list[tuple[int, str]], now: int) -> None:
        async with lock:
            if opened.is_set():  # else the partitions are being taken away
                store.expire(stale, now)
                await send_changes(store, send)

    while True:
        await asyncio.sleep(every_s)
        await opened.wait()
        now = now_ms()
        for stale in store.stale(now):
            if not opened.is_set():
                break
            if stale:
                await work.do(expire(stale, now))
            await asyncio.sleep(0)
