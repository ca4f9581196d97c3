"""What does not fit together is refused before anything starts, with both ends and what to do."""

import re
from pathlib import Path

import msgspec
import pytest

from agents.all import STAGES
from voicestream import Keyed, Stage, State, topics
from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.settings import Settings
from voicestream.stage import app, worker_config
from voicestream.streams.errors import TopologyError
from voicestream.streams.record import Record
from voicestream.streams.stage import Stage as StreamsStage
from voicestream.streams.topic import Topic
from voicestream.streams.topology.checks import check, problems, unknown_topics
from voicestream.streams.topology.model import partition_counts
from voicestream.testing import TopologyTestDriver


class Order(Record, frozen=True, kw_only=True):
    id: str


class Paid(Record, frozen=True, kw_only=True):
    id: str


class Sum(msgspec.Struct):
    n: int = 0


def topic(name: str, *types: type[Record], partitions: int | None = None, external: bool = False) -> Topic[Record]:
    return Topic(name, *(types or (Order,)), partitions=partitions, external=external)


def through(name: str, source: Topic[Record], target: Topic[Record], agent: str = "pass_on") -> StreamsStage:
    """A stage that hands the orders of one topic to another."""
    stage = StreamsStage(name)

    async def hand_on(order: Order) -> Order:
        return order

    hand_on.__name__ = agent
    stage.agent(source, out=target)(hand_on)
    return stage


def counter(name: str, *sources: Topic[Record]) -> StreamsStage:
    """A stage with an agent for each topic; they count in one store."""
    stage = StreamsStage(name)
    sums = stage.store("sums", Sum)

    for number, source in enumerate(sources):

        async def count(order: Order, state: State[Sum]) -> None:
            state.value = state.value or Sum()

        count.__name__ = f"count_{number}"
        stage.agent(source, state=sums)(count)
    return stage


def refused(message: str) -> pytest.RaisesExc[TopologyError]:
    return pytest.raises(TopologyError, match=f"^{re.escape(message)}$")


def test_the_stages_of_voicestream_fit_together():
    check(STAGES, partition_counts(STAGES, 8))
    assert list(unknown_topics(STAGES)) == []


def test_a_topic_that_nobody_writes_is_unknown():
    stages = [through("bills", topic("orders"), topic("bills")), through("post", topic("bils"), topic("sent"))]
    assert list(unknown_topics(stages, known={"orders"})) == [
        "stage post, agent pass_on reads topic bils, which no stage writes. Correct the name, add or start the stage "
        "that writes it, or, if something else does, declare it as Topic(…, external=True)"
    ]


def test_a_topic_that_is_declared_external_is_known():
    assert list(unknown_topics([through("bills", topic("orders", external=True), topic("bills"))])) == []


def test_two_stages_of_one_name_are_one_consumer_group():
    with refused(
        f"two stages are named bills: that of {__name__} with one, and that of {__name__} with other. "
        "Their workers would be one consumer group, and each would get "
        "only a part of what it reads. Rename one of them"
    ):
        check([through("bills", topic("a"), topic("b"), "one"), through("bills", topic("b"), topic("c"), "other")])


def test_a_stage_that_is_named_twice_is_one():
    stage = through("bills", topic("a"), topic("b"))
    check([stage, stage])


def test_two_stores_with_one_changelog_are_refused():
    one, other = StreamsStage("a"), StreamsStage("a-b")
    one.store("b-c", Sum)
    other.store("c", Sum)
    with refused(
        "store b-c of stage a and store c of stage a-b would both write the topic a-b-c-changelog. Rename one of them"
    ):
        check([one, other])


def test_a_topic_with_the_name_of_a_changelog_is_refused():
    with refused(
        "stage copy, agent pass_on writes topic count-sums-changelog, which is the changelog of store sums of stage "
        "count. Rename the topic or the store"
    ):
        check([counter("count", topic("orders")), through("copy", topic("orders"), topic("count-sums-changelog"))])


def test_a_topic_that_is_declared_with_other_records_is_refused():
    stages = [through("bills", topic("in"), topic("orders")), through("post", topic("orders", Order, Paid), topic("c"))]
    with refused(
        "topic orders is declared in two ways: stage bills, agent pass_on writes it as orders (Order), stage post, "
        "agent pass_on reads it as orders (Order, Paid). Declare it once, in a module that both import"
    ):
        check(stages)


def test_a_topic_that_is_declared_with_other_partitions_is_refused():
    stages = [
        through("bills", topic("in"), topic("orders", partitions=4)),
        through("post", topic("orders", partitions=8), topic("c")),
    ]
    with refused(
        "topic orders is declared in two ways: stage bills, agent pass_on writes it as orders (Order), 4 partitions, "
        "stage post, agent pass_on reads it as orders (Order), 8 partitions. Declare it once, in a module that both "
        "import"
    ):
        check(stages)


PARTITIONS = (
    "stage count, agent count_0 reads topic orders with 4 partitions, stage count, agent count_1 reads topic paid with "
    "8; they meet by key in count-sums, so a key would be with two workers. Give both topics one number of partitions, "
    "or send one of them on to a topic that has that of the other"
)


def test_topics_that_share_a_store_need_one_number_of_partitions():
    with refused(PARTITIONS):
        check([counter("count", topic("orders", partitions=4), topic("paid", partitions=8))])


def test_the_number_of_the_settings_counts_where_a_topic_names_none():
    stages = [counter("count", topic("orders", partitions=4), topic("paid"))]
    check(stages)
    with refused(PARTITIONS):
        check(stages, partition_counts(stages, 8))


def test_topics_without_common_state_may_differ():
    stage = through("bills", topic("orders", partitions=4), topic("bills", partitions=2))

    @stage.agent(topic("bills", partitions=2))
    async def post(order: Order) -> None: ...

    check([stage])


def test_a_changelog_has_the_partitions_of_the_topics_of_its_store():
    stage = counter("count", topic("orders", partitions=4))
    assert partition_counts([stage], 8) == {"orders": 4, "count-sums-changelog": 4}


def test_a_cycle_is_named_from_end_to_end():
    stages = [
        through("one", topic("a"), topic("b")),
        through("two", topic("b"), topic("c"), "follow"),
        through("three", topic("c"), topic("a")),
    ]
    with refused(
        "a cycle: a → stage one, agent pass_on → b → stage two, agent follow → c → stage three, agent pass_on → a. A "
        "record could go round for ever. Take one of these steps away, or, if what comes round ends by itself, declare "
        "a topic on the way as Topic(…, feedback=True)"
    ):
        check(stages)


def test_a_cycle_through_a_punctuator_is_found():
    orders = topic("orders")
    stage = counter("count", orders)

    @stage.every(1_000, store=stage.stores["sums"], out=orders)
    async def again(now: int, state: State[Sum]) -> Order:
        return Order(id="1")

    [problem] = problems([stage])
    assert problem.startswith("a cycle: orders → stage count, punctuator again → orders. ")


def test_a_cycle_that_is_meant_is_let_pass():
    again = Topic("b", Order, feedback=True)
    check([through("one", topic("a"), again), through("two", topic("b"), topic("a"))])


def test_an_agent_may_write_other_records_to_the_topic_that_it_reads():
    both = topic("both", Order, Paid)
    stage = StreamsStage("pay")

    @stage.agent(both, out=both)
    async def pay(order: Order) -> list[Paid | None]:
        return [Paid(id=order.id)]

    check([stage])

    @stage.agent(both, out=both)
    async def undo(paid: Paid) -> Order | Keyed:
        return Order(id=paid.id)

    assert len(list(problems([stage]))) == 1


def test_an_agent_cannot_return_what_no_output_carries():
    stage = StreamsStage("pay")

    async def pay(order: Order) -> list[Order] | Paid:
        return []

    with refused(
        "stage pay, agent pay returns Paid, which none of its output topics carries: a (Order), b (Order). Name a "
        "topic that does in out=, or return what they carry"
    ):
        stage.agent(topic("orders"), out=(topic("a"), topic("b")))(pay)
    with refused(
        "stage pay, agent pay returns Order, which none of its output topics carries: none. Name a topic that does in "
        "out=, or return what they carry"
    ):
        stage.agent(topic("orders"))(pay)


def test_an_agent_takes_something_of_each_input():
    async def pay(order: Order) -> None: ...

    with refused(
        "stage pay, agent pay takes nothing of its topic paid (Paid), only Order. Name one of its types in the "
        "annotation, or leave the topic out"
    ):
        StreamsStage("pay").agent(topic("orders"), topic("paid", Paid))(pay)


def test_a_stream_has_the_type_that_is_wanted_of_it():
    stage = StreamsStage("pay")
    with refused("stage pay: of(Paid) of a stream of Order, which has none: name one of these, or read another topic"):
        stage.stream(topic("orders")).of(Paid)


def test_a_stream_and_the_table_that_it_joins_need_one_number_of_partitions():
    stage = StreamsStage("pay")
    table = stage.table("paid", topic("paid", Paid, partitions=8))
    stage.stream(topic("orders", partitions=4)).join(table, lambda order, paid: order).foreach(print)
    with refused(
        "stage pay, stream of orders+paid reads topic paid with 8 partitions and topic orders with 4; they meet by key "
        "in pay-paid, so a key would be with two workers. Give both topics one number of partitions, or send one of "
        "them on to a topic that has that of the other"
    ):
        check([stage])


def test_a_repartition_topic_has_the_partitions_of_what_it_is_joined_with():
    stage = StreamsStage("pay")
    table = stage.table("paid", topic("paid", Paid, partitions=4))
    by_id = stage.stream(topic("orders")).of(Order).key_by(lambda order: order.id, name="id")
    by_id.join(table, lambda order, paid: order).foreach(print)
    counts = partition_counts([stage], 8)
    assert counts == {"orders": 8, "paid": 4, "pay-id-repartition": 4, "pay-paid-changelog": 4}
    check([stage], counts)


def test_two_repartitions_of_one_name_are_refused():
    orders = StreamsStage("pay").stream(topic("orders")).of(Order)
    orders.key_by(lambda order: order.id, name="id")
    with refused(
        "stage pay: there are two key_by named 'id', and both would write to pay-id-repartition: give each a name of "
        "its own"
    ):
        orders.key_by(lambda order: order.key, name="id")


def test_the_topic_of_a_global_table_may_differ_but_must_be_there():
    stage = StreamsStage("pay")
    rates = stage.global_table(topic("rates", Paid, partitions=1))
    orders = stage.stream(topic("orders", partitions=4, external=True))
    orders.join(rates, lambda order, rate: order, on=lambda order: order.key).count(name="rated")
    check([stage])
    [problem] = unknown_topics([stage])
    assert problem.startswith("stage pay, a global table reads topic rates, which no stage writes.")


def test_a_cycle_of_streams_is_found():
    stage = StreamsStage("pay")
    stage.stream(topic("a")).through(topic("b")).to(topic("a"))
    [problem] = problems([stage])
    assert problem.startswith("a cycle: a → stage pay, stream of a → b → stage pay, stream of b → a. ")


def test_a_store_belongs_to_one_stage():
    other = counter("count", topic("orders"))
    stage = StreamsStage("pay")

    async def pay(order: Order, state: State[Sum]) -> None: ...

    with refused(
        "stage pay, agent pay has the store count-sums, which is not of this stage, so nobody would recover it: "
        "declare one with store() of this stage"
    ):
        stage.agent(topic("orders"), state=other.stores["sums"])(pay)


def test_the_driver_refuses_what_a_worker_would():
    with pytest.raises(TopologyError, match="a cycle: a → "):
        TopologyTestDriver(through("one", topic("a"), topic("b")), through("two", topic("b"), topic("a")))


def test_an_app_of_stages_that_do_not_fit_is_refused():
    both = [Stage("bills"), Stage("bills")]
    for stage in both:

        @stage.agent(topics.transcripts)
        async def hear(record: Record) -> None: ...

    with pytest.raises(TopologyError, match="two stages are named bills"):
        app(*both, name="both")


async def prepare(broker: Broker, *stages: StreamsStage) -> None:
    await worker_config(Settings(broker=broker.url, partitions=4)).prepare(stages)


async def test_a_worker_refuses_an_input_that_is_nowhere_and_creates_nothing(broker: Broker):
    stage = through("bills", topic("nowhere-in"), topic("nowhere-out"))
    for _ in range(2):
        with refused(
            "stage bills, agent pass_on reads topic nowhere-in, which no stage of this worker writes and the broker "
            "does not have. Correct the name, add or start the stage that writes it, or, if something else does, "
            "declare it as Topic(…, external=True)"
        ):
            await prepare(broker, stage)


async def test_a_worker_takes_an_input_that_is_on_the_broker_or_declared(broker: Broker):
    await create_topics(broker.bootstrap, {"there-in": 4}, replication=1)
    await prepare(broker, through("bills", topic("there-in"), topic("there-out")))
    await prepare(broker, through("bills", topic("external-in", external=True), topic("external-out")))


async def test_a_worker_of_one_stage_of_voicestream_does_not_need_the_others(tmp_path: Path):
    with Broker(tmp_path / "broker.log") as own:  # other tests have these topics with other partitions
        await prepare(own, next(stage for stage in STAGES if stage.name == "stt"))


async def test_the_partitions_that_the_broker_has_are_compared(broker: Broker):
    await create_topics(broker.bootstrap, {"has-orders": 4, "has-paid": 8}, replication=1)
    stage = counter("count", topic("has-orders"), topic("has-paid"))
    with refused(PARTITIONS.replace("orders", "has-orders").replace("topic paid", "topic has-paid")):
        await prepare(broker, stage)


def test_a_store_that_two_streams_write_is_refused():
    stage = Stage("twice")
    counts = stage.store("counts", int)
    stage.stream(topics.transcripts).process(lambda said, state: None, state=counts)
    stage.stream(topics.insights).process(lambda insight, state: None, state=counts)
    with pytest.raises(TopologyError, match=r"both write the store twice-counts.*merge the streams before process"):
        check([stage])
