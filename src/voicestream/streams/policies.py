"""How a stage gathers records, and what it does when something fails."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["fail", "skip", "dead_letter"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Hand an agent up to ``max_size`` records at once, waiting at most ``within_ms`` for the first one's company."""

    max_size: int
    within_ms: int = 0


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What to do when a message cannot be decoded, processed, or its result not produced.

    ``fail`` stops the worker, ``skip`` logs and goes on, ``dead_letter`` sends the message with its provenance to the
    dead-letter topic and goes on. Processing is tried ``retries`` times more before, after ``backoff_ms``, doubled
    each time.
    """

    decode: Action = "dead_letter"
    process: Action = "dead_letter"
    produce: Action = "dead_letter"
    retries: int = 0
    backoff_ms: int = 200


class BatchError(Exception):
    """Raised by a batch agent when some records of a batch failed: their positions, each with its error."""

    def __init__(self, failures: dict[int, Exception], results: list[object] | None = None) -> None:
        super().__init__(f"{len(failures)} records of the batch failed")
        self.failures = failures
        self.results = results or []
