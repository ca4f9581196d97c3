"""Plays a call over our own protocol (``docs/protocol.md``): what is not acknowledged is sent again."""

import json
import struct
import time
from typing import Any

from websockets.asyncio.client import ClientConnection

from voicestream.client.call import TELEPHONE, Call, Played
from voicestream.client.connection import converse, parse
from voicestream.client.pace import Pace
from voicestream.errors import CallError
from voicestream.records import Track

HEADER = struct.Struct(">BBHI")
VERSION = 1


class RawStream:
    """One call and how far it has come; after a lost connection ``stream`` goes on with another."""

    def __init__(self, call: Call, pace: Pace, played: Played) -> None:
        self.welcomed = False
        self.heard_at = 0.0
        self._call = call
        self._tracks: list[Track] = list(call.frames)
        self._pace = pace
        self._played = played
        self._sent_at: dict[tuple[Track, int], float] = {}
        self._acknowledged: dict[Track, int] = dict.fromkeys(self._tracks, -1)
        self._ended = False

    async def stream(self, connection: ClientConnection) -> None:
        """Say hello (or go on), send what the gateway has not, and end the call. Raises as ``converse``."""
        await connection.send(json.dumps(self._hello()))
        welcome = parse(await connection.recv())
        if welcome["type"] != "welcome":
            raise CallError(f"the gateway answered the hello with {welcome}")
        self.welcomed, self.heard_at = True, time.monotonic()
        await converse(connection, lambda: self._send(connection, welcome["next"]), self._hear)
        if not self._ended:
            raise CallError("the gateway closed the connection without a word on how the call ended")

    def _hello(self) -> dict[str, object]:
        call = self._call
        return {
            "type": "hello",
            "tracks": self._tracks,
            "codec": TELEPHONE.codec,
            "sample_rate": TELEPHONE.sample_rate,
            "queue": call.queue,
            "agent": call.agent,
            "customer": call.customer,
            "metadata": dict(call.metadata),
            "resume": max(0, *self._acknowledged.values()) if self.welcomed else None,
        }

    async def _send(self, connection: ClientConnection, following: dict[Track, int]) -> None:
        for number in range(min(following.values()), self._call.length):
            await self._pace.wait(number)
            for index, track in enumerate(self._tracks):
                if number >= following[track]:
                    self._sent_at[track, number] = time.monotonic()
                    await connection.send(HEADER.pack(VERSION, index, 0, number) + self._call.frames[track][number])
                    self._played.frames += 1
        await connection.send(json.dumps({"type": "end"}))

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard_at = time.monotonic()
        if message["type"] == "ack":
            self._acknowledge(message["track"], message["sequence"])
        elif message["type"] == "ended":
            if message["reason"] != "completed":
                raise CallError(f"the gateway ended the call ({message['reason']})")
            self._ended = True

    def _acknowledge(self, track: Track, sequence: int) -> None:
        if (sent_at := self._sent_at.get((track, sequence))) is not None:
            self._played.ack_ms.append((self.heard_at - sent_at) * 1000)
        for number in range(self._acknowledged[track] + 1, sequence + 1):
            self._sent_at.pop((track, number), None)
        self._acknowledged[track] = max(sequence, self._acknowledged[track])
