"""What the demo shows, on a terminal and in a plain log alike."""

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from voicestream.embedded.report import Report, Signals
from voicestream.embedded.results import Row, Rows
from voicestream.embedded.scripts import DemoCall

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
MOODS = ((-0.25, "bad", "red"), (0.25, "even", "white"), (2.0, "good", "green"))
PLAIN_WIDTH = 140


class Screen:
    """Prints what happens; on a terminal a bar at the bottom says how far it is."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._calls: dict[str, tuple[int, DemoCall]] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def doing(self, what: str, done: float = 0.0, total: float | None = None) -> None:
        """Say in the bar what is being done."""
        self._bar.update(self._task, description=what, completed=done, total=total)

    def say(self, text: str) -> None:
        """A line of text."""
        self.console.print(escape(text), soft_wrap=True)

    def heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def ready(self, name: str, where: str, took: float) -> None:
        """A part of the stack is ready, ``took`` seconds after the start."""
        self.console.print(f"  {took:5.1f} s  {name:<10} [dim]{escape(where)}[/dim]", soft_wrap=True)

    def calls(self, calls: Sequence[DemoCall]) -> None:
        """The calls that are about to be played."""
        self._calls = {call.call.call_id: (number, call) for number, call in enumerate(calls, 1)}
        for number, call in enumerate(calls, 1):
            one = call.call
            who = f"{one.customer} calls {one.agent} ({one.queue}): " if one.customer else ""
            self.console.print(
                f"  {_tag(number)} {escape(who + call.title)} [dim]{one.duration_s:.0f} s, {call.protocol}[/dim]",
                soft_wrap=True,
            )

    def event(self, message: Row) -> None:
        """A record of the live feed."""
        if message.get("call_id") not in self._calls:
            return
        number, _ = self._calls[message["call_id"]]
        if message["type"] == "UtteranceResult":
            self.console.print(f"{_tag(number)} {_line(message)}", soft_wrap=True)
        elif message["type"] == "RoutingDecision":
            what = f"→ {message['action']}: {message['reason']}"
            self.console.print(f"{_tag(number)} [bold]{escape(what)}[/bold]", soft_wrap=True)
        elif message["type"] == "CallSummary":
            self.console.print(f"{_tag(number)} [bold]the call is complete[/bold]")

    def summary(self, call: DemoCall, rows: Rows, found: Signals, wer: float | None) -> None:
        """The panel of one call."""
        number = self._calls[call.call.call_id][0]
        if not rows.calls:
            self.console.print(f"{_tag(number)} no summary")
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _facts(rows, call, found, wer):
            table.add_row(name, value)
        title = f"{_tag(number)} {escape(call.title)}"
        self.console.print(Panel(table, title=title, title_align="left", border_style=_colour(number)))

    def latencies(self, report: Report) -> None:
        """The latencies of all calls."""
        table = Table(header_style="bold", title="Latency in milliseconds", title_justify="left")
        table.add_column("")
        for name in ("p50", "p95", "p99"):
            table.add_column(name, justify="right")
        names = {
            "ingest": "audio, from the gateway to the broker's acknowledgement",
            "stt": "speech to text of an utterance",
            "sentiment": "sentiment of an utterance",
            "end_to_end": "from the end of an utterance to its result",
        }
        for key, what in names.items():
            figures = report["latency_ms"][key]
            table.add_row(what, *("-" if figures[p] is None else f"{figures[p]:.1f}" for p in ("p50", "p95", "p99")))
        self.console.print(table)

    def answer(self, question: str, query: str, table: Table) -> None:
        """A question, its query, and the answer of ClickHouse."""
        self.console.print(f"\n[bold]{escape(question)}[/bold]\n[dim]{escape(query)}[/dim]", soft_wrap=True)
        self.console.print(table if table.row_count else "(no rows)")


def _facts(rows: Rows, call: DemoCall, found: Signals, wer: float | None) -> list[tuple[str, str]]:
    summary = rows.calls[0]
    people = " and ".join(filter(None, (summary["customer"], summary["agent"])))
    facts = [
        ("who", escape(", ".join(filter(None, (people, summary["queue"]))) or "not said")),
        ("length", f"{summary['duration_ms'] / 1000:.0f} s, ended: {summary['reason']}"),
        ("talk", _shares(summary)),
        ("mood", _mood(rows)),
        ("insights", escape(_insights(rows)) or "none"),
        ("routing", escape("; ".join(f"{r['action']} ({r['reason']})" for r in rows.routing)) or "none"),
        ("summary", escape(summary["text"])),
    ]
    if wer is not None:
        facts.append(("word errors", f"{wer:.1%} of the script"))
    if call.planted:
        facts.append(("signals", escape(_signals(found))))
    return facts


def _shares(summary: Row) -> str:
    shares = [f"{track} {share:.0%}" for track, share in sorted(summary["talk_ratio"].items())]
    silence = summary["silence_ms"] / max(summary["duration_ms"], 1)
    return ", ".join([*shares, f"silence {silence:.0%} of the call"])


def _mood(rows: Rows) -> str:
    summary = rows.calls[0]
    moods = []
    for track, polarity in sorted(summary["polarity"].items()):
        name, colour = next((name, colour) for limit, name, colour in MOODS if polarity < limit)
        quarters = [q for q in summary["polarity_quarters"].get(track, []) if q is not None]
        way = f", from {quarters[0]:+.2f} to {quarters[-1]:+.2f}" if len(quarters) > 1 else ""
        emotion = summary["emotions"].get(track)
        emotion = f", {emotion}" if emotion else ""
        moods.append(f"{track} [{colour}]{name}[/{colour}] ({polarity:+.2f}{way}{emotion})")
    return "; ".join(moods) or "not known"


def _insights(rows: Rows) -> str:
    counted = Counter(
        f"{row['kind']} ({row['label']})" if row["label"] and row["kind"] != "entity" else row["label"] or row["kind"]
        for row in rows.insights
    )
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counted.most_common())


def _signals(found: Signals) -> str:
    total = len(found.found) + len(found.missed)
    text = f"{len(found.found)} of {total} planted found"
    if found.missed:
        text += "; missed: " + ", ".join(
            f"{p.kind}{' ' + p.label if p.label else ''} at {_clock(p.turn.start_ms)}" for p in found.missed
        )
    if found.unplanned:
        text += "; not planted: " + ", ".join(f"{row['kind']} “{row['text']}”" for row in found.unplanned)
    return text


def _line(message: Row) -> str:
    """One utterance: when, who, what, how, and the signals in it."""
    notes = []
    if message["emotion"]:
        notes.append(f"{message['emotion']} {message['polarity'] or 0:+.2f}")
    notes += sorted({insight["label"] or insight["kind"] for insight in message["insights"]})
    note = f"  [dim]{escape(' · '.join(notes))}[/dim]" if notes else ""
    return f"{_clock(message['start_ms'])} {message['track']:<8} {escape(message['text'])}{note}"


def _clock(ms: int) -> str:
    return f"{ms // 60000}:{ms // 1000 % 60:02d}"


def _colour(number: int) -> str:
    return COLOURS[(number - 1) % len(COLOURS)]


def _tag(number: int) -> str:
    return f"[{_colour(number)}]#{number}[/{_colour(number)}]"
