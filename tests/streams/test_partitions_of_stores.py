"""A worker owns of each store the partitions of the topics that change it, whatever it has of other topics."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest
from faust.types import TP

from voicestream import Stage, State, Topic
from voicestream.records import Insight, Transcript
from voicestream.streams.runtime import keeper
from voicestream.streams.state.store import Store

WIDE: Topic[Transcript] = Topic("wide", Transcript, partitions=4, external=True)
NARROW: Topic[Insight] = Topic("narrow", Insight, partitions=2, external=True)


class Count(msgspec.Struct):
    n: int = 0


async def test_topics_with_different_numbers_of_partitions_in_one_worker(monkeypatch: pytest.MonkeyPatch):
    stage = Stage("both")
    of_wide, of_narrow = stage.store("of-wide", Count), stage.store("of-narrow", Count)

    @stage.agent(WIDE, state=of_wide)
    async def one(said: Transcript, state: State[Count]) -> None: ...

    @stage.agent(NARROW, state=of_narrow)
    async def other(insight: Insight, state: State[Count]) -> None: ...

    owned: dict[str, list[int]] = {}
    standby: dict[str, list[int]] = {}

    async def recover(
        stores: Mapping[Store[Any], Collection[int]], options: Any, warm: Mapping[Store[Any], Collection[int]]
    ) -> None:
        owned.update({store.name: sorted(partitions) for store, partitions in stores.items()})
        standby.update({store.name: sorted(partitions) for store, partitions in warm.items()})

    monkeypatch.setattr(keeper, "recover", recover)
    worker = stage.app().stages  # type: ignore[attr-defined]
    worker._keeper._config = keeper.StateConfig(standby=True)
    monkeypatch.setattr(worker._group, "partitions", lambda topics: 4 if "wide" in topics else 2)
    worker.assigned = set()
    worker.assign({TP("wide", 2), TP("wide", 3), TP("narrow", 0)})
    await asyncio.sleep(0.05)
    worker._recovery.cancel()
    assert owned == {"both-of-wide": [2, 3], "both-of-narrow": [0]}
    assert standby == {"both-of-wide": [0, 1], "both-of-narrow": [1]}
