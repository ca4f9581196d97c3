"""``voicestream topics``: the topics on the configured broker."""

import asyncio

import typer

from voicestream.admin import create_topics, wanted_topics
from voicestream.errors import BrokerError
from voicestream.settings import settings
from voicestream.streams.repeated import limit_repeated

app = typer.Typer(no_args_is_help=True, help="Create the topics on the configured broker.")


@app.callback()
def group() -> None:
    pass


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
    asyncio.run(create_topics(bootstrap, wanted, replication=config.replication))
    typer.echo(f"{len(wanted)} topics are there: {', '.join(wanted)}")
