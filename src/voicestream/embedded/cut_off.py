"""Calls that an earlier embedded stack left live: its broker forgot them when it stopped, so nobody else ends them."""

from voicestream.records.metrics import FIGURES
from voicestream.sinks.clickhouse import ClickHouse


def end_cut_off_calls(clickhouse: ClickHouse) -> None:
    """End every live call of ``clickhouse`` as incomplete, with its figures so far; raises ``ClickHouseError``.

    To be called before anything else can write there.
    """
    figures = ", ".join(f"m.{name} AS {name}" for name in FIGURES)
    clickhouse.command(
        f"""
        INSERT INTO calls
        SELECT c.* REPLACE (
            {figures},
            addMilliseconds(c.started_at, m.duration_ms) AS ended_at,
            'ended' AS state, 'timeout' AS reason, 'none' AS outcome, 1 AS version,
            'voicestream was stopped before this call ended.' AS text
        )
        FROM (SELECT * FROM calls FINAL WHERE state = 'live') AS c
        LEFT JOIN (SELECT * FROM call_metrics FINAL) AS m ON m.call_id = c.call_id
        """
    )
