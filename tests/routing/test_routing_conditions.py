"""Each condition: when it holds, when it does not, and what it says."""

import pytest
from routing_support import CALL, insight, metric, mood, play, pressed, rule, started

from voicestream.routing import RoutingRecord

Case = tuple[str, list[RoutingRecord], str | None]

CASES: list[Case] = [
    ("{polarity: {below: -0.5}}", [mood(0, 5, -0.6)], "polarity of the customer is -0.60 (limit: below -0.5)"),
    ("{polarity: {below: -0.5}}", [mood(0, 5, -0.5)], None),
    ("{polarity: {below: -0.5}}", [mood(0, 5, -0.9), mood(1, 5, -0.9, "agent")], "polarity of the customer is -0.90"),
    ("{polarity: {track: agent, below: -0.5}}", [mood(0, 5, -0.9)], None),
    ("{polarity: {below: -0.5}}", [mood(0, 5, -0.9, source="voice")], None),
    ("{polarity: {above: 0.5}}", [mood(0, 5, 0.7)], "limit: above 0.5"),
    ("{call_polarity: {below: 0}}", [mood(0, 5, 0.5, call_polarity=-0.1)], "polarity so far of the customer is -0.10"),
    ("{call_polarity: {below: 0}}", [mood(0, 5, -0.5, call_polarity=0.1)], None),
    ("{trend: {below: -0.2}}", [mood(0, 5, 0, trend=-0.3)], "trend of the customer is -0.30"),
    ("{trend: {below: -0.2}}", [mood(0, 5, 0)], None),
    ("{emotion: {is: anger, at_least: 0.6}}", [mood(0, 5, emotions={"anger": 0.7})], "anger of the customer is 0.70"),
    ("{emotion: {is: anger, at_least: 0.6}}", [mood(0, 5, emotions={"anger": 0.5, "joy": 0.5})], None),
    ("{emotion: {is: [joy, anger]}}", [mood(0, 5, emotions={"anger": 0.1, "joy": 0.9})], "joy of the customer is 0.90"),
    ("{emotion: {is: anger}}", [mood(0, 5, emotion="anger")], "anger of the customer is 1.00"),
    ("{emotion: {is: anger, times: 2}}", [mood(0, 5, emotion="anger"), mood(1, 6, emotion="joy")], None),
    (
        "{emotion: {is: anger, times: 2}}",
        [mood(0, 5, emotion="anger"), mood(1, 6, emotion="joy"), mood(2, 7, emotion="anger")],
        "in 2 utterances",
    ),
    (
        "{negative_in_a_row: {at_least: 2, below: -0.3}}",
        [mood(0, 5, -0.4), mood(0, 6, 0.9, "agent"), mood(1, 9, -0.5)],
        "the customer was negative 2 times in a row (-0.40, -0.50)",
    ),
    ("{negative_in_a_row: {at_least: 2}}", [mood(0, 5, -0.4), mood(1, 9, 0.1), mood(2, 12, -0.5)], None),
    ("{insight: {kind: churn_risk}}", [insight("churn_risk", 5, "leaving")], "1 churn_risk: leaving"),
    ("{insight: {kind: churn_risk}}", [insight("price", 5)], None),
    ("{insight: {kind: churn_risk, confidence: 0.8}}", [insight("churn_risk", 5, confidence=0.7)], None),
    ("{insight: {kind: objection, label: price}}", [insight("objection", 5, "price")], "1 objection (price)"),
    ("{insight: {kind: objection, label: [price, need]}}", [insight("objection", 5, "timing")], None),
    (
        "{insight: {kind: [price, objection], at_least: 2}}",
        [insight("objection", 5), insight("price", 6)],
        "2 price or",
    ),
    ("{insight: {kind: competitor, track: agent}}", [insight("competitor", 5)], None),
    ("{insight: {kind: competitor, track: agent}}", [insight("competitor", 5, track="mono")], "1 competitor"),
    (
        "{insight: {kind: price, at_least: 2, within: 30s}}",
        [insight("price", 5), insight("price", 34)],
        "2 price within 30 s",
    ),
    ("{insight: {kind: price, at_least: 2, within: 30s}}", [insight("price", 5), insight("price", 36)], None),
    ("{insight: {kind: price, in_first: 10s}}", [insight("price", 9)], "1 price in the first 10 s"),
    ("{insight: {kind: price, in_first: 10s}}", [insight("price", 11)], None),
    (
        "{silence: {longer_than: 20s}}",
        [
            metric(0, 10, silence_ms=2_000, talk_ms={"agent": 8_000}),
            metric(1, 40, silence_ms=24_000, talk_ms={"agent": 16_000}),
        ],
        "silence of 22 s at a stretch",
    ),
    (
        "{silence: {longer_than: 20s}}",
        [metric(n, 10 * n + 10, silence_ms=9_000 * n, talk_ms={"agent": 1_000 * n}) for n in range(4)],
        None,
    ),
    (
        "{silence: {longer_than: 20s}}",
        [metric(n, 10 * n + 10, silence_ms=9_000 * n, talk_ms={"agent": 1_000}) for n in range(4)],
        "silence of 27 s at a stretch",
    ),
    ("{silence: {in_all_longer_than: 20s}}", [metric(0, 60, silence_ms=21_000)], "silence of 21 s in all"),
    (
        "{interruptions: {track: agent, at_least: 3}}",
        [metric(0, 60, interruptions={"agent": 3})],
        "interrupted 3 times",
    ),
    ("{interruptions: {track: agent, at_least: 3}}", [metric(0, 60, interruptions={"customer": 3})], None),
    ("{call: {queue: sales}}", [], "queue is sales"),
    ("{call: {queue: [billing, support]}}", [], None),
    ("{call: {agent: dana, customer: mark}}", [], "agent is dana and customer is mark"),
    ("{metadata: {tier: gold}}", [], "tier is gold"),
    ("{metadata: {tier: [silver, bronze]}}", [], None),
    ("{metadata: {age: 42}}", [], "age is 42"),
    ("{metadata: {unheard: of}}", [], None),
    ("{duration: {longer_than: 1m}}", [mood(0, 61)], "the call is 61 s long"),
    ("{duration: {longer_than: 1m}}", [mood(0, 60)], None),
    ("{duration: {shorter_than: 10s}}", [], "the call is 0 s long"),
    ('{dtmf: "0"}', [pressed("0", 5)], "key 0 is pressed"),
    ("{dtmf: 0}", [pressed("0", 5)], "key 0 is pressed"),
    ('{dtmf: ["1", "2"]}', [pressed("2", 5)], "key 2 is pressed"),
    ('{dtmf: "0"}', [pressed("1", 5)], None),
    ("{all: [{dtmf: 0}, {call: {queue: sales}}]}", [pressed("0", 5)], "key 0 is pressed and queue is sales"),
    ("{dtmf: 0, call: {queue: billing}}", [pressed("0", 5)], None),
    ("{any: [{dtmf: 0}, {call: {queue: billing}}]}", [pressed("0", 5)], "key 0 is pressed"),
    ("{any: [{dtmf: 1}, {call: {queue: billing}}]}", [pressed("0", 5)], None),
    ("{dtmf: 0, not: {insight: {kind: compliance}}}", [pressed("0", 5)], "no compliance"),
    ("{dtmf: 0, not: {insight: {kind: compliance}}}", [insight("compliance", 2), pressed("0", 5)], None),
]


@pytest.mark.parametrize(("when", "records", "reason"), CASES)
def test_a_condition(when: str, records: list[RoutingRecord], reason: str | None) -> None:
    opening = started(queue="sales", agent="dana", customer="mark", metadata={"tier": "gold", "age": "42"})
    decisions = play(rule(when), opening, *records)
    if reason is None:
        assert decisions == []
    else:
        assert len(decisions) == 1
        assert reason in decisions[0].reason


def test_a_decision_says_who_what_why_and_on_what() -> None:
    (decision,) = play(rule("{insight: {kind: price}}"), started(queue="sales", agent="dana"), insight("price", 7))
    assert decision.decision_id == f"{CALL}/it/0"
    assert (decision.action, decision.target, decision.priority) == ("act", "team", 2)
    assert (decision.queue, decision.agent) == ("sales", "dana")
    assert decision.evidence == [f"{CALL}/customer/7/price//0"]
    assert decision.at_ms == insight("price", 7).at_ms


def test_the_start_of_a_call_is_known_from_its_figures_when_its_event_is_late() -> None:
    assert len(play(rule("{duration: {longer_than: 1m}}"), metric(0, 61))) == 1
