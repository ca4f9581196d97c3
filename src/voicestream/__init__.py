"""Kafka Streams for live voice: ``Stage`` and ``topics`` are what an agent needs.

The names are loaded when they are first used: the audio and the models work without Kafka, and start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicestream import topics
    from voicestream.stage import Stage
    from voicestream.streams.message import Keyed
    from voicestream.streams.policies import Batch, BatchError, ErrorPolicy, Retry
    from voicestream.streams.state import State, Store

__all__ = ["Batch", "BatchError", "ErrorPolicy", "Keyed", "Retry", "Stage", "State", "Store", "topics"]

_HOME = {
    "Batch": "voicestream.streams.policies",
    "BatchError": "voicestream.streams.policies",
    "ErrorPolicy": "voicestream.streams.policies",
    "Keyed": "voicestream.streams.message",
    "Retry": "voicestream.streams.policies",
    "Stage": "voicestream.stage",
    "State": "voicestream.streams.state",
    "Store": "voicestream.streams.state",
}


def __getattr__(name: str) -> Any:
    if name == "topics":
        return import_module("voicestream.topics")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
