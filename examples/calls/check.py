"""Holds the scripted calls against what the product hears in them: word error rate, insights found, missed and extra.

It runs the product's segmenter, its engine of speech to text and its extractors on the audio, with no Kafka. To be run
after a change of a script or of an extractor: `python examples/calls/check.py [NAME...]`. An insight counts as found
when one of its kind (an entity: of its label) is in the same turn.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from voicestream.audio.codecs import AudioFormat
from voicestream.audio.files import read_audio, to_frames
from voicestream.audio.tracks import TrackChunker
from voicestream.audio.vad import VoiceActivity
from voicestream.insights import CallContext, extract_all, load_extractors
from voicestream.records import Transcript
from voicestream.settings import Settings
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.stt.wer import word_error_rate

HERE = Path(__file__).parent
TRACKS = ("agent", "customer")


def transcripts_of(name: str, engine: SttEngine, vad: VoiceActivity) -> list[Transcript]:
    """What the product hears in a call."""
    audio = read_audio(HERE / "audio" / f"{name}.wav")
    telephone = AudioFormat("mulaw", 8000)
    transcripts = []
    for channel, track in enumerate(TRACKS):
        chunker = TrackChunker(telephone, vad)
        segments = chunker.feed(b"".join(to_frames(audio.channel(channel), audio.sample_rate, telephone)))
        for segment in [*segments, *chunker.flush()]:
            heard = engine.transcribe([Clip(segment.pcm, segment.sample_rate, "en")])[0]
            transcripts.append(
                Transcript(
                    utterance_id=f"{name}/{track}/{segment.number}",
                    call_id=name,
                    track="agent" if track == "agent" else "customer",
                    number=segment.number,
                    start_ms=segment.start_ms,
                    end_ms=segment.end_ms,
                    at_ms=segment.end_ms,
                    text=heard.text,
                    confidence=heard.confidence,
                    language=heard.language,
                    engine=engine.name,
                    inference_ms=heard.inference_ms,
                )
            )
    return transcripts


def turn_at(turns: list[dict[str, Any]], transcript: Transcript) -> int:
    """The turn of the same track that an utterance overlaps most."""

    def overlap(number: int) -> int:
        turn = turns[number]
        together = min(turn["end_ms"], transcript.end_ms) - max(turn["start_ms"], transcript.start_ms)
        return together if turn["track"] == transcript.track else -(10**9)

    return max(range(len(turns)), key=overlap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="scripts to check, without .yaml (default: all)")
    parser.add_argument("--verbose", action="store_true", help="print what was heard wrong, missed and extra")
    options = parser.parse_args()
    settings = Settings(catalogue=HERE.parent / "catalogue.yaml")
    engine = load_engine(settings.stt_engine, settings.stt_model, capacity=1)
    extractors, vad = load_extractors(settings), VoiceActivity()
    planted, found, extra = Counter[str](), Counter[str](), Counter[str]()
    spoken = []
    for name in options.names or sorted(path.stem for path in HERE.glob("*.yaml")):
        script = yaml.safe_load((HERE / f"{name}.yaml").read_text())
        truth = json.loads((HERE / "audio" / f"{name}.truth.json").read_text())["turns"]
        context = CallContext(queue=script["queue"])
        heard: dict[int, list[str]] = {number: [] for number in range(len(truth))}
        signals: dict[int, Counter[str]] = {number: Counter() for number in heard}
        for transcript in transcripts_of(name, engine, vad):
            number = turn_at(truth, transcript)
            heard[number].append(transcript.text)
            for insight in extract_all(transcript, context, extractors):
                label = f" {insight.label}" if insight.kind == "entity" else ""
                signals[number][insight.kind + label] += 1
        pairs = [(turn["text"], " ".join(heard[number])) for number, turn in enumerate(truth)]
        print(f"{name}: word error rate {word_error_rate(pairs):.3f}")
        spoken += pairs
        for number, turn in enumerate(script["turns"]):
            wanted = Counter(
                insight["kind"] + (f" {insight['label']}" if insight["kind"] == "entity" else "")
                for insight in turn.get("insights", [])
            )
            missed, more = wanted.keys() - signals[number].keys(), signals[number].keys() - wanted.keys()
            planted.update(wanted.keys())
            found.update(wanted.keys() & signals[number].keys())
            extra.update(more)
            if options.verbose and (missed or more or word_error_rate([pairs[number]])):
                print(f"   {turn['track']}: {turn['text']}\n      heard: {pairs[number][1]}")
                print(f"      missed: {', '.join(sorted(missed)) or '-'}; extra: {', '.join(sorted(more)) or '-'}")
    engine.close()
    print(f"all: word error rate {word_error_rate(spoken):.3f}")
    for kind in sorted(planted | extra):
        print(f"   {kind}: {found[kind]} of {planted[kind]} found, {extra[kind]} extra")
    print(f"   in all: {found.total()} of {planted.total()} found, {extra.total()} extra")


if __name__ == "__main__":
    main()
