"""A circuit breaker: what has failed several times in a row is left alone, and tried again by one probe at a time.

The libraries there are (aiobreaker, pybreaker, purgatory) wrap a call and let the next caller be the probe, after a
pause that is always the same. Here one is chosen among several before the call, the probe is no clip that somebody
waits for, the pause grows, and an answer can be wrong without an exception; so this is the state alone.
"""

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Open at first, with a probe due at once: nothing is known yet. `clock` counts seconds.

    `threshold` failures in a row open it for `pause_s`, and each probe that fails doubles the pause, up to
    `longest_pause_s`. After a probe has closed it again one failure is enough, until a call succeeds.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        pause_s: float = 0.5,
        longest_pause_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "open"
        self._threshold = threshold
        self._first_pause_s = pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._failures = 0
        self._on_trial = False
        self._pause_s = pause_s
        self._probe_at = clock()

    @property
    def probe_in_s(self) -> float:
        """Seconds until `probe` may say yes; 0 when it does."""
        return max(0.0, self._probe_at - self._clock())

    def probe(self) -> bool:
        """Whether the caller is the one that may try now; it must report with `succeeded` or `failed`."""
        if self.state != "open" or self.probe_in_s > 0:
            return False
        self.state = "half-open"
        return True

    def succeeded(self) -> None:
        """Note a success; that of a call from before it opened changes nothing.

        A probe that succeeds closes it, and the first call after that makes the pause short again: who answers probes
        and fails on calls is left alone for longer and longer.
        """
        if self.state == "open":
            return
        if self.state == "closed":
            self._pause_s = self._first_pause_s
            self._on_trial = False
        self.state = "closed"
        self._failures = 0

    def failed(self) -> None:
        """Note a failure; that of a call from before it opened changes nothing."""
        if self.state == "half-open":
            self.trip()
        elif self.state == "closed":
            self._failures += 1
            if self._on_trial or self._failures >= self._threshold:
                self.trip()

    def trip(self) -> None:
        """Open at once, whatever came before."""
        if self.state == "open":
            return
        self.state = "open"
        self._on_trial = True
        self._failures = 0
        self._probe_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
