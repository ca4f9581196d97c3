"""Six calls of three agents, small enough to check by hand: the data behind the answers of docs/analytics.md."""

from datetime import UTC, datetime

from voicestream.records import (
    CallEvent,
    CallMetric,
    CallSummary,
    Insight,
    InsightRef,
    RoutingDecision,
    UtteranceResult,
    WindowMetric,
)
from voicestream.records.track import Track
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.record import Record


def ms(text: str) -> int:
    """Epoch milliseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# call_id, start, queue, agent, outcome, interruptions of the agent, polarity of the customer by quarter of the call
CALLS = [
    ("c1", "2026-03-02 09:00:00", "sales", "Ana", "next_step", 0, [0.1, -0.4, None, 0.6]),
    ("c2", "2026-03-02 10:00:00", "sales", "Ben", "none", 3, [0.2, -0.5, -0.6, -0.3]),
    ("c3", "2026-03-03 09:30:00", "support", "Ana", "resolved", 1, [-0.7, -0.2, 0.3, 0.8]),
    ("c4", "2026-03-09 09:10:00", "support", "Cem", "churn_risk", 2, [-0.4, None, -0.8, -0.9]),
    ("c5", "2026-03-10 11:00:00", "sales", "Ben", "next_step", 1, [0.0, -0.2, 0.4, 0.5]),
    ("c6", "2026-03-10 11:30:00", "support", "Cem", "resolved", 0, [-0.1, 0.2, None, 0.4]),
]

# call, track, start s, end s, polarity, emotion, latency ms, text, and its insights as (kind, label, value, confidence)
_Signal = tuple[str, str, str | None, float]
UTTERANCES: list[tuple[str, Track, int, int, float, str, int, str, list[_Signal]]] = [
    ("c1", "agent", 2, 10, 0.4, "joy", 610, "Good morning, this is Ana. What can I do for you?", []),
    ("c1", "customer", 11, 20, 0.1, "neutral", 540, "I saw your offer. Acme asks nine hundred.", [
        ("competitor", "Acme", None, 0.98), ("price", "amount", "900 USD", 0.9)]),
    ("c1", "customer", 21, 27, -0.4, "anger", 700, "A thousand is too expensive for us.", [
        ("objection", "price", None, 0.94), ("price", "amount", "1000 USD", 0.9)]),
    ("c1", "agent", 28, 58, 0.3, "neutral", 820, "With the yearly plan it is nine hundred as well.", []),
    ("c1", "customer", 60, 66, 0.6, "joy", 500, "Send it over and let us talk on Friday.", [
        ("next_step", "meeting", "2026-03-06", 0.88)]),
    ("c1", "agent", 67, 72, 0.5, "joy", 650, "I will send you the contract today.", [
        ("commitment", "send", "2026-03-02", 0.85)]),
    ("c2", "agent", 6, 48, 0.2, "neutral", 900, "Hello, Ben here, let me tell you all about it.", []),
    ("c2", "customer", 40, 52, -0.5, "anger", 760, "That costs too much, Globex is cheaper.", [
        ("objection", "price", None, 0.91), ("competitor", "Globex", None, 0.97)]),
    ("c2", "agent", 53, 110, 0.0, "neutral", 1400, "Let me explain why it is worth it.", []),
    ("c2", "customer", 112, 118, -0.3, "sadness", 620, "We would rather not, thank you.", []),
    ("c3", "customer", 1, 12, -0.7, "anger", 580, "My phone is dead since Sunday.", []),
    ("c3", "agent", 14, 22, 0.1, "sadness", 560, "I am sorry to hear that. Let me look.", []),
    ("c3", "customer", 24, 30, 0.3, "neutral", 530, "How long will it take?", [("question", "time", None, 0.9)]),
    ("c3", "agent", 33, 44, 0.6, "joy", 690, "It works again now. I will call you tomorrow.", [
        ("commitment", "call", "2026-03-04", 0.83)]),
    ("c3", "customer", 46, 50, 0.8, "joy", 480, "Wonderful, thank you so much.", []),
    ("c4", "agent", 9, 15, 0.1, "neutral", 600, "Cem speaking.", []),
    ("c4", "customer", 16, 40, -0.8, "anger", 950, "This is the third time. I want to cancel.", [
        ("churn_risk", "cancel", None, 0.96)]),
    ("c4", "agent", 39, 55, -0.1, "neutral", 740, "Why do you want to go?", [("question", "reason", None, 0.9)]),
    ("c4", "customer", 56, 70, -0.9, "disgust", 1020, "Because Acme simply works.", [
        ("competitor", "Acme", None, 0.99)]),
    ("c5", "agent", 3, 13, 0.3, "joy", 570, "Hi, Ben here. Shall we go on from last week?", []),
    ("c5", "customer", 15, 25, -0.2, "neutral", 640, "Yes, but the price is still high next to Acme.", [
        ("objection", "price", None, 0.9), ("competitor", "Acme", None, 0.95)]),
    ("c5", "agent", 27, 41, 0.4, "neutral", 880, "I can take ten percent off.", []),
    ("c5", "customer", 43, 50, 0.5, "joy", 510, "Then let us sign on the first of April.", [
        ("buying_signal", "sign", None, 0.9), ("next_step", "signing", "2026-04-01", 0.92)]),
    ("c6", "customer", 0, 9, -0.1, "neutral", 550, "When does the contract end?", [("question", "time", None, 0.9)]),
    ("c6", "agent", 13, 21, 0.2, "neutral", 590, "At the end of June, and we have no fee to leave.", [
        ("objection", "contract", None, 0.4)]),
    ("c6", "customer", 23, 27, 0.4, "joy", 470, "Good to know.", []),
]  # fmt: skip


def records() -> list[Record]:
    """Everything that the stages would have written of these calls."""
    made: list[Record] = []
    for call_id, start, queue, agent, outcome, interruptions, quarters in CALLS:
        at = ms(start)
        said = [u for u in UTTERANCES if u[0] == call_id]
        made.append(
            CallEvent(
                event_id=f"{call_id}/started/0", call_id=call_id, kind="started", sequence=0, at_ms=at,
                protocol="twilio", queue=queue, agent=agent,
            )
        )  # fmt: skip
        kinds: dict[str, int] = {}
        talk = {"agent": 0, "customer": 0}
        longest = {"agent": 0, "customer": 0}
        numbers = {"agent": 0, "customer": 0}
        polarity: dict[str, list[float]] = {"agent": [], "customer": []}
        for _, track, start_s, end_s, mood, emotion, latency, text, signals in said:
            number = numbers[track]
            numbers[track] += 1
            talk[track] += (end_s - start_s) * 1000
            longest[track] = max(longest[track], (end_s - start_s) * 1000)
            polarity[track].append(mood)
            utterance_id = f"{call_id}/{track}/{number}"
            found = [
                Insight(
                    insight_id=f"{utterance_id}/{kind}/{label}/0", utterance_id=utterance_id, call_id=call_id,
                    track=track, number=number, at_ms=at + end_s * 1000, kind=kind, label=label, value=value,
                    text=text, start=0, end=len(text), confidence=confidence, extractor=kind,
                )
                for kind, label, value, confidence in signals
            ]  # fmt: skip
            for insight in found:
                kinds[insight.kind] = kinds.get(insight.kind, 0) + 1
            made += found
            made.append(
                UtteranceResult(
                    utterance_id=utterance_id, call_id=call_id, track=track, number=number, start_ms=start_s * 1000,
                    end_ms=end_s * 1000, at_ms=at + end_s * 1000, queue=queue, agent=agent, text=text,
                    words=len(text.split()), confidence=0.9, language="en", polarity=mood,
                    label="positive" if mood > 0.15 else "negative" if mood < -0.15 else "neutral", emotion=emotion,
                    emotions={emotion: 0.8, "other": 0.2}, stt_ms=latency * 0.6, sentiment_ms=latency * 0.05,
                    latency_ms=latency,
                    insights=[
                        InsightRef(
                            insight_id=i.insight_id, kind=i.kind, label=i.label, value=i.value, text=i.text,
                            confidence=i.confidence,
                        )
                        for i in found
                    ],
                )
            )  # fmt: skip
        end_s = max(u[3] for u in said) + 2
        overlap = 8_000 if call_id == "c2" else 1_000 if call_id == "c4" else 0
        spoken = sum(talk.values())
        made.append(
            CallSummary(
                call_id=call_id, started_at_ms=at, ended_at_ms=at + end_s * 1000, duration_ms=end_s * 1000,
                reason="completed", protocol="twilio", queue=queue, agent=agent, talk_ms=talk,
                talk_ratio={track: value / spoken for track, value in talk.items()},
                silence_ms=end_s * 1000 - spoken + overlap, overlap_ms=overlap,
                interruptions={"agent": interruptions, "customer": 0}, longest_monologue_ms=longest,
                utterances=numbers,
                polarity={track: sum(values) / len(values) for track, values in polarity.items()},
                polarity_quarters={"customer": list(quarters)}, insights=kinds, outcome=outcome,
                routing=["churn"] if call_id == "c4" else [], text=f"{agent} spoke with a customer.",
            )
        )  # fmt: skip
    churn = {"call_id": "c4", "queue": "support", "agent": "Cem", "reason": "churn_risk 0.96 >= 0.8"}
    made += [
        RoutingDecision(
            decision_id="c4/churn/0", at_ms=ms("2026-03-09 09:10:40"), rule="churn", action="offer_retention",
            target="retention", priority=1, evidence=["c4/customer/0"], **churn,
        ),
        RoutingDecision(
            decision_id="c4/anger/0", at_ms=ms("2026-03-09 09:10:41"), rule="anger", action="alert_supervisor",
            target="floor", priority=2, evidence=["c4/customer/0"], **churn,
        ),
        RoutingDecision(
            decision_id="c2/anger/0", at_ms=ms("2026-03-02 10:00:53"), rule="anger", action="alert_supervisor",
            target="floor", priority=2, reason="anger", call_id="c2", queue="sales", agent="Ben",
        ),
    ]  # fmt: skip
    for queue, agent, minute, revision, utterances, mood, final in [
        ("sales", "Ana", "09:00:00", 1, 3, -0.15, False),
        ("sales", "Ana", "09:00:00", 2, 4, -0.15, True),
        ("sales", "Ana", "09:01:00", 1, 2, 0.6, True),
        ("sales", "Ben", "10:00:00", 4, 2, -0.5, False),
    ]:
        start_ms = ms(f"2026-03-02 {minute}")
        made.append(
            WindowMetric(
                metric_id=f"{queue}/{agent}/{start_ms}", queue=queue, agent=agent, window_start_ms=start_ms,
                window_end_ms=start_ms + 60_000, calls=1, utterances=utterances, customer_polarity=mood,
                revision=revision, final=final,
            )
        )  # fmt: skip
    made.append(
        CallEvent(
            event_id="c7/started/0", call_id="c7", kind="started", sequence=0, at_ms=ms("2026-03-10 11:45:00"),
            protocol="raw", queue="sales", agent="Ana",
        )
    )  # fmt: skip
    for revision, talk_ms in [(1, {"agent": 4_000}), (2, {"agent": 4_000, "customer": 16_000})]:
        made.append(
            CallMetric(
                call_id="c7", at_ms=ms("2026-03-10 11:45:20") + revision, queue="sales", agent="Ana",
                duration_ms=25_000, talk_ms=talk_ms,
                talk_ratio={track: value / sum(talk_ms.values()) for track, value in talk_ms.items()},
                polarity={"customer": -0.35}, revision=revision, final=False,
            )
        )  # fmt: skip
    for offset in (7, 8):
        made.append(
            DeadLetter(
                letter_id=f"stt/voice.segments/0/{offset}", topic="voice.segments", partition=0, offset=offset,
                source_value=b"\x00\xff", timestamp_ms=ms("2026-03-02 09:00:30"), stage="stt", agent="transcribe",
                step="decode", error="SchemaError", message="no schema", at_ms=ms("2026-03-02 09:00:31"),
            )
        )  # fmt: skip
    return made
