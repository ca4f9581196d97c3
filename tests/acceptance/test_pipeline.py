"""A call through every stage, each in a process of its own: what comes out, whoever is killed and whatever comes in."""

import time
from collections import Counter
from typing import Any

import msgspec
import pytest
from acceptance_support import STAGES, Cluster, Script, Server

from tests.processes import wait_until
from voicestream import topics
from voicestream.codec import codec
from voicestream.records import CallMetric, CallSummary, UtteranceResult
from voicestream.stt.wer import word_error_rate

pytestmark = pytest.mark.timeout(240)

FILE, FROM_S, SECONDS = "02-third-outage.wav", 21.4, 18.4
SAID = {
    "agent": "I can schedule a technician to visit you on Monday. "
    "I don't want you to leave. I will pass you to my supervisor right away.",
    "customer": "I run a business from home. I lost $400 because of you. "
    "Monday is not good enough. If this is not fixed, I will cancel and switch to City Cable.",
}
STARTED_AT_MS = time.time_ns() // 60_000_000_000 * 60_000 - 300_000  # a full minute: both calls cut theirs alike


class Answer:
    """All that is known of a call when it is over."""

    def __init__(self, cluster: Cluster, script: Script) -> None:
        self._cluster, self._script = cluster, script
        out = cluster.topics.until(topics.results, script.call_id, lambda rs: any(type(r) is CallSummary for r in rs))
        self.results = [r for r in out if isinstance(r, UtteranceResult)]
        self.summary = next(r for r in out if isinstance(r, CallSummary))
        metrics = cluster.topics.until(
            topics.metrics, script.call_id, lambda rs: any(r.final for r in rs if isinstance(r, CallMetric))
        )
        self.metric = metrics[-1]
        self._count = len({r.utterance_id for r in self.results})
        wait_until("all in ClickHouse", self._is_stored)

    def _is_stored(self) -> bool:
        [(utterances,)] = self.rows("SELECT count() FROM utterances FINAL WHERE call_id = {call:String}")
        [(ended,)] = self.rows("SELECT count() FROM calls FINAL WHERE call_id = {call:String} AND state = 'ended'")
        [(final,)] = self.rows("SELECT count() FROM call_metrics FINAL WHERE call_id = {call:String} AND final")
        counted = sum(window[1] for window in self.windows()) == self._count
        return utterances == self._count and ended == final == 1 and counted

    def by_id(self) -> dict[str, object]:
        """Every result; one that came twice must be the same."""
        found: dict[str, object] = {}
        for result in self.results:
            value = self.anonymous(result)
            assert found.setdefault(value["utterance_id"], value) == value
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._cluster.rows(sql, call=self._script.call_id, agent=self._script.agent)

    def windows(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT calls, utterances, round(polarity, 6), round(customer_polarity, 6), insights "
            "FROM window_metrics FINAL WHERE agent = {agent:String} ORDER BY window_start"
        )

    def anonymous(self, value: object) -> Any:
        """Without what differs between two calls: their names, and what was measured by the clock."""
        text = msgspec.json.encode(value).decode()
        text = text.replace(self._script.agent, "AGENT").replace(self._script.call_id, "CALL")
        return _without_clock(msgspec.json.decode(text))

    def stored(self) -> list[list[tuple[Any, ...]]]:
        """What ClickHouse has of the call, without what was measured by the clock."""
        queries = (
            "SELECT utterance_id, text, words, polarity, emotion, trend, arousal, pitch_hz, insight_ids, complete "
            "FROM utterances FINAL WHERE call_id = {call:String} ORDER BY utterance_id",
            "SELECT insight_id, kind, label, text FROM insights FINAL WHERE call_id = {call:String} "
            "ORDER BY insight_id",
            "SELECT decision_id, rule, action, reason FROM routing_decisions FINAL WHERE call_id = {call:String} "
            "ORDER BY decision_id",
            "SELECT * EXCEPT (version, revision, at) FROM call_metrics FINAL WHERE call_id = {call:String}",
        )
        return [self.rows(query) for query in queries]


def _without_clock(value: object) -> object:
    clock = {
        "stt_ms",
        "sentiment_ms",
        "latency_ms",
        "inference_ms",
        "revision",
        "at_ms",
        "started_at_ms",
        "ended_at_ms",
    }
    if isinstance(value, dict):
        return {name: _without_clock(inner) for name, inner in value.items() if name not in clock}
    if isinstance(value, list):
        return [_without_clock(inner) for inner in value]
    return value


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> Answer:
    """The call when nothing happens to it."""
    # Ten minutes before the other one, whose minutes would else come late: the clock has closed this one's.
    script = Script(FILE, "undisturbed", STARTED_AT_MS - 600_000, from_s=FROM_S, seconds=SECONDS)
    cluster.topics.send(topics.calls, script.event("started", 0, tracks=["agent", "customer"], codec="mulaw"))
    cluster.topics.send(topics.audio, *script.audio(0, SECONDS), script.end())
    return Answer(cluster, script)


def test_every_utterance_comes_out_once_with_its_words_and_mood(undisturbed: Answer) -> None:
    for track, said in SAID.items():
        results = [r for r in undisturbed.results if r.track == track]
        assert [r.utterance_id for r in results] == [f"undisturbed/{track}/{n}" for n in range(len(results))]
        assert word_error_rate([(said, " ".join(r.text for r in results))]) < 0.25, results
        assert undisturbed.summary.utterances[track] == len(results)
    assert all(r.complete and (r.queue, r.agent) == ("sales", "agent of undisturbed") for r in undisturbed.results)
    assert undisturbed.summary.complete
    assert undisturbed.summary.polarity["customer"] < 0
    assert undisturbed.summary.insights["churn_risk"] >= 1
    assert undisturbed.summary.routing
    assert undisturbed.metric.talk_ms == undisturbed.summary.talk_ms


def test_clickhouse_has_every_fact_once(cluster: Cluster, undisturbed: Answer) -> None:
    stored = undisturbed.rows("SELECT utterance_id, text FROM utterances FINAL WHERE call_id = {call:String}")
    assert sorted(stored) == sorted((r.utterance_id, r.text) for r in undisturbed.results)
    [(text, reason)] = undisturbed.rows("SELECT text, reason FROM calls FINAL WHERE call_id = {call:String}")
    assert (text, reason) == (undisturbed.summary.text, "completed")
    assert all(undisturbed.stored()), "utterances, insights, decisions and figures"


def test_a_worker_tells_prometheus_what_it_does(cluster: Cluster, undisturbed: Answer) -> None:
    metrics = cluster.metrics("results")
    labels = '{agent="join",stage="results"}'
    assert metrics[f"voicestream_agent_outputs_total{labels}"] >= len(undisturbed.results)
    wait_until(
        "all committed", lambda: any("_lag" in m for m in cluster.metrics("results")) and not cluster.lag("results")
    )


def test_what_cannot_be_read_becomes_a_dead_letter_and_the_rest_goes_on(cluster: Cluster, undisturbed: Answer) -> None:
    script = Script(FILE, "beset", STARTED_AT_MS, from_s=FROM_S, seconds=4.6)
    audio = script.audio(0, 4.6)
    half_a_sample = msgspec.structs.replace(audio[0], codec="pcm16", audio=b"odd")
    no_such_codec = msgspec.structs.replace(audio[0], codec="opus")
    started = script.event("started", 0)
    bad = {
        "no Avro framing": b"\x07 not Avro",
        "unknown schema": b"\xc3\x01" + bytes(8) + b"whatever",
        "of schema CallEvent": codec().encode(topics.calls, started),
        "not a valid AudioChunk": codec().encode(topics.audio, audio[0])[:40],
        "half a sample": codec().encode(topics.audio, half_a_sample),
        "opus": codec().encode(topics.audio, no_such_codec),
    }
    cluster.topics.send(topics.calls, started)
    cluster.topics.send(topics.audio, *audio[:30])
    where = {why: cluster.topics.send_raw(topics.audio, script.call_id, value) for why, value in bad.items()}
    cluster.topics.send(topics.audio, *audio[30:], script.end())
    said = Answer(cluster, script)
    assert [r.text for r in said.results] == [r.text for r in undisturbed.results if r.end_ms < 4_600]

    wait_until("all letters in ClickHouse", lambda: len(cluster.rows("SELECT 1 FROM dead_letters FINAL")) >= len(bad))
    letters = cluster.rows(
        "SELECT partition, offset, hex(source_value), source_key, topic, stage, step, error, message "
        "FROM dead_letters FINAL ORDER BY offset"
    )
    assert len(letters) == len(bad)
    for (why, value), letter in zip(bad.items(), letters, strict=True):
        assert letter[:6] == (*where[why], value.hex().upper(), script.call_id, "voice.audio", "chunking")
        assert letter[6] == ("process" if why in ("half a sample", "opus") else "decode")
        assert why.split()[-1] in letter[8]
    sent = cluster.topics.everything(topics.dlq)
    assert sorted(letter.offset for letter in sent) == sorted(offset for _, offset in where.values())
    assert all(worker.alive for worker in cluster.workers.values())


def test_while_clickhouse_is_away_nothing_is_lost(cluster: Cluster, clickhouse_server: Server) -> None:
    wait_until("nothing to do", lambda: not cluster.lag("clickhouse"))
    clickhouse_server.process.stop(timeout_s=0)
    events = [Script(FILE, f"away-{n}", STARTED_AT_MS, from_s=0, seconds=1).event("started", 0) for n in range(20)]
    cluster.topics.send(topics.calls, *events)
    wait_until("the worker waits", lambda: cluster.lag("clickhouse") == len(events))
    clickhouse_server.start()
    count = "SELECT count() FROM calls FINAL WHERE call_id LIKE 'away-%'"
    wait_until("all in ClickHouse", lambda: cluster.rows(count) == [(len(events),)])
    wait_until("all committed", lambda: not cluster.lag("clickhouse"))
    assert "Traceback" not in cluster.workers["clickhouse"].said()


def test_whoever_is_killed_the_answer_is_the_same(
    cluster: Cluster, undisturbed: Answer, clickhouse_server: Server
) -> None:
    """Every worker once, each just after it has sent something that it has not committed; and ClickHouse itself."""
    script = Script(FILE, "disturbed", STARTED_AT_MS, from_s=FROM_S, seconds=SECONDS)
    send, until = cluster.topics.send, cluster.topics.until
    send(topics.calls, script.event("started", 0, tracks=["agent", "customer"], codec="mulaw"))
    send(topics.audio, *script.audio(0, 6.5))
    until(topics.segments, script.call_id, len)
    cluster.kill("chunking")
    until(topics.results, script.call_id, len)
    cluster.kill("results", "stt")
    clickhouse_server.process.stop(timeout_s=0)
    send(topics.audio, *script.audio(6.5, 12.5))
    cluster.restart("chunking", "results", "stt")
    until(topics.results, script.call_id, lambda rs: len({r.utterance_id for r in rs}) >= 3)
    cluster.kill("analytics", "sentiment", "insights", "clickhouse")
    clickhouse_server.start()
    send(topics.audio, *script.audio(12.5, SECONDS), script.end())
    cluster.restart("analytics", "sentiment", "insights", "clickhouse")
    until(topics.metrics, script.call_id, lambda ms: any(m.final for m in ms if isinstance(m, CallMetric)))
    cluster.kill("routing", "clickhouse", "analytics", "results")
    cluster.restart("routing", "clickhouse", "analytics", "results")
    answer = Answer(cluster, script)
    assert sorted(answer.by_id().items()) == sorted(undisturbed.by_id().items())
    assert answer.anonymous(answer.summary) == undisturbed.anonymous(undisturbed.summary)
    assert answer.anonymous(answer.stored()) == undisturbed.anonymous(undisturbed.stored())
    assert answer.windows() == undisturbed.windows()
    for worker in cluster.workers.values():
        worker.wait_ready()


def test_a_worker_that_is_told_to_stop_leaves_nothing_undone(cluster: Cluster, undisturbed: Answer) -> None:
    def sent() -> Counter[tuple[str, str]]:
        read = (topics.segments, topics.transcripts, topics.sentiment, topics.insights, topics.routing, topics.results)
        of_calls = [(topic.name, r) for topic in read for r in cluster.topics.everything(topic)]
        return Counter((name, r.call_id) for name, r in of_calls if r.call_id != "afterwards")

    before = sent()
    for worker in cluster.workers.values():
        worker.terminate()
    assert {name: worker.wait() for name, worker in cluster.workers.items()} == dict.fromkeys(STAGES, 0)
    cluster.restart(*STAGES)
    for worker in cluster.workers.values():
        worker.wait_ready()
    script = Script(FILE, "afterwards", STARTED_AT_MS, from_s=FROM_S, seconds=4.6)
    cluster.topics.send(topics.calls, script.event("started", 0))
    cluster.topics.send(topics.audio, *script.audio(0, 4.6), script.end())
    Answer(cluster, script)
    assert sent() == before
    for worker in cluster.workers.values():
        assert "Traceback" not in worker.said(), worker.name
