"""The demo: the whole stack, some calls in real time, and what became of them, read back from ClickHouse."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from voicestream import topics
from voicestream.cli.sql import run_query
from voicestream.client import play
from voicestream.client.connection import dial
from voicestream.embedded.report import Report, error_rate, make_report, signals
from voicestream.embedded.results import Row, Rows, read_rows, read_topic, summaries_in, who_lags
from voicestream.embedded.screen import Screen
from voicestream.embedded.scripts import DemoCall
from voicestream.embedded.stack import Stack
from voicestream.errors import EmbeddedError
from voicestream.records import Insight, RoutingDecision, UtteranceResult
from voicestream.settings import Settings
from voicestream.sinks.clickhouse import ClickHouse, connect
from voicestream.streams.dead_letter import DeadLetter

T = TypeVar("T")

CALLS_A_CORE = 2  # what a core transcribes at once and keeps up
MAX_CALLS = 10
STAGGER_S = 0.7
PATIENCE_S = 90.0  # without any news of the calls; the demo then says who lags
FACTS = (
    (topics.results, UtteranceResult, "utterance_id"),
    (topics.insights, Insight, "insight_id"),
    (topics.routing, RoutingDecision, "decision_id"),
)
FEED = "UtteranceResult,RoutingDecision,CallSummary"

QUESTIONS = (
    (
        "What did each call come to, and who did the talking?",
        "SELECT customer, queue, outcome, round(duration_ms / 1000) AS seconds,\n"
        "       round(agent_talk_ratio, 2) AS agent_share, round(customer_polarity, 2) AS mood\n"
        "FROM v_calls WHERE started_at >= '{since}' ORDER BY started_at",
    ),
    (
        "Which customers may leave, and what did they say?",
        "SELECT customer, kind, label, text FROM v_insights\n"
        "WHERE at >= '{since}' AND track != 'agent' AND kind IN ('churn_risk', 'competitor', 'objection') ORDER BY at",
    ),
    (
        "Which signals were in the calls, and how often?",
        "SELECT kind, count() AS times, uniqExact(call_id) AS calls FROM v_insights\n"
        "WHERE at >= '{since}' GROUP BY kind ORDER BY times DESC, kind",
    ),
    (
        "How long after its last word is an utterance a row, by track?",
        "SELECT track, count() AS utterances, round(quantile(0.5)(latency_ms)) AS p50_ms,\n"
        "       round(quantile(0.95)(latency_ms)) AS p95_ms\n"
        "FROM v_utterances WHERE at >= '{since}' GROUP BY track ORDER BY track",
    ),
)


def calls_at_once() -> int:
    """How many calls this machine follows in real time, by its cores."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(MAX_CALLS, CALLS_A_CORE * cores)


def run_demo(settings: Settings, folder: Path, calls: Sequence[DemoCall], report: Path | None, keep: bool) -> None:
    """Start everything, play ``calls``, show what became of them; with ``keep`` go on until interrupted.

    Raises ``VoicestreamError`` when a part fails, or when not every call and utterance is in ClickHouse.
    """
    with Screen() as screen:
        screen.heading("Starting broker, ClickHouse, gateway and workers")
        screen.doing("starting")
        with Stack(settings, folder, screen.ready) as stack:
            demo = _Demo(stack, screen, calls)
            found = asyncio.run(_until(demo.run(), _watch(stack)))
            if report is not None:
                report.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
                screen.say(f"\nThe report is in {report}")
            if keep:
                screen.doing("running")
                screen.say(f"\nThe dashboard is at {stack.gateway_url}/ and ClickHouse at {stack.settings.clickhouse}.")
                screen.say("Ctrl-C stops it all.")
                with contextlib.suppress(KeyboardInterrupt):
                    asyncio.run(_watch(stack))
            screen.doing("stopping")


class _Demo:
    """One run: what is played, and what has been heard of it."""

    def __init__(self, stack: Stack, screen: Screen, calls: Sequence[DemoCall]) -> None:
        self._stack = stack
        self._screen = screen
        self._calls = calls
        self._ids = [call.call.call_id for call in calls]
        self._key = stack.settings.api_keys.partition(",")[0].strip() or None
        self._heard_at = time.monotonic()
        self._ingest: Row = {}

    async def run(self) -> Report:
        """Play, wait, read back, show."""
        began_ms = time.time_ns() // 1_000_000
        self._screen.heading(
            f"Playing {len(self._calls)} calls in real time; the dashboard is at {self._stack.gateway_url}/"
        )
        self._screen.calls(self._calls)
        self._screen.say("")
        async with _running(self._listen()):
            await self._play()
            clickhouse = await asyncio.to_thread(connect, self._stack.settings.clickhouse)
            try:
                await self._wait(clickhouse)
                rows = await asyncio.to_thread(read_rows, clickhouse, self._ids)
                letters = [r for r in await read_topic(self._stack.settings, topics.dlq) if isinstance(r, DeadLetter)]
                dead = sum(letter.at_ms >= began_ms for letter in letters)
                report = make_report(self._calls, rows, ingest_ms=self._ingest, dead_letters=dead)
                self._show(rows, report)
                self._ask(clickhouse, began_ms)
            finally:
                clickhouse.close()
        return report

    async def _play(self) -> None:
        """All calls at once, each a moment after the one before."""
        seconds = max(call.call.duration_s + STAGGER_S * n for n, call in enumerate(self._calls))
        async with _running(self._tick(f"playing {len(self._calls)} calls", seconds)):
            await asyncio.gather(*(self._play_one(call, n * STAGGER_S) for n, call in enumerate(self._calls)))
        self._heard_at = time.monotonic()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            self._ingest = (await client.get(f"{self._stack.gateway_url}/v1/stats")).json()["ingest_ms"]

    async def _play_one(self, call: DemoCall, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await play(call.call, self._stack.gateway_url, protocol=call.protocol, api_key=self._key)

    async def _tick(self, what: str, seconds: float) -> None:
        for elapsed in range(int(seconds * 2)):
            self._screen.doing(what, elapsed / 2, seconds)
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        """Show the live feed, and note when something was heard of our calls."""
        url = f"{self._stack.gateway_url.replace('http', 'ws', 1)}/v1/feed?types={FEED}"
        async with dial(url, self._key) as connection:
            async for data in connection:
                message = json.loads(data)
                if message.get("call_id") in self._ids:
                    self._heard_at = time.monotonic()
                    self._screen.event(message)

    async def _wait(self, clickhouse: ClickHouse) -> None:
        """Until ClickHouse has the summary of every call, and every utterance, insight and decision of them."""
        ended = 0
        while True:
            before, ended = ended, await asyncio.to_thread(summaries_in, clickhouse, self._ids)
            if ended > before:
                self._heard_at = time.monotonic()
            self._screen.doing(f"waiting for the last results: {ended} of {len(self._ids)} calls are complete")
            if ended == len(self._ids) and not await self._missing(clickhouse):
                return
            if time.monotonic() - self._heard_at > PATIENCE_S:
                raise EmbeddedError(
                    f"The calls are not complete, and nothing was heard of them for {PATIENCE_S:.0f} s: "
                    f"{await who_lags(self._stack.settings, self._ids)}. Logs: {self._stack.folder}"
                )
            await asyncio.sleep(0.5)

    async def _missing(self, clickhouse: ClickHouse) -> set[str]:
        """Ids of utterances, insights and decisions that are on their topics and not in ClickHouse."""
        sent = set()
        for topic, kind, name in FACTS:
            records = await read_topic(self._stack.settings, topic)
            sent |= {getattr(r, name) for r in records if isinstance(r, kind) and r.call_id in self._ids}
        rows = await asyncio.to_thread(read_rows, clickhouse, self._ids)
        return sent - rows.ids

    def _show(self, rows: Rows, report: Report) -> None:
        screen = self._screen
        screen.heading("What became of the calls")
        for call in self._calls:
            mine = rows.of(call.call.call_id)
            screen.summary(call, mine, signals(call, mine), error_rate([call], mine))
        scripted = [call for call in self._calls if call.reference]
        if scripted:
            held = [signals(call, rows.of(call.call.call_id)) for call in scripted]
            found, missed = sum(len(s.found) for s in held), sum(len(s.missed) for s in held)
            unplanned = sum(len(s.unplanned) for s in held)
            screen.say(
                f"All scripted calls: word error rate {error_rate(scripted, rows):.1%}; {found} of {found + missed} "
                f"planted signals found, {unplanned} found that were not planted."
            )
        counts = report["clickhouse"]
        screen.say(
            f"ClickHouse has {counts['calls']} calls and {counts['utterances']} utterances, {counts['duplicates']} of "
            f"them twice; {report['dead_letters']} dead letters.\n"
        )
        screen.latencies(report)

    def _ask(self, clickhouse: ClickHouse, began_ms: int) -> None:
        since = datetime.fromtimestamp(began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        self._screen.heading("Four questions to ClickHouse")
        for question, template in QUESTIONS:
            query = template.replace("{since}", since)
            self._screen.answer(question, query, run_query(clickhouse, query))


async def _watch(stack: Stack) -> None:
    """Raise when a part of the stack dies; else never return."""
    while True:
        stack.check()
        await asyncio.sleep(0.5)


async def _until(job: Coroutine[Any, Any, T], watch: Coroutine[Any, Any, None]) -> T:
    """The result of ``job``, unless ``watch`` raises before: a dead part says more than what fails because of it."""
    async with _running(watch) as watcher:
        working = asyncio.create_task(job)
        try:
            await asyncio.wait({working, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if watcher.done():
                watcher.result()
            return await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@contextlib.asynccontextmanager
async def _running(job: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run ``job`` beside the block, and stop it behind it."""
    task = asyncio.create_task(job)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
