"""What an embedded stack that was stopped left live is ended by the next one."""

from test_analytics import fill

from voicestream.embedded.cut_off import end_cut_off_calls
from voicestream.sinks.clickhouse import ClickHouse


def test_a_live_call_is_ended_with_its_figures_so_far_and_the_others_stay(clickhouse: ClickHouse) -> None:
    fill(clickhouse)
    ended = "SELECT * FROM v_calls WHERE call_id != 'c7' ORDER BY call_id"
    before = clickhouse.query(ended).rows
    end_cut_off_calls(clickhouse)
    end_cut_off_calls(clickhouse)
    query = """SELECT state, reason, outcome, complete, duration_ms, dateDiff('ms', started_at, ended_at), agent,
               round(agent_talk_ratio, 2) FROM v_calls WHERE call_id = 'c7'"""
    assert clickhouse.query(query).rows == [("ended", "timeout", "none", False, 25_000, 25_000, "Ana", 0.2)]
    assert clickhouse.query(ended).rows == before
