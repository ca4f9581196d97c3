"""Kafka Streams for live voice: ``Stage`` and ``topics`` are what an agent needs."""

from voicestream import topics
from voicestream.stage import Stage
from voicestream.streams.message import Keyed
from voicestream.streams.policies import Batch, BatchError, ErrorPolicy
from voicestream.streams.state import State, Store

__all__ = ["Batch", "BatchError", "ErrorPolicy", "Keyed", "Stage", "State", "Store", "topics"]
