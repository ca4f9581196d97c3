"""Sending what an agent made, under its policy for what the broker will not have.

A broker that is down is waited for by the producer. What is refused for its own sake (too large for the topic, no right
to write there, no such topic) would be refused for ever, so it must not stop the worker, unless the policy says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from voicestream.streams.errors import SendError
from voicestream.streams.message import Outgoing
from voicestream.streams.policies import Action, Retry, last
from voicestream.streams.runtime.failures import Failures

Send = Callable[[Iterable[Outgoing]], Awaitable[Sequence[int] | None]]
"""Sends, and gives the offsets, where they are known, when the broker has all of it."""


async def deliver(out: Sequence[Outgoing], send: Send, policy: Action | Retry, failures: Failures) -> None:
    """Send ``out``, and do as ``policy`` says with what the broker refuses; returns when nothing is under way.

    Raises the broker's error for ``fail`` and for a dead letter that is refused.
    """
    tried = 0
    while out:
        try:
            await send(out)
            return
        except SendError as error:
            refused = [(out[position], reason) for position, reason in sorted(error.failures.items())]
        if isinstance(policy, Retry) and policy.allows(tried):
            await asyncio.sleep(policy.delay_s(tried))
            tried += 1
            out = [message for message, _ in refused]
        else:
            letters: list[Outgoing] = []
            for message, reason in refused:
                failures.refused(last(policy), message, reason, letters)
            out = letters
