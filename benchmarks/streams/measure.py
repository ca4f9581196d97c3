"""One peer at one job: warmed up, then a full topic drained, then a fixed rate; every result is checked.

The worker is stopped (SIGSTOP) while its topic is filled, so that neither its start nor our producer is in what is
measured. It has drained the topic when the broker has appended the last result that was asked for.
"""

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

from benchmarks.process import cpu_seconds
from benchmarks.streams.kafka import PARTITIONS, Kafka
from benchmarks.streams.peers import Installed, Peer, Variant
from benchmarks.streams.work import KEYS, PHASE_MS, SCHEMAS, Checked, Job, Phase, calls
from voicestream.embedded.child import Child
from voicestream.errors import EmbeddedError

DAY_MS = 86_400_000
START_TIMEOUT_S = 90.0
DRAIN_TIMEOUT_S = 120.0
RATE = 1_000  # events a second, for the latencies


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    scale: float
    """Of the events that each peer is given to drain."""
    rate_s: int
    """Seconds at the fixed rate."""


@dataclass(frozen=True)
class Figures:
    """What was measured of one peer at one job."""

    events: int
    per_second: float
    cpu_us: float
    """CPU of the worker an event, all its threads, while it drained."""
    rate_cpu_us: float
    """The same at the fixed rate."""
    p50_ms: float | None
    p95_ms: float | None
    remark: str = ""


class FailedError(Exception):
    """Why there are no figures."""


def measure(kafka: Kafka, peer: Peer, installed: Installed, variant: Variant, size: Size) -> Figures:
    """Run the worker and measure it; raises ``FailedError`` where it dies, is late, or its results are wrong."""
    name = f"bench-{peer.key}-{variant.key}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        run = _Run(kafka, variant.job, name, peer.warm_up)
        command = ["env", "-C", folder, *installed.command]  # what it leaves, it leaves there
        worker = Child(peer.title, command, Path(folder) / "worker.log", run.env(variant) | installed.env)
        worker.start()
        try:
            run.warm_up(worker)
            return run.figures(worker, int(variant.events * size.scale), size.rate_s, final=variant.final)
        except EmbeddedError as error:
            raise FailedError(str(error)) from error
        except FailedError as error:
            raise FailedError(f"{error}.{worker.tail()}") from error
        finally:
            if worker.alive:
                os.kill(worker.pid, signal.SIGCONT)
            worker.stop(5.0)
            kafka.delete_all()


class _Run:
    def __init__(self, kafka: Kafka, job: Job, name: str, warm_up: int) -> None:
        self._kafka, self._job, self._name, self._warm_up = kafka, job, name, warm_up
        self._frames, self._calls, self._results = f"{name}-frames", f"{name}-calls", f"{name}-results"
        self._numbers = count(0, 10_000_000)
        self._base_ms = time.time_ns() // 1_000_000 // PHASE_MS * PHASE_MS - 6 * DAY_MS
        self._phases = count()
        kafka.create(self._frames, self._calls)
        kafka.create(self._results, log_append_time=True)
        kafka.fill(self._calls, calls(self._base_ms - PHASE_MS))

    def env(self, variant: Variant) -> dict[str, str]:
        return {
            "BENCH_BOOTSTRAP": self._kafka.bootstrap,
            "BENCH_NAME": self._name,
            "BENCH_JOB": variant.key,
            "BENCH_FRAMES": self._frames,
            "BENCH_CALLS": self._calls,
            "BENCH_RESULTS": self._results,
            "BENCH_PARTITIONS": str(PARTITIONS),
            "BENCH_SCHEMAS": str(SCHEMAS),
            "VOICESTREAM_BROKER": f"kafka://{self._kafka.bootstrap}",
            "VOICESTREAM_PARTITIONS": str(PARTITIONS),
            "VOICESTREAM_SCHEMAS": str(SCHEMAS),
            "VOICESTREAM_LOG_LEVEL": "WARNING",
            "OMP_NUM_THREADS": "1",
        }

    def warm_up(self, worker: Child) -> None:
        """Send small lots until one is answered whole: partitions are assigned, the table is loaded. Then a big one."""
        deadline, patience_s = time.monotonic() + START_TIMEOUT_S, 2.0
        while True:
            phase, starts = self._next(KEYS), self._kafka.ends(self._results)
            self._send(phase)
            if self._wait(worker, phase, starts, patience_s) is not None:
                break
            if time.monotonic() > deadline:
                raise FailedError(f"no answer within {START_TIMEOUT_S:.0f} s of its start{self._what}")
            patience_s *= 1.5  # a slow one must not get lots faster than it answers them
        phase, starts = self._next(self._warm_up), self._kafka.ends(self._results)
        self._send(phase)
        if self._wait(worker, phase, starts, DRAIN_TIMEOUT_S) is None:
            raise FailedError(f"{self._warm_up} events to warm up were not answered within {DRAIN_TIMEOUT_S:.0f} s")

    def figures(self, worker: Child, events: int, rate_s: int, *, final: bool) -> Figures:
        phase, starts = self._next(events), self._kafka.ends(self._results)
        os.kill(worker.pid, signal.SIGSTOP)
        self._send(phase)
        samples = [_sample(worker)]
        os.kill(worker.pid, signal.SIGCONT)
        drained = self._wait(worker, phase, starts, DRAIN_TIMEOUT_S, lambda: samples.append(_sample(worker)))
        if drained is None:
            raise FailedError(f"it did not drain {events:,} events within {DRAIN_TIMEOUT_S:.0f} s{self._what}")
        seconds = drained.done_ms / 1000 - samples[0][0]
        cpu = _at(samples, drained.done_ms / 1000) - samples[0][1]
        latencies, rate_cpu = self._at_rate(worker, rate_s)
        latencies = [] if final else latencies
        return Figures(
            events=events,
            per_second=events / seconds,
            cpu_us=1e6 * cpu / events,
            rate_cpu_us=1e6 * rate_cpu / (rate_s * RATE),
            p50_ms=statistics.median(latencies) if latencies else None,
            p95_ms=statistics.quantiles(latencies, n=20)[-1] if latencies else None,
            remark=f"{drained.repeated:,} results twice" if drained.repeated else "",
        )

    def _at_rate(self, worker: Child, seconds: int) -> tuple[list[int], float]:
        phase, starts = self._next(seconds * RATE), self._kafka.ends(self._results)
        before = cpu_seconds(worker.pid)
        sent = self._kafka.send_at_rate(self._frames, phase.frames(), RATE)
        samples = [_sample(worker)]
        self._close(phase)
        answered = self._wait(worker, phase, starts, 30.0, lambda: samples.append(_sample(worker)))
        if answered is None:
            raise FailedError(f"at {RATE:,} events/s results are missing after 30 s{self._what}")
        latencies = [end - start for start, end in zip(sent, answered.answered_ms, strict=True)]
        return latencies, _at(samples, answered.done_ms / 1000) - before

    def _next(self, events: int) -> Phase:
        return Phase(next(self._numbers), self._base_ms + next(self._phases) * PHASE_MS, events)

    def _send(self, phase: Phase) -> None:
        self._kafka.fill(self._frames, phase.frames())
        self._close(phase)

    def _close(self, phase: Phase) -> None:
        if self._job == "count":
            self._kafka.fill(self._frames, phase.closing())

    def _wait(
        self,
        worker: Child,
        phase: Phase,
        starts: dict[int, int],
        timeout_s: float,
        sample: Callable[[], None] = lambda: None,
    ) -> Checked | None:
        """Wait until the phase is answered whole; results are read only while no more of them come."""
        self._what = ""
        deadline = time.monotonic() + timeout_s
        seen, still, patience = 0, 0, 10
        while True:
            time.sleep(0.05)
            worker.check()
            sample()
            ends = sum(self._kafka.ends(self._results).values()) - sum(starts.values())
            still = still + 1 if ends == seen else 0
            seen = ends
            late = time.monotonic() > deadline
            if (seen and still == patience) or late:
                checked = phase.check(self._job, self._kafka.read(self._results, starts))
                if checked.wrong:
                    raise FailedError(f"{checked.wrong:,} of {seen:,} results are wrong")
                if not checked.missing:
                    return checked
                self._what = f": {checked.missing:,} are not answered"
                still, patience = 0, 2 * patience
            if late:
                return None


def _sample(worker: Child) -> tuple[float, float]:
    return time.time(), cpu_seconds(worker.pid)


def _at(samples: list[tuple[float, float]], at: float) -> float:
    """The CPU time at a moment, in a straight line between two samples."""
    if at <= samples[0][0]:
        return samples[0][1]
    for (t0, c0), (t1, c1) in pairwise(samples):
        if t0 <= at <= t1:
            return c0 + (c1 - c0) * (at - t0) / (t1 - t0)
    return samples[-1][1]
