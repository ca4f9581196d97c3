"""Trying again: a call of an agent that raised, and what a schema registry that is away holds up."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from voicestream.streams.errors import RegistryError
from voicestream.streams.message import Outgoing
from voicestream.streams.middleware.base import Call, Proceed
from voicestream.streams.policies import Action, Retry

T = TypeVar("T")


class Retries:
    """Makes a call again when the agent raises. It belongs innermost: the others then see one call, however often."""

    def __init__(self, policy: Retry) -> None:
        self._policy = policy

    async def __call__(self, call: Call, proceed: Proceed) -> list[Outgoing]:
        tried = 0
        while True:
            try:
                return await proceed()
            except self._policy.only:
                if call.step != "process" or not self._policy.allows(tried):
                    raise
            await asyncio.sleep(self._policy.delay_s(tried))
            tried += 1


async def while_away(policy: Action | Retry, attempt: Callable[[], T]) -> T:
    """What ``attempt`` returns; it is made again, as ``policy`` says, while the schema registry cannot be asked.

    Other errors of encoding and decoding are not tried again: the same bytes give the same answer. Raises
    ``RegistryError`` when there are no more tries.
    """
    tried = 0
    while True:
        try:
            return attempt()
        except RegistryError:
            if not isinstance(policy, Retry) or not policy.allows(tried):
                raise
        await asyncio.sleep(policy.delay_s(tried))
        tried += 1
