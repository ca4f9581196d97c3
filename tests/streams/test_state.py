"""What a store keeps, takes back and sends to its changelog."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import transcript
from voicestream import Stage, State, topics
from voicestream.records import Transcript
from voicestream.streams.durations import parse_duration
from voicestream.streams.errors import StreamsError, TopologyError
from voicestream.streams.state.store import META_KEY, Store
from voicestream.testing import TopologyTestDriver


class Count(msgspec.Struct):
    n: int = 0


def counted(store: Store[Count], key: str, n: int, offset: int, partition: int = 0) -> None:
    state = store.open(partition, key)
    state.value = Count(n)
    store.touch(state, {"t": offset})


def restored(changes: list[tuple[int, str, bytes | None]]) -> Store[Count]:
    store: Store[Count] = Store("s", Count)
    for change in changes:
        store.restore(*change)
    return store


def test_an_entry_opened_twice_in_a_transaction_is_one_object():
    store: Store[Count] = Store("s", Count)
    first = store.open(0, "a")
    first.value = Count(1)
    store.touch(first)
    assert store.open(0, "a") is first
    store.commit()
    assert store.open(0, "a") is first
    assert store.open(1, "a") is not first


def test_commit_writes_each_changed_entry_once_and_nothing_for_the_unchanged():
    store: Store[Count] = Store("s", Count)
    counted(store, "a", 1, 0)
    counted(store, "a", 2, 1)
    counted(store, "b", 1, 2)
    store.commit()
    assert [key for _, key, _ in store.take_changes()] == ["a", "b"]
    counted(store, "a", 2, 3)
    store.commit()
    assert store.take_changes() == []
    assert store.applied(store.open(0, "a"), "t", 3)


def test_the_fence_stands_until_commit():
    store: Store[Count] = Store("s", Count)
    counted(store, "a", 1, 4)
    assert not store.applied(store.open(0, "a"), "t", 4)
    store.commit()
    assert store.applied(store.open(0, "a"), "t", 4)


def test_abort_takes_back_entries_and_metas_and_new_entries_vanish():
    store: Store[Count] = Store("s", Count)
    counted(store, "a", 1, 0)
    store.meta(0).fence["t"] = (0, 0)
    store.commit()
    store.take_changes()

    state = store.open(0, "a")
    assert state.value is not None
    state.value.n = 7
    store.touch(state, {"t": 1})
    counted(store, "new", 1, 1)
    meta = store.meta(0)
    meta.fence["t"] = (1, 0)
    meta.stream_ms["t"] = 5
    store.abort()

    assert dict(store.items(0)) == {"a": Count(1)}
    assert store.open(0, "new").value is None
    assert not store.applied(store.open(0, "a"), "t", 1)
    assert meta is store.meta(0)
    assert (meta.fence, meta.stream_ms) == ({"t": (0, 0)}, {})
    store.commit()
    assert store.take_changes() == []


def test_a_meta_goes_out_with_the_next_change_of_its_partition_or_when_asked():
    store: Store[Count] = Store("s", Count)
    store.meta(0).fence["t"] = (0, 0)
    store.commit()
    assert store.take_changes() == []
    counted(store, "a", 1, 1)
    store.commit()
    changes = store.take_changes()
    assert [key for _, key, _ in changes] == ["a", META_KEY]
    assert restored(changes).meta(0).fence == {"t": (0, 0)}
    store.meta(0).fence["t"] = (2, 0)
    store.touch_meta(0)
    store.commit()
    assert [key for _, key, _ in store.take_changes()] == [META_KEY]


def test_changes_are_sent_in_an_order_that_a_crash_may_cut():
    store: Store[Count] = Store("s", Count)
    counted(store, "gone", 1, 0)
    store.commit()
    store.take_changes()
    counted(store, "a", 1, 1, partition=3)
    state = store.open(0, "gone")
    state.value = None
    store.touch(state)
    store.meta(0).fence["t"] = (2, 0)
    store.commit()
    assert [(p, key, data is None) for p, key, data in store.take_changes()] == [
        (3, "a", False),
        (0, META_KEY, False),
        (0, "gone", True),
    ]


@pytest.mark.parametrize("crash", range(4))
def test_an_entry_that_a_record_removed_stays_removed_whatever_of_it_was_sent(crash: int):
    """An agent counts "x" and removes the entry at the third record; the worker is killed, and all come again."""
    log: list[tuple[int, str, bytes | None]] = []

    def play(store: Store[Count], upto: int | None) -> None:
        for offset in range(3):
            state = store.open(0, "x")
            if not store.applied(state, "t", offset):
                state.value = None if offset == 2 else Count((state.value.n if state.value else 0) + 1)
                store.save(state, {"t": offset})
            if offset == 2:
                log.extend(store.take_changes()[:upto])
            elif offset == 1:
                log.extend(store.take_changes())

    play(Store("s", Count), crash)
    replaying = restored(log)
    play(replaying, None)
    assert dict(replaying.items(0)) == dict(restored(log).items(0)) == {}
    play(last := restored(log), None)
    assert dict(last.items(0)) == {}


def test_an_entry_made_again_before_its_removal_was_sent_keeps_its_fence():
    store: Store[Count] = Store("s", Count)
    state = store.open(0, "a")
    state.value = Count(1)
    store.save(state, {"t": 5})
    state.value = None
    store.save(state, {"t": 6})
    again = store.open(0, "a")
    again.value = Count(2)
    store.save(again, {"other": 0})
    changes = store.take_changes()
    back = restored(changes[:1])  # the crash came before the meta
    assert back.applied(back.open(0, "a"), "t", 6)
    assert not back.applied(back.open(0, "b"), "t", 6)


def test_a_key_that_begins_with_a_zero_byte_is_refused():
    with pytest.raises(StreamsError, match=r"store s: key '\\x00meta' begins with a zero byte"):
        Store("s", Count).open(0, META_KEY)


def test_a_commit_that_cannot_encode_a_value_keeps_nothing():
    store: Store[object] = Store("s", object)
    good, bad = store.open(0, "good"), store.open(0, "bad")
    good.value, bad.value = 1, object()
    store.touch(good)
    store.touch(bad)
    with pytest.raises(StreamsError, match="store s, key bad: the value cannot be encoded"):
        store.commit()
    store.abort()
    assert store.take_changes() == []


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 3)), max_size=5), st.booleans())
    )
)
def test_after_any_transactions_the_changelog_holds_what_the_store_holds(
    transactions: list[tuple[list[tuple[str, int | None]], bool]],
):
    store: Store[Count] = Store("s", Count)
    model: dict[str, Count] = {}
    log: list[tuple[int, str, bytes | None]] = []
    for offset, (changes, kept) in enumerate(transactions):
        after = dict(model)
        for key, n in changes:
            state = store.open(0, key)
            state.value = after[key] = None if n is None else Count(n)  # type: ignore[assignment]
            store.touch(state, {"t": offset})
            store.meta(0).fence["t"] = (offset, 0)
        if kept:
            model = {key: value for key, value in after.items() if value is not None}
            store.commit()
            log.extend(store.take_changes())
        else:
            store.abort()
        assert dict(store.items(0)) == model == dict(restored(log).items(0))
        assert list(store.keys(0)) == list(dict(store.items(0)))


@pytest.mark.parametrize(
    ("text", "ms"),
    [(5, 5), (0, 0), ("500ms", 500), ("10s", 10_000), ("1m", 60_000), (" 1.5 h", 5_400_000), ("1d", 86_400_000)],
)
def test_durations(text: int | str, ms: int):
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "10", "1 week", -1, "0.1ms", True, None, "-1s"])
def test_what_is_no_duration_is_refused(text: object):
    with pytest.raises(TopologyError, match="duration"):
        parse_duration(text)  # type: ignore[arg-type]


class TestTimeToLive:
    """Entries that have not changed for a while go."""

    @pytest.fixture
    def stage(self) -> Stage:
        stage = Stage("brief")
        counts = stage.store("counts", Count, ttl="10s")

        @stage.agent(topics.transcripts, state=counts)
        async def count(said: Transcript, state: State[Count]) -> None:
            state.value = Count((state.value.n if state.value else 0) + 1)

        return stage

    def test_an_entry_goes_when_it_has_not_changed_for_that_long(self, stage: Stage):
        with TopologyTestDriver(stage) as driver:
            store = stage.stores["counts"]
            driver.topic(topics.transcripts).send(transcript(call_id="a", number=0))
            driver.advance(6_000)
            driver.topic(topics.transcripts).send(transcript(call_id="a", number=1), transcript(call_id="b"))
            driver.advance(6_000)
            driver.topic(topics.transcripts).send(transcript(call_id="b", number=2))
            assert (store.get("a"), store.get("b")) == (Count(2), Count(2))
            driver.advance(4_000)
            assert (store.get("a"), store.get("b")) == (None, Count(2))
            driver.advance(6_000)
            assert list(store) == []

    def test_a_replay_does_not_bring_it_back(self, stage: Stage):
        with TopologyTestDriver(stage) as driver:
            driver.topic(topics.transcripts).send(transcript(call_id="a", number=0))
            driver.advance(10_000)
            driver.restart(replay=1)
            assert list(stage.stores["counts"]) == []
            driver.topic(topics.transcripts).send(transcript(call_id="a", number=1))
            assert stage.stores["counts"].get("a") == Count(1)

    def test_its_age_is_kept_over_a_restart(self, stage: Stage):
        with TopologyTestDriver(stage) as driver:
            driver.topic(topics.transcripts).send(transcript(call_id="a"))
            driver.advance(6_000)
            driver.restart()
            driver.advance(3_500)
            assert stage.stores["counts"].get("a") == Count(1)
            driver.advance(500)
            assert stage.stores["counts"].get("a") is None

    def test_no_time_at_all_is_refused(self):
        with pytest.raises(TopologyError, match="stage s, store x: a time to live of 0"):
            Stage("s").store("x", Count, ttl=0)
