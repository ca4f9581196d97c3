"""How a stage gathers records, and what it does when something fails."""

from dataclasses import dataclass
from typing import Literal

from voicestream.streams.errors import DecodeError, EncodeError, RegistryError, StreamsError

Action = Literal["fail", "skip", "dead_letter"]
Step = Literal["decode", "process", "produce"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Hand an agent up to ``max_size`` records at once, waiting at most ``within_ms`` for the first one's company."""

    max_size: int
    within_ms: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again up to ``times`` times, after ``backoff_ms``, doubled each time up to ``longest_ms``; then do ``then``.

    The messages behind it wait meanwhile, so keep the sum of the waits below what a rebalance waits for (5 s).
    ``times=None`` tries for ever, for what everything has to wait for; a rebalance or a stop calls it off after these
    5 s. Of the errors of your function only those of the types ``only`` are tried again.
    """

    times: int | None
    backoff_ms: int = 200
    then: Action = "dead_letter"
    longest_ms: int = 30_000
    only: tuple[type[Exception], ...] = (Exception,)

    def delay_s(self, tried: int) -> float:
        """Seconds to wait after the try number ``tried``, counted from 0."""
        return float(min(self.backoff_ms * 2 ** min(tried, 30), self.longest_ms)) / 1000

    def allows(self, tried: int) -> bool:
        """Whether there may be another try after the one with this number, counted from 0."""
        return self.times is None or tried < self.times


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What to do when a message cannot be decoded, processed, or its result not produced.

    ``fail`` stops the worker, ``skip`` logs and goes on, ``dead_letter`` sends the message with its provenance to the
    dead-letter topic and goes on; a ``Retry`` tries the step again before it does one of them.
    """

    decode: Action | Retry = "dead_letter"
    process: Action | Retry = "dead_letter"
    produce: Action | Retry = "dead_letter"


def last(policy: Action | Retry) -> Action:
    """What is done once there are no more tries."""
    return policy.then if isinstance(policy, Retry) else policy


def final(policy: Action | Retry, error: Exception) -> Action:
    """What is done about ``error`` of decoding or producing, once there are no more tries.

    A registry that is away or refuses our schema says nothing of a record: the worker stops, unless the policy says
    what to do when trying again was of no use.
    """
    if isinstance(error, RegistryError):
        return policy.then if isinstance(policy, Retry) else "fail"
    if isinstance(error, StreamsError) and not isinstance(error, DecodeError | EncodeError):
        return "fail"
    return last(policy)


class BatchError(Exception):
    """Raised by a batch agent when some records of a batch failed: their positions, each with its error."""

    def __init__(self, failures: dict[int, Exception], results: list[object] | None = None) -> None:
        super().__init__(f"{len(failures)} records of the batch failed")
        self.failures = failures
        self.results = results or []
