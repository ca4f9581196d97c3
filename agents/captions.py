"""voice.speech → voice.interims: the words so far of those who speak; a stage to add, with VOICESTREAM_INTERIM_MS."""

import asyncio
import logging
from functools import partial

from voicestream import Batch, ErrorPolicy, Stage, topics
from voicestream.calls.captions import BackgroundThreads, Captions
from voicestream.errors import SettingsError, SttError
from voicestream.records import EndOfUtterance, SpeechPiece, Transcript
from voicestream.settings import settings
from voicestream.stt.engine import SttEngine, load_engine

log = logging.getLogger(__name__)

stage = Stage("captions")
threads: list[BackgroundThreads] = []
engines: list[SttEngine] = []
starts: list[asyncio.Task[None]] = []
captions: list[Captions] = []


@stage.on_start
async def load() -> None:
    config = settings()
    if not config.interim_ms:
        raise SettingsError(
            "VOICESTREAM_INTERIM_MS is 0: the stage captions needs it, as the stage chunking does: 1000 is usual"
        )
    threads[:] = [BackgroundThreads(config.stt_workers)]
    engine = await threads[0].run(
        partial(load_engine, config.stt_engine, config.stt_model, capacity=config.stt_workers)
    )
    engines[:] = [engine]
    if engine.name == "grpc" or "://" in config.stt_engine:
        # Its servers may be away, which a whole pipeline need not wait for.
        starts[:] = [asyncio.create_task(start(engine, threads[0]))]
    else:
        await threads[0].run(engine.warm_up)
    captions[:] = [Captions(engine, threads[0], config.stt_language)]
    log.info("captions by %s/%s, every %d ms", engine.name, engine.model, config.interim_ms)


async def start(engine: SttEngine, pool: BackgroundThreads) -> None:
    try:
        await pool.run(engine.warm_up)
    except SttError as error:
        log.warning("captions begin when speech to text can be had: %s", error)


@stage.on_stop
async def close() -> None:
    for task in starts:
        task.cancel()
    for pool in threads:
        pool.close()
    for engine in engines:
        await asyncio.to_thread(engine.close)  # which waits for what is in work
    starts.clear()
    threads.clear()
    engines.clear()
    captions.clear()


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
