"""voice.segments → voice.transcripts: speech to text, several calls at once, each call in order."""

import asyncio
import logging

import msgspec
import numpy as np

from voicestream import Stage, topics
from voicestream.records import EndOfCall, SpeechSegment, Transcript, Word
from voicestream.settings import settings
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.stt.guards import guard

log = logging.getLogger(__name__)

stage = Stage("stt")
engines: list[SttEngine] = []


@stage.on_start
async def load() -> None:
    config = settings()
    engine = await asyncio.to_thread(load_engine, config.stt_engine, config.stt_model, capacity=config.stt_workers)
    await asyncio.to_thread(engine.warm_up)
    engines[:] = [engine]
    log.info("speech to text by %s/%s, %d segments at once", engine.name, engine.model, config.stt_workers)


@stage.agent(topics.segments, out=topics.transcripts, concurrency=settings().stt_workers)
async def transcribe(segment: SpeechSegment | EndOfCall) -> Transcript | EndOfCall | None:
    """The words of a segment; nothing where nobody spoke, whatever the model made of it."""
    if isinstance(segment, EndOfCall):
        return msgspec.structs.replace(segment, stage="stt")
    engine = engines[0]
    clip = Clip(np.frombuffer(segment.audio, "<i2"), segment.sample_rate, settings().stt_language)
    [recognition] = await asyncio.to_thread(engine.transcribe, [clip])
    heard = guard(recognition, clip).recognition
    if not heard.text:
        return None
    return Transcript(
        utterance_id=segment.utterance_id,
        call_id=segment.call_id,
        track=segment.track,
        number=segment.number,
        start_ms=segment.voice_start_ms,
        end_ms=segment.voice_end_ms,
        at_ms=segment.at_ms,
        text=heard.text,
        words=[
            Word(
                text=word.text,
                start_ms=segment.start_ms + word.start_ms,
                end_ms=segment.start_ms + word.end_ms,
                confidence=word.confidence,
            )
            for word in heard.words
        ],
        confidence=heard.confidence,
        language=heard.language,
        engine=f"{engine.name}/{engine.model}",
        inference_ms=heard.inference_ms,
    )


app = stage.app()
