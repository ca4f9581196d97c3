"""Plays a call as Twilio Media Streams would send it."""

import base64
import json

from websockets.asyncio.client import ClientConnection

from voicestream.client.call import FRAME_MS, TELEPHONE, Call, Played
from voicestream.client.connection import converse
from voicestream.client.pace import Pace
from voicestream.records import Track

ACCOUNT = "ACvoicestream"
TRACKS: dict[Track, str] = {"customer": "inbound", "agent": "outbound", "mono": "inbound"}


async def stream(connection: ClientConnection, call: Call, pace: Pace, played: Played, api_key: str | None) -> None:
    """Send the whole call: connected, start, media, stop. Raises as ``converse``."""
    stream_sid = f"MZ{call.call_id}"
    sequence = 0

    async def send(event: str, **fields: object) -> None:
        nonlocal sequence
        sequence += 1
        message = {"event": event, "sequenceNumber": str(sequence), "streamSid": stream_sid, **fields}
        await connection.send(json.dumps(message))

    async def send_all() -> None:
        await connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await send("start", start=_start(call, stream_sid, api_key))
        for number in range(call.length):
            await pace.wait(number)
            for track, frames in call.frames.items():
                await send("media", media=_media(track, number, frames[number]))
                played.frames += 1
        await send("stop", stop={"accountSid": ACCOUNT, "callSid": call.call_id})

    await converse(connection, send_all, lambda _: None)


def _media(track: Track, number: int, frame: bytes) -> dict[str, str]:
    return {
        "track": TRACKS[track],
        "chunk": str(number + 1),
        "timestamp": str(number * FRAME_MS),
        "payload": base64.b64encode(frame).decode(),
    }


def _start(call: Call, stream_sid: str, api_key: str | None) -> dict[str, object]:
    known = {"queue": call.queue, "agent": call.agent, "customer": call.customer, "api_key": api_key}
    given = {name: value for name, value in known.items() if value is not None}
    return {
        "accountSid": ACCOUNT,
        "streamSid": stream_sid,
        "callSid": call.call_id,
        "tracks": [TRACKS[track] for track in call.frames],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": TELEPHONE.sample_rate, "channels": 1},
        "customParameters": {**call.metadata, **given},
    }
