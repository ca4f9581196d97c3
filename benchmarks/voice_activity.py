"""What chunking costs for 500 tracks at once: ``python benchmarks/voice_activity.py [TRACKS]``.

The tracks are the scripted calls of ``examples/calls``, shifted against each other, in chunks of 100 ms of mu-law.
"""

import sys
import time
from pathlib import Path

import numpy as np

from voicestream.audio.codecs import AudioFormat
from voicestream.audio.files import read_audio
from voicestream.audio.tracks import TrackChunker, feed_many
from voicestream.audio.vad import VoiceActivity

SECONDS = 20
RATE = 8000
CHUNK = RATE // 10


def main(count: int) -> None:
    form = AudioFormat("mulaw", RATE)
    vad = VoiceActivity()
    calls = [read_audio(path) for path in sorted(Path("examples/calls/audio").glob("*.wav"))]
    channels = [call.channel(side) for call in calls for side in (0, 1)]
    audio = [form.encode(np.roll(channels[n % len(channels)], 977 * n)[: SECONDS * RATE]) for n in range(count)]
    chunkers = [TrackChunker(form, vad) for _ in range(count)]
    worst, segments, started = 0.0, 0, time.process_time()
    for at in range(0, SECONDS * RATE, CHUNK):
        step = time.process_time()
        found = feed_many([(c, a[at : at + CHUNK]) for c, a in zip(chunkers, audio, strict=True)])
        segments += sum(map(len, found))
        worst = max(worst, time.process_time() - step)
    spent = time.process_time() - started
    share = 100 * spent / SECONDS
    print(f"{count} tracks: {share:.0f} % of a core; slowest step of 100 ms: {1000 * worst:.0f} ms of CPU")
    print(f"{segments} segments in {SECONDS} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
