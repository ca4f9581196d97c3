"""What a worker wrote to a changelog when it thawed, behind one that had gone on, is passed over when it is read."""

from pathlib import Path

import msgspec
import pytest

from voicestream.streams.state import rocks
from voicestream.streams.state.store import Change, Store


class Count(msgspec.Struct):
    n: int = 0


def counted(store: Store[Count], upto: int) -> list[Change]:
    """Count the records up to an offset, one a flush, as a pipeline does; the last changes."""
    changes: list[Change] = []
    for offset in range(store.meta(0).fence.get("t", (-1, 0))[0] + 1, upto):
        state = store.open(0, "c")
        state.value = Count((state.value.n if state.value else 0) + 1)
        store.touch(state, {"t": offset})
        store.meta(0).fence["t"] = offset, 0
        store.commit()
        changes = store.take_changes()
    return changes


@pytest.mark.parametrize("backend", ["memory", "rocksdb"])
@pytest.mark.parametrize("restored_between", [False, True])
def test_an_entry_that_had_applied_less_does_not_replace_what_came_before_it(
    backend: str, restored_between: bool, tmp_path: Path
):
    frozen, gone_on = (Store("s", Count) for _ in range(2))
    newer, older = counted(gone_on, 9), counted(frozen, 4)
    store = Store("s", Count)
    if backend == "rocksdb":
        store.place(tmp_path)
    store.assign([0])
    for number, changes in enumerate((newer, older)):
        for partition, key, data in changes:
            store.restore(partition, key, data)
        if restored_between or number:
            store.restored(0, store.position(0), 0)
    assert store.look_up(0, "c") == Count(9)
    assert store.meta(0).fence == {"t": (8, 0)}
    store.assign([0])
    assert store.look_up(0, "c") == Count(9)
    assert store.meta(0).fence == {"t": (8, 0)}
    store.close()


def test_a_removal_is_not_undone_by_an_entry_that_had_applied_less():
    frozen, gone_on, store = (Store("s", Count) for _ in range(3))
    older = counted(frozen, 4)
    counted(gone_on, 9)
    state = gone_on.open(0, "c")
    state.value = None
    gone_on.save(state, {"t": 9})
    removed = gone_on.take_changes()
    before_the_meta = removed[:1]
    for partition, key, data in (*before_the_meta, *older[:1]):
        store.restore(partition, key, data)
    assert store.look_up(0, "c") is None


def test_a_copy_that_comes_back_to_a_worker_after_long_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store("s", Count)
    store.place(tmp_path)
    store.assign([0])
    changes = counted(store, 1)
    store.settle(changes, list(range(len(changes))), store.generation)
    store.assign([])  # its entry is removed by another worker, and in time the broker forgets that it was
    later_ms = rocks._wall_ms() + rocks.MAX_AGE_MS + 1
    monkeypatch.setattr(rocks, "_wall_ms", lambda: later_ms)
    store.assign([0])
    assert store.position(0).offset == 0
    assert store.look_up(0, "c") is None
    store.close()
