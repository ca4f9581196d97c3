"""voice.transcripts and voice.segments → voice.sentiment: the mood of the words, and the tone of the voice."""

import asyncio
import logging
import time

import msgspec
import numpy as np

from voicestream import Batch, Stage, State, topics
from voicestream.audio.prosody import SpeakerBaseline, measure
from voicestream.records import EndOfCall, Sentiment, SpeechSegment, Track, Transcript
from voicestream.sentiment.engine import SentimentModel, load_model
from voicestream.sentiment.trend import CallTrend
from voicestream.settings import settings

log = logging.getLogger(__name__)


class Moods(msgspec.Struct):
    """How a call goes, and the last utterance of each track that is in it: a killed stt says its last ones again."""

    trend: CallTrend = CallTrend()
    reached: dict[Track, int] = {}


class Voices(msgspec.Struct):
    """What is usual for each speaker of a call, and the last segment of each that is in it."""

    speakers: dict[Track, SpeakerBaseline] = {}
    reached: dict[Track, int] = {}


stage = Stage("sentiment")
trends = stage.store("trends", Moods)
voices = stage.store("voices", Voices)
models: list[SentimentModel] = []


@stage.on_start
async def load() -> None:
    model = await asyncio.to_thread(load_model, settings().sentiment_model)
    await asyncio.to_thread(model.warm_up)
    models[:] = [model]
    log.info("mood by %s/%s", model.name, model.version)


@stage.agent(topics.transcripts, out=topics.sentiment, state=trends, batch=Batch(max_size=32, within_ms=10))
async def words(batch: list[Transcript | EndOfCall], states: list[State[Moods]]) -> list[Sentiment | EndOfCall]:
    """Polarity and emotion of the utterances that wait, of all calls at once, and how each call goes."""
    model = models[0]
    said = [record for record in batch if isinstance(record, Transcript)]
    start = time.perf_counter()
    moods = iter(await asyncio.to_thread(model.classify, [record.text for record in said]) if said else [])
    each_ms = (time.perf_counter() - start) * 1000 / max(len(said), 1)
    out: list[Sentiment | EndOfCall] = []
    for record, state in zip(batch, states, strict=True):
        if isinstance(record, EndOfCall):
            state.value = None
            out.append(msgspec.structs.replace(record, stage="sentiment"))
            continue
        mood = next(moods)
        call = state.value = state.value or Moods()
        if record.number <= call.reached.get(record.track, -1):
            continue
        call.reached[record.track] = record.number
        call.trend = call.trend.add(record.track, record.at_ms, mood.polarity)
        trend = call.trend.tracks[record.track]
        out.append(
            Sentiment(
                utterance_id=record.utterance_id,
                call_id=record.call_id,
                track=record.track,
                number=record.number,
                at_ms=record.at_ms,
                source="text",
                polarity=mood.polarity,
                label=mood.label,
                confidence=mood.confidence,
                emotion=mood.emotion,
                emotions=mood.emotions,
                call_polarity=trend.level,
                trend=trend.slope,
                model=f"{model.name}/{model.version}",
                inference_ms=each_ms,
            )
        )
    return out


@stage.agent(topics.segments, out=topics.sentiment, state=voices)
async def voice(segment: SpeechSegment | EndOfCall, state: State[Voices]) -> Sentiment | EndOfCall | None:
    """Pitch, energy and rate of a segment, and how far they are from what is usual for the speaker."""
    if isinstance(segment, EndOfCall):
        state.value = None
        return msgspec.structs.replace(segment, stage="voice")
    call = state.value = state.value or Voices()
    if segment.number <= call.reached.get(segment.track, -1):
        return None
    call.reached[segment.track] = segment.number
    start = time.perf_counter()
    tone = await asyncio.to_thread(measure, np.frombuffer(segment.audio, "<i2"), segment.sample_rate)
    speaker = call.speakers.setdefault(segment.track, SpeakerBaseline())
    arousal = speaker.arousal(tone)
    speaker.add(tone)
    return Sentiment(
        utterance_id=segment.utterance_id,
        call_id=segment.call_id,
        track=segment.track,
        number=segment.number,
        at_ms=segment.at_ms,
        source="voice",
        arousal=arousal,
        pitch_hz=tone.pitch_hz,
        pitch_range=tone.pitch_range,
        energy_dbfs=tone.energy_dbfs,
        speech_rate=tone.speech_rate,
        model="prosody/1",
        inference_ms=(time.perf_counter() - start) * 1000,
    )


app = stage.app()
