"""A connection to the gateway: it sends in one task and listens in another, which says how it ended."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from voicestream.errors import CallError

END_TIMEOUT_S = 30.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Refused(CallError):
    """The gateway said why it does not go on; ``code`` is one of ``docs/protocol.md``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the gateway refuses ({code}): {message}")
        self.code = code


def dial(url: str, api_key: str | None = None) -> connect:
    """Connect to ``url`` (``ws://…``); no proxy for this machine, no compression of what cannot be compressed."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    proxy: Literal[True] | None = None if urlsplit(url).hostname in LOOPBACK else True
    return connect(url, additional_headers=headers, compression=None, proxy=proxy)


def parse(data: str | bytes) -> dict[str, Any]:
    """The message in ``data``; raises ``Refused`` when it is an error."""
    message: dict[str, Any] = json.loads(data)
    if message["type"] == "error":
        raise Refused(message["code"], message["message"])
    return message


async def converse(
    connection: ClientConnection,
    send: Callable[[], Awaitable[None]],
    hear: Callable[[dict[str, Any]], None],
) -> None:
    """Run ``send`` to its end and give every message to ``hear``, until the gateway closes.

    Raises ``Refused``, ``ConnectionClosed`` when the connection broke, and ``CallError`` when the gateway closed before
    all was sent or keeps the connection open for long after it.
    """

    async def send_all() -> None:
        await send()
        limit.reschedule(asyncio.get_running_loop().time() + END_TIMEOUT_S)

    limit = asyncio.timeout(None)
    sender = asyncio.create_task(send_all())
    try:
        async with limit:
            async for data in connection:
                hear(parse(data))
    except TimeoutError:
        raise CallError(f"the gateway has not closed the call {END_TIMEOUT_S:g} s after its end") from None
    finally:
        sender.cancel()
        (failure,) = await asyncio.gather(sender, return_exceptions=True)
    if failure is not None:
        raise CallError("the gateway closed the connection in the middle of the call") from failure
