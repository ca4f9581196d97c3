"""What is under way with the partitions that this worker has."""

import asyncio
from collections.abc import Awaitable


class Work:
    """Calls off what is under way when the partitions are taken away: it must not go on with what others have by then.

    What is called off is as if the worker had been killed there. Whoever gets the partitions does it anew.
    """

    def __init__(self) -> None:
        self.round = 0
        """Goes up when work is called off."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def do(self, work: Awaitable[None]) -> None:
        """Await ``work``; returns as well when it is called off."""
        task = asyncio.current_task()
        assert task is not None
        begun, cancelled = self.round, task.cancelling()
        self._tasks.add(task)
        self._idle.clear()
        try:
            await work
        except asyncio.CancelledError:
            if begun == self.round or task.uncancel() > cancelled:
                raise  # the task itself is to end
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()

    def call_off(self) -> None:
        """Let all that is under way end where it is; ``idle`` waits for it."""
        self.round += 1
        for task in self._tasks:
            task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        await self._idle.wait()
