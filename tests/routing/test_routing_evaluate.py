"""Once, cooldown, replay, bounds, and the packaged rules."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from routing_support import insight, metric, mood, play, pressed, rule, rules, started

from voicestream.routing import RoutingRecord, RoutingState, evaluate, load_rules

PACKAGED = load_rules()


def names(*records: RoutingRecord) -> list[str]:
    return [decision.rule for decision in play(PACKAGED, *records)]


def test_without_a_cooldown_a_rule_fires_once_a_call() -> None:
    assert len(play(rule("{insight: {kind: price}}"), *(insight("price", second) for second in (1, 200, 900)))) == 1


def test_with_a_cooldown_it_fires_again_after_it() -> None:
    wanted = rule("{insight: {kind: price}}", "cooldown: 30s")
    decisions = play(wanted, *(insight("price", second) for second in (1, 20, 30, 31, 50, 61)))
    assert [decision.decision_id for decision in decisions] == ["call-1/it/0", "call-1/it/1", "call-1/it/2"]
    assert [decision.at_ms for decision in decisions] == [insight("price", second).at_ms for second in (1, 31, 61)]


def test_old_evidence_does_not_make_it_fire_again() -> None:
    wanted = rule("{insight: {kind: price}}", "cooldown: 30s")
    assert len(play(wanted, insight("price", 1), mood(0, 60), mood(1, 120), metric(0, 180))) == 1


def test_a_record_that_comes_twice_counts_once() -> None:
    wanted = rule("{insight: {kind: price, at_least: 2}}")
    assert play(wanted, insight("price", 1), insight("price", 1)) == []
    assert play(rule("{negative_in_a_row: {at_least: 2}}"), mood(0, 1, -0.9), mood(0, 1, -0.9)) == []
    assert len(play(rule("{dtmf: 0}", "cooldown: 0s"), pressed("0", 1), pressed("0", 1))) == 1


def test_an_older_figure_does_not_undo_a_newer_one() -> None:
    wanted = rule("{silence: {longer_than: 5s}}", "cooldown: 0s")
    newer = metric(2, 30, silence_ms=9_000)
    assert len(play(wanted, metric(1, 10), newer, metric(1, 10))) == 2
    assert play(wanted, newer, metric(1, 20, silence_ms=20_000))[1:] == play(wanted, newer, mood(0, 20))[1:]


def test_rules_fire_in_the_order_of_the_file() -> None:
    wanted = rules(
        "rules:\n  - {name: b, when: {dtmf: 0}, then: {action: x}}\n  - {name: a, when: {dtmf: 0}, then: {action: y}}\n"
    )
    assert [decision.rule for decision in play(wanted, pressed("0", 1))] == ["b", "a"]


records = st.one_of(
    st.builds(
        mood,
        st.integers(0, 30),
        st.integers(0, 300),
        st.floats(-1, 1),
        st.sampled_from(["agent", "customer"]),
        emotion=st.sampled_from(["anger", "joy", None]),
    ),
    st.builds(
        insight,
        st.sampled_from(["churn_risk", "price", "objection", "buying_signal", "compliance"]),
        st.integers(0, 300),
        st.sampled_from(["", "price", "order", "recording_disclosure"]),
    ),
    st.builds(metric, st.integers(0, 30), st.integers(0, 300), silence_ms=st.integers(0, 60_000)),
    st.builds(pressed, st.sampled_from(["0", "1"]), st.integers(0, 300), st.integers(1, 9)),
    st.builds(started, st.integers(0, 5), queue=st.sampled_from(["sales", None])),
)


@given(st.lists(records, max_size=40), st.integers(0, 40))
def test_a_replay_and_a_state_that_went_through_bytes_make_the_same_decisions(
    played: list[RoutingRecord], stop: int
) -> None:
    first = play(PACKAGED, *played)
    assert play(PACKAGED, *played) == first
    state, decisions = RoutingState(), []
    for index, record in enumerate(played):
        if index == stop:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RoutingState)
        before = msgspec.json.encode(state)
        following, made = evaluate(PACKAGED, state, record)
        assert msgspec.json.encode(state) == before
        state, decisions = following, decisions + made
    assert decisions == first
    assert len({decision.decision_id for decision in decisions}) == len(decisions)


def test_the_state_of_a_long_call_stays_small_and_remembers_its_start() -> None:
    state = RoutingState()
    for number in range(400):
        for record in (
            mood(number, number, -0.1, emotions={"anger": 0.2, "joy": 0.1}),
            insight("question", number, "open"),
            insight("competitor", number, f"name {number}"),
            metric(number, number),
        ):
            state, _ = evaluate(PACKAGED, state, record)
    assert len(msgspec.msgpack.encode(state)) < 100_000
    assert state.signals["question/open"][0].at_ms == insight("question", 0, "open").at_ms


def test_three_negative_utterances_and_anger_alert_a_supervisor() -> None:
    moods = [mood(0, 5, -0.7), mood(1, 9, -0.6)]
    assert names(started(), *moods) == []
    assert names(started(), *moods, mood(2, 12, -0.8, emotions={"anger": 0.5})) == ["angry-customer"]
    assert names(started(), *moods, mood(2, 12, -0.8, emotions={"sadness": 0.9})) == []


def test_one_furious_utterance_alerts_a_supervisor() -> None:
    assert names(mood(0, 5, -0.9, emotions={"anger": 0.9})) == ["angry-customer"]


def test_anger_and_churn_escalate() -> None:
    angry = {"anger": 0.6}
    once = [started(), mood(0, 5, -0.5, emotions=angry), insight("churn_risk", 8, "leaving")]
    assert names(*once) == ["retention-offer"]
    assert names(*once, mood(1, 9, -0.5, emotions=angry)) == ["retention-offer", "angry-and-leaving"]


def test_a_price_objection_calls_the_coach_in_a_sales_queue_only() -> None:
    assert names(started(queue="sales"), insight("objection", 5, "price")) == ["sales-coach"]
    assert names(started(queue="support"), insight("objection", 5, "price")) == []
    assert names(started(queue="sales"), insight("competitor", 5, "City Cable")) == ["sales-coach"]


def test_buying_signals_make_a_hot_lead() -> None:
    assert names(insight("buying_signal", 5, "interest")) == []
    assert names(insight("buying_signal", 5, "interest"), insight("buying_signal", 60, "interest")) == ["hot-lead"]
    assert names(insight("buying_signal", 5, "order", confidence=0.95)) == ["hot-lead"]
    assert names(insight("buying_signal", 5, "interest"), insight("next_step", 9, "callback")) == ["hot-lead"]


def test_a_missing_disclosure_is_an_alert_after_a_minute() -> None:
    said_in_time = insight("compliance", 20, "recording_disclosure", track="agent")
    said_late = insight("compliance", 70, "recording_disclosure", track="agent")
    assert names(started(), mood(0, 74)) == []
    assert names(started(), mood(0, 76)) == ["no-recording-disclosure"]
    assert names(started(), said_in_time, mood(0, 76)) == []
    assert names(started(), said_late, mood(0, 76)) == ["no-recording-disclosure"]


def test_silence_interruptions_and_the_operator_key() -> None:
    assert names(started(), metric(0, 30, silence_ms=21_000)) == ["long-silence"]
    assert names(started(), metric(0, 30, interruptions={"agent": 4})) == ["agent-interrupts"]
    assert names(started(), pressed("0", 3)) == ["operator-key"]
