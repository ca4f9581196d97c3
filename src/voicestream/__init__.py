"""Kafka Streams for live voice: ``Stage`` and ``topics`` are what an agent needs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicestream import topics
    from voicestream.stage import Stage
    from voicestream.streams.message import Keyed
    from voicestream.streams.policies import Batch, BatchError, ErrorPolicy
    from voicestream.streams.state import State, Store

__all__ = ["Batch", "BatchError", "ErrorPolicy", "Keyed", "Stage", "State", "Store", "topics"]

# Imported when first used: the command line, the gateway and the clients do without Faust.
_HOME = {
    "Batch": "streams.policies",
    "BatchError": "streams.policies",
    "ErrorPolicy": "streams.policies",
    "Keyed": "streams.message",
    "Stage": "stage",
    "State": "streams.state",
    "Store": "streams.state",
}


def __getattr__(name: str) -> Any:
    if name == "topics":
        return import_module("voicestream.topics")
    if name not in _HOME:
        raise AttributeError(f"module 'voicestream' has no attribute {name!r}")
    return getattr(import_module(f"voicestream.{_HOME[name]}"), name)
