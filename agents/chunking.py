"""voice.audio → voice.segments: voice activity and endpointing, for all calls of the worker in one batch."""

from voicestream import Stage, topics
from voicestream.calls.chunker import CallChunker, CallState

stage = Stage("chunking")
calls = stage.store("calls", CallState)


@stage.processor(topics.audio, out=topics.segments, state=calls)
class Chunking(CallChunker):
    """Cuts the tracks into segments and passes the end of each call on behind its last one."""

    def __init__(self) -> None:
        super().__init__(calls)


app = stage.app()
