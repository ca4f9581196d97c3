"""`python -m voicestream.stt.measure MANIFEST`: word error rate and speed of an engine on your own recordings.

The manifest is a TSV with a header; column `file` is the path of an audio file from the manifest's folder, `text` what
is said in it. A file is transcribed as one clip, mixed to mono.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voicestream.audio.codecs import decode, encode
from voicestream.audio.files import read_audio
from voicestream.audio.resample import resample
from voicestream.settings import settings
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.stt.guards import guard
from voicestream.stt.wer import word_error_rate


def read_clip(path: Path, *, telephone: bool) -> Clip:
    """An audio file at 16 kHz, or as it is heard over 8 kHz mu-law."""
    audio = read_audio(path)
    mono = audio.channels.mean(axis=1).astype(np.int16)
    if telephone:
        return Clip(decode("mulaw", encode("mulaw", resample(mono, audio.sample_rate, 8000))), 8000, "en")
    return Clip(resample(mono, audio.sample_rate, 16000), 16000, "en")


def report(engine: SttEngine, clips: Sequence[Clip], texts: Sequence[str], cut_s: float) -> str:
    """Word error rate of the whole clips, then latency of their first `cut_s` seconds, `capacity` at once."""
    started, busy = time.perf_counter(), time.process_time()
    guarded = [guard(heard, clip) for heard, clip in zip(engine.transcribe(clips), clips, strict=True)]
    wall, cpu = time.perf_counter() - started, time.process_time() - busy
    audio = sum(clip.duration_ms for clip in clips) / 1000
    pairs = zip(texts, (result.recognition.text for result in guarded), strict=True)
    stopped = sum(result.reason is not None for result in guarded)

    cuts = [Clip(clip.pcm[: int(cut_s * clip.sample_rate)], clip.sample_rate, clip.language) for clip in clips]
    busy = time.process_time()
    latencies = [heard.inference_ms for heard in engine.transcribe(cuts)]
    cut_cpu = (time.process_time() - busy) / len(cuts) * 1000
    p50, p95 = np.percentile(latencies, [50, 95])
    return (
        f"{engine.name} {engine.model}, {engine.capacity} at once: {len(clips)} clips, {audio:.0f} s\n"
        f"word error rate {word_error_rate(pairs):.1%}, guards stepped in on {stopped} clips\n"
        f"{audio / wall:.1f} times real time, CPU {cpu / audio:.3f} s for 1 s of audio\n"
        f"segments of {cut_s:g} s: {p50:.0f} ms median, {p95:.0f} ms 95th percentile, CPU {cut_cpu:.0f} ms"
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m voicestream.stt.measure", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--engine", default=settings().stt_engine)
    parser.add_argument("--model", default=settings().stt_model)
    parser.add_argument("--at-once", type=int, default=1, help="clips that are transcribed at the same time")
    parser.add_argument("--telephone", action="store_true", help="pass the audio through 8 kHz mu-law")
    parser.add_argument("--segment", type=float, default=3.0, help="length in seconds for the latency")
    arguments = parser.parse_args()
    with arguments.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    folder = arguments.manifest.parent
    clips = [read_clip(folder / row["file"], telephone=arguments.telephone) for row in rows]
    engine = load_engine(arguments.engine, arguments.model, capacity=arguments.at_once)
    engine.warm_up()
    print(report(engine, clips, [row["text"] for row in rows], arguments.segment))
    engine.close()


if __name__ == "__main__":
    main()
