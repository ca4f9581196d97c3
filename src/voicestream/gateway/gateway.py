"""The parts of one gateway process, started and stopped together."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from voicestream import tracing
from voicestream.gateway.auth import ApiKeys
from voicestream.gateway.consumer import ResultConsumer
from voicestream.gateway.feed import Feed
from voicestream.gateway.producer import RecordProducer, bootstrap_servers
from voicestream.gateway.sessions import Sessions
from voicestream.gateway.state import LINES_IN_LIST, CallStates
from voicestream.gateway.stats import GatewayStats
from voicestream.records import UtteranceResult
from voicestream.settings import Settings
from voicestream.streams.record import Record

if TYPE_CHECKING:
    from voicestream.gateway.tracing import CallTraces

log = logging.getLogger(__name__)

FLUSH_S = 10.0
READER_READY_S = 5.0


class Gateway:
    """Calls in, records out; results in, feed and state out. Raises ``GatewayError`` for settings that cannot be."""

    def __init__(self, settings: Settings) -> None:
        self.servers, self.embedded = bootstrap_servers(settings.broker)
        self.settings = settings
        self.keys = ApiKeys(settings.api_keys)
        self.stats = GatewayStats()
        self.states = CallStates()
        self.feed = Feed(self.stats)

    async def start(self) -> None:
        """Begin to work; a broker that is not there is no error, but the gateway is not ready then."""
        self.producer = RecordProducer(
            self.servers, self.embedded, self.settings.gateway_buffer_mb * 1024 * 1024, _traces(self.settings.tracing)
        )
        self.sessions = Sessions(self.producer, self.stats, self.settings.gateway_grace_s)
        self.reader = ResultConsumer(self.servers, self._receive, self.stats)
        await self.producer.start()
        self.sessions.start()
        self.reader.start(asyncio.get_running_loop())
        if self.producer.trouble is None and not await self.reader.wait_ready(READER_READY_S):
            log.warning("the result topics cannot be read yet; the feed begins when they can")
        self.stats.gauge("active_calls", "Calls in progress.", lambda: len(self.sessions.live))
        self.stats.gauge("queued_bytes", "Bytes that wait for the broker.", lambda: self.producer.queued_bytes)
        self.stats.gauge("feed_readers", "Readers of the live feed.", lambda: len(self.feed.subscriptions))

    async def stop(self) -> None:
        """End what is live, give the broker what waits, stop reading."""
        await self.sessions.stop()
        await self.producer.stop(FLUSH_S)
        await self.reader.stop()

    async def drain(self) -> None:
        """Take no new calls and see the live ones to their end, for as long as the settings allow."""
        await self.sessions.drain(self.settings.gateway_drain_s)

    def not_ready(self) -> str | None:
        """Why no call should be sent here now, or None."""
        if self.sessions.draining:
            return "draining"
        return self.producer.trouble

    def _receive(self, records: list[Record]) -> None:
        for record in records:
            self.states.apply(record)
            if isinstance(record, UtteranceResult):
                self.stats.utterances.add(1)
                self.stats.end_to_end_ms.add(record.latency_ms)
                self.stats.stt_ms.add(record.stt_ms)
                self.stats.sentiment_ms.add(record.sentiment_ms)
            self.feed.publish(record)

    def calls(self) -> list[dict[str, Any]]:
        """All calls that are known, the newest first, with their last lines."""
        unseen = [call_id for call_id in self.sessions.live if call_id not in self.states.calls]
        known = [call for call_id in (*self.states.calls, *unseen) if (call := self.call(call_id, LINES_IN_LIST))]
        return sorted(known, key=lambda call: call["started_at_ms"] or 0, reverse=True)

    def call(self, call_id: str, lines: int | None = None) -> dict[str, Any] | None:
        """One call with its last ``lines`` lines (None: all), or None where it is not known."""
        state, session = self.states.calls.get(call_id), self.sessions.live.get(call_id)
        if state is None and session is None:
            return None
        known: dict[str, Any] = {"call_id": call_id, "duration_ms": None}
        if state is not None:
            known = state.describe(lines)
        if session is not None:
            call = session.call
            known |= {
                "started_at_ms": session.started_at_ms,
                "tracks": call.tracks,
                "queue": call.queue,
                "agent": call.agent,
                "customer": call.customer,
                "metadata": call.metadata,
                "protocol": call.protocol,
                "session": session.describe(),
            }
            known["duration_ms"] = session.duration_ms
            known["status"] = "live" if session.line is not None else "disconnected"
        elif known["summary"] is not None:
            known["duration_ms"] = known["summary"]["duration_ms"]
        elif known["started_at_ms"] is not None:
            known["duration_ms"] = (known["ended_at_ms"] or time.time_ns() // 1_000_000) - known["started_at_ms"]
        return known

    def figures(self) -> dict[str, Any]:
        """Rates and latencies of the last minute."""
        stats = self.stats
        return {
            "now_ms": time.time_ns() // 1_000_000,
            "active_calls": len(self.sessions.live),
            "calls_started": sum(stats.started.values()),
            "calls_ended": dict(stats.ended),
            "frames": stats.frames,
            "frames_per_second": stats.frame_rate.per_second(),
            "chunks": stats.chunks,
            "duplicates": stats.duplicates,
            "gap_ms": stats.gap_ms,
            "lost_chunks": stats.lost_chunks,
            "queued_bytes": self.producer.queued_bytes,
            "utterances_per_minute": stats.utterances.percentiles()["count"],
            "ingest_ms": stats.ingest_ms.percentiles(),
            "ingest_first_frame_ms": stats.ingest_first_frame_ms.percentiles(),
            "end_to_end_ms": stats.end_to_end_ms.percentiles(),
            "stt_ms": stats.stt_ms.percentiles(),
            "sentiment_ms": stats.sentiment_ms.percentiles(),
            "feed": {"readers": len(self.feed.subscriptions), "dropped": stats.feed_dropped},
            "ready": self.not_ready() is None,
            "not_ready": self.not_ready(),
        }


def _traces(endpoint: str | None) -> "CallTraces | None":
    if endpoint is None:
        return None
    provider = tracing.provider(endpoint, "voicestream.gateway")
    from voicestream.gateway.tracing import CallTraces

    return CallTraces(provider)
