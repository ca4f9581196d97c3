"""The graph of stages, as data, text, mermaid and Graphviz."""

import shutil
import subprocess

import msgspec
import pytest

from voicestream.streams.record import Record
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.topic import Topic
from voicestream.streams.topology.model import graph
from voicestream.streams.topology.views import as_dot, as_mermaid, as_text
from voicestream.streams.windows import Windowed, hopping


class Order(Record, frozen=True, kw_only=True):
    id: str


class Paid(Record, frozen=True, kw_only=True):
    id: str


class Sum(msgspec.Struct):
    n: int = 0


def shop() -> Stage:
    """Two agents with a topic between them, a store, a punctuator, and figures that come round."""
    orders: Topic[Order | Paid] = Topic("orders", Order, Paid, partitions=4, external=True)
    by_customer: Topic[Order] = Topic("by-customer", Order)
    figures: Topic[Paid] = Topic("shop", Paid, feedback=True)
    stage = Stage("shop")
    sums = stage.store("sums", Sum)

    @stage.agent(orders, figures, out=by_customer)
    async def sort(order: Order | Paid) -> Order | None: ...

    @stage.agent(by_customer, state=sums)
    async def add(order: Order, state: State[Sum]) -> None: ...

    @stage.every(1_500, store=sums, out=figures)
    async def tell(now: int, state: State[Sum]) -> Paid | None: ...

    return stage


def test_the_json_is_what_is_documented():
    assert msgspec.to_builtins(graph([shop()])) == {
        "version": 1,
        "stages": [
            {
                "name": "shop",
                "agents": [
                    {
                        "name": "sort",
                        "inputs": {"orders": ["Order", "Paid"], "shop": ["Paid"]},
                        "outputs": {"by-customer": ["Order"]},
                        "stores": [],
                        "operators": [],
                    },
                    {
                        "name": "add",
                        "inputs": {"by-customer": ["Order"]},
                        "outputs": {},
                        "stores": ["shop-sums"],
                        "operators": [],
                    },
                ],
                "punctuators": [{"name": "tell", "every_ms": 1500, "store": "shop-sums", "outputs": ["shop"]}],
                "global_tables": [],
            }
        ],
        "topics": [
            {
                "name": "by-customer",
                "kind": "repartition",
                "records": ["Order"],
                "partitions": None,
                "feedback": False,
                "written_by": ["shop"],
                "read_by": ["shop"],
            },
            {
                "name": "orders",
                "kind": "external",
                "records": ["Order", "Paid"],
                "partitions": 4,
                "feedback": False,
                "written_by": [],
                "read_by": ["shop"],
            },
            {
                "name": "shop",
                "kind": "repartition",
                "records": ["Paid"],
                "partitions": None,
                "feedback": True,
                "written_by": ["shop"],
                "read_by": ["shop"],
            },
        ],
        "stores": [
            {"name": "shop-sums", "stage": "shop", "changelog": "shop-sums-changelog", "used_by": ["add", "tell"]}
        ],
    }


def test_text_is_readable_at_a_glance():
    assert (
        as_text(graph([shop()]))
        == """\
stage shop
  sort
    from  orders: Order, Paid
          shop: Paid
    to    by-customer: Order
  add
    from  by-customer: Order
    with  shop-sums
  tell, every 1500ms
    with  shop-sums
    to    shop

topics
  by-customer  shop → shop (repartition)
  orders       outside → shop (4 partitions)
  shop         shop → shop (repartition, feedback)

stores
  shop-sums  add, tell of shop; changelog shop-sums-changelog"""
    )


def test_text_says_what_a_stream_goes_through():
    stage = Stage("minutes")
    orders: Topic[Order] = Topic("orders", Order, external=True)
    windows = hopping("90s", "45s", grace="1m")
    stage.stream(orders).window(windows, name="sums").count().final().map(result).to(Topic("sums", Paid))
    assert as_text(graph([stage])).startswith(
        """\
stage minutes
  stream of orders
    from  orders: Order
    does  1 from orders → 2
          2 window hopping, size 90s, grace 1m, advance 45s: Count [minutes-sums] → 3
          3 final → 4
          4 map → 5
          5 to sums
    with  minutes-sums
    to    sums: Paid
"""
    )


def result(window: Windowed[int]) -> Paid:
    return Paid(id=window.key)


def test_mermaid_has_a_shape_for_each_kind():
    assert (
        as_mermaid(graph([shop()]))
        == """\
flowchart LR
  topic0{{"by-customer"}}
  topic1[/"orders"/]
  topic2{{"shop"}}
  stage0["shop"]
  store0[("shop-sums")]
  stage0 --> topic0
  topic0 --> stage0
  topic1 --> stage0
  stage0 --> topic2
  topic2 -.-> stage0
  stage0 --- store0"""
    )


DOT = """\
digraph topology {
  rankdir=LR;
  "topic by-customer" [label="by-customer", shape=hexagon];
  "topic orders" [label="orders", shape=parallelogram];
  "topic shop" [label="shop", shape=hexagon];
  "stage shop" [label="shop", shape=box];
  "store shop-sums" [label="shop-sums", shape=cylinder];
  "stage shop" -> "topic by-customer";
  "topic by-customer" -> "stage shop";
  "topic orders" -> "stage shop";
  "stage shop" -> "topic shop";
  "topic shop" -> "stage shop" [style=dotted];
  "stage shop" -> "store shop-sums" [dir=none];
}"""


def test_dot_keeps_a_topic_and_a_stage_of_one_name_apart():
    assert as_dot(graph([shop()])) == DOT


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it():
    subprocess.run(["dot", "-Tsvg"], input=DOT, text=True, capture_output=True, check=True)
