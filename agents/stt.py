"""voice.segments → voice.transcripts: speech to text, several calls at once, each call in order."""

import asyncio
import logging
from typing import Final

import msgspec
import numpy as np

from voicestream import ErrorPolicy, Retry, Stage, topics
from voicestream.errors import SttUnavailable
from voicestream.records import EndOfCall, SpeechSegment, Transcript, Word
from voicestream.settings import settings
from voicestream.stt.engine import Clip
from voicestream.stt.failover import Failover, load_failover
from voicestream.stt.guards import guard

log = logging.getLogger(__name__)

stage = Stage("stt")
engines: list[Failover] = []

# A segment that no engine can take now waits for as long as that lasts, and its call with it.
UNTIL_THERE: Final = Retry(None, backoff_ms=250, longest_ms=2_000, only=(SttUnavailable,))


@stage.on_start
async def load() -> None:
    config = settings()
    engine = await asyncio.to_thread(
        load_failover, config.stt_engine, config.stt_fallback, config.stt_model, at_once=config.stt_workers
    )
    engines[:] = [engine]  # before it is warm: a worker that is stopped meanwhile lets it go
    await engine.warm_up()
    main, spare = engine.main, engine.fallback
    log.info("speech to text by %s/%s, %d segments at once", main.name, main.model, config.stt_workers)
    if spare is not None:
        log.info("while it is not to be had: by %s/%s, %d at once", spare.name, spare.model, spare.capacity)


@stage.on_stop
async def close() -> None:
    for engine in engines:
        await asyncio.to_thread(engine.close)
    engines.clear()


@stage.agent(
    topics.segments,
    out=topics.transcripts,
    concurrency=settings().stt_workers,
    errors=ErrorPolicy(process=UNTIL_THERE),
)
async def transcribe(segment: SpeechSegment | EndOfCall) -> Transcript | EndOfCall | None:
    """The words of a segment; nothing where nobody spoke, whatever the model made of it."""
    if isinstance(segment, EndOfCall):
        return msgspec.structs.replace(segment, stage="stt")
    clip = Clip(np.frombuffer(segment.audio, "<i2"), segment.sample_rate, settings().stt_language)
    engine, recognition = await engines[0].transcribe(clip)
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
