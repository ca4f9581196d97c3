"""``voicestream dlq``: the dead letters of the configured broker, and putting their messages back."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from voicestream.codec import codec
from voicestream.dead_letters import Letter, place, read_letters, replay
from voicestream.errors import SettingsError, VoicestreamError
from voicestream.settings import settings
from voicestream.streams.clock import now_ms
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.durations import parse_duration
from voicestream.streams.errors import StreamsError
from voicestream.streams.record import Record
from voicestream.streams.runtime.repeated import limit_repeated
from voicestream.streams.topic import Topic as StreamsTopic

app = typer.Typer(no_args_is_help=True, add_completion=False)

T = TypeVar("T")


class Format(StrEnum):
    """How letters are listed."""

    table = "table"
    json = "json"  # one object a line


Stage = Annotated[str | None, typer.Option(help="Only those of this stage.")]
Error = Annotated[str | None, typer.Option(help="Only those with this type of error, such as ValueError.")]
Topic = Annotated[str | None, typer.Option(help="Only those whose message is of this topic.")]
Since = Annotated[
    str | None, typer.Option(help="Only those since: 30m, 2h, 1d ago, or a time such as 2026-11-22T10:00.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")]


@app.command("list")
def list_letters(
    stage: Stage = None,
    error: Error = None,
    topic: Topic = None,
    since: Since = None,
    limit: Limit = None,
    output: Annotated[Format, typer.Option("--format", help="table, or json (an object a line).")] = Format.table,
) -> None:
    """List the dead letters, oldest first."""
    found = _filtered(stage, error, topic, since, limit)
    if output is Format.json:
        for one in found:
            typer.echo(json.dumps(_summary(one)))
        return
    table = RichTable(header_style="bold")
    for name in ("id", "at (UTC)", "stage", "agent", "step", "error", "message from", "key", "replayed as"):
        table.add_column(name, overflow="fold")
    for one in found:
        letter, now = one.letter, ""
        if one.replay is not None:
            now = place(letter, one.replay) if one.replay.offset is not None else "cut off"
        cells = (letter.letter_id, _time(letter.at_ms), letter.stage, letter.agent, letter.step, letter.error)
        table.add_row(*map(Text, (*cells, place(letter), _text(letter.source_key) or "", now)))
    Console().print(table)
    typer.echo(f"{len(found)} dead letters")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="The identifier of a letter.")]) -> None:
    """Print everything that is known of a letter: the error and its trace, the headers, the bytes and the record."""
    [one] = _by_id([letter_id])
    for name, value in (_summary(one) | {"timestamp": _time(one.letter.timestamp_ms)}).items():
        typer.echo(f"{name + ':':<14}{'' if value is None else value}")
    for name, header in one.letter.headers.items():
        typer.echo(f"header        {name}: {_text(header)}")
    typer.echo(f"\n{one.letter.trace or 'no trace'}")
    typer.echo(f"\nrecord: {_record(one)}")
    value = one.letter.source_value
    typer.echo(f"\nbytes: {'none' if value is None else value.hex()}")


@app.command("replay")
def replay_letters(
    letter_ids: Annotated[list[str] | None, typer.Argument(help="Identifiers of letters; or give filters.")] = None,
    stage: Stage = None,
    error: Error = None,
    topic: Topic = None,
    since: Since = None,
    limit: Limit = None,
    all_letters: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    for_all: Annotated[
        bool, typer.Option("--for-all", help="For every agent that reads the topic, not only the one that failed.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what was put back before.")] = False,
) -> None:
    """Put the messages of dead letters back on their topics, as they were.

    Find out first why they failed, and put that right. A message is put back once, unless you say --force.
    """
    filters = any((stage, error, topic, since, limit))
    if bool(letter_ids) + bool(filters) + all_letters != 1:
        raise SettingsError("say which letters: their identifiers, or filters such as --stage, or --all")
    found = _by_id(letter_ids) if letter_ids else _filtered(stage, error, topic, since, limit)
    chosen = []
    for one in found:
        reason = one.impossible or (None if force else one.refusal)
        if reason is not None:
            typer.echo(f"{one.letter.letter_id}: not put back: {reason}")
            continue
        chosen.append(one.letter)
        if dry_run:
            typer.echo(f"{one.letter.letter_id}: would be put on {one.letter.topic}")
    if not dry_run:
        _run(_put_back(chosen, for_all))
    typer.echo(f"{len(chosen)} of {len(found)} {'would be ' if dry_run else ''}put back")
    if letter_ids and len(chosen) < len(found):
        raise typer.Exit(1)


async def _put_back(letters: list[DeadLetter], for_all: bool) -> None:
    async for letter, now in replay(settings(), letters, for_all=for_all):
        typer.echo(f"{letter.letter_id}: put on {place(letter, now)}")


def _filtered(
    stage: str | None, error: str | None, topic: str | None, since: str | None, limit: int | None
) -> list[Letter]:
    from_ms = 0 if since is None else _since_ms(since)
    found = [
        one
        for one in _run(read_letters(settings()))
        if stage in (None, one.letter.stage)
        and error in (None, one.letter.error)
        and topic in (None, one.letter.topic)
        and one.letter.at_ms >= from_ms
    ]
    return found if limit is None else found[-limit:]


def _by_id(letter_ids: list[str]) -> list[Letter]:
    known = {one.letter.letter_id: one for one in _run(read_letters(settings()))}
    missing = [letter_id for letter_id in letter_ids if letter_id not in known]
    if missing:
        raise VoicestreamError(f"no dead letter is called {', '.join(missing)}: `voicestream dlq list` has them")
    return [known[letter_id] for letter_id in dict.fromkeys(letter_ids)]


def _run(work: Coroutine[Any, Any, T]) -> T:
    limit_repeated()
    return asyncio.run(work)


def _since_ms(text: str) -> int:
    try:
        return now_ms() - parse_duration(text)
    except StreamsError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"--since {text}: give a duration such as 2h, or a time such as 2026-11-22T10:00"
        ) from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _summary(one: Letter) -> dict[str, Any]:
    letter, now = one.letter, one.replay
    return {
        "id": letter.letter_id,
        "at": _time(letter.at_ms),
        "stage": letter.stage,
        "agent": letter.agent,
        "step": letter.step,
        "error": letter.error,
        "message": letter.message,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": _text(letter.source_key),
        "replay": None if now is None else (place(letter, now) if now.offset is not None else "cut off"),
    }


def _record(one: Letter) -> str:
    try:
        name, datum = codec().datum(StreamsTopic(one.letter.topic, Record), one.letter.source_value)
    except StreamsError as error:
        return f"none ({error})"
    return f"{name} {json.dumps(datum, default=_json, ensure_ascii=False, indent=2)}"


def _json(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def _text(value: bytes | None) -> str | None:
    """Bytes as people read them: text where it is text, else hexadecimal."""
    if value is None:
        return None
    text = value.decode(errors="replace")
    return text if text.isprintable() and "\ufffd" not in text else value.hex()


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
