"""The section of ``docs/benchmarks.md``, made of what was measured: tables, and what they say of the targets."""

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.stt.contestants import GRPC, WORKERS, about, title
from benchmarks.stt.figures import AT_ONCE, LENGTHS_S, NOTHING_S, REFERENCE, TYPICAL_S, Figures, percentiles
from benchmarks.stt.overhead import BARE, ENGINE, Overhead
from voicestream.stt.measure import Timing

TITLE = "Speech to text"
TARGET_MS, TARGET_LESS, TARGET_GRPC_MS, TARGET_TIMES, TARGET_POINTS = 200.0, 25.0, 3.0, 2.0, 1.0
TRANSFORMERS, FASTER_WHISPER, CTRANSLATE2 = "transformers", "faster-whisper", "ctranslate2"

ABOUT = """Real speech: {speech}, at 16 kHz and through 8 kHz mu-law.
Engines take turns, clip by clip, so that a busy machine is unfair to none; each has {workers} workers of one thread.
Latency is what the caller waits, for telephone segments cut from the recordings joined end to end: through words, which
is harder than what the segmenter cuts. CPU is user and system time of all threads of engine, client and server.
Segments/s a core is one second of a core over the CPU time of a segment.
"""


def section(command: str, speech: str, load: float, minutes: float, all_figures: Sequence[Figures]) -> str:
    """The text below the section's heading."""
    lines = [
        ABOUT.format(speech=speech, workers=WORKERS),
        f"`{command}` on {processor()} ({platform.machine()}, {WORKERS} cores), load {load:.1f} at the start, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes.\n",
        "### Against the targets\n",
        *targets(all_figures),
        "",
    ]
    for figures in all_figures:
        lines += [f"### {figures.model}\n", *accuracy_table(figures), "", *latency_table(figures), ""]
        lines += [*at_once_table(figures), "", *overhead_table(figures)]
    keys = {key: None for figures in all_figures for key in [*figures.accuracy, *figures.missing] if key != REFERENCE}
    lines += ["What each is:\n", *(f"- **{title(key)}**: {about(key)}." for key in keys)]
    return "\n".join(lines)


def processor() -> str:
    """What the kernel calls the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unknown processor"


def accuracy_table(figures: Figures) -> list[str]:
    base = figures.accuracy[REFERENCE]
    lines = [
        f"Word errors of {figures.clips} recordings ({figures.words} words), behind the same guards:\n",
        "| | 16 kHz | telephone | points over full context |",
        "|---|--:|--:|--:|",
        f"| whisper.cpp, full context, nothing cut | {base.wide:.1%} | {base.telephone:.1%} | |",
    ]
    for key, found in figures.accuracy.items():
        if key != REFERENCE:
            points = f"{100 * (found.wide - base.wide):+.1f} and {100 * (found.telephone - base.telephone):+.1f}"
            lines.append(f"| {title(key)} | {found.wide:.1%} | {found.telephone:.1%} | {points} |")
    return [*lines, *(f"| {title(key)} | not measured: {reason} | | |" for key, reason in figures.missing.items())]


def latency_table(figures: Figures) -> list[str]:
    counts = ", ".join(str(_count(figures.latency[length])) for length in LENGTHS_S)
    lines = [
        f"One segment at a time, by its length: p50 / p95 in ms ({counts} segments for each engine):\n",
        "| | " + " | ".join(f"{length} s" for length in LENGTHS_S) + " |",
        "|---|" + "--:|" * len(LENGTHS_S),
    ]
    for key in figures.latency[TYPICAL_S]:
        cells = [pair(figures.latency[length][key]) for length in LENGTHS_S]
        lines.append(f"| {title(key)} | {' | '.join(cells)} |")
    return lines


def at_once_table(figures: Figures) -> list[str]:
    counts = ", ".join(str(_count(figures.at_once[number])) for number in AT_ONCE)
    lines = [
        f"Segments of {TYPICAL_S} s that come at the same moment ({counts} for each engine). The real-time factor is "
        "the time by the clock over that of the audio:\n",
        "| | at once | p50 / p95 ms | CPU ms | segments/s a core | real-time factor |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for key in figures.at_once[1]:
        for number in AT_ONCE:
            timing = figures.at_once[number][key]
            a_core = _per_core(timing)
            factor = timing.wall_s / (len(timing.each_ms) * TYPICAL_S)
            name = title(key) if number == AT_ONCE[0] else ""
            lines.append(f"| {name} | {number} | {pair(timing)} | {1000 / a_core:.0f} | {a_core:.1f} | {factor:.3f} |")
    return lines


def overhead_table(figures: Figures) -> list[str]:
    if not figures.overhead:
        return []
    lengths = list(next(iter(figures.overhead.values())))
    lines = [
        "What gRPC adds: what a caller waits, less what the server itself counts for queue and inference; p50 / p95 "
        f"in ms, one call at a time, 16 kHz PCM ({NOTHING_S:g} s are too short to be computed; the health check, which "
        "carries nothing, is told whole):\n",
        "| | | " + " | ".join(f"{length:g} s" for length in lengths) + " |",
        "|---|---|" + "--:|" * len(lengths),
    ]
    for key, by_length in figures.overhead.items():
        for caller in by_length[lengths[0]].added_ms:
            cells = ["{:.1f} / {:.1f}".format(*_added(by_length[length], caller)) for length in lengths]
            lines.append(f"| {title(key)} | {caller} | {' | '.join(cells)} |")
    return [*lines, ""]


def targets(all_figures: Sequence[Figures]) -> list[str]:
    """What the figures say of each target, model by model where it was measured."""
    said: list[tuple[str, Callable[[Figures], str]]] = [
        (f"Less than {TARGET_MS:.0f} ms for {TYPICAL_S} s (median)", _fast_enough),
        (f"The native server at least {TARGET_LESS:.0f} % below transformers in p50 and p95", _below_transformers),
        (f"gRPC adds less than {TARGET_GRPC_MS:.0f} ms (p95)", _little_added),
        (f"{TARGET_TIMES:g} times the segments/s a core of ctranslate2", _beyond_ctranslate2),
        ("Word errors within one point of the same model with full context and nothing cut", _accurate),
    ]
    lines = []
    for target, judge in said:
        judged = [f"{figures.model}: {words}" for figures in all_figures if (words := judge(figures))]
        lines.append(f"- {target}: {'; '.join(judged) or 'not measured'}.")
    return lines


def _fast_enough(figures: Figures) -> str:
    medians = {key: percentiles(timing)[0] for key, timing in figures.latency[TYPICAL_S].items()}
    fast = [f"{title(key)} ({ms:.0f} ms)" for key, ms in medians.items() if ms < TARGET_MS]
    slow = [f"{title(key)} ({ms:.0f})" for key, ms in medians.items() if ms >= TARGET_MS]
    return f"{_listed(fast, 'nobody')}; not {_listed(slow, 'missed by anybody')}"


def _below_transformers(figures: Figures) -> str:
    native = [key for key in figures.at_once[1] if key.startswith(GRPC)]
    if TRANSFORMERS not in figures.at_once[1] or not native:
        return ""
    said = []
    for key in native:
        less = {
            length: [
                100 * (1 - mine / theirs)
                for mine, theirs in zip(percentiles(found[key]), percentiles(found[TRANSFORMERS]), strict=True)
            ]
            for length, found in figures.latency.items()
        }
        worst = min(min(pair) for pair in less.values())
        p50, p95 = less[TYPICAL_S]
        verdict = "met" if worst >= TARGET_LESS else "not met"
        said.append(
            f"{title(key)} is {p50:.0f} and {p95:.0f} % below at {TYPICAL_S} s, {worst:.0f} % in the worst length: "
            f"{verdict}"
        )
    return ", ".join(said)


def _little_added(figures: Figures) -> str:
    if not figures.overhead:
        return ""
    said = []
    for caller in (BARE, ENGINE):
        worst = max(_added(found, caller)[1] for by_length in figures.overhead.values() for found in by_length.values())
        said.append(f"{caller} {worst:.1f} ms at most, {'met' if worst < TARGET_GRPC_MS else 'not met'}")
    return ", ".join(said)


def _beyond_ctranslate2(figures: Figures) -> str:
    times = {
        (key, number): _per_core(timing) / _per_core(timings[CTRANSLATE2])
        for number, timings in figures.at_once.items()
        if CTRANSLATE2 in timings
        for key, timing in timings.items()
        if key != CTRANSLATE2
    }
    if not times:
        return ""
    (key, number), best = max(times.items(), key=lambda pair: pair[1])
    verdict = "met" if best >= TARGET_TIMES else "not met"
    return f"{title(key)} comes nearest with {best:.2f} times as many at {number} at once: {verdict}"


def _per_core(timing: Timing) -> float:
    """Segments for each second of the processor."""
    return len(timing.each_ms) / timing.cpu_s


def _accurate(figures: Figures) -> str:
    base = figures.accuracy[REFERENCE]
    cut = {
        key: found.worse_by(base) for key, found in figures.accuracy.items() if key not in (REFERENCE, FASTER_WHISPER)
    }
    good = [f"{title(key)} ({points:+.1f})" for key, points in cut.items() if points <= TARGET_POINTS]
    bad = [f"{title(key)} ({points:+.1f})" for key, points in cut.items() if points > TARGET_POINTS]
    return f"met by {_listed(good, 'nobody')}" + (f", not by {_listed(bad, '')}" if bad else "")


def pair(timing: Timing) -> str:
    return "{:.0f} / {:.0f}".format(*percentiles(timing))


def _added(found: Overhead, caller: str) -> tuple[float, float]:
    p50, p95 = np.percentile(found.added_ms[caller], [50, 95])
    return float(p50), float(p95)


def _count(timings: dict[str, Timing]) -> int:
    return max((len(timing.each_ms) for timing in timings.values()), default=0)


def _listed(names: Sequence[str], nobody: str) -> str:
    return ", ".join(names) or nobody
