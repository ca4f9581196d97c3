"""When a frame is due."""

import asyncio
import time

from voicestream.client.call import FRAME_MS


class Pace:
    """The clock of a call: deadlines are absolute, so a late frame delays no other.

    ``speed`` 2 plays twice as fast as people spoke.
    """

    def __init__(self, speed: float) -> None:
        self._frame_s = FRAME_MS / 1000 / speed
        self._start: float | None = None
        self.late_ms = 0.0

    async def wait(self, frame: int) -> None:
        """Return when ``frame`` is due, at once if that is past; the first one asked for is due now."""
        if self._start is None:
            self._start = time.monotonic() - frame * self._frame_s
        early = self._start + frame * self._frame_s - time.monotonic()
        if early > 0:
            await asyncio.sleep(early)
        else:
            self.late_ms = max(self.late_ms, -early * 1000)
            if frame % 50 == 0:  # a call that catches up must not keep the others waiting
                await asyncio.sleep(0)
