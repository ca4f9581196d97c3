"""Work of several threads in batches: what waits at the same time is done together."""

import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

LARGEST: Final = 8
"""The clips of a batch on a processor: larger ones gain little, and the first clip waits for the last."""
LARGEST_GPU: Final = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers_for(capacity: int, threads: int) -> int:
    """The workers, of `threads` threads each, that the processors of this process have room for; at most `capacity`."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(capacity, processors // threads))


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    alike: Hashable
    future: Future[Result]


class Batches(Generic[Item, Result]):
    """Hands items to workers, each worker one batch at a time.

    A worker that is free takes at once what waits: the oldest item and those like it, as many as are its share among
    the free workers and at most `largest`. So nothing ever waits for a batch to fill. `workers` are functions from a
    batch to its results in order, each of them called by one thread alone; `alike` says which items may share a batch.
    """

    def __init__(
        self,
        workers: Sequence[Callable[[list[Item]], Sequence[Result]]],
        *,
        largest: int,
        alike: Callable[[Item], Hashable],
        name: str,
    ) -> None:
        self._largest = largest
        self._alike = alike
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._free = 0
        self._closed = False
        self._changed = threading.Condition()
        # Daemons: who forgets to close must be able to exit.
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=f"{name}-{i}", daemon=True)
            for i, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, items: Sequence[Item]) -> list[Future[Result]]:
        """A future for each item, which raises what a worker raises on this item; the others of the batch do not."""
        waiting: list[_Waiting[Item, Result]] = [_Waiting(item, self._alike(item), Future()) for item in items]
        with self._changed:
            if self._closed:
                raise RuntimeError("closed: nothing can be submitted any more")
            self._waiting += waiting
            self._changed.notify(len(waiting))
        return [one.future for one in waiting]

    def close(self) -> None:
        """Do what still waits, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, worker: Callable[[list[Item]], Sequence[Result]]) -> None:
        while batch := self._next():
            try:
                results = worker([one.item for one in batch])
            except Exception as error:
                self._serve_singly(worker, batch, error)
            else:
                for one, result in zip(batch, results, strict=True):
                    one.future.set_result(result)

    def _serve_singly(
        self, worker: Callable[[list[Item]], Sequence[Result]], batch: list[_Waiting[Item, Result]], error: Exception
    ) -> None:
        """A batch failed: for one of its items, or for all of them together, as when memory is short."""
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for one in batch:
            try:
                [result] = worker([one.item])
            except Exception as own:
                one.future.set_exception(own)
            else:
                one.future.set_result(result)

    def _next(self) -> list[_Waiting[Item, Result]]:
        """The next batch; empty when there will be none."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = min(math.ceil(len(self._waiting) / self._free), self._largest)
            self._free -= 1
            batch: list[_Waiting[Item, Result]] = []
            others: list[_Waiting[Item, Result]] = []
            for one in self._waiting:
                fits = len(batch) < share and one.alike == (batch or [one])[0].alike
                (batch if fits else others).append(one)
            self._waiting = deque(others)
            return batch
