"""Joins of streams and tables, as the graph runs them."""

from tests.streams.shop import Click, Pair, Profile, at, click, clicks, drive, late, pairs, profiles, views
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.testing import TopologyTestDriver


def pair(left: Click | None, right: Click | None) -> Pair:
    known = left or right
    assert known is not None
    return Pair(
        user=known.user, left=left.page if left else None, right=right.page if right else None, at_ms=known.at_ms
    )


def found(driver: TopologyTestDriver) -> list[tuple[str | None, str | None]]:
    return [(p.left, p.right) for p in driver.topic(pairs)]


def named(c: Click, profile: Profile | None) -> Pair:
    return Pair(user=c.user, left=c.page, right=profile.name if profile else None, at_ms=c.at_ms)


def test_a_stream_meets_what_a_table_has_when_its_record_comes():
    stage = Stage("s")
    people = stage.table("people", profiles)
    stage.stream(clicks, time=at).join(people, named).to(pairs)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1, page="a"))
        driver.topic(profiles).send(Profile(user="u", name="Ann"))
        driver.topic(clicks).send(click(2, page="b"))
        driver.topic(profiles).send(Profile(user="u", name="Anna"))
        driver.topic(clicks).send(click(3, page="c"), click(4, user="v"))
        driver.topic(profiles).delete("u")
        driver.topic(clicks).send(click(5, page="d"))
        assert found(driver) == [("b", "Ann"), ("c", "Anna")]
        assert people.store.get("u") is None


def test_a_left_join_with_a_table_keeps_what_has_no_partner():
    stage = Stage("s")
    stage.stream(clicks).left_join(stage.table("people", profiles).filter(lambda p: p.name != "Bob"), named).to(pairs)
    with drive(stage) as driver:
        driver.topic(profiles).send(Profile(user="u", name="Ann"), Profile(user="v", name="Bob"))
        driver.topic(clicks).send(click(1), click(1, user="v"))
        assert found(driver) == [("p", "Ann"), ("p", None)]


def test_a_global_table_is_joined_by_any_key():
    stage = Stage("s")
    people = stage.global_table(profiles)
    stage.stream(clicks).left_join(people, named, on=lambda c: c.page).to(pairs)
    with drive(stage) as driver:
        driver.topic(profiles).send(Profile(user="x", name="Xavier"))
        driver.topic(clicks).send(click(1, page="x"), click(1, page="y"))
        assert found(driver) == [("x", "Xavier"), ("y", None)]


def test_tables_are_joined_and_follow_both():
    stage = Stage("s")
    people = stage.table("people", profiles)
    counts = stage.stream(clicks).count(name="counts")
    counts.join(people, lambda n, p: Pair(user=p.user, left=str(n), right=p.name, at_ms=0)).to(pairs)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1))
        driver.topic(profiles).send(Profile(user="u", name="Ann"))
        driver.topic(clicks).send(click(2))
        driver.topic(profiles).delete("u")
        assert found(driver) == [("1", "Ann"), ("2", "Ann")]
        assert driver._sent["pairs"][-1] is None


def test_streams_are_joined_within_a_time():
    stage = Stage("s")
    joined = stage.stream(clicks, time=at, idle="1s").outer_join(
        stage.stream(views, time=at, idle="1s"), pair, within="5ms", grace="2ms", name="near"
    )
    joined.to(pairs)
    joined.late().to(late)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(10, page="c10"), click(30, page="c30"))
        driver.topic(views).send(click(14, page="v14"), click(50, page="v50"))
        assert found(driver) == [("c10", "v14")]
        driver.topic(clicks).send(click(60, page="c60"), click(10, page="c-late"))
        assert found(driver) == [("c30", None)]
        assert driver.topic(late).read().page == "c-late"
        driver.advance(2_500)
        assert found(driver) == [(None, "v50"), ("c60", None)]


def test_a_stream_is_joined_as_of_its_time():
    stage = Stage("s")
    stage.stream(clicks, time=at, idle="1s").as_of_join(
        stage.stream(views, time=at, idle="1s"), pair, name="as-of", grace="5ms"
    ).to(pairs)
    with drive(stage) as driver:
        driver.topic(views).send(click(10, page="v10"), click(20, page="v20"))
        driver.topic(clicks).send(click(15, page="c15"), click(25, page="c25"))
        driver.topic(views).send(click(13, page="v13"))
        driver.advance(2_500)
        assert sorted(found(driver)) == [("c15", "v13"), ("c25", "v20")]


def test_joins_survive_a_restart_with_any_replay():
    for replay in range(4):
        stage = Stage("s")
        stage.stream(clicks, time=at, idle="1s").left_join(
            stage.stream(views, time=at, idle="1s"), pair, within="5ms", name="near"
        ).to(pairs)
        with drive(stage) as driver:
            driver.topic(clicks).send(click(10, page="c10"), click(30, page="c30"))
            driver.topic(views).send(click(14, page="v14"))
            driver.restart(replay=replay)
            driver.topic(views).send(click(31, page="v31"), click(100, page="v100"))
            driver.topic(clicks).send(click(100, page="c100"))
            assert set(found(driver)) >= {("c10", "v14"), ("c30", "v31"), ("c100", "v100")}
            assert ("c30", None) not in found(driver)


def test_process_has_state_and_punctuators():
    stage = Stage("s")
    counts = stage.store("counts", int)

    async def count(c: Click, state: State[int]) -> Click | None:
        state.value = (state.value or 0) + c.value
        return click(c.at_ms, state.value, c.user) if state.value % 2 == 0 else None

    def tell(now_ms: int, state: State[int]) -> Click:
        return click(now_ms, -(state.value or 0), state.key)

    stage.stream(clicks, time=at).process(
        count, state=counts, every=[Every("1s", tell), Every("10ms", tell, time="stream")]
    ).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(2), click(3), click(4, user="v"))
        assert [(c.user, c.value) for c in driver.topic(views)] == [("u", 2)]
        assert counts.get("u") == 3
        driver.topic(clicks).send(click(25))
        driver.advance(500)
        assert [(c.at_ms, c.user, c.value) for c in driver.topic(views)] == [
            (25, "u", -3), (25, "v", -1), (25, "u", 4),
        ]  # fmt: skip
        driver.advance(500)
        assert [(c.at_ms, c.user, c.value) for c in driver.topic(views)] == [(1_000, "u", -4), (1_000, "v", -1)]


def test_a_stream_becomes_a_table_of_aggregates():
    stage = Stage("s")
    table = stage.stream(clicks).reduce(lambda a, b: click(b.at_ms, a.value + b.value, b.user), name="sums")
    table.filter(lambda c: c.value > 2).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(2, 5), click(3))
        assert [c.value for c in driver.topic(views)] == [6, 7]
        driver.restart(replay=2)
        assert table.store.get("u").value == 7


def test_two_branches_of_a_stream_are_joined_in_the_order_of_their_records():
    """A batch must not take all of one branch before the other: event time would leave the other behind."""
    stage = Stage("s")
    even, odd = stage.stream(clicks, time=at).branch(lambda c: c.value % 2 == 0, lambda c: True)
    even.outer_join(odd, pair, within=("0ms", "5ms"), name="pairs").to(pairs)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(5 * n, n, page=str(n)) for n in range(100)])
        assert found(driver) == [(str(n), str(n + 1)) for n in range(0, 100, 2)]


def test_a_stream_meets_the_table_of_itself_as_it_was_at_each_record():
    stage = Stage("s")
    clicked = stage.stream(clicks)
    counts = clicked.count(name="counts")
    clicked.join(counts, lambda c, n: Pair(user=c.user, left=c.page, right=str(n), at_ms=0)).to(pairs)
    with drive(stage) as driver:
        driver.topic(clicks).send(*[click(0, page=str(n)) for n in range(3)])
        assert found(driver) == [("0", "1"), ("1", "2"), ("2", "3")]
