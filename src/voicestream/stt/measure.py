"""`python -m voicestream.stt.measure MANIFEST`: word error rate and speed of engines on your own recordings.

The manifest is a TSV with a header; column `file` is the path of an audio file from the manifest's folder, `text` what
is said in it. A file is transcribed as one clip, mixed to mono, as it is and as it is heard over the telephone. With
several engines they take turns, clip by clip, so that a busy machine is unfair to none.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicestream.audio.codecs import decode, encode
from voicestream.audio.files import read_audio
from voicestream.audio.resample import resample
from voicestream.settings import settings
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.stt.guards import guard
from voicestream.stt.wer import word_error_rate


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for each segment, and of the processor for one of them on average."""

    each_ms: list[float]
    cpu_ms: float


def read_clips(path: Path) -> tuple[Clip, Clip]:
    """An audio file at 16 kHz, and as it is heard over 8 kHz mu-law."""
    audio = read_audio(path)
    mono = audio.channels.mean(axis=1).astype(np.int16)
    telephone = decode("mulaw", encode("mulaw", resample(mono, audio.sample_rate, 8000)))
    return Clip(resample(mono, audio.sample_rate, 16000), 16000, "en"), Clip(telephone, 8000, "en")


def errors(engine: SttEngine, clips: Sequence[Clip], texts: Sequence[str]) -> tuple[float, int]:
    """The word error rate after the guards, and the number of clips they stepped in on."""
    guarded = [guard(heard, clip) for heard, clip in zip(engine.transcribe(clips), clips, strict=True)]
    pairs = zip(texts, (result.recognition.text for result in guarded), strict=True)
    return word_error_rate(pairs), sum(result.reason is not None for result in guarded)


def latencies(engines: Sequence[SttEngine], clips: Sequence[Clip], at_once: int) -> list[Latency]:
    """What each engine takes for these clips, one clip a call, `at_once` calls at the same time."""
    each_ms: list[list[float]] = [[] for _ in engines]
    cpu_s = [0.0] * len(engines)
    with ThreadPoolExecutor(at_once) as pool:
        for at in range(0, len(clips), at_once):
            for i, engine in enumerate(engines):
                busy = time.process_time()
                for [heard] in pool.map(engine.transcribe, [[clip] for clip in clips[at : at + at_once]]):
                    each_ms[i].append(heard.inference_ms)
                cpu_s[i] += time.process_time() - busy
    return [Latency(ms, cpu / len(clips) * 1000) for ms, cpu in zip(each_ms, cpu_s, strict=True)]


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m voicestream.stt.measure", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--engine", action="append", help="may be given several times; default: that of the settings")
    parser.add_argument("--model", default=settings().stt_model)
    parser.add_argument("--at-once", type=int, default=1, help="clips that are transcribed at the same time")
    parser.add_argument("--segment", type=float, default=3.0, help="length in seconds for the latency")
    arguments = parser.parse_args()
    with arguments.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [row["text"] for row in rows]
    wide, telephone = zip(*(read_clips(arguments.manifest.parent / row["file"]) for row in rows), strict=True)
    length = int(arguments.segment * 8000)
    segments = [Clip(clip.pcm[:length], 8000, "en") for clip in telephone if len(clip.pcm) >= length]
    if not segments:
        parser.error(f"no recording is as long as --segment {arguments.segment:g}")

    engines = []
    for name in arguments.engine or [settings().stt_engine]:
        engines.append(load_engine(name, arguments.model, capacity=arguments.at_once))
        engines[-1].warm_up()
    audio_s = sum(clip.duration_ms for clip in wide) / 1000
    print(
        f"{len(rows)} recordings, {audio_s:.0f} s; latency of {len(segments)} telephone segments of "
        f"{arguments.segment:g} s, {arguments.at_once} at once\n\n"
        "| engine, model | word errors, 16 kHz | word errors, telephone | stopped by guards | median | 95th percentile "
        "| processor |\n|---|---|---|---|---|---|---|"
    )
    for engine, latency in zip(engines, latencies(engines, segments, arguments.at_once), strict=True):
        (wide_rate, wide_stopped), (rate, stopped) = (errors(engine, clips, texts) for clips in (wide, telephone))
        p50, p95 = np.percentile(latency.each_ms, [50, 95])
        print(
            f"| {engine.name}, {engine.model} | {wide_rate:.1%} | {rate:.1%} | {wide_stopped} and {stopped} "
            f"| {p50:.0f} ms | {p95:.0f} ms | {latency.cpu_ms:.0f} ms |"
        )
        engine.close()


if __name__ == "__main__":
    main()
