"""The section of ``docs/benchmarks.md``, made of what was measured."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.streams.measure import RATE, Figures, Size
from benchmarks.streams.peers import Peer, Variant
from benchmarks.streams.work import JOBS, KEYS

TITLE = "The library beside its peers"

ABOUT = """One worker process each, on Apache Kafka {kafka} (KRaft, one broker, 4 partitions), on one machine, one after
the other. All read the same bytes (Avro, 3.2 kB a frame, {keys} calls) and write the same small Avro record. Every
result is compared with the truth, so nobody is measured for doing nothing.

"events/s" and "CPU" are of a topic that was full when the worker, warmed up with thousands of events, began to read;
how many events it then drained is in the last column. "CPU at rate" and the latencies, from the producer's call to the
broker's append of the result, are of {rate:,} events/s for {rate_s} s. CPU is user and system time of all threads of
the worker, in µs an event. Broker and producer share the cores.
"""


@dataclass(frozen=True)
class Row:
    """One line of a table: figures, or why there are none."""

    peer: Peer
    variant: Variant
    found: Figures | str


def section(
    command: str, kafka: str, size: Size, load: float, versions: Sequence[tuple[Peer, str]], rows: Sequence[Row]
) -> str:
    """The text below the section's heading."""
    lines = [
        ABOUT.format(kafka=kafka, keys=KEYS, rate=RATE, rate_s=size.rate_s),
        f"`{command}` on {os.cpu_count()} cores ({platform.machine()}), load {load:.1f} at the start, "
        f"Python {platform.python_version()} for all of them, {datetime.now(UTC):%Y-%m-%d}.\n",
    ]
    for job, title in JOBS.items():
        mine = [row for row in rows if row.variant.job == job]
        if mine:
            lines += [f"### {title}\n", *_table(mine), ""]
    lines += ["What each does otherwise:\n"]
    lines += [f"- **{peer.title}** ({said}): {peer.about}" for peer, said in versions]
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> list[str]:
    faust = next((r.found for r in rows if r.peer.key == "faust" and isinstance(r.found, Figures)), None)
    lines = [
        "| | events/s | × plain Faust | CPU | CPU at rate | p50 ms | p95 ms | events drained |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        name = f"{row.peer.title}: {row.variant.title}" if row.variant.title else row.peer.title
        lines.append(f"| {name} | {_cells(row.found, faust)} |")
    return lines


def _cells(found: Figures | str, faust: Figures | None) -> str:
    if isinstance(found, str):
        return f"not measured: {found} | | | | | |"
    ratio = f"{found.per_second / faust.per_second:.1f}" if faust else "–"
    p50, p95 = (f"{ms:.0f}" if ms is not None else "–" for ms in (found.p50_ms, found.p95_ms))
    drained = f"{found.events:,}" + (f" ({found.remark})" if found.remark else "")
    return (
        f"{found.per_second:,.0f} | {ratio} | {found.cpu_us:.1f} | {found.rate_cpu_us:.0f} | {p50} | {p95} | {drained}"
    )


def line(row: Row) -> str:
    """The same for the terminal."""
    name = f"{row.variant.job:6} {row.peer.title} {row.variant.title}"
    if isinstance(row.found, str):
        return f"{name:55} not measured: {row.found}"
    p50, p95 = (f"{ms:6.0f}" if ms is not None else "     –" for ms in (row.found.p50_ms, row.found.p95_ms))
    return (
        f"{name:55} {row.found.per_second:9,.0f} events/s {row.found.cpu_us:7.1f} µs of CPU "
        f"{row.found.rate_cpu_us:6.0f} at rate   p50 {p50} ms  p95 {p95} ms  {row.found.remark}"
    )
