"""Aggregators: what a window keeps of its records, and what it gives."""

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.aggregators.distinct import Distinct
from voicestream.streams.aggregators.general import Collect, Count, Fold, Reduce
from voicestream.streams.aggregators.numbers import Max, Mean, Min, Sum
from voicestream.streams.aggregators.percentile import Percentile
from voicestream.streams.aggregators.several import Several
from voicestream.streams.aggregators.topk import TopK

__all__ = [
    "Aggregator",
    "Collect",
    "Count",
    "Distinct",
    "Fold",
    "Max",
    "Mean",
    "Min",
    "Percentile",
    "Reduce",
    "Several",
    "Sum",
    "TopK",
]
