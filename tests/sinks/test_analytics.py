"""docs/analytics.md: every query runs, every answer is right, every column is described.

``python tests/sinks/test_analytics.py ADDRESS`` writes the answers and the tables of the document anew.
"""

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from analytics_data import CALLS, UTTERANCES, ms, records

from voicestream.records import CallSummary, Insight, UtteranceResult
from voicestream.sinks.clickhouse import ClickHouse, Table
from voicestream.sinks.clickhouse_rows import MAPPINGS
from voicestream.sinks.clickhouse_sink import ClickHouseSink
from voicestream.sinks.migrate import upgrade

DOCUMENT = Path(__file__).parents[2] / "docs" / "analytics.md"
_QUESTION = re.compile(
    r"^### (?P<title>.+?)\n.*?```sql\n(?P<sql>.*?)```\n(?:\n(?P<answer>(?:\|[^\n]*\n)+))?", re.M | re.S
)
TITLES = [match["title"] for match in _QUESTION.finditer(DOCUMENT.read_text(encoding="utf-8"))]


def as_markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *([_cell(value) for value in row] for row in table.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(sorted(map(_cell, value)))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def described(clickhouse: ClickHouse) -> str:
    """The tables with their columns, as the document has them."""
    about = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    parts = []
    for table in dict.fromkeys(mapping.table for mapping in MAPPINGS):
        comment = clickhouse.query(about, {"table": table}).rows[0][0]
        parts.append(f"\n### `{table}`\n\n{comment}\n\n| column | type | meaning |\n|---|---|---|\n")
        for name, kind, _, _, meaning, *_ in clickhouse.query(f"DESCRIBE TABLE {table}").rows:
            parts.append(f"| `{name}` | `{kind}` | {meaning} |\n")
    return "".join(parts)


def fill(clickhouse: ClickHouse) -> None:
    """Write the data set to a database."""
    upgrade(clickhouse)
    assert asyncio.run(ClickHouseSink(clickhouse).write(records())) == []


# The same answers by plain Python, from the records.

SUMMARIES = [r for r in records() if isinstance(r, CallSummary)]
SAID = [r for r in records() if isinstance(r, UtteranceResult)]
INSIGHTS = [r for r in records() if isinstance(r, Insight)]
AGENT = {call[0]: call[3] for call in CALLS}
OUTCOME = {call[0]: call[4] for call in CALLS}
Rows = list[list[Any]]


def groups(items: Any, key: Callable[[Any], Any]) -> Iterator[tuple[Any, list[Any]]]:
    found = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    yield from sorted(found.items())


def monday(at_ms: int) -> str:
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    return str(day - timedelta(days=day.weekday()))


def talk_ratio() -> Rows:
    rows = []
    for agent, calls in groups(SUMMARIES, lambda c: c.agent):
        spoken = sum(sum(c.talk_ms.values()) for c in calls)
        rows.append([agent, len(calls), round(sum(c.talk_ms["agent"] for c in calls) / spoken, 2)])
    return rows


def mood_by_week() -> Rows:
    customers = [u for u in SAID if u.track == "customer"]
    return [
        [queue, week, len(us), round(fmean(u.polarity for u in us), 2)]
        for (queue, week), us in groups(customers, lambda u: (u.queue, monday(u.at_ms)))
    ]


def happier() -> Rows:
    rows = []
    for queue, calls in groups(CALLS, lambda c: c[2]):
        known = [[q for q in call[6] if q is not None] for call in calls]
        rows.append([queue, len(calls), round(fmean(k[0] for k in known), 2), round(fmean(k[-1] for k in known), 2)])
    return rows


def competitors() -> Rows:
    named = [i for i in INSIGHTS if i.kind == "competitor"]
    rows = [
        [week, name, len(found), len({i.call_id for i in found})]
        for (week, name), found in groups(named, lambda i: (monday(i.at_ms), i.label))
    ]
    return sorted(rows, key=lambda row: (row[0], -row[2], row[1]))


def at_risk() -> Rows:
    rows = []
    for call_id, _, _, agent, outcome, _, quarters in CALLS:
        last = [q for q in quarters if q is not None][-1]
        churn = sum(i.kind == "churn_risk" and i.call_id == call_id for i in INSIGHTS)
        if churn or last < -0.25:
            rows.append([call_id, agent, outcome, churn, last])
    return sorted(rows, key=lambda row: row[-1])


def monologues() -> Rows:
    best: dict[str, tuple[int, str]] = {}
    for call_id, track, start_s, end_s, *_ in UTTERANCES:
        if track == "agent":
            best[AGENT[call_id]] = max(best.get(AGENT[call_id], (0, "")), (end_s - start_s, call_id))
    return sorted(([agent, seconds, call] for agent, (seconds, call) in best.items()), key=lambda row: -row[1])


def interrupters() -> Rows:
    rows = []
    for agent, calls in groups(SUMMARIES, lambda c: c.agent):
        times = sum(c.interruptions["agent"] for c in calls)
        rows.append([agent, times, round(times / sum(c.duration_ms for c in calls) * 600_000, 1)])
    return sorted(rows, key=lambda row: -row[2])


def first_words() -> Rows:
    rows = []
    for queue, calls in groups(CALLS, lambda c: c[2]):
        firsts = [min(u[2] for u in UTTERANCES if u[0] == c[0] and u[1] == "agent") for c in calls]
        rows.append([queue, round(fmean(firsts), 1), max(firsts)])
    return rows


def latency() -> Rows:
    rows = []
    for hour, us in groups(SAID, lambda u: u.at_ms // 3_600_000):
        values = sorted(u.latency_ms for u in us)

        def quantile(q: float, values: list[int] = values) -> float:
            position = q * (len(values) - 1)
            low = int(position)
            high = min(low + 1, len(values) - 1)
            return values[low] + (position - low) * (values[high] - values[low])

        at = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=None)
        rows.append([at, len(values), quantile(0.5), round(quantile(0.95))])
    return rows


def objections_with_next_step() -> Rows:
    return [
        [o.call_id, AGENT[o.call_id], o.text, n.text]
        for o in INSIGHTS
        for n in INSIGHTS
        if (o.kind, o.label, o.track, n.kind) == ("objection", "price", "customer", "next_step")
        and n.call_id == o.call_id
        and n.at_ms > o.at_ms
    ]


def turned_round() -> Rows:
    objections = [i for i in INSIGHTS if i.kind == "objection" and i.label == "price"]
    rows = []
    for agent, found in groups(objections, lambda i: AGENT[i.call_id]):
        calls = {i.call_id for i in found}
        rows.append([agent, len(calls), sum(OUTCOME[call] == "next_step" for call in calls)])
    return rows


def silence() -> Rows:
    rows = []
    for queue, calls in groups(SUMMARIES, lambda c: c.queue):
        total = sum(c.duration_ms for c in calls)
        shares = [100 * sum(c.silence_ms for c in calls) / total, 100 * sum(c.overlap_ms for c in calls) / total]
        rows.append([queue, *(round(share, 1) for share in shares)])
    return rows


BY_HAND: dict[str, Callable[[], Rows]] = {
    "Talk ratio: who does the talking?": talk_ratio,
    "How does the customers' mood develop, by queue and week?": mood_by_week,
    "Do customers leave happier than they came?": happier,
    "Which competitors are mentioned, by week?": competitors,
    "Which calls are at risk?": at_risk,
    "What is the longest monologue of each agent?": monologues,
    "Who interrupts customers?": interrupters,
    "How long until the agent first speaks?": first_words,
    "How fast are we? Latency by hour": latency,
    "Which price objections still ended in a next step?": objections_with_next_step,
    "How many price objections does each agent turn round?": turned_round,
    "How much of a call is silence, and how much do both speak?": silence,
    "Is every fact there once?": lambda: [[len(UTTERANCES), len(UTTERANCES)]],
}


@pytest.fixture(scope="module")
def filled(server: Any) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(server.setting("analytics"))
    fill(clickhouse)
    yield clickhouse
    clickhouse.close()


@pytest.mark.parametrize("title", TITLES)
def test_the_answer_in_the_document_is_the_answer(filled: ClickHouse, title: str) -> None:
    question = next(q for q in _QUESTION.finditer(DOCUMENT.read_text(encoding="utf-8")) if q["title"] == title)
    answer = filled.query(question["sql"])
    assert answer.rows
    assert as_markdown(answer) == question["answer"]
    if title in BY_HAND:
        assert [list(map(_cell, row)) for row in answer.rows] == [list(map(_cell, row)) for row in BY_HAND[title]()]


def test_at_least_half_of_the_answers_are_confirmed_by_hand() -> None:
    assert BY_HAND.keys() <= set(TITLES)
    assert len(BY_HAND) >= len(TITLES) / 2 >= 6


def test_the_document_describes_every_table_and_column(filled: ClickHouse) -> None:
    assert DOCUMENT.read_text(encoding="utf-8").endswith(described(filled))


def test_the_data_set_is_consistent() -> None:
    assert ms("1970-01-01 00:00:01") == 1000
    assert {u[0] for u in UTTERANCES} == {call[0] for call in CALLS}


def write_answers(clickhouse: ClickHouse) -> None:
    fill(clickhouse)

    def with_answer(question: re.Match[str]) -> str:
        upto = question[0].index("```sql")
        return f"{question[0][:upto]}```sql\n{question['sql']}```\n\n{as_markdown(clickhouse.query(question['sql']))}"

    text = _QUESTION.sub(with_answer, DOCUMENT.read_text(encoding="utf-8"))
    text = text.split("\n### `", 1)[0].rstrip("\n") + "\n"
    DOCUMENT.write_text(text + described(clickhouse), encoding="utf-8")


if __name__ == "__main__":
    write_answers(ClickHouse(sys.argv[1]))
