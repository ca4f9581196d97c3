"""Clips and recognitions as the messages of native/proto/stt.proto."""

from typing import Final

from voicestream.errors import SttError
from voicestream.stt import stt_pb2
from voicestream.stt.engine import Clip, Recognition, Word

_LARGEST_BYTES: Final = 4_000_000  # a little less than what gRPC takes, which would answer that it is exhausted


def format_of(sample_rate: int, language: str | None) -> stt_pb2.Format:
    return stt_pb2.Format(
        encoding=stt_pb2.PCM16,
        sample_rate_hz=sample_rate,
        language=(language or "").partition("-")[0].lower(),
    )


def request_of(clip: Clip) -> stt_pb2.TranscribeRequest:
    """The request for a clip; raises SttError when it is longer than a message may be."""
    audio = clip.pcm.astype("<i2").tobytes()
    if len(audio) > _LARGEST_BYTES:
        raise SttError(f"a clip of {clip.duration_ms / 1000:.0f} s is longer than the server takes: cut it")
    return stt_pb2.TranscribeRequest(
        format=format_of(clip.sample_rate, clip.language), audio=audio, interim=clip.interim
    )


def recognition_of(transcript: stt_pb2.Transcript) -> Recognition:
    return Recognition(
        text=transcript.text,
        words=tuple(Word(word.text, word.start_ms, word.end_ms, word.confidence) for word in transcript.words),
        confidence=transcript.confidence,
        no_speech_probability=transcript.no_speech_probability,
        language=transcript.language,
        inference_ms=transcript.inference_ms,
    )
