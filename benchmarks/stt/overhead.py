"""What gRPC adds: the time of a call as its client sees it, less the server's own for queue and inference."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.stt.contestants import Contestant
from voicestream.stt.engine import Clip

TRANSCRIBE = "/voicestream.stt.v1.SpeechToText/Transcribe"
HEALTH = "/grpc.health.v1.Health/Check"
HEALTH_CHECK, BARE, ENGINE = "the health check", "a bare client", "the engine `grpc`"
TIMEOUT_S = 30.0


@dataclass
class Overhead:
    """Milliseconds of each call, by who calls."""

    added_ms: dict[str, list[float]] = field(default_factory=lambda: {HEALTH_CHECK: [], BARE: [], ENGINE: []})


def overhead(contestant: Contestant, clips: Sequence[Clip]) -> Overhead:
    """What one call at a time adds for these clips: of the health check, a bare one, and the engine's."""
    import grpc

    from voicestream.stt import stt_pb2

    if contestant.server is None:
        raise ValueError(f"{contestant.key} has no server")
    found = Overhead()
    with grpc.insecure_channel(contestant.server.address) as channel:
        check = channel.unary_unary(HEALTH)
        transcribe = channel.unary_unary(
            TRANSCRIBE,
            request_serializer=stt_pb2.TranscribeRequest.SerializeToString,
            response_deserializer=stt_pb2.Transcript.FromString,
        )
        check(b"", timeout=TIMEOUT_S)  # connects
        for clip in clips:
            started = time.perf_counter()
            check(b"", timeout=TIMEOUT_S)
            found.added_ms[HEALTH_CHECK].append(_ms(started))

            started = time.perf_counter()
            sound = stt_pb2.Format(encoding=stt_pb2.PCM16, sample_rate_hz=clip.sample_rate, language=clip.language)
            request = stt_pb2.TranscribeRequest(format=sound, audio=clip.pcm.astype("<i2").tobytes())
            answer = transcribe(request, timeout=TIMEOUT_S)
            found.added_ms[BARE].append(_ms(started) - answer.queue_ms - answer.inference_ms)

            started = time.perf_counter()
            [heard] = contestant.engine.transcribe([clip])
            found.added_ms[ENGINE].append(_ms(started) - heard.inference_ms)
    return found


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000
