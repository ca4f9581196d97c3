"""Redis: the live state of calls, which a replay does not take back, and the channel of routing decisions."""

import asyncio
import itertools
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
import redis.asyncio
from analytics_data import records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import RedisServer

from agents import redis as agent
from voicestream import topics
from voicestream.errors import RedisError, RedisUnavailableError, SettingsError
from voicestream.records import CallEvent, CallMetric, CallSummary, RoutingDecision, UtteranceResult
from voicestream.settings import settings as voicestream_settings
from voicestream.sinks.redis import CALL, KEEP_ENDED_MS, KEEP_LIVE_MS, LIVE, ROUTING, RedisSink
from voicestream.streams.record import Record
from voicestream.testing import TopologyTestDriver

PROGRAM = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Redis is not installed (apt-get install redis-server)")

AT = 1_700_000_000_000
STARTED = CallEvent(
    event_id="c/started/0", call_id="c", kind="started", sequence=0, at_ms=AT, protocol="raw", queue="sales",
    agent="Ana", metadata={"crm": "17"},
)  # fmt: skip
SUMMARY = CallSummary(
    call_id="c", started_at_ms=AT, ended_at_ms=AT + 9_000, duration_ms=9_000, reason="completed", protocol="raw",
    queue="sales", agent="Ana", polarity={"customer": 0.25}, insights={"price": 2}, outcome="next_step",
    text="They spoke.",
)  # fmt: skip
DECISION = RoutingDecision(
    decision_id="c/churn/0", call_id="c", at_ms=AT + 5_000, rule="churn", action="offer", priority=1, reason="so",
)  # fmt: skip

Contents = dict[str, dict[str, str] | list[tuple[str, float]]]


def utterance(number: int, **changes: Any) -> UtteranceResult:
    result = UtteranceResult(
        utterance_id=f"c/customer/{number}", call_id="c", track="customer", number=number, start_ms=0, end_ms=1,
        at_ms=AT + number, text=f"line {number}", confidence=1.0, language="en",
    )  # fmt: skip
    return msgspec.structs.replace(result, **changes)


def metric(revision: int, *, final: bool = False, **insights: int) -> CallMetric:
    return CallMetric(
        call_id="c", at_ms=AT + revision, duration_ms=1, polarity={"customer": 0.1 * revision}, insights=insights,
        revision=revision, final=final,
    )  # fmt: skip


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    assert PROGRAM is not None
    running = RedisServer(PROGRAM)
    yield running
    running.remove()


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """A server for one test that is going to kill it."""
    assert PROGRAM is not None
    running = RedisServer(PROGRAM)
    yield running
    running.remove()


@pytest.fixture
async def client(redis_server: RedisServer):
    """What an application would have, on an empty Redis."""
    async with redis.asyncio.from_url(redis_server.setting(), decode_responses=True) as connected:
        await connected.flushall()
        yield connected


@pytest.fixture
async def sink(redis_server: RedisServer, client: redis.asyncio.Redis):
    opened = RedisSink(redis_server.setting())
    yield opened
    await opened.close()


async def contents(client: redis.asyncio.Redis) -> Contents:
    held: Contents = {key: await client.hgetall(key) for key in sorted(await client.keys(f"{CALL}*"))}
    return held | {LIVE: await client.zrange(LIVE, 0, -1, withscores=True)}


async def written(server: RedisServer, batches: Sequence[Sequence[Record]]) -> Contents:
    """What an empty Redis holds after these batches."""
    sink = RedisSink(server.setting())
    try:
        async with redis.asyncio.from_url(server.setting(), decode_responses=True) as client:
            await client.flushall()
            for batch in batches:
                assert await sink.write(batch) == []
            return await contents(client)
    finally:
        await sink.close()


def test_every_call_has_its_state(redis_server: RedisServer) -> None:
    held = asyncio.run(written(redis_server, [records()]))
    assert sorted(held) == [*(f"{CALL}c{number}" for number in range(1, 8)), LIVE]
    assert [call_id for call_id, _ in held[LIVE]] == ["c7"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_same_records_again_in_any_order_and_batches_change_nothing(
    redis_server: RedisServer, data: st.DataObject
) -> None:
    twice = data.draw(st.permutations(records() * 2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(twice)), max_size=4)))
    batches = [twice[a:b] for a, b in itertools.pairwise([0, *cuts, len(twice)])]
    assert asyncio.run(written(redis_server, batches)) == asyncio.run(written(redis_server, [records()]))


async def test_the_state_of_a_live_call(sink: RedisSink, client: redis.asyncio.Redis) -> None:
    await sink.write(
        [STARTED, utterance(0), utterance(1, trend=-0.5, polarity=-0.9, label="negative"), metric(2, price=3), DECISION]
    )
    state = await client.hgetall(f"{CALL}c")
    assert {name: value for name, value in state.items() if not name.startswith("version:")} == {
        "call_id": "c",
        "status": "live",
        "protocol": "raw",
        "queue": "sales",
        "agent": "Ana",
        "customer": "",
        "metadata": '{"crm":"17"}',
        "started_at_ms": str(AT),
        "updated_at_ms": str(AT + 5_000),
        "utterance:customer": '{"utterance_id":"c/customer/1","number":1,"start_ms":0,"end_ms":1,'
        f'"at_ms":{AT + 1},"text":"line 1","polarity":-0.9,"label":"negative","emotion":null}}',
        "trend:customer": "-0.5",
        "polarity": '{"customer":0.2}',
        "insights": '{"price":3}',
        "routing": msgspec.json.encode(DECISION).decode(),
    }
    assert await client.zrange(LIVE, 0, -1, withscores=True) == [("c", AT)]
    assert KEEP_ENDED_MS < await client.pttl(f"{CALL}c") <= KEEP_LIVE_MS


async def test_an_ended_call_leaves_the_set_stays_for_an_hour_and_is_not_reopened(
    sink: RedisSink, client: redis.asyncio.Redis
) -> None:
    await sink.write([STARTED, utterance(0), metric(1)])
    await sink.write([SUMMARY])
    await client.pexpire(f"{CALL}c", KEEP_ENDED_MS - 60_000)  # as if a minute had gone by
    before = await contents(client)
    await sink.write([STARTED, utterance(0), metric(1), metric(2, final=True), SUMMARY])
    assert await contents(client) == before
    assert before[LIVE] == []
    state = before[f"{CALL}c"]
    assert isinstance(state, dict)
    assert (state["status"], state["outcome"], state["insights"]) == ("ended", "next_step", '{"price":2}')
    await sink.write([utterance(1)])  # a late one is taken, and does not prolong the life of the call
    assert (await client.hget(f"{CALL}c", "utterance:customer")).startswith('{"utterance_id":"c/customer/1"')
    assert 0 < await client.pttl(f"{CALL}c") <= KEEP_ENDED_MS - 60_000


async def test_older_records_take_nothing_back(sink: RedisSink, client: redis.asyncio.Redis) -> None:
    later = msgspec.structs.replace(DECISION, decision_id="c/anger/0", at_ms=DECISION.at_ms + 1)
    await sink.write([utterance(10), metric(10), later])
    before = await contents(client)
    await sink.write([utterance(9), utterance(10, complete=False), metric(9), DECISION])
    assert await contents(client) == before


async def test_a_live_call_whose_state_has_expired_leaves_the_set_when_another_starts(
    sink: RedisSink, client: redis.asyncio.Redis
) -> None:
    await sink.write([STARTED])
    await client.delete(f"{CALL}c")
    await sink.write([msgspec.structs.replace(STARTED, call_id="other:1", at_ms=AT + 1)])
    assert await client.zrange(LIVE, 0, -1) == ["other:1"]


async def test_each_decision_is_published(sink: RedisSink, client: redis.asyncio.Redis) -> None:
    async with client.pubsub() as subscriber:
        await subscriber.subscribe(ROUTING)
        await subscriber.get_message(timeout=5)
        await sink.write([STARTED, DECISION])
        message = await subscriber.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert msgspec.json.decode(message["data"], type=RoutingDecision) == DECISION


async def test_a_record_whose_key_holds_something_else_is_handed_back(
    sink: RedisSink, client: redis.asyncio.Redis
) -> None:
    await client.set(f"{CALL}taken", "by another program")
    bad = [
        msgspec.structs.replace(STARTED, call_id="taken"),
        msgspec.structs.replace(SUMMARY, call_id="taken"),
        utterance(3, call_id="\ud800"),
    ]
    rejected = await sink.write([utterance(0), *bad, utterance(1)])
    assert sorted(r.record.key for r in rejected) == ["taken", "taken", "\ud800"]
    assert (await client.hget(f"{CALL}c", "utterance:customer")).startswith('{"utterance_id":"c/customer/1"')


async def test_a_server_that_takes_no_writes_is_waited_for(sink: RedisSink, client: redis.asyncio.Redis) -> None:
    await client.config_set("min-replicas-to-write", "1")
    hasty = RedisSink(sink.where, give_up_after_s=0)
    try:
        with pytest.raises(RedisUnavailableError, match="NOREPLICAS"):
            await hasty.write([STARTED])
        writing = asyncio.create_task(sink.write([STARTED]))
        await asyncio.sleep(0.2)
        assert not writing.done()
    finally:
        await client.config_set("min-replicas-to-write", "0")
        await hasty.close()
    assert await writing == []


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(mortal: RedisServer) -> None:
    sink = RedisSink(mortal.setting())
    batches = [[utterance(0, call_id=f"c{10 * batch + n}") for n in range(10)] for batch in range(300)]
    some_written = asyncio.Event()

    async def write_all() -> None:
        for number, batch in enumerate(batches):
            assert await sink.write(batch) == []
            if number == 20:
                some_written.set()

    writing = asyncio.create_task(write_all())
    await some_written.wait()
    mortal.crash()
    assert not writing.done()
    cold = RedisSink(mortal.setting(), give_up_after_s=0.3)  # never connected before
    with pytest.raises(RedisUnavailableError, match=r"No Redis answers at redis://127\.0\.0\.1"):
        await cold.check()
    with pytest.raises(RedisUnavailableError):
        await cold.write([utterance(0)])
    await asyncio.to_thread(mortal.start)
    await writing
    async with redis.asyncio.from_url(mortal.setting()) as client:
        assert len(await client.keys(f"{CALL}*")) == 3_000
    await cold.close()
    await sink.close()


def test_a_setting_that_makes_no_sense_is_refused_without_its_password() -> None:
    with pytest.raises(RedisError, match="is not understood") as caught:
        RedisSink("http://me:secret@localhost/x")
    assert "secret" not in str(caught.value)


def test_the_agent_writes_what_is_sent_and_a_replay_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    async def read() -> Contents:
        async with redis.asyncio.from_url(redis_server.setting(1), decode_responses=True) as client:
            return await contents(client)

    monkeypatch.setenv("VOICESTREAM_REDIS", redis_server.setting(1))
    voicestream_settings.cache_clear()
    with TopologyTestDriver(agent.stage) as driver:
        driver.topic(topics.calls).send(STARTED, msgspec.structs.replace(STARTED, kind="mark", value="x"))
        driver.topic(topics.results).send(*(utterance(n) for n in range(5)))
        driver.topic(topics.routing).send(DECISION)
        driver.topic(topics.metrics).send(metric(1), metric(2))
        assert asyncio.run(read())[LIVE] == [("c", AT)]
        driver.topic(topics.results).send(SUMMARY)
        before = asyncio.run(read())
        driver.restart(replay=100)
        assert asyncio.run(read()) == before
        assert driver.topic(topics.dlq).read_all() == []
    assert before[LIVE] == []
    voicestream_settings.cache_clear()


def test_the_agent_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICESTREAM_REDIS", raising=False)
    voicestream_settings.cache_clear()
    with pytest.raises(SettingsError, match="VOICESTREAM_REDIS is not set"), TopologyTestDriver(agent.stage):
        pass
