"""Aggregators: what a window keeps of its records, and what it gives."""

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.aggregators.general import Collect, Count, Fold, Reduce

__all__ = ["Aggregator", "Collect", "Count", "Fold", "Reduce"]
