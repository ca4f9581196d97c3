"""Joins what several inputs say of the same rows, each row once every input has said all that it will of it.

For inputs that keep an order: each speaks of the rows of a lane one after the other, so that once it has spoken of a
row it says nothing new of an earlier one. That is a punctuated watermark (Tucker et al., "Exploiting punctuation
semantics in continuous data streams", 2003): no clock decides, and no window has to be guessed. One that was killed
says again what it had not committed; what is out by then is passed over.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

P = TypeVar("P")


class Lane(msgspec.Struct, Generic[P]):
    """The rows of one order that wait, by number; how far each input has got; the number of the last row given out."""

    rows: dict[int, P] = {}
    reached: dict[str, int] = {}
    out: int = -1


class Waiting(msgspec.Struct, Generic[P]):
    """What waits under one message key, and the inputs that have ended. Give a store's type as ``Waiting[Parts]``."""

    lanes: dict[str, Lane[P]] = {}
    ended: list[str] = []


class CompleteJoin:
    """Collects the parts of rows that ``inputs`` send, and gives each row out once, in order of its lane.

    All calls change ``waiting``. Numbers are 0 or more and may have gaps. Raises ``ValueError`` for an input that is
    not among ``inputs``.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)

    def parts(self, waiting: Waiting[P], lane: str, number: int, new: Callable[[], P]) -> P | None:
        """The parts of a row, to be added to, made by ``new`` at its first; ``None``: the row is out already."""
        order = waiting.lanes.get(lane)
        if order is None:
            order = waiting.lanes[lane] = Lane()
        if number <= order.out:
            return None
        if number not in order.rows:
            order.rows[number] = new()
        return order.rows[number]

    def reach(self, waiting: Waiting[P], input: str, lane: str, number: int) -> None:
        """Note that ``input`` says nothing more of the rows of ``lane`` up to ``number``."""
        self._check(input)
        order = waiting.lanes.setdefault(lane, Lane())
        order.reached[input] = max(number, order.reached.get(input, -1))

    def end(self, waiting: Waiting[P], input: str) -> None:
        """Note that ``input`` says nothing more of any row."""
        self._check(input)
        if input not in waiting.ended:
            waiting.ended.append(input)

    def complete(self, waiting: Waiting[P]) -> list[P]:
        """Take out the rows that every input has passed, in order of their numbers."""
        still = [input for input in self.inputs if input not in waiting.ended]
        if not still:
            return self.give_up(waiting)
        return _take(waiting, lambda lane: min(lane.reached.get(input, -1) for input in still))

    def give_up(self, waiting: Waiting[P]) -> list[P]:
        """Take out all rows that wait, in order of their numbers, whatever the inputs have yet to say of them."""
        return _take(waiting, lambda lane: max(lane.rows))

    def _check(self, input: str) -> None:
        if input not in self.inputs:
            raise ValueError(f"there is no input {input!r} in this join: it has {', '.join(self.inputs)}")


def _take(waiting: Waiting[P], passed: Callable[[Lane[P]], int]) -> list[P]:
    taken: list[tuple[int, P]] = []
    for lane in waiting.lanes.values():
        if not lane.rows:
            continue
        last = passed(lane)
        numbers = sorted(number for number in lane.rows if number <= last)
        if numbers:
            taken.extend((number, lane.rows.pop(number)) for number in numbers)
            lane.out = numbers[-1]
    taken.sort(key=lambda row: row[0])
    return [parts for _, parts in taken]
