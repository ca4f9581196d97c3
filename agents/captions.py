"""voice.speech → voice.interims: the words so far of those who speak; a stage to add, with VOICESTREAM_INTERIM_MS."""

import asyncio
import logging
from functools import partial

from voicestream import Batch, ErrorPolicy, Stage, topics
from voicestream.calls.captions import BackgroundThreads, Captions
from voicestream.errors import SettingsError, SttUnavailable
from voicestream.records import EndOfUtterance, SpeechPiece, Transcript
from voicestream.settings import settings
from voicestream.stt.engine import SttEngine, load_engine

log = logging.getLogger(__name__)

stage = Stage("captions")
threads: list[BackgroundThreads] = []
engines: list[SttEngine] = []
captions: list[Captions] = []


@stage.on_start
async def load() -> None:
    config = settings()
    if not config.interim_ms:
        raise SettingsError(
            "VOICESTREAM_INTERIM_MS is 0: the stage captions needs it, as the stage chunking does: 1000 is usual"
        )
    threads[:] = [BackgroundThreads(config.stt_workers)]
    load = partial(load_engine, config.stt_engine, config.stt_model, capacity=config.stt_workers)
    engines[:] = [await threads[0].run(load)]
    try:
        await threads[0].run(engines[0].warm_up)
    except SttUnavailable as error:  # what a whole pipeline need not wait for
        log.warning("captions begin when speech to text can be had: %s", error)
    captions[:] = [Captions(engines[0], threads[0], config.stt_language)]
    log.info("captions by %s/%s, every %d ms", engines[0].name, engines[0].model, config.interim_ms)


@stage.on_stop
async def close() -> None:
    for pool in threads:
        pool.close()
    for engine in engines:
        await asyncio.to_thread(engine.close)  # which waits for what is in work


# What fails is not worth keeping: the final transcript comes by another way.
@stage.agent(
    topics.speech,
    out=topics.interims,
    batch=Batch(max_size=1_000),
    errors=ErrorPolicy(decode="skip", process="skip", produce="skip"),
)
async def caption(batch: list[SpeechPiece | EndOfUtterance]) -> list[Transcript]:
    """What can be shown of the utterances that a batch is about."""
    return await captions[0].hear(batch)


app = stage.app()
