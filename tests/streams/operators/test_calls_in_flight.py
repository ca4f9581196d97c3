"""``map_async`` in a worker: several messages under way, and what may be committed meanwhile."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.streams.shop import CODEC, Click, click, clicks, letters, views
from voicestream.streams.message import Message, TopicPartition
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.runner import AgentRunner
from voicestream.streams.stage import Stage

HERE = TopicPartition(clicks.name, 0)


class Bench:
    """A runner whose calls end when the test says so."""

    def __init__(self, order: str, concurrency: int) -> None:
        self.under_way: dict[int, asyncio.Event] = {}
        self.sent: list[int] = []
        stage = Stage("s")
        stage.stream(clicks).map_async(self._call, concurrency=concurrency, order=order).to(views)
        [agent] = stage.agents
        self.runner = AgentRunner(agent, Environment(CODEC, letters), self._send)
        self._offset = 0

    def deliver(self, *given: Click) -> None:
        messages = []
        for c in given:
            messages.append(Message(*HERE, self._offset, 0, c.user.encode(), CODEC.encode(clicks, c)))
            self._offset += 1
        self.runner.deliver(HERE, messages)

    async def finish(self, value: int) -> None:
        self.under_way.pop(value).set()
        await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self):
        loops = [asyncio.create_task(self.runner.loop()) for _ in range(self.runner.agent.concurrency)]
        self.runner.resume([HERE])
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _call(self, c: Click) -> Click:
        self.under_way[c.value] = asyncio.Event()
        await self.under_way[c.value].wait()
        return c

    async def _send(self, messages) -> None:
        self.sent += [CODEC.decode(views, message.value).value for message in messages]


async def test_offsets_are_committed_up_to_the_oldest_call_that_is_not_done():
    bench = Bench("key", 3)
    async with bench.running():
        bench.deliver(click(0, 0, "a"), click(0, 1, "b"), click(0, 2, "c"), click(0, 3, "d"))
        await asyncio.sleep(0.01)
        assert set(bench.under_way) == {0, 1, 2}
        await bench.finish(1)
        assert set(bench.under_way) == {0, 2, 3}
        assert (bench.sent, bench.runner.committable(HERE)) == ([1], 0)
        await bench.finish(0)
        assert (bench.sent, bench.runner.committable(HERE)) == ([1, 0], 2)
        await bench.finish(3)
        await bench.finish(2)
        assert (bench.sent, bench.runner.committable(HERE)) == ([1, 0, 3, 2], 4)


@pytest.mark.parametrize(("order", "at_once"), [("key", {0, 2}), ("none", {0, 1, 2})])
async def test_the_order_of_a_key_is_kept_if_it_is_wanted(order, at_once):
    bench = Bench(order, 4)
    async with bench.running():
        bench.deliver(click(0, 0, "a"), click(0, 1, "a"), click(0, 2, "b"))
        await asyncio.sleep(0.01)
        assert set(bench.under_way) == at_once
