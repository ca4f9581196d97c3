"""Stores come back from their changelogs, from where what is known of them ends."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from prometheus_client import REGISTRY

from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.streams.errors import StreamsError
from voicestream.streams.runtime import recovery
from voicestream.streams.runtime.recovery import keep_warm, recover
from voicestream.streams.state.store import Backend, Change, Store


class Count(msgspec.Struct):
    n: int = 0


class Changelogs:
    """A broker with the changelogs of this test's stores, of two partitions each."""

    def __init__(self, broker: Broker, producer: AIOKafkaProducer, folder: Path, backend: Backend) -> None:
        self.options = {"bootstrap_servers": broker.bootstrap}
        self._producer = producer
        self._folder = folder
        self._backend = backend
        self.name = f"counts-{uuid4().hex[:8]}"

    def store(self, machine: str = "here") -> Store[Count]:
        store: Store[Count] = Store(self.name, Count)
        if self._backend == "rocksdb":
            store.place(self._folder / machine)
        return store

    async def create(self) -> None:
        topic = f"{self.name}-changelog"
        await create_topics(self.options["bootstrap_servers"], {topic: 2}, replication=1, compacted={topic})

    async def send(self, changes: Iterable[Change]) -> list[int]:
        sent = [
            await self._producer.send(f"{self.name}-changelog", data, key.encode(), partition)
            for partition, key, data in changes
        ]
        return [(await record).offset for record in sent]

    async def flush(self, store: Store[Count]) -> None:
        changes, generation = store.take_changes(), store.generation
        store.settle(changes, await self.send(changes), generation)

    async def recover(self, store: Store[Count], *partitions: int, standby: Iterable[int] = ()) -> int:
        """The number of records that were read."""
        await recover({store: partitions}, self.options, {store: set(standby)})
        return int(REGISTRY.get_sample_value("voicestream_recovery_records") or 0)


@pytest.fixture(params=["memory", "rocksdb"])
async def changelogs(request: pytest.FixtureRequest, broker: Broker, tmp_path: Path) -> AsyncIterator[Changelogs]:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        found = Changelogs(broker, producer, tmp_path, request.param)
        await found.create()
        yield found


def put(store: Store[Count], partition: int, key: str, n: int | None, offset: int) -> None:
    state = store.open(partition, key)
    state.value = None if n is None else Count(n)
    store.save(state, {"t": offset})


def contents(store: Store[Count]) -> dict[tuple[int, str], int]:
    return {(number, key): value.n for number in store.partitions() for key, value in store.items(number)}


async def test_a_new_worker_reads_all_of_its_partitions(changelogs: Changelogs):
    first = changelogs.store()
    assert await changelogs.recover(first, 0, 1) == 0
    put(first, 0, "a", 1, 0)
    put(first, 1, "b", 2, 0)
    put(first, 0, "", 3, 1)
    first.meta(0).stream_ms["t"] = 7
    first.touch_meta(0)
    first.commit()
    await changelogs.flush(first)

    second = changelogs.store("elsewhere")
    assert await changelogs.recover(second, 0) == 3
    assert contents(second) == {(0, "a"): 1, (0, ""): 3}
    assert second.meta(0).stream_ms == {"t": 7}
    assert second.applied(second.open(0, "a"), "t", 0)
    assert not second.applied(second.open(0, "a"), "t", 1)
    first.close()
    second.close()


async def test_partitions_that_a_worker_keeps_are_read_from_where_it_was(changelogs: Changelogs):
    store = changelogs.store()
    await changelogs.recover(store, 0, 1)
    for n in range(50):
        put(store, n % 2, f"k{n}", n, n)
    await changelogs.flush(store)
    before = contents(store)
    assert await changelogs.recover(store, 0, 1) == 0
    other = changelogs.store("elsewhere")
    await changelogs.recover(other, 1)
    put(other, 1, "k1", 7, 60)
    await changelogs.flush(other)
    assert await changelogs.recover(store, 0, 1) == 1
    assert contents(store) == before | {(1, "k1"): 7}
    store.close()
    other.close()


async def test_what_another_worker_wrote_in_between_is_read(changelogs: Changelogs):
    """A worker that slept through a takeover may write once more before it knows."""
    slept, other = changelogs.store(), changelogs.store("elsewhere")
    await changelogs.recover(slept, 0)
    put(slept, 0, "a", 1, 0)
    await changelogs.flush(slept)
    await changelogs.recover(other, 0)
    put(other, 0, "b", 2, 1)
    await changelogs.flush(other)
    put(slept, 0, "c", 3, 2)
    await changelogs.flush(slept)
    await changelogs.recover(slept, 0)
    assert contents(slept) == {(0, "a"): 1, (0, "b"): 2, (0, "c"): 3}
    slept.close()
    other.close()


async def test_what_was_not_sent_is_forgotten_when_partitions_are_assigned(changelogs: Changelogs):
    store = changelogs.store()
    await changelogs.recover(store, 0)
    put(store, 0, "a", 1, 0)
    await changelogs.flush(store)
    put(store, 0, "a", 2, 1)
    put(store, 0, "gone", 2, 1)
    lost = store.take_changes()  # the worker was held up, and the broker never got them
    put(store, 0, "b", 1, 2)
    stale, generation = store.open(0, "a"), store.generation
    await changelogs.recover(store, 0)
    assert contents(store) == {(0, "a"): 1}
    assert not store.applied(store.open(0, "a"), "t", 1)
    store.settle(lost, [5, 6], generation)
    store.save(stale, {"t": 9})
    assert contents(store) == {(0, "a"): 1}
    store.close()


async def test_a_fence_that_was_not_sent_is_forgotten_when_partitions_are_assigned(changelogs: Changelogs):
    """The entry did not change, so its fence stayed here; the outputs of the record may not have been sent."""
    store = changelogs.store()
    await changelogs.recover(store, 0)
    put(store, 0, "a", 1, 0)
    await changelogs.flush(store)
    put(store, 0, "a", 1, 1)
    assert store.applied(store.open(0, "a"), "t", 1)
    await changelogs.recover(store, 0)
    assert not store.applied(store.open(0, "a"), "t", 1)
    store.close()


async def test_standby_partitions_are_followed_and_taken_over_without_reading_again(changelogs: Changelogs):
    active, waiting = changelogs.store(), changelogs.store("elsewhere")
    await changelogs.recover(active, 0, 1)
    put(active, 0, "a", 1, 0)
    put(active, 1, "b", 1, 0)
    await changelogs.flush(active)
    await changelogs.recover(waiting, 1, standby=[0])
    assert contents(waiting) == {(1, "b"): 1}
    warm = asyncio.create_task(keep_warm({waiting: [0]}, changelogs.options))
    for n in range(2, 20):
        put(active, 0, f"a{n}", n, n)
        await changelogs.flush(active)
    async with asyncio.timeout(10):
        while waiting.position(0) != active.position(0):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert waiting.lag() == 0
    assert contents(waiting) == {(1, "b"): 1}
    warm.cancel()
    await asyncio.gather(warm, return_exceptions=True)
    assert await changelogs.recover(waiting, 0, 1) == 0
    assert contents(waiting) == contents(active)
    active.close()
    waiting.close()


@pytest.mark.parametrize("changelogs", ["rocksdb"], indirect=True)
class TestOnDisk:
    """What only a copy on disk can do."""

    async def test_a_worker_that_was_killed_reads_only_what_its_copy_lacks(self, changelogs: Changelogs):
        store = changelogs.store()
        await changelogs.recover(store, 0, 1)
        for n in range(30):
            put(store, 0, f"k{n}", n, n)
        await changelogs.flush(store)
        put(store, 0, "k3", None, 31)
        put(store, 0, "k4", 44, 32)
        await changelogs.send(store.take_changes())  # and the kill comes before the copy has them
        store.close()
        again = changelogs.store()
        assert await changelogs.recover(again, 0, 1) == 4  # the entry, the removal with its fence, the meta, the end
        assert contents(again) == {(0, f"k{n}"): n for n in range(30) if n != 3} | {(0, "k4"): 44}
        assert again.applied(again.open(0, "k3"), "t", 31)
        again.close()

    async def test_a_copy_of_a_changelog_that_was_longer_is_thrown_away(self, changelogs: Changelogs):
        store = changelogs.store()
        await changelogs.recover(store, 0)
        for n in range(30):
            put(store, 0, f"k{n}", n, n)
        await changelogs.flush(store)
        store.close()
        again = changelogs.store()
        changelogs.name += "-anew"
        await changelogs.create()
        again.name = changelogs.name  # the topic was deleted and made anew
        other = Store(changelogs.name, Count)
        put(other, 0, "only", 1, 0)
        await changelogs.flush(other)
        assert await changelogs.recover(again, 0) == 1
        assert contents(again) == {(0, "only"): 1}
        again.close()

    async def test_a_copy_of_another_changelog_is_thrown_away(self, changelogs: Changelogs):
        store = changelogs.store()
        await changelogs.recover(store, 0)
        for n in range(3):
            put(store, 0, f"k{n}", n, n)
        await changelogs.flush(store)
        store.close()
        again = changelogs.store()
        changelogs.name += "-anew"
        await changelogs.create()
        again.name = changelogs.name
        other = Store(changelogs.name, Count)
        for n in range(5):
            put(other, 0, f"x{n}", n, n)
        await changelogs.flush(other)
        assert await changelogs.recover(again, 0) == 5
        assert contents(again) == {(0, f"x{n}"): n for n in range(5)}
        again.close()

    async def test_state_larger_than_what_may_be_decoded(self, changelogs: Changelogs, monkeypatch):
        monkeypatch.setattr("voicestream.streams.state.store.DECODED_ENTRIES", 50)
        store = changelogs.store()
        await changelogs.recover(store, 0, 1)
        for round_ in range(3):
            for n in range(500):
                state = store.open(n % 2, f"k{n}")
                state.value = Count((state.value.n if state.value else 0) + n)
                store.touch(state, {"t": round_ * 500 + n})
                if n % 100 == 99:
                    store.commit()
                    await changelogs.flush(store)
        assert contents(store) == {(n % 2, f"k{n}"): 3 * n for n in range(500)}
        assert len(store) == 500
        for partition, key in store:
            store.open(partition, key)
        assert sum(len(p.entries) for p in store._partitions.values()) < 200
        store.close()


async def test_a_broker_that_is_away_is_waited_for(changelogs: Changelogs, monkeypatch: pytest.MonkeyPatch):
    store = changelogs.store()
    await changelogs.recover(store, 0)
    put(store, 0, "a", 1, 7)
    await changelogs.flush(store)
    store.close()
    start = AIOKafkaConsumer.start
    tries: list[int] = []

    async def troubled(self: AIOKafkaConsumer) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise KafkaConnectionError("away")
        await start(self)

    monkeypatch.setattr(recovery, "RETRY_S", 0.0)
    monkeypatch.setattr(AIOKafkaConsumer, "start", troubled)
    again = changelogs.store("there")
    assert await changelogs.recover(again, 0) >= 1
    assert again.get("a") == Count(1)
    assert len(tries) == 2
    again.close()


async def test_a_changelog_with_fewer_partitions_than_its_topic_is_an_error(changelogs: Changelogs):
    store = changelogs.store()
    with pytest.raises(StreamsError, match=r"has 2 partitions, and partition 5 is wanted"):
        async with asyncio.timeout(10):
            await changelogs.recover(store, 0, 5)
    store.close()
