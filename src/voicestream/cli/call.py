"""``voicestream call``: plays audio files to a gateway."""

import asyncio
import itertools
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voicestream.client import Call, Played, play_all
from voicestream.settings import settings


class Kind(StrEnum):
    """The protocols of the gateway."""

    twilio = "twilio"
    raw = "raw"


Files = Annotated[list[Path], typer.Argument(help="WAV, FLAC, OGG…; stereo is agent left, customer right.")]
Url = Annotated[str | None, typer.Option(help="The gateway.", show_default="the one of the settings")]
Protocol = Annotated[Kind, typer.Option(help="As Twilio, or over our own protocol.")]
Number = Annotated[
    int | None, typer.Option(min=1, help="Calls at once, from the files in turn.", show_default="one a file")
]
Speed = Annotated[float, typer.Option(min=0.1, help="Times faster than real time.")]
Queue = Annotated[str | None, typer.Option(help="Queue that the calls come through.")]
Agent = Annotated[str | None, typer.Option(help="Who takes the calls.")]
Customer = Annotated[str | None, typer.Option(help="Who calls.")]
Metadata = Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the calls; may be repeated.")]
Key = Annotated[str | None, typer.Option(help="Key for the gateway.", show_default="the first of the settings")]


def call(
    files: Files,
    url: Url = None,
    protocol: Protocol = Kind.twilio,
    calls: Number = None,
    speed: Speed = 1.0,
    queue: Queue = None,
    agent: Agent = None,
    customer: Customer = None,
    metadata: Metadata = None,
    api_key: Key = None,
) -> None:
    """Play audio files to a gateway as telephone calls, in real time (20 ms frames of mu-law at 8 kHz).

    Over Twilio's protocol a mono file is the customer's side; over our own it is a call of one track.
    """
    config = settings()
    url = url or f"ws://{config.gateway_host}:{config.gateway_port}"
    key = api_key or config.api_keys.partition(",")[0].strip() or None
    chosen = itertools.islice(itertools.cycle(files), calls or len(files))
    pairs = _pairs(metadata or [])
    planned = [Call.of_file(path, queue=queue, agent=agent, customer=customer, metadata=pairs) for path in chosen]
    for one in planned:
        typer.echo(f"{one.call_id}: {one.duration_s / speed:.1f} s, {' and '.join(one.frames)}")
    for played in asyncio.run(play_all(planned, url, protocol=protocol.value, speed=speed, api_key=key)):
        typer.echo(_line(played))


def _pairs(metadata: list[str]) -> dict[str, str]:
    for pair in metadata:
        if "=" not in pair:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--metadata")
    return {name: value for name, _, value in (pair.partition("=") for pair in metadata)}


def _line(played: Played) -> str:
    parts = [f"{played.call_id}: {played.frames} frames in {played.took_s:.1f} s, at most {played.late_ms:.0f} ms late"]
    if acks := sorted(played.ack_ms):
        median, p99 = acks[len(acks) // 2], acks[len(acks) * 99 // 100]
        parts.append(f"acknowledged after {median:.0f} ms (median), {p99:.0f} ms (p99)")
    if played.reconnects:
        parts.append(f"resumed {played.reconnects} times")
    return ", ".join(parts)
