"""What the stages write is on the feed and in the state of the calls."""

import asyncio
import json

from gateway_helpers import Running, new_call_id, publish, receive, say_hello
from gateway_records import call_metric, insight, result, routing, sentiment, summary, transcript, window_metric

from voicestream import topics
from voicestream.gateway.feed import Feed, Subscription
from voicestream.gateway.state import MAX_ENDED, MAX_LINES, CallStates
from voicestream.gateway.stats import GatewayStats
from voicestream.records import EndOfCall


async def test_every_result_is_on_the_feed_with_its_type_and_fields(gateway: Running) -> None:
    call_id = new_call_id()
    said = transcript(call_id, 0, "Acme is cheaper")
    felt, found = sentiment(said, -0.4), insight(said, "competitor", "Acme")
    async with gateway.feed(f"?call_id={call_id}") as one, gateway.feed("?types=WindowMetric,EndOfCall") as other:
        assert [(await receive(socket))["type"] for socket in (one, other)] == ["Hello", "Hello"]
        marker = EndOfCall(call_id=call_id, stage="stt", at_ms=1, duration_ms=2, reason="completed")
        for pair in (
            (topics.transcripts, said),
            (topics.transcripts, marker),
            (topics.sentiment, felt),
            (topics.insights, found),
            (topics.results, result(said, felt, found)),
            (topics.routing, routing(call_id)),
            (topics.metrics, call_metric(call_id, 0, 0.5)),
            (topics.metrics, window_metric()),
            (topics.results, summary(call_id)),
        ):
            publish(gateway.servers, pair)
        messages = {message["type"]: message for message in [await receive(one) for _ in range(7)]}
        others = sorted([(await receive(other))["type"] for _ in range(2)])
    assert messages.keys() == {
        "Transcript",
        "Sentiment",
        "Insight",
        "UtteranceResult",
        "RoutingDecision",
        "CallMetric",
        "CallSummary",
    }
    assert messages["UtteranceResult"]["text"] == "Acme is cheaper"
    assert messages["UtteranceResult"]["insights"][0]["label"] == "Acme"
    assert others == ["EndOfCall", "WindowMetric"]


async def test_the_state_of_a_call_is_put_together_from_its_parts(gateway: Running) -> None:
    call_id = new_call_id()
    said = transcript(call_id, 0, "Acme is cheaper")
    felt, found = sentiment(said, -0.4, "anger"), insight(said, "competitor", "Acme")
    async with gateway.raw(call_id) as socket, gateway.feed(f"?call_id={call_id}&types=CallMetric,CallSummary") as feed:
        await say_hello(socket)
        await receive(feed)
        publish(gateway.servers, (topics.transcripts, said))
        publish(gateway.servers, (topics.sentiment, felt), (topics.insights, found), (topics.routing, routing(call_id)))
        publish(gateway.servers, (topics.results, result(said, felt, found, latency_ms=640)))
        publish(gateway.servers, (topics.metrics, call_metric(call_id, 2, 0.25)))
        await receive(feed)
        live = (await gateway.get(f"/v1/calls/{call_id}")).json()
        stats = (await gateway.get("/v1/stats")).json()
        assert [c["call_id"] for c in (await gateway.get("/v1/calls")).json()["calls"]][:1] == [call_id]
        await socket.send('{"type": "end"}')
        publish(gateway.servers, (topics.results, summary(call_id)))
        await receive(feed)
    assert (live["status"], live["agent"], live["customer"], live["queue"]) == ("live", "Dana", "Mr Poe", "sales")
    assert live["session"]["connected"] is True
    (line,) = live["transcript"]
    assert (line["text"], line["polarity"], line["emotion"], line["final"]) == ("Acme is cheaper", -0.4, "anger", True)
    assert [i["label"] for i in line["insights"]] == ["Acme"]
    assert live["insights"] == {"competitor": 1}
    assert live["routing"][0]["target"] == "supervisor"
    assert live["mood"]["customer"]["polarity"] == -0.4
    assert live["metrics"]["talk_ratio"]["agent"] == 0.25
    assert (stats["end_to_end_ms"]["p50"], stats["stt_ms"]["p99"], stats["sentiment_ms"]["count"]) == (640, 80, 1)
    ended = (await gateway.get(f"/v1/calls/{call_id}")).json()
    assert (ended["status"], ended["duration_ms"], ended["summary"]["outcome"]) == ("ended", 60_000, "won")


async def test_bytes_that_are_no_record_are_counted_and_passed_by(gateway: Running) -> None:
    from confluent_kafka import Producer

    call_id = new_call_id()
    async with gateway.feed(f"?call_id={call_id}") as feed:
        await receive(feed)
        producer = Producer({"bootstrap.servers": gateway.servers})
        producer.produce(topics.results.name, b"not Avro", key=call_id)
        producer.flush(5)
        publish(gateway.servers, (topics.results, summary(call_id)))
        assert (await receive(feed))["type"] == "CallSummary"
    assert "voicestream_gateway_undecodable_total 1.0" in (await gateway.get("/metrics")).text


async def test_a_slow_reader_loses_messages_and_is_told_how_many() -> None:
    slow = Subscription(size=2)
    pushed = [slow.push(bytes([number])) for number in range(5)]
    assert pushed == [True, True, False, False, False]
    assert json.loads(await slow.next()) == {"type": "Dropped", "count": 3}
    assert [await slow.next(), await slow.next()] == [b"\x00", b"\x01"]


def test_what_a_slow_reader_loses_is_counted() -> None:
    stats = GatewayStats()
    feed = Feed(stats)
    feed.subscriptions.add(Subscription(size=1))
    for number in range(3):
        feed.publish(transcript("c", number, "hello"))
    assert stats.feed_dropped == 2


async def test_a_reader_that_has_gone_is_forgotten(gateway: Running) -> None:
    async with gateway.feed() as socket:
        await receive(socket)
        assert len(gateway.gateway.feed.subscriptions) == 1
    async with asyncio.timeout(2):
        while gateway.gateway.feed.subscriptions:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


def test_the_state_is_bounded() -> None:
    states = CallStates()
    for number in range(MAX_LINES + 10):
        states.apply(transcript("long", number, "hello"))
    for number in range(MAX_ENDED + 10):
        states.apply(summary(f"call-{number}"))
    assert len(states.calls["long"].lines) == MAX_LINES
    assert len(states.calls) == MAX_ENDED + 1
    assert "call-9" not in states.calls


def test_a_marker_alone_makes_no_live_call() -> None:
    states = CallStates()
    states.apply(EndOfCall(call_id="past", stage="stt", at_ms=1, duration_ms=2, reason="completed"))
    assert not states.calls


async def test_interim_words_are_on_the_feed_marked_as_not_final(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.feed(f"?call_id={call_id}") as feed:
        await receive(feed)
        publish(gateway.servers, (topics.interims, transcript(call_id, 0, "Acme is", final=False)))
        said = await receive(feed)
    assert (said["type"], said["text"], said["final"]) == ("Transcript", "Acme is", False)


def test_interim_words_give_way_to_final_ones_whatever_comes_first() -> None:
    states = CallStates()
    for said in (
        transcript("c", 0, "hello"),
        transcript("c", 0, "hel", final=False),  # overtaken on another topic
        transcript("c", 1, "uh", final=False),  # nobody had spoken after all
        transcript("c", 2, "how are", final=False),
        transcript("c", 0, "I am", track="agent", final=False),
        transcript("c", 2, "how are you"),
        transcript("c", 1, "uh", final=False),
        transcript("c", 3, "good", final=False),
    ):
        states.apply(said)
    lines = {(line["text"], line["final"]) for line in states.calls["c"].describe()["transcript"]}
    assert lines == {("hello", True), ("how are you", True), ("I am", False), ("good", False)}
    states.apply(summary("c"))
    states.apply(transcript("c", 4, "bye", final=False))
    assert [line["text"] for line in states.calls["c"].describe()["transcript"]] == ["hello", "how are you"]


def test_an_interim_line_becomes_the_final_one() -> None:
    states = CallStates()
    states.apply(transcript("c", 0, "hello wor", final=False))
    states.apply(transcript("c", 0, "hello world"))
    (line,) = states.calls["c"].describe()["transcript"]
    assert (line["text"], line["final"]) == ("hello world", True)
    states.apply(call_metric("c", 3, 0.3))
    states.apply(call_metric("c", 2, 0.9))
    assert states.calls["c"].metrics is not None
    assert states.calls["c"].metrics["talk_ratio"]["agent"] == 0.3
