"""Business signals in what is said: plug-ins that read one utterance at a time, with no Kafka."""

from voicestream.insights.base import CallContext, Extractor, ExtractorFactory
from voicestream.insights.catalogue import Catalogue, Competitor, Product
from voicestream.insights.extract import extract_all, load_extractors

__all__ = [
    "CallContext",
    "Catalogue",
    "Competitor",
    "Extractor",
    "ExtractorFactory",
    "Product",
    "extract_all",
    "load_extractors",
]
