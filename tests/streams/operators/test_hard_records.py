"""Records that are wrong in themselves: they are set aside, and leave everything else as it was."""

import pytest

from tests.streams.shop import Click, Profile, Total, at, click, clicks, drive, letters, profiles, totals, views
from voicestream.streams.message import Outgoing
from voicestream.streams.operators.keyed import Every
from voicestream.streams.policies import ErrorPolicy, Retry
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.topic import Topic
from voicestream.streams.windows import tumbling

people: Topic[Profile] = Topic("people-out", Profile)


def add(total: int, c: Click) -> int:
    if c.value == 13:
        raise ValueError("unlucky")
    return total + c.value


def summed(errors: ErrorPolicy | None = None, time=at) -> Stage:
    stage = Stage("s")
    stage.stream(clicks, time=time, idle="1s", errors=errors).window(tumbling("10ms"), name="w").aggregate(
        int, add
    ).final().map(Total.of).to(totals)
    return stage


def found(driver) -> list[tuple[str, int, int]]:
    return [(t.user, t.start_ms, t.value) for t in driver.topic(totals)]


@pytest.mark.parametrize("time_ms", [-5, -1, 1 << 60, 10**30])
def test_an_event_time_that_is_none_is_set_aside_and_does_not_drive_time(time_ms):
    with drive(summed(time=lambda c: time_ms if c.value == 7 else c.at_ms)) as driver:
        driver.topic(clicks).send(click(1), click(2, 7), click(3))
        driver.advance(5_000)
        assert found(driver) == [("u", 0, 2)]
        letter = driver.topic(letters).read()
        assert (letter.offset, letter.step) == (1, "process")
        assert str(time_ms) in letter.message


@pytest.mark.parametrize("time", [lambda c: c.nothing, lambda c: None, lambda c: "12"])
def test_an_extractor_of_time_that_fails_sets_its_record_aside(time):
    with drive(summed(time=lambda c: time(c) if c.value == 7 else c.at_ms)) as driver:
        driver.topic(clicks).send(click(1), click(2, 7), click(30))
        assert found(driver) == [("u", 0, 1)]
        assert driver.topic(letters).read().offset == 1


def test_a_time_in_fractions_of_a_millisecond_is_kept_as_a_whole_number():
    with drive(summed(time=lambda c: c.at_ms + 0.5)) as driver:
        driver.topic(clicks).send(click(1))
        driver.restart()
        driver.topic(clicks).send(click(30))
        assert found(driver) == [("u", 0, 1)]


def test_keys_that_are_no_text_or_reserved_are_set_aside():
    with drive(summed()) as driver:
        good = driver._environment.codec.encode(clicks, click(1))
        for key in (b"\xff", b"\x00meta", b""):
            driver._send([_message(key, good)])
        driver.topic(clicks).send(click(2), click(30))
        assert found(driver) == [("", 0, 1), ("u", 0, 1)]
        assert [letter.step for letter in driver.topic(letters)] == ["decode", "decode"]


def test_a_message_without_a_key_has_that_of_its_record_and_a_removal_without_one_is_set_aside():
    stage = Stage("s")
    table = stage.table("people", profiles)
    table.to(people)
    with drive(stage) as driver:
        good = driver._environment.codec.encode(profiles, Profile(user="u", name="Ann"))
        driver._send([_message(None, good, "profiles")])
        driver._send([_message(None, None, "profiles")])
        assert table.store.get("u") == Profile(user="u", name="Ann")
        letter = driver.topic(letters).read()
        assert (letter.step, letter.error) == ("decode", "DecodeError")


def _message(key, value, topic="clicks"):
    return Outgoing(topic, key, value, 0)


def test_the_policy_fail_stops_and_leaves_the_state_as_it_was():
    with drive(summed(ErrorPolicy(process="fail"))) as driver:
        driver.topic(clicks).send(click(1))
        with pytest.raises(ValueError, match="unlucky"):
            driver.topic(clicks).send(click(2, 5), click(3, 13))
        store = driver._stages[0].stores["w"]
        assert store.look_up(0, "u").panes[0].state == 1
        assert store.open(0, "u").value.panes[0].state == 1


def test_a_retry_begins_with_the_state_as_it_was():
    stage, tries = Stage("s"), []

    def flaky(total: list[int], c: Click) -> list[int]:
        total.append(c.value)
        if c.value == 13:
            tries.append(list(total))
            if len(tries) < 3:
                raise ValueError("not yet")
        return total

    stage.stream(clicks, time=at, idle="1s", errors=ErrorPolicy(process=Retry(3, backoff_ms=1))).window(
        tumbling("10ms"), name="w"
    ).aggregate(list, flaky, type=list[int]).final().map(lambda w: click(w.start_ms, sum(w.value), w.key)).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(2, 13), click(3, 5), click(30))
        assert tries == [[1, 13]] * 3
        assert [c.value for c in driver.topic(views)] == [19]
        assert driver.topic(letters).read_all() == []


def test_a_punctuator_that_failed_with_its_run_fires_again():
    stage = Stage("s")

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + c.value
        if c.value == 13:
            raise ValueError("unlucky")

    def tell(now_ms: int, state: State[int]) -> Click:
        return click(now_ms, state.value or 0, state.key)

    stage.stream(clicks, time=at).process(
        count, state=stage.store("n", int), every=Every("10ms", tell, time="stream"), type=Click
    ).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(12, 13), click(14))
        assert [(c.at_ms, c.value) for c in driver.topic(views)] == [(12, 1)]


def test_two_repartition_topics_of_one_topic_do_not_take_each_others_place():
    stage = Stage("s")
    stage_store = stage.store("n", int)

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + 1

    stream = stage.stream(clicks)
    one, two = stream.key_by(lambda c: "one", name="one"), stream.key_by(lambda c: "two", name="two")
    one.merge(two).process(count, state=stage_store).foreach(print)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(n) for n in range(5)])
        assert dict(stage_store.items(0)) == {"one": 5, "two": 5}
