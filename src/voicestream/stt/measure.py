"""`python -m voicestream.stt.measure MANIFEST`: word error rate and speed of engines on your own recordings.

The manifest is a TSV with a header; column `file` is the path of an audio file from the manifest's folder, `text` what
is said in it. A file is transcribed as one clip, mixed to mono, as it is and as it is heard over the telephone. With
several engines they take turns, clip by clip, so that a busy machine is unfair to none. The processor's time is that of
this process: a server's is not in it.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np

from voicestream.audio.codecs import decode, encode
from voicestream.audio.files import read_audio
from voicestream.audio.resample import resample
from voicestream.errors import SttUnavailable
from voicestream.settings import settings
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.stt.guards import guard
from voicestream.stt.wer import word_error_rate


@dataclass(frozen=True, slots=True)
class Recording:
    """What is said, at 16 kHz and as it is heard over 8 kHz mu-law."""

    text: str
    wide: Clip
    telephone: Clip


@dataclass(slots=True)
class Timing:
    """What an engine took: milliseconds for each clip as its caller saw it, and seconds for all of them."""

    each_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """An engine, and the clock of the processor's time that it uses: of this process, or with that of a server."""

    engine: SttEngine
    cpu_seconds: Callable[[], float] = time.process_time


def read_recording(path: Path, text: str) -> Recording:
    """An audio file in which `text` is said; AudioFileError if it can't be read."""
    audio = read_audio(path)
    mono = audio.channels.mean(axis=1).astype(np.int16)
    telephone = decode("mulaw", encode("mulaw", resample(mono, audio.sample_rate, 8000)))
    wide = resample(mono, audio.sample_rate, 16000)
    return Recording(text, Clip(wide, 16000, "en"), Clip(telephone, 8000, "en"))


def read_manifest(path: Path) -> list[Recording]:
    """The recordings of a manifest, as the top of this module has it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [read_recording(path.parent / row["file"], row["text"]) for row in rows]


def errors(engine: SttEngine, clips: Sequence[Clip], texts: Sequence[str]) -> tuple[float, int]:
    """The word error rate after the guards, and the number of clips they stepped in on."""
    guarded = []
    for at in range(0, len(clips), engine.capacity):  # a server refuses more than fits in its queue
        some = clips[at : at + engine.capacity]
        guarded += [guard(heard, clip) for heard, clip in zip(engine.transcribe(some), some, strict=True)]
    pairs = zip(texts, (result.recognition.text for result in guarded), strict=True)
    return word_error_rate(pairs), sum(result.reason is not None for result in guarded)


def take_turns(engines: Sequence[Measured], turns: Iterable[Sequence[Clip]], at_once: int) -> list[Timing]:
    """What each engine takes for turns of at most `at_once` clips that come at the same moment, one clip a call."""
    timings = [Timing() for _ in engines]
    with ThreadPoolExecutor(at_once) as pool:
        for clips in turns:
            for measured, timing in zip(engines, timings, strict=True):
                busy, started = measured.cpu_seconds(), time.perf_counter()
                timing.each_ms += pool.map(_timed, repeat(measured.engine), clips)
                timing.wall_s += time.perf_counter() - started
                timing.cpu_s += measured.cpu_seconds() - busy
    return timings


def _timed(engine: SttEngine, clip: Clip) -> float:
    started = time.perf_counter()
    try:
        engine.transcribe([clip])
    except SttUnavailable:  # as a server that is full, once in a long run; the time counts
        engine.transcribe([clip])
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m voicestream.stt.measure", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--engine", action="append", help="may be given several times; default: that of the settings")
    parser.add_argument("--model", default=settings().stt_model)
    parser.add_argument("--at-once", type=int, default=1, help="clips that are transcribed at the same time")
    parser.add_argument("--segment", type=float, default=3.0, help="length in seconds for the latency")
    arguments = parser.parse_args()
    recordings = read_manifest(arguments.manifest)
    texts = [recording.text for recording in recordings]
    length = int(arguments.segment * 8000)
    segments = [
        Clip(recording.telephone.pcm[:length], 8000, "en")
        for recording in recordings
        if len(recording.telephone.pcm) >= length
    ]
    if not segments:
        parser.error(f"no recording is as long as --segment {arguments.segment:g}")

    engines = []
    for name in arguments.engine or [settings().stt_engine]:
        engines.append(load_engine(name, arguments.model, capacity=arguments.at_once))
        engines[-1].warm_up()
    audio_s = sum(recording.wide.duration_ms for recording in recordings) / 1000
    print(
        f"{len(recordings)} recordings, {audio_s:.0f} s; latency of {len(segments)} telephone segments of "
        f"{arguments.segment:g} s, {arguments.at_once} at once\n\n"
        "| engine, model | word errors, 16 kHz | word errors, telephone | stopped by guards | median | 95th percentile "
        "| processor |\n|---|---|---|---|---|---|---|"
    )
    turns = [segments[at : at + arguments.at_once] for at in range(0, len(segments), arguments.at_once)]
    timings = take_turns([Measured(engine) for engine in engines], turns, arguments.at_once)
    for engine, timing in zip(engines, timings, strict=True):
        wide_rate, wide_stopped = errors(engine, [recording.wide for recording in recordings], texts)
        rate, stopped = errors(engine, [recording.telephone for recording in recordings], texts)
        p50, p95 = np.percentile(timing.each_ms, [50, 95])
        print(
            f"| {engine.name}, {engine.model} | {wide_rate:.1%} | {rate:.1%} | {wide_stopped} and {stopped} "
            f"| {p50:.0f} ms | {p95:.0f} ms | {timing.cpu_s / len(segments) * 1000:.0f} ms |"
        )
        engine.close()


if __name__ == "__main__":
    main()
