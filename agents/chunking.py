"""voice.audio → voice.segments: voice activity and endpointing, for all calls of the worker in one batch.

With VOICESTREAM_INTERIM_MS → voice.speech as well: segments that are still open, piece by piece.
"""

from voicestream import Stage, topics
from voicestream.audio.segmenter import Endpointing
from voicestream.calls.chunker import CallChunker, CallState
from voicestream.settings import settings

stage = Stage("chunking")
calls = stage.store("calls", CallState)


@stage.processor(topics.audio, out=(topics.segments, topics.speech), state=calls)
class Chunking(CallChunker):
    """Cuts the tracks into segments and passes the end of each call on behind its last one."""

    def __init__(self) -> None:
        super().__init__(calls, Endpointing(piece_ms=settings().interim_ms))


app = stage.app()
