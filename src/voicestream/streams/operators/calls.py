"""Operators that wait for something: an async function a value, a batch of values."""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from voicestream.streams.operators.node import Item, Node, Run

Order = Literal["key", "none"]


class MapAsync(Node):
    """``map_async``: one awaited value of one, several at once.

    In a worker the runs of several messages are under way at once, ``concurrency`` of them; what is gathered here are
    the values of one run.
    """

    label = "map_async"

    def __init__(self, function: Callable[[Any], Awaitable[Any]], concurrency: int, order: Order) -> None:
        super().__init__()
        self._function = function
        self.concurrency = concurrency
        self.order = order

    async def process(self, items: list[Item], run: Run) -> None:
        if len(items) == 1:
            made = [await self._call(items[0], run)]
        else:
            at_once = asyncio.Semaphore(self.concurrency)
            lanes: dict[object, list[int]] = defaultdict(list)
            for number, item in enumerate(items):
                lanes[item.key if self.order == "key" else number].append(number)
            found: dict[int, Item | None] = {}

            async def lane(numbers: list[int]) -> None:
                for number in numbers:
                    async with at_once:
                        found[number] = await self._call(items[number], run)

            await asyncio.gather(*(lane(numbers) for numbers in lanes.values()))
            made = [found[number] for number in range(len(items))]
        await self.emit([item for item in made if item is not None], run)

    async def _call(self, item: Item, run: Run) -> Item | None:
        try:
            return item._replace(value=await self._function(item.value))
        except Exception as error:
            run.fail(self, item, error)
            return None


class Batched(Node):
    """``batch``: lists of up to so many values, of any keys, that came within so long."""

    def __init__(self, max_size: int, within_ms: int) -> None:
        super().__init__()
        self.max_size = max_size
        self.within_ms = within_ms
        self.label = f"batch of {max_size} within {within_ms} ms"

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        together = [item for item in items if item.source not in run.single]
        alone = [item for item in items if item.source in run.single]
        lists = [together[n : n + self.max_size] for n in range(0, len(together), self.max_size)]
        return [_gathered(members, run) for members in (*lists, *([item] for item in alone))]


def _gathered(members: list[Item], run: Run) -> Item:
    if any(item.source < 0 for item in members):  # results of windows: no message is to blame
        source = members[-1].source
    else:
        source = run.group(sorted({source for item in members for source in run.sources(item.source)}))
    return Item(
        members[0].key,
        [item.value for item in members],
        max(item.time_ms for item in members),
        max(item.watermark_ms for item in members),
        members[0].partition,
        source,
    )


class ForEach(Node):
    """``foreach``: the end of a stream in a function, such as a write to a database."""

    label = "foreach"

    def __init__(self, function: Callable[[Any], object]) -> None:
        super().__init__()
        self._function = function
        self._waits = inspect.iscoroutinefunction(function)

    async def process(self, items: list[Item], run: Run) -> None:
        for item in items:
            try:
                result = self._function(item.value)
                if self._waits:
                    await result  # type: ignore[misc]
            except Exception as error:
                run.fail(self, item, error)
