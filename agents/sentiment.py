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
from voicestream.streams.clock import now_ms

log = logging.getLogger(__name__)

FORGET_MS = 3_600_000  # of wall clock after the last record of a call


class Heard(msgspec.Struct):
    """What of a call is counted in: a stage that was killed says its last things again, even behind the call's end."""

    reached: dict[Track, int] = {}
    heard_ms: int = 0

    def is_new(self, record: Transcript | SpeechSegment) -> bool:
        """Whether ``record`` was not counted in before; from now on it is."""
        if record.number <= self.reached.get(record.track, -1):
            return False
        self.reached[record.track] = record.number
        self.heard_ms = now_ms()
        return True


class Moods(Heard):
    """How a call goes."""

    trend: CallTrend = CallTrend()


class Voices(Heard):
    """What is usual for each speaker of a call."""

    speakers: dict[Track, SpeakerBaseline] = {}


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
            out.append(msgspec.structs.replace(record, stage="sentiment"))
            continue
        mood = next(moods)
        call = state.value = state.value or Moods()
        if not call.is_new(record):
            continue
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
        return msgspec.structs.replace(segment, stage="voice")
    call = state.value = state.value or Voices()
    if not call.is_new(segment):
        return None
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


@stage.every(60_000, store=trends)
async def forget_mood(now: int, call: State[Moods]) -> None:
    """Forget the calls of which nothing has been heard for long."""
    if call.value is not None and now - call.value.heard_ms > FORGET_MS:
        call.value = None


@stage.every(60_000, store=voices)
async def forget_voice(now: int, call: State[Voices]) -> None:
    """Forget the voices of those calls."""
    if call.value is not None and now - call.value.heard_ms > FORGET_MS:
        call.value = None


app = stage.app()
