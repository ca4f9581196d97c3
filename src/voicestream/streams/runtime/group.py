"""Who has which partitions: what Faust's assignor lets every member of a consumer group know of the others."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import faust
from yarl import URL


class Group:
    """The consumer group of ``app``, once partitions are assigned.

    Members are told apart by their addresses, so each needs its own, even one that does not answer there.
    """

    def __init__(self, app: faust.App) -> None:
        self._app = app

    def introduce(self, address: str | None) -> None:
        """Give this member an address; ``None``: one where nobody answers. To be called before it joins."""
        self._app.conf.canonical_url = URL(address or f"none://{socket.gethostname()}/{uuid4()}")

    def members(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """The partitions of the topics that each member has, by its address; members with none are left out."""
        wanted = list(topics)
        assignor: Any = self._app.assignor  # whose declared type lacks the method
        distribution: Mapping[str, Mapping[str, Sequence[int]]] = assignor.external_topics_metadata()
        found = {
            address: sorted({number for topic in wanted for number in assigned.get(topic, ())})
            for address, assigned in distribution.items()
        }
        return {address: partitions for address, partitions in found.items() if partitions}

    def partitions(self, topics: Iterable[str]) -> int:
        """How many partitions the topics have; the most, where they differ."""
        return max((partitions[-1] + 1 for partitions in self.members(topics).values()), default=0)
