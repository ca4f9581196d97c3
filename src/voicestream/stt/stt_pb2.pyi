from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    PCM16: _ClassVar[Encoding]
    MULAW: _ClassVar[Encoding]
ENCODING_UNSPECIFIED: Encoding
PCM16: Encoding
MULAW: Encoding

class Format(_message.Message):
    __slots__ = ("encoding", "sample_rate_hz", "language")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    encoding: Encoding
    sample_rate_hz: int
    language: str
    def __init__(self, encoding: _Optional[_Union[Encoding, str]] = ..., sample_rate_hz: _Optional[int] = ..., language: _Optional[str] = ...) -> None: ...

class TranscribeRequest(_message.Message):
    __slots__ = ("format", "audio", "interim")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    INTERIM_FIELD_NUMBER: _ClassVar[int]
    format: Format
    audio: bytes
    interim: bool
    def __init__(self, format: _Optional[_Union[Format, _Mapping]] = ..., audio: _Optional[bytes] = ..., interim: _Optional[bool] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("text", "start_ms", "end_ms", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_ms: int
    end_ms: int
    confidence: float
    def __init__(self, text: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class Transcript(_message.Message):
    __slots__ = ("text", "words", "confidence", "no_speech_probability", "language", "model", "queue_ms", "inference_ms")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    NO_SPEECH_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_MS_FIELD_NUMBER: _ClassVar[int]
    text: str
    words: _containers.RepeatedCompositeFieldContainer[Word]
    confidence: float
    no_speech_probability: float
    language: str
    model: str
    queue_ms: float
    inference_ms: float
    def __init__(self, text: _Optional[str] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., confidence: _Optional[float] = ..., no_speech_probability: _Optional[float] = ..., language: _Optional[str] = ..., model: _Optional[str] = ..., queue_ms: _Optional[float] = ..., inference_ms: _Optional[float] = ...) -> None: ...

class StreamingRequest(_message.Message):
    __slots__ = ("format", "audio", "end_of_segment", "interim_interval_ms")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    END_OF_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    INTERIM_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    format: Format
    audio: bytes
    end_of_segment: bool
    interim_interval_ms: int
    def __init__(self, format: _Optional[_Union[Format, _Mapping]] = ..., audio: _Optional[bytes] = ..., end_of_segment: _Optional[bool] = ..., interim_interval_ms: _Optional[int] = ...) -> None: ...

class StreamingResponse(_message.Message):
    __slots__ = ("segment", "final", "transcript")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    segment: int
    final: bool
    transcript: Transcript
    def __init__(self, segment: _Optional[int] = ..., final: _Optional[bool] = ..., transcript: _Optional[_Union[Transcript, _Mapping]] = ...) -> None: ...
