"""What an agent gets, what becomes of what it returns, and of what fails."""

import asyncio

import msgspec
import pytest

from tests.samples import transcript
from voicestream import Batch, BatchError, ErrorPolicy, Keyed, Retry, Stage, State, topics
from voicestream.records import EndOfCall, Insight, Transcript
from voicestream.streams.errors import EncodeError, TopologyError
from voicestream.streams.message import MAX_VALUE_BYTES, Outgoing
from voicestream.testing import TopologyTestDriver

END = EndOfCall(call_id="c", stage="stt", at_ms=1, duration_ms=2, reason="completed")


class Count(msgspec.Struct):
    n: int = 0


def counter(errors: ErrorPolicy | None = None) -> Stage:
    stage = Stage("counter")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, out=topics.insights, state=counts, errors=errors)
    async def count(said: Transcript, state: State[Count]) -> Insight:
        state.value = state.value or Count()
        state.value.n += 1
        if said.text == "bad":
            raise ValueError("bad words")
        return Insight.of(said, kind="count", label=str(state.value.n))

    return stage


def said(number: int, text: str = "hello", call: str = "c") -> Transcript:
    return transcript(call_id=call, utterance_id=f"{call}/agent/{number}", number=number, text=text)


def test_an_agent_gets_the_records_that_its_annotation_names():
    stage = Stage("thanks")

    @stage.agent(topics.transcripts, out=topics.insights)
    async def thanks(said: Transcript) -> Insight | None:
        return Insight.of(said, kind="compliment") if "thank you" in said.text else None

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0, "thank you so much"), END, said(1))
        assert [i.kind for i in driver.topic(topics.insights)] == ["compliment"]
        with pytest.raises(LookupError, match=r"voice\.insights"):
            driver.topic(topics.insights).read()


def test_stages_follow_each_other():
    first, second = Stage("first"), Stage("second")

    @first.agent(topics.transcripts, out=topics.insights)
    async def mark(said: Transcript) -> list[Insight]:
        return [Insight.of(said, kind="a"), Insight.of(said, kind="b")]

    heard = []

    @second.agent(topics.insights)
    async def hear(insight: Insight) -> None:
        heard.append(insight.kind)

    with TopologyTestDriver(second, first) as driver:
        driver.topic(topics.transcripts).send(said(0))
    assert heard == ["a", "b"]


def test_a_batch_agent_gets_lists():
    stage = Stage("sizes")
    sizes = []

    @stage.agent(topics.transcripts, batch=Batch(max_size=3))
    async def note(batch: list[Transcript]) -> None:
        sizes.append(len(batch))

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(*(said(n) for n in range(7)))
    assert sizes == [3, 3, 1]


def test_a_record_that_fails_becomes_a_dead_letter_and_the_others_go_on():
    with TopologyTestDriver(counter()) as driver:
        driver.topic(topics.transcripts).send(said(0), said(1, "bad"), said(2))
        assert [i.label for i in driver.topic(topics.insights)] == ["1", "2"]
        letter = driver.topic(topics.dlq).read()
    assert (letter.topic, letter.partition, letter.offset) == ("voice.transcripts", 0, 1)
    assert (letter.stage, letter.agent, letter.step, letter.error) == ("counter", "count", "process", "ValueError")
    assert letter.message == "bad words"
    assert "bad words" in letter.trace
    assert letter.source_key == b"c"


def test_bytes_that_are_no_record_become_a_dead_letter_with_the_bytes():
    with TopologyTestDriver(counter()) as driver:
        driver.topic(topics.transcripts).send_raw(b"no avro", key="c")
        driver.topic(topics.transcripts).send(said(0))
        letter = driver.topic(topics.dlq).read()
        assert driver.topic(topics.insights).read().label == "1"
    assert (letter.step, letter.source_value) == ("decode", b"no avro")


def test_a_result_that_belongs_nowhere_becomes_a_dead_letter_and_state_stays():
    stage = Stage("lost")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, out=topics.insights, state=counts)
    async def lose(said: Transcript, state: State[Count]) -> object:
        state.value = Count(7)
        return said

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0))
        letter = driver.topic(topics.dlq).read()
        assert counts.get("c") is None
    assert letter.step == "produce"
    assert "returned a Transcript; its output topics are: voice.insights" in letter.message


def test_policy_skip_drops_and_policy_fail_stops():
    with TopologyTestDriver(counter(ErrorPolicy(process="skip"))) as driver:
        driver.topic(topics.transcripts).send(said(0, "bad"), said(1))
        assert driver.topic(topics.insights).read().label == "1"
        assert driver.topic(topics.dlq).read_all() == []
    with (
        TopologyTestDriver(counter(ErrorPolicy(process="fail"))) as driver,
        pytest.raises(ValueError, match="bad words"),
    ):
        driver.topic(topics.transcripts).send(said(0, "bad"))


def test_retries_come_before_giving_up():
    stage = Stage("flaky")
    tries = []

    @stage.agent(topics.transcripts, out=topics.insights, errors=ErrorPolicy(process=Retry(2, backoff_ms=1)))
    async def flaky(said: Transcript) -> Insight:
        tries.append(said.number)
        if len(tries) < 3:
            raise ConnectionError
        return Insight.of(said, kind="ok")

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0))
        assert driver.topic(topics.insights).read().kind == "ok"
        assert driver.topic(topics.dlq).read_all() == []


def test_only_the_errors_that_may_pass_are_tried_again_if_need_be_for_ever():
    stage = Stage("picky")
    tries = []
    policy = ErrorPolicy(process=Retry(None, backoff_ms=1, longest_ms=1, only=(ConnectionError,)))

    @stage.agent(topics.transcripts, out=topics.insights, errors=policy)
    async def picky(said: Transcript) -> Insight:
        tries.append(said.number)
        if said.number == 1:
            raise ValueError("never any good")
        if len(tries) < 50:
            raise ConnectionError
        return Insight.of(said, kind="ok")

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0), said(1), said(2))
        assert [insight.number for insight in driver.topic(topics.insights)] == [0, 2]
        assert [letter.message for letter in driver.topic(topics.dlq)] == ["never any good"]
    assert tries == [0] * 50 + [1, 2]


def test_one_bad_record_of_a_batch_does_not_take_the_others_with_it():
    stage = Stage("halves")

    @stage.agent(topics.transcripts, out=topics.insights, batch=Batch(max_size=8))
    async def strict(batch: list[Transcript]) -> list[Insight]:
        if any(said.text == "bad" for said in batch):
            raise ValueError("bad words")
        return [Insight.of(said, kind="ok") for said in batch]

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(*(said(n, "bad" if n == 5 else "fine") for n in range(8)))
        assert sorted(i.number for i in driver.topic(topics.insights)) == [0, 1, 2, 3, 4, 6, 7]
        assert driver.topic(topics.dlq).read().offset == 5


def test_a_batch_can_say_which_of_its_records_failed():
    stage = Stage("named")

    @stage.agent(topics.transcripts, batch=Batch(max_size=8))
    async def sink(batch: list[Transcript]) -> None:
        raise BatchError({1: KeyError("column")})

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0), said(1), said(2))
        letters = driver.topic(topics.dlq).read_all()
    assert [(letter.offset, letter.error) for letter in letters] == [(1, "KeyError")]


def test_a_record_can_go_under_another_key():
    stage, other = Stage("rekey"), Stage("other")
    keys = {}
    seen = other.store("seen", Count)

    @stage.agent(topics.transcripts, out=topics.insights)
    async def rekey(said: Transcript) -> Keyed:
        return Keyed("queue-1", Insight.of(said, kind="a"))

    @other.agent(topics.insights, state=seen)
    async def see(insight: Insight, state: State[Count]) -> None:
        keys[state.key] = insight.call_id

    with TopologyTestDriver(stage, other) as driver:
        driver.topic(topics.transcripts).send(said(0))
    assert keys == {"queue-1": "c"}


@pytest.mark.parametrize("replay", [0, 1, 3, 100])
def test_state_is_counted_once_whatever_is_replayed(replay):
    stage = counter()
    with TopologyTestDriver(stage) as driver:
        transcripts = driver.topic(topics.transcripts)
        for n in range(5):
            transcripts.send(said(n))
        driver.restart(replay=replay)
        transcripts.send(said(5))
        assert stage.stores["counts"].get("c") == Count(6)


def test_a_record_that_changed_nothing_when_it_came_changes_nothing_when_it_is_replayed():
    stage = Stage("switch")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, topics.insights, state=counts)
    async def switch(record: Transcript | Insight, state: State[Count]) -> None:
        """An insight adds one; a transcript doubles, but only from two on."""
        n = state.value.n if state.value else 0
        state.value = Count(n + 1 if isinstance(record, Insight) else n * (2 if n >= 2 else 1))

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.insights).send(Insight.of(said(0), kind="one"))
        driver.topic(topics.transcripts).send(said(0))
        driver.topic(topics.insights).send(Insight.of(said(1), kind="one"))
        assert counts.get("c") == Count(2)
        driver.restart(replay=100)
        assert counts.get("c") == Count(2)


@pytest.mark.parametrize("replay", [0, 2, 100])
def test_a_batch_with_state_counts_each_record_once(replay):
    stage = Stage("batches")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, out=topics.insights, state=counts, batch=Batch(max_size=4))
    async def count(batch: list[Transcript], states: list[State[Count]]) -> None:
        for record, state in zip(batch, states, strict=True):
            state.value = Count((state.value.n if state.value else 0) + 1)
            if record.text == "bad":
                raise ValueError("bad words")

    with TopologyTestDriver(stage) as driver:
        transcripts = driver.topic(topics.transcripts)
        transcripts.send(*(said(n, "bad" if n == 2 else "fine", call="ab"[n % 2]) for n in range(8)))
        driver.restart(replay=replay)
        assert (counts.get("a"), counts.get("b")) == (Count(3), Count(4))


def test_punctuators_fire_when_time_moves():
    stage = Stage("closer")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, state=counts)
    async def count(said: Transcript, state: State[Count]) -> None:
        state.value = Count(1)

    @stage.every(1000, store=counts, out=topics.insights)
    async def close(now_ms: int, state: State[Count]) -> Insight:
        state.value = None
        return Insight.of(said(0, call=state.key), kind="closed", label=str(now_ms))

    with TopologyTestDriver(stage, start_ms=10_000) as driver:
        driver.topic(topics.transcripts).send(said(0))
        driver.advance(500)
        assert driver.topic(topics.insights).read_all() == []
        driver.advance(3000)
        assert [i.label for i in driver.topic(topics.insights)] == ["11000"]
        assert len(counts) == 0


def test_a_stage_that_does_not_fit_its_topics_is_refused():
    stage = Stage("wrong")
    with pytest.raises(TopologyError, match=r"takes Insight, which none of its topics carries: voice\.transcripts"):

        @stage.agent(topics.transcripts)
        async def wrong(insight: Insight) -> None: ...

    with pytest.raises(TopologyError, match="no input topic"):

        @stage.agent()
        async def nothing(insight: Insight) -> None: ...

    counts = stage.store("s", Count)

    @stage.agent(topics.insights, state=counts)
    async def count(insight: Insight, state: State[Count]) -> None: ...

    with pytest.raises(TopologyError, match=r"count and again share store wrong-s and take voice\.insights"):

        @stage.agent(topics.transcripts, topics.insights, state=counts)
        async def again(part: Transcript | Insight, state: State[Count]) -> None: ...

    with pytest.raises(TopologyError, match="only one call"):

        @stage.agent(topics.insights, state=stage.store("t", Count), concurrency=2)
        async def both(insight: Insight, state: State[Count]) -> None: ...


def test_starters_run_before_the_first_record():
    stage = Stage("starts")
    order = []

    @stage.on_start
    async def load() -> None:
        await asyncio.sleep(0)
        order.append("loaded")

    @stage.agent(topics.transcripts)
    async def use(said: Transcript) -> None:
        order.append("used")

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0))
    assert order == ["loaded", "used"]


def test_stoppers_run_at_the_end_and_also_when_the_start_failed():
    stage = Stage("stops")
    order = []

    @stage.on_start
    async def fail() -> None:
        if order:
            raise OSError("no server")

    @stage.on_stop
    async def close() -> None:
        order.append("closed")

    @stage.agent(topics.transcripts)
    async def use(said: Transcript) -> None:
        order.append("used")

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0))
    assert order == ["used", "closed"]
    with pytest.raises(OSError, match="no server"), TopologyTestDriver(stage):
        pass
    assert order == ["used", "closed", "closed"]


def test_a_key_that_is_no_text_becomes_a_dead_letter_and_the_others_go_on():
    stage = counter()
    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts)._driver._append(_outgoing(driver, said(0), key=b"\xff\xfe"))
        driver.topic(topics.transcripts).send(said(1))
        letter = driver.topic(topics.dlq).read()
        assert driver.topic(topics.insights).read().number == 1
    assert (letter.step, letter.offset, letter.source_key) == ("decode", 0, b"\xff\xfe")


def _outgoing(driver: TopologyTestDriver, record: Transcript, key: bytes) -> Outgoing:
    codec = driver._environment.codec
    return Outgoing(topics.transcripts.name, key, codec.encode(topics.transcripts, record), driver.now_ms)


def test_policy_fail_for_what_cannot_be_produced_stops_a_batch_agent_too():
    stage = Stage("lost")
    calls = []

    @stage.agent(
        topics.transcripts,
        out=topics.insights,
        batch=Batch(max_size=8),
        errors=ErrorPolicy(process=Retry(1), produce="fail"),
    )
    async def lose(batch: list[Transcript]) -> object:
        calls.append(len(batch))
        return batch

    with (
        TopologyTestDriver(stage) as driver,
        pytest.raises(EncodeError, match=r"its output topics are: voice\.insights"),
    ):
        driver.topic(topics.transcripts).send(said(0), said(1))
    assert calls == [2]


def test_a_result_too_large_for_a_message_becomes_a_dead_letter():
    stage = Stage("large")

    @stage.agent(topics.transcripts, out=topics.insights)
    async def grow(said: Transcript) -> Insight:
        return Insight.of(said, kind="large", label="x" * (MAX_VALUE_BYTES if said.number == 0 else 1))

    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(said(0), said(1))
        assert [i.number for i in driver.topic(topics.insights)] == [1]
        letter = driver.topic(topics.dlq).read()
    assert (letter.step, letter.offset) == ("produce", 0)
    assert "1000000 bytes" in letter.message


def test_the_dead_letter_of_a_message_as_large_as_a_broker_takes_fits_itself():
    with TopologyTestDriver(counter()) as driver:
        driver.topic(topics.transcripts).send_raw(b"x" * (MAX_VALUE_BYTES - 10), key="c")
        driver.topic(topics.transcripts).send(said(1, "y" * 200_000 + "bad"))
        driver.topic(topics.transcripts).send(said(2))
        assert driver.topic(topics.insights).read_all()[-1].number == 2
        assert all(len(value or b"") <= MAX_VALUE_BYTES for value in driver._sent["voice.dlq"])
        letter = driver.topic(topics.dlq).read()
    assert letter.source_value is None
    assert "999990 bytes" in letter.message
    assert "left out" in letter.message
