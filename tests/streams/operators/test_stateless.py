"""Operators without state: what becomes of each record, and of one that fails."""

import asyncio

import pytest

from tests.streams.shop import Click, click, clicks, drive, letters, totals, values, views
from voicestream.streams.errors import TopologyError
from voicestream.streams.operators.keyed import Every
from voicestream.streams.policies import ErrorPolicy, Retry
from voicestream.streams.record import Record
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.topic import Topic


def doubled(c: Click) -> Click:
    return click(c.at_ms, c.value * 2, c.user)


def test_operators_are_chained():
    stage, seen = Stage("s"), []
    (
        stage.stream(clicks)
        .filter(lambda c: c.value > 1)
        .map(doubled)
        .flat_map(lambda c: [c, c])
        .peek(lambda c: seen.append(c.value))
        .to(views)
    )
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 2), click(0, 3))
        assert values(driver.topic(views)) == [4, 4, 6, 6] == seen


def test_branches_take_each_record_once_and_can_be_merged():
    stage = Stage("s")
    low, high = stage.stream(clicks).branch(lambda c: c.value < 5, lambda c: c.value < 100)
    high.map(doubled).merge(low).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 7), click(0, 200), click(0, 2))
        assert sorted(values(driver.topic(views))) == [1, 2, 14]


def test_results_leave_in_the_order_of_their_sources():
    stage = Stage("s")
    clicked = stage.stream(clicks)
    clicked.map(doubled).to(views)
    clicked.to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 5))
        assert values(driver.topic(views)) == [2, 1, 10, 5]


def test_a_record_that_fails_becomes_a_dead_letter_and_nothing_else_is_lost():
    stage = Stage("s")
    stage.stream(clicks).map(lambda c: click(0, 10 // c.value)).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 0), click(0, 2))
        assert values(driver.topic(views)) == [10, 5]
        letter = driver.topic(letters).read()
        assert (letter.topic, letter.offset, letter.step, letter.error) == ("clicks", 1, "process", "ZeroDivisionError")


def test_a_record_fails_whole_even_if_a_branch_of_it_went_well():
    stage = Stage("s")
    clicked = stage.stream(clicks)
    clicked.to(views)
    clicked.map(lambda c: click(0, 10 // c.value)).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 0), click(0, 5))
        assert values(driver.topic(views)) == [5, 2]


def test_bytes_that_are_no_record_become_a_dead_letter():
    stage = Stage("s")
    stage.stream(clicks).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send_raw(b"nonsense", key="u")
        driver.topic(clicks).send(click(0, 3))
        assert values(driver.topic(views)) == [3]
        assert driver.topic(letters).read().step == "decode"


def test_a_wrong_record_for_a_topic_is_an_error_of_produce():
    stage = Stage("s")
    stage.stream(clicks).map(lambda c: c.value).to(totals)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0))
        assert driver.topic(letters).read().step == "produce"


@pytest.mark.parametrize("policy", ["skip", "fail"])
def test_policies_of_errors(policy):
    stage = Stage("s", errors=ErrorPolicy(process=policy))
    stage.stream(clicks).map(lambda c: click(0, 10 // c.value)).to(views)
    with drive(stage) as driver:
        if policy == "fail":
            with pytest.raises(ZeroDivisionError):
                driver.topic(clicks).send(click(0, 0))
        else:
            driver.topic(clicks).send(click(0, 0), click(0, 1))
            assert values(driver.topic(views)) == [10]
            assert driver.topic(letters).read_all() == []


def test_processing_is_tried_again():
    stage, tries = Stage("s", errors=ErrorPolicy(process=Retry(2, backoff_ms=1))), []

    def flaky(c: Click) -> Click:
        tries.append(c.value)
        if c.value == 2 and tries.count(2) < 3:
            raise ConnectionError("not yet")
        return c

    stage.stream(clicks).map(flaky).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 2), click(0, 3))
        assert values(driver.topic(views)) == [1, 2, 3]
        assert driver.topic(letters).read_all() == []


def test_batches_have_up_to_so_many_and_the_bad_record_is_found():
    stage, sizes = Stage("s"), []

    def halves(batch: list[Click]) -> list[Click]:
        sizes.append(len(batch))
        return [click(0, 100 // c.value, c.user) for c in batch]

    stage.stream(clicks).batch(3, within="5ms").flat_map(halves).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(0, value, user=str(value)) for value in (1, 2, 0, 4, 5)])
        assert sorted(values(driver.topic(views))) == [20, 25, 50, 100]
        assert driver.topic(letters).read().offset == 2
        assert max(sizes) == 3


def test_calls_run_at_once_and_keep_the_order_of_a_key():
    stage, running, most, order = Stage("s"), 0, 0, []

    async def slow(c: Click) -> Click:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02 if c.value == 1 else 0.001)
        running -= 1
        order.append((c.user, c.value))
        return c

    stage.stream(clicks).map_async(slow, concurrency=4).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(0, v, user=u) for v in (1, 2) for u in "abc"])
        assert len(driver.topic(views).read_all()) == 6
        assert most == 3
        assert all([v for u, v in order if u == user] == [1, 2] for user in "abc")


def test_foreach_ends_a_stream_in_a_function():
    stage, written = Stage("s"), []

    async def write(c: Click) -> None:
        await asyncio.sleep(0)
        written.append(c.value)

    stage.stream(clicks).foreach(write)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1), click(0, 2))
        assert written == [1, 2]


def test_records_go_through_a_topic_and_under_another_key():
    stage = Stage("s")
    by_page: Topic[Click] = Topic("views-by-page", Click)
    stage.stream(clicks).through(views).key_by(lambda c: c.page, name="by-page").to(by_page, key=lambda c: c.page)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 1, page="x"))
        assert driver.topic(views).read().value == 1
        assert driver.topic(by_page).read().page == "x"


def test_what_does_not_fit_is_refused_when_it_is_declared():
    stage = Stage("s")
    with pytest.raises(TopologyError, match=r"stream of Click goes to topic totals, which carries Total"):
        stage.stream(clicks).to(totals)
    with pytest.raises(TopologyError, match=r"key_by 'k' sends its values through a topic"):
        stage.stream(clicks).map(lambda c: c.value).key_by(str, name="k")
    with pytest.raises(TopologyError, match=r"read twice, with another time"):
        stage.stream(clicks, time=lambda c: c.at_ms)
    other = Stage("other")
    with pytest.raises(TopologyError, match=r"one side is of stage s, the other of other"):
        stage.stream(clicks).merge(other.stream(views))
    counted = Stage("counted")
    counted.stream(clicks).batch(3).flat_map(list, type=Click).count(name="n")
    with pytest.raises(TopologyError, match=r"batch makes lists of many keys"):
        _ = counted.agents


def test_a_record_whose_schema_is_missing_or_another_is_refused_before_anything_runs():
    class Nobody(Record):
        user: str

    class Click(Record):
        user: str
        colour: str

    stage = Stage("s")
    stage.stream(Topic("nobody", Nobody)).foreach(print)
    stage.stream(Topic("coloured", Click)).foreach(print)
    with pytest.raises(TopologyError) as refused:
        drive(stage)
    assert "topic nobody, Nobody: no Avro schema has that name: add one to the schemas folder" in str(refused.value)
    assert "topic coloured, Click.colour: not in the schema" in str(refused.value)


def test_what_functions_return_is_known_by_their_annotations():
    stage = Stage("s")

    def many(c: Click) -> list[Click]:
        return [c, c]

    def some(c: Click, state: State[int]) -> Click | None:
        return c

    stage.stream(clicks).flat_map(many).key_by(lambda c: c.page, name="a").to(views)
    stage.stream(clicks).process(some, state=stage.store("n", int)).key_by(lambda c: c.page, name="b").to(views)
    assert len(stage.agents) == 3


def test_a_key_that_is_no_text_is_an_error_of_its_record_alone():
    stage = Stage("s")
    stage.stream(clicks).key_by(lambda c: c.page if c.value else None, name="a").to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(0, 0), click(0, 2))
        assert values(driver.topic(views)) == [2]
        letter = driver.topic(letters).read()
        assert letter.step == "process"
        assert "the key of a Click is None, and keys are text" in letter.message


def test_what_is_called_wrong_is_refused_with_what_to_do():
    stage = Stage("s")
    clicked = stage.stream(clicks)

    async def ask(c: Click) -> bool:
        return True

    with pytest.raises(TopologyError, match="stage s: filter does not await, and ask is async: use map_async"):
        clicked.filter(ask)
    with pytest.raises(TopologyError, match="'5s' is no kind of window: give tumbling"):
        clicked.window("5s", name="w")
    with pytest.raises(TopologyError, match="a join of another stream needs name=, within="):
        clicked.join(stage.stream(views), print)
    with pytest.raises(TopologyError, match="a join of a table has no within="):
        clicked.join(stage.table("t", totals), print, within="5s")
    with pytest.raises(TopologyError, match="a join of a global table needs on="):
        clicked.join(stage.global_table(totals), print)
    with pytest.raises(TopologyError, match="stage s, agent look: write it with async def"):

        @stage.agent(clicks)
        def look(c: Click) -> None: ...


@pytest.mark.parametrize("name", ["my stage!", "", "..", "a/b", "x" * 250])
def test_names_that_no_broker_takes_are_refused_when_they_are_declared(name):
    for declare in (Stage, lambda n: Topic(n, Click), lambda n: Stage("s").store(f"a {n}", int)):
        with pytest.raises(TopologyError, match="Kafka's names have letters"):
            declare(name)


def test_a_punctuator_of_no_duration_is_refused_when_it_is_declared():
    with pytest.raises(TopologyError, match="duration 'soon'"):
        Every("soon", print)
