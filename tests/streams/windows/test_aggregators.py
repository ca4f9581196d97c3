"""Aggregators against exact computations, in any order, in parts, and through the store."""

import math
import random
import sys
from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.streams.aggregators import (
    Aggregator,
    Collect,
    Distinct,
    Max,
    Mean,
    Min,
    Percentile,
    Several,
    Sum,
    TopK,
)
from voicestream.streams.errors import TopologyError

floats = st.floats(-1e300, 1e300) | st.floats(-1000, 1000)


def _state(aggregator: Aggregator[Any, Any, Any], values: Any) -> Any:
    state = aggregator.new()
    for value in values:
        state = aggregator.add(state, value)
    return state


def _stored(aggregator: Aggregator[Any, Any, Any], state: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=aggregator.state_type)


def _whole(aggregator: Aggregator[Any, Any, Any], values: list[Any]) -> Any:
    return aggregator.result(_state(aggregator, values))


def _in_parts(aggregator: Aggregator[Any, Any, Any], values: list[Any], cut: int) -> Any:
    left, right = _state(aggregator, values[:cut]), _state(aggregator, values[cut:])
    return aggregator.result(aggregator.merge(_stored(aggregator, left), _stored(aggregator, right)))


@given(st.lists(floats, min_size=1), st.data())
def test_sum_and_mean_are_exact_in_any_order(values: list[float], data: st.DataObject):
    exact = sum(map(Fraction, values))
    for order in (values, data.draw(st.permutations(values))):
        assert _whole(Sum(), order) == _in_parts(Sum(), order, len(order) // 2) == float(exact)
        assert _whole(Mean(), order) == _in_parts(Mean(), order, len(order) // 3) == float(exact) / len(values)


@settings(deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=200), st.floats(0, 1), st.data())
def test_percentiles_are_within_their_relative_error(values: list[float], share: float, data: st.DataObject):
    exact = sorted(values)[math.floor(share * (len(values) - 1))]
    percentile = Percentile(share, error=0.01)
    (found,) = _whole(percentile, values).values()
    assert abs(found - exact) <= 0.01 * abs(exact) + 1.001e-9
    order = data.draw(st.permutations(values))
    assert list(_in_parts(percentile, order, len(order) // 2).values()) == [found]


def test_the_state_of_a_percentile_does_not_grow_with_the_values():
    draw = random.Random(1)
    percentile = Percentile(0.5, 0.99, 0.999)
    values = [draw.lognormvariate(5, 1) for _ in range(20_000)]
    state = _state(percentile, values)
    assert len(msgspec.msgpack.encode(state)) < 2_500
    exact = [sorted(values)[math.floor(share * 19_999)] for share in (0.5, 0.99, 0.999)]
    assert list(percentile.result(state)) == ["p50", "p99", "p99.9"]
    assert list(percentile.result(state).values()) == pytest.approx(exact, rel=0.01)


@given(st.lists(st.integers(0, 40).map(lambda n: str(n * n // 60)), max_size=200), st.integers(0, 200))
def test_counts_of_frequent_items_are_at_most_so_much_too_low(items: list[str], cut: int):
    top = TopK(5, counters=7)
    exact = Counter(items)
    for found in (_whole(top, items), _in_parts(top, items, cut)):
        assert [count for _, count in found] == sorted((count for _, count in found), reverse=True)
        assert all(exact[item] - len(items) / 8 <= count <= exact[item] for item, count in found)
        frequent = {item for item, count in exact.items() if count > len(items) / 8}
        assert frequent <= set(dict(_whole(TopK(7, counters=7), items)))


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 9))
def test_top_items_are_exact_while_there_are_counters_for_all(items: list[str], k: int):
    exact = sorted(Counter(items).items(), key=lambda item: (-item[1], item[0]))
    assert _whole(TopK(k), items) == exact[:k]


@pytest.mark.parametrize("count", [1, 128, 129, 1_000, 20_000])
def test_distinct_items_are_counted_with_the_error_it_says(count: int):
    items = [f"call-{n}" for n in range(count)]
    distinct = Distinct()
    found = _whole(distinct, items)
    assert found == count if count <= 128 else abs(found - count) < 3 * 0.023 * count
    random.Random(2).shuffle(items)
    assert found == _whole(distinct, items * 2) == _in_parts(distinct, items * 2, count // 3)
    assert len(msgspec.msgpack.encode(_state(distinct, items))) < 3_300


def test_a_distinct_state_read_from_the_store_goes_on_as_before():
    distinct = Distinct()
    state = kept = distinct.new()
    for n in range(3_000):
        state = distinct.add(state, str(n))
        kept = _stored(distinct, distinct.add(kept, str(n)))
    assert distinct.result(state) == distinct.result(kept)


def test_distinct_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasketches", None)
    with pytest.raises(TopologyError, match=r"voicestream\[sketches\]"):
        Distinct()


@pytest.mark.parametrize("aggregator", [Sum(), Mean(), Min(), Max(), Percentile(0.5), Several(a=Sum())])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "x"])
def test_what_is_no_finite_number_is_refused_and_changes_nothing(aggregator: Aggregator[Any, Any, Any], value: object):
    state = _state(aggregator, [1.0])
    with pytest.raises(ValueError, match=r"x|finite"):
        aggregator.add(state, value)
    assert aggregator.result(state) == _whole(aggregator, [1.0])


def test_values_without_a_number_or_item_are_left_out():
    both = Several(
        sum=Sum(), mean=Mean(), min=Min(), max=Max(), p=Percentile(0.5), top=TopK(1), distinct=Distinct(of=lambda v: v)
    )
    assert _whole(both, [None]) == {
        "sum": 0.0, "mean": None, "min": None, "max": None, "p": {}, "top": [], "distinct": 0
    }  # fmt: skip
    assert _whole(Mean(of=lambda record: record.get("polarity")), [{}, {"polarity": 2}]) == 2


def test_a_sum_past_the_range_of_a_float_is_refused():
    with pytest.raises(ValueError, match="range"):
        _state(Sum(), [1.7e308, 1.7e308])


def test_several_keep_the_types_of_their_states():
    class Call(msgspec.Struct):
        id: str

    both = Several(calls=Collect(Call), longest=Max(of=lambda call: len(call.id)))
    state = _stored(both, _state(both, [Call("a")]))
    assert both.result(both.add(state, Call("bc"))) == {"calls": [Call("a"), Call("bc")], "longest": 2.0}


@pytest.mark.parametrize(
    "make", [lambda: Percentile(), lambda: Percentile(95), lambda: Percentile(0.5, error=0), lambda: TopK(0)]
)
def test_aggregators_that_cannot_be_are_refused(make: Any):
    with pytest.raises(TopologyError):
        make()
