"""All live calls of this gateway: how they begin, go on after a lost connection, and end."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict

from voicestream.gateway.producer import RecordProducer
from voicestream.gateway.protocol import Refusal
from voicestream.gateway.session import STALE_S, Call, Line, Session
from voicestream.gateway.stats import GatewayStats

log = logging.getLogger(__name__)

SWEEP_S = 0.1
REMEMBERED = 100_000


class Sessions:
    """The live calls by ``call_id``, and the ids of those that have ended."""

    def __init__(self, producer: RecordProducer, stats: GatewayStats, grace_s: float) -> None:
        self.live: dict[str, Session] = {}
        self.draining = False
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._producer = producer
        self._stats = stats
        self._grace_s = grace_s
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sweeper: asyncio.Task[None] | None = None
        self._frames_seen = 0

    def start(self) -> None:
        """Begin to look after quiet and lost calls."""
        self._sweeper = asyncio.create_task(self._sweep_forever())

    async def stop(self) -> None:
        """End what is still live, with reason ``drain``."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        self._end_all()

    def open(self, call: Call, line: Line) -> Session:
        """A new call on ``line``; raises ``Refusal`` where there can be none."""
        if call.call_id in self.live:
            raise Refusal("call_live", f"call {call.call_id} is live; say hello with resume to go on with it")
        if self.has_ended(call.call_id):
            raise Refusal("call_ended", f"call {call.call_id} has ended; a new call needs a new id")
        if self.draining:
            raise Refusal("draining", "this gateway is about to stop and takes no new calls")
        if self._producer.trouble is not None:
            raise Refusal("overloaded", f"{self._producer.trouble}; try again later")
        if self._producer.full:
            raise Refusal("overloaded", "the broker is too slow; try again later")
        session = Session(call, self._producer, self._stats)
        session.attach(line)
        self.live[call.call_id] = session
        self._quiet.clear()
        log.info("call %s started", call.call_id)
        return session

    def resume(self, call: Call, line: Line) -> Session:
        """Go on with a call on ``line``, taking it from its old connection; raises ``Refusal``."""
        session = self.live.get(call.call_id)
        if session is None:
            if self.has_ended(call.call_id):
                raise Refusal("call_ended", f"call {call.call_id} has ended; a new call needs a new id")
            raise Refusal("unknown_call", f"call {call.call_id} is not live here; begin a new call under another id")
        known = session.call
        if (call.tracks, call.codec, call.sample_rate) != (known.tracks, known.codec, known.sample_rate):
            raise Refusal(
                "bad_message",
                "a resumed call keeps its tracks, codec and rate: "
                f"{', '.join(known.tracks)}; {known.codec}; {known.sample_rate}",
            )
        if session.line is not None:
            session.line.refuse(Refusal("call_live", "another connection has taken the call over"))
        session.attach(line)
        log.info("call %s resumed", call.call_id)
        return session

    def has_ended(self, call_id: str) -> bool:
        return call_id in self._ended

    def end(self, session: Session, reason: str) -> None:
        """End the call of ``session``, once."""
        if self.live.pop(session.call.call_id, None) is None:
            return
        if not self.live:
            self._quiet.set()
        session.end(reason)
        self._ended[session.call.call_id] = None
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        log.info("call %s ended: %s after %.1f s", session.call.call_id, reason, session.duration_ms / 1000)

    async def drain(self, timeout_s: float) -> None:
        """Take no new calls, let the live ones end for ``timeout_s``, then end them with reason ``drain``."""
        self.draining = True
        if self.live:
            log.info("draining: %d calls have up to %g s to end", len(self.live), timeout_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), timeout_s)
        self._end_all()

    def _end_all(self) -> None:
        for session in list(self.live.values()):
            self.end(session, "drain")
            if session.line is not None:
                session.line.farewell("drain", session.duration_ms)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self._sweep()
            except Exception:  # one call must not stop the care for all others
                log.exception("looking after the calls failed")

    def _sweep(self) -> None:
        now = time.monotonic()
        self._stats.frame_rate.add(self._stats.frames - self._frames_seen)
        self._frames_seen = self._stats.frames
        for session in list(self.live.values()):
            session.flush(older_than=now - STALE_S)
            if session.fault is not None:
                self.end(session, "timeout")
                if session.line is not None:
                    session.line.refuse(Refusal("internal", session.fault))
            elif session.lost_at is not None and now - session.lost_at >= self._grace_s:
                self.end(session, "hangup" if session.closed_cleanly else "timeout")
