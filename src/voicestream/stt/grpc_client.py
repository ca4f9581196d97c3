"""The native server of native/ as an engine: clips go to it over gRPC.

Retries are gRPC's own: it asks again when the server is away or its queue is full, and waits as long as the server
says. A clip that got no answer within the deadline is an SttError.
"""

import json
from collections.abc import Sequence
from typing import Final

from voicestream.errors import SttError
from voicestream.stt.engine import Clip, Recognition, Word

try:
    import grpc

    from voicestream.stt import stt_pb2
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[grpc]") from error

_SERVICE: Final = "voicestream.stt.v1.SpeechToText"
_CONNECT_S: Final = 10.0
_DEADLINE_S: Final = 30.0
_NOTHING: Final = b""
_POLICY: Final = {
    "methodConfig": [
        {
            "name": [{"service": _SERVICE}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,  # gRPC allows no more
                "initialBackoff": "0.05s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


class GrpcClient:
    """The engine `grpc`: `grpc://HOST:PORT` is the address of a server, which has loaded `model`.

    `capacity` is the number of clips that are sent at the same time. Raises SttError when no server answers there, or
    one with another model.
    """

    name = "grpc"

    def __init__(self, model: str, *, capacity: int, url: str = "grpc://127.0.0.1:50051") -> None:
        self._address = url.partition("://")[2].rstrip("/")
        self._channel = grpc.insecure_channel(self._address, options=[("grpc.service_config", json.dumps(_POLICY))])
        self._call = self._channel.unary_unary(
            f"/{_SERVICE}/Transcribe",
            request_serializer=stt_pb2.TranscribeRequest.SerializeToString,
            response_deserializer=stt_pb2.Transcript.FromString,
        )
        self.capacity = capacity
        try:
            self.model: str = self._call(_request(_NOTHING, 16000, None), timeout=_CONNECT_S).model
        except grpc.RpcError as error:
            self.close()
            raise SttError(
                f"no server of speech to text at {self._address} ({error.details()}): "
                f"start `stt_server --listen {self._address} --model FILE`"
            ) from error
        if self.model != model:
            self.close()
            raise SttError(f"the server at {self._address} has the model {self.model}, and {model} is asked for")

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when the server refuses one, or doesn't answer in 30 s."""
        calls = [
            self._call.future(
                _request(clip.pcm.astype("<i2").tobytes(), clip.sample_rate, clip.language), timeout=_DEADLINE_S
            )
            for clip in clips
        ]
        try:
            return [_recognition(call.result()) for call in calls]
        except grpc.RpcError as error:
            for call in calls:
                call.cancel()
            raise SttError(f"speech to text by {self._address}: {error.details()}") from error

    def warm_up(self) -> None:
        """Nothing: the server did so when it started."""

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _request(audio: bytes, sample_rate: int, language: str | None) -> stt_pb2.TranscribeRequest:
    return stt_pb2.TranscribeRequest(
        format=stt_pb2.Format(
            encoding=stt_pb2.PCM16,
            sample_rate_hz=sample_rate,
            language=(language or "").partition("-")[0].lower(),
        ),
        audio=audio,
    )


def _recognition(transcript: stt_pb2.Transcript) -> Recognition:
    return Recognition(
        text=transcript.text,
        words=tuple(Word(word.text, word.start_ms, word.end_ms, word.confidence) for word in transcript.words),
        confidence=transcript.confidence,
        no_speech_probability=transcript.no_speech_probability,
        language=transcript.language,
        inference_ms=transcript.inference_ms,
    )
