"""Whatever happens to a worker and its local copy, the store holds what the changelog holds."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicestream.streams.state import store as state_module
from voicestream.streams.state.entries import META_KEY, checksum
from voicestream.streams.state.rocks import Position
from voicestream.streams.state.store import Change, Store

KEYS = st.sampled_from([f"key {n}" for n in range(8)])
PARTITIONS = (0, 1)


class Count(msgspec.Struct):
    n: int = 0


class Workers(RuleBasedStateMachine):
    """One worker at a time owns the partitions; the changelog is a list, and what was kept is a dict."""

    backend = "memory"

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.log: dict[int, list[tuple[str, bytes | None]]] = {number: [] for number in PARTITIONS}
        self.sent: dict[tuple[int, str], int] = {}
        self.kept: dict[tuple[int, str], int] = {}
        self.now: dict[tuple[int, str], int] = {}
        self.offset = 0
        self.new_store()

    def new_store(self) -> None:
        self.store: Store[Count] = Store("s", Count)
        if self.backend == "rocksdb":
            self.store.place(self.folder / "here")
        self.recover()

    def recover(self) -> None:
        self.store.assign(PARTITIONS)
        for number, log in self.log.items():
            position = self.store.position(number)
            if position.offset:
                assert position.checksum == checksum(*log[position.offset - 1])
            for key, data in log[position.offset :]:
                self.store.restore(number, key, data)
            if position.offset < len(log):
                self.store.restored(number, Position(len(log), checksum(*log[-1])), len(log))
        self.kept, self.now = dict(self.sent), dict(self.sent)

    def append(self, changes: list[Change]) -> list[int]:
        for number, key, data in changes:
            self.log[number].append((key, data))
        ends = {number: len(log) - sum(n == number for n, _, _ in changes) for number, log in self.log.items()}
        offsets = []
        for number, _, _ in changes:
            offsets.append(ends[number])
            ends[number] += 1
        return offsets

    @rule(
        number=st.sampled_from(PARTITIONS),
        changes=st.lists(st.tuples(KEYS, st.none() | st.integers(0, 3)), min_size=1, max_size=12),
        then=st.sampled_from(["wait", "commit", "abort", "flush", "flush", "flush without offsets"]),
    )
    def work(self, number: int, changes: list[tuple[str, int | None]], then: str) -> None:
        for key, n in changes:
            self.change_one(number, key, n)
        if then == "commit":
            self.commit()
        elif then == "abort":
            self.store.abort()
            self.now = dict(self.kept)
        elif then != "wait":
            self.flush(known=then == "flush")

    def change_one(self, number: int, key: str, n: int | None) -> None:
        state = self.store.open(number, key)
        assert state.value == (Count(self.now[number, key]) if (number, key) in self.now else None)
        if n is None:
            state.value = None
            self.now.pop((number, key), None)
        else:
            state.value = Count(n)
            self.now[number, key] = n
        self.offset += 1
        self.store.touch(state, {"t": self.offset})
        self.store.meta(number).fence["t"] = (self.offset, 0)

    def commit(self) -> None:
        self.store.commit()
        self.kept = dict(self.now)

    def flush(self, known: bool) -> None:
        self.commit()
        changes, generation = self.store.take_changes(), self.store.generation
        offsets = self.append(changes)
        self.store.settle(changes, offsets if known else None, generation)
        self.sent = dict(self.kept)

    @rule()
    def keep_one_at_once(self) -> None:
        """An agent's way: nothing is touched, and the change is kept with ``save``."""
        self.commit()
        self.offset += 1
        state = self.store.open(0, "key 0")
        state.value = Count(self.offset)
        self.store.save(state, {"t": self.offset})
        self.kept[0, "key 0"] = self.now[0, "key 0"] = self.offset

    @rule()
    def reassigned(self) -> None:
        """The partitions stay; what was not sent is lost."""
        self.recover()

    @rule()
    def killed_before_the_copy_knew(self) -> None:
        self.commit()
        self.append(self.store.take_changes())
        self.sent = dict(self.kept)
        self.store.close()
        self.new_store()

    @rule()
    def killed(self) -> None:
        self.store.close()
        self.new_store()

    @rule()
    def looked_at(self) -> None:
        """Which decodes entries, and so lets others go."""
        for number, key in self.store:
            self.store.open(number, key)

    @invariant()
    def the_store_holds_what_was_kept(self) -> None:
        found = {(number, key): value.n for number in PARTITIONS for key, value in self.store.items(number)}
        assert found == self.kept
        assert sorted(self.store) == sorted(self.kept)
        assert META_KEY not in {key for _, key in self.store}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


class WorkersOnDisk(Workers):
    backend = "rocksdb"


@pytest.fixture(autouse=True)
def few_decoded() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "DECODED_ENTRIES", 6)
        yield


TestInMemory = Workers.TestCase
TestOnDisk = WorkersOnDisk.TestCase
TestInMemory.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestOnDisk.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
