"""What all sinks do alike: wait while the server is away, and hand back what it can never hold."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from voicestream.streams.policies import BatchError
from voicestream.streams.record import Record

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that the server can't hold, for the dead-letter topic."""

    record: Record
    error: Exception


async def until_there(
    attempt: Callable[[], Awaitable[None]], away: type[Exception], waiting: str, give_up_after_s: float | None
) -> None:
    """Call ``attempt`` again, up to 30 s apart, as long as it raises ``away``; ``waiting`` is what the log says then.

    Raises:
        Exception: ``away``, when it has lasted for ``give_up_after_s`` seconds (None: for ever).
    """
    started = time.monotonic()
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            await attempt()
            return
        except away as error:
            away_s = time.monotonic() - started
            if give_up_after_s is not None and away_s + wait_s > give_up_after_s:
                raise
            log.warning("%s: %s", waiting, error)
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # many workers shall not come back at once
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def raise_rejected(rejected: Sequence[Rejected], batch: Sequence[Record]) -> None:
    """Raise the ``BatchError`` that makes dead letters of the rejected records of a batch, if there are any."""
    if rejected:
        positions = {id(record): position for position, record in enumerate(batch)}
        raise BatchError({positions[id(failed.record)]: failed.error for failed in rejected})
