"""Joins two tables: the result is a table that follows both (Kafka Streams' KTable-KTable join)."""

from enum import Enum
from typing import Generic

import msgspec

from voicestream.streams.joins.rows import How, L, R


class Sides(msgspec.Struct, Generic[L, R], frozen=True):
    """What the two tables hold for one key; ``None``: nothing. Give a store's type as ``Sides[Left, Right]``."""

    left: L | None = None
    right: R | None = None

    @property
    def empty(self) -> bool:
        """Whether neither table holds the key, so that the entry can go."""
        return self.left is None and self.right is None


class Outcome(Enum):
    """What a change of one side does to the joined table."""

    NOTHING = "nothing"
    RESULT = "result"  # the joiner is called with the new sides
    TOMBSTONE = "tombstone"  # the key had a result and has none now


def change(how: How, old: Sides[L, R], new: Sides[L, R]) -> Outcome:
    """What to send on when a key's sides go from ``old`` to ``new``; nothing where they stay as they were."""
    if old == new:
        return Outcome.NOTHING
    if _has_result(how, new):
        return Outcome.RESULT
    return Outcome.TOMBSTONE if _has_result(how, old) else Outcome.NOTHING


def _has_result(how: How, sides: Sides[L, R]) -> bool:
    if how == "inner":
        return sides.left is not None and sides.right is not None
    if how == "left":
        return sides.left is not None
    return not sides.empty
