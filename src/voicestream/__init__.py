"""Kafka Streams for live voice: ``Stage`` and ``topics`` are what an agent needs.

The names are loaded when they are first used: the audio and the models work without Kafka, and start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicestream import topics
    from voicestream.stage import Stage
    from voicestream.streams.message import Keyed
    from voicestream.streams.operators.keyed import Every
    from voicestream.streams.policies import Batch, BatchError, ErrorPolicy, Retry
    from voicestream.streams.record import Record
    from voicestream.streams.state.store import State, Store
    from voicestream.streams.stream import Stream
    from voicestream.streams.table import GlobalTable, Table
    from voicestream.streams.topic import Topic
    from voicestream.streams.windows import Windowed, hopping, session, sliding, tumbling

__all__ = [
    "Batch",
    "BatchError",
    "ErrorPolicy",
    "Every",
    "GlobalTable",
    "Keyed",
    "Record",
    "Retry",
    "Stage",
    "State",
    "Store",
    "Stream",
    "Table",
    "Topic",
    "Windowed",
    "hopping",
    "session",
    "sliding",
    "topics",
    "tumbling",
]

_HOME = {
    "Batch": "voicestream.streams.policies",
    "BatchError": "voicestream.streams.policies",
    "ErrorPolicy": "voicestream.streams.policies",
    "Every": "voicestream.streams.operators.keyed",
    "GlobalTable": "voicestream.streams.table",
    "Keyed": "voicestream.streams.message",
    "Record": "voicestream.streams.record",
    "Retry": "voicestream.streams.policies",
    "Stage": "voicestream.stage",
    "State": "voicestream.streams.state.store",
    "Store": "voicestream.streams.state.store",
    "Stream": "voicestream.streams.stream",
    "Table": "voicestream.streams.table",
    "Topic": "voicestream.streams.topic",
    "Windowed": "voicestream.streams.windows",
    "hopping": "voicestream.streams.windows",
    "session": "voicestream.streams.windows",
    "sliding": "voicestream.streams.windows",
    "tumbling": "voicestream.streams.windows",
}


def __getattr__(name: str) -> Any:
    if name == "topics":
        return import_module("voicestream.topics")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
