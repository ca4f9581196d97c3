"""What is to be done about a call while it goes on: rules in a file that anyone can read, with no Kafka."""

from voicestream.routing.evaluate import evaluate
from voicestream.routing.rules import Rule, load_rules
from voicestream.routing.state import RoutingRecord, RoutingState

__all__ = ["RoutingRecord", "RoutingState", "Rule", "evaluate", "load_rules"]
