"""``voicestream topics``: the topics on the configured broker, and what is on them."""

import asyncio
import json
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Annotated, Any

import typer
from aiokafka import ConsumerRecord

from voicestream import topics
from voicestream.admin import create_topics, retentions, wanted_topics
from voicestream.codec import codec
from voicestream.errors import BrokerError
from voicestream.reading import followed
from voicestream.settings import settings
from voicestream.streams.errors import StreamsError
from voicestream.streams.record import Record
from voicestream.streams.runtime.repeated import limit_repeated
from voicestream.streams.topic import Topic

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Create the topics on the configured broker, and read what is on them."""


@app.command()
def create() -> None:
    """Create every topic that is missing, with VOICESTREAM_PARTITIONS and VOICESTREAM_REPLICATION."""
    config = settings()
    _, _, bootstrap = config.broker.partition("://")
    if not bootstrap:
        raise BrokerError(
            "VOICESTREAM_BROKER names no broker: set it to kafka://host:9092 (`voicestream up` and `voicestream demo` "
            "create the topics of their own broker)"
        )
    wanted = wanted_topics(config.partitions)
    limit_repeated()
    asyncio.run(create_topics(bootstrap, wanted, replication=config.replication, retention=retentions(topics.ALL)))
    typer.echo(f"{len(wanted)} topics are there: {', '.join(wanted)}")


@app.command()
def read(
    name: Annotated[str, typer.Argument(help="The topic.")],
    key: Annotated[str | None, typer.Option(help="Only messages with this key.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
) -> None:
    """Print what is on a topic, oldest first: a JSON object a line.

    Records are read with the schemas of voicestream and those of VOICESTREAM_SCHEMAS. No offset is committed, so nobody
    misses what is read here.
    """
    limit_repeated()
    with suppress(KeyboardInterrupt):
        asyncio.run(_print(name, key, limit, follow))


async def _print(name: str, key: str | None, limit: int | None, follow: bool) -> None:
    topic = Topic(name, Record)
    newest: list[tuple[int, int, int, ConsumerRecord]] | None = []
    async with aclosing(followed(settings(), name)) as all_of_it:
        async for message in all_of_it:
            if message is None:
                for *_, one in sorted(newest or ()):
                    typer.echo(_line(topic, one))
                if not follow:
                    return
                newest = None
            elif key is not None and _text(message.key) != key:
                continue
            elif newest is None:
                typer.echo(_line(topic, message))
            else:
                heappush(newest, (message.timestamp, message.partition, message.offset, message))
                if limit is not None and len(newest) > limit:
                    heappop(newest)


def _line(topic: Topic[Any], message: ConsumerRecord) -> str:
    at = datetime.fromtimestamp(message.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    where = {"partition": message.partition, "offset": message.offset, "at": at, "key": _text(message.key)}
    if message.value is None:
        return json.dumps(where | {"deleted": True}, ensure_ascii=False)
    try:
        kind, datum = codec().datum(topic, message.value)
    except StreamsError as error:
        return json.dumps(where | {"bytes": len(message.value), "error": str(error)}, ensure_ascii=False)
    return json.dumps(where | {kind: datum}, default=_json, ensure_ascii=False)


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="backslashreplace")


def _json(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
