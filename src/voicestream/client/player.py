"""Plays calls to a gateway in real time."""

import asyncio
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from voicestream.client import twilio
from voicestream.client.call import Call, Played, Protocol
from voicestream.client.connection import Refused, dial
from voicestream.client.pace import Pace
from voicestream.client.raw import RawStream
from voicestream.errors import CallError

log = logging.getLogger(__name__)

RESUME_FOR_S = 10.0
RESUME_AGAIN_S = 0.3
TRY_LATER = ("overloaded", "draining")


async def play_all(
    calls: Sequence[Call], url: str, *, protocol: Protocol = "twilio", speed: float = 1.0, api_key: str | None = None
) -> list[Played]:
    """Play ``calls`` at once; the first one that fails stops them all. See ``play``."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(play(call, url, protocol=protocol, speed=speed, api_key=api_key)) for call in calls
            ]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]


async def play(
    call: Call, url: str, *, protocol: Protocol = "twilio", speed: float = 1.0, api_key: str | None = None
) -> Played:
    """Play one call to the gateway at ``url`` (``ws://host:port`` or ``http://host:port``), ``speed`` times real time.

    Over our own protocol a lost connection is taken up again, for 10 s; Twilio has no such thing. Raises ``CallError``
    when there is no gateway, when it refuses, or when the connection is lost for good.
    """
    played = Played(call_id=call.call_id, protocol=protocol)
    base, pace = _websocket(url), Pace(speed)
    started = time.monotonic()
    try:
        if protocol == "twilio":
            async with dial(f"{base}/v1/twilio") as connection:
                await twilio.stream(connection, call, pace, played, api_key)
        else:
            await _play_raw(f"{base}/v1/calls/{call.call_id}", RawStream(call, pace, played), played, api_key)
    except (CallError, ConnectionClosed, InvalidHandshake, OSError) as error:
        raise CallError(f"Call {call.call_id} to {url}: {_reason(error)}") from error
    played.took_s, played.late_ms = time.monotonic() - started, pace.late_ms
    return played


async def _play_raw(url: str, stream: RawStream, played: Played, api_key: str | None) -> None:
    while True:
        try:
            async with dial(url, api_key) as connection:
                played.reconnects += stream.welcomed
                return await stream.stream(connection)
        except (ConnectionClosed, InvalidHandshake, OSError, Refused) as error:
            may_resume = stream.welcomed and (not isinstance(error, Refused) or error.code in TRY_LATER)
            if not may_resume or time.monotonic() - stream.heard_at > RESUME_FOR_S:
                raise
            log.info("call %s: connection lost (%s), going on", played.call_id, _reason(error))
            await asyncio.sleep(RESUME_AGAIN_S)


def _websocket(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise CallError(f"{url!r} is no address of a gateway: ws://host:port or http://host:port is needed")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionClosed):
        return f"the connection was lost ({error})"
    if isinstance(error, InvalidHandshake):
        return f"what answers there is no gateway of voicestream ({error})"
    if isinstance(error, OSError):
        return f"no gateway answers there ({error}): is it running?"
    return str(error)
