"""When entries are due: what is kept is bounded by the entries, not by how often their deadlines moved."""

from hypothesis import given
from hypothesis import strategies as st

from voicestream.streams.operators.keyed import NEVER, Deadlines


def test_deadlines_that_move_with_every_record_take_no_more_memory():
    deadlines = Deadlines()
    for record in range(50_000):
        deadlines.set(f"k{record % 10}", record)
    assert len(deadlines._heap) < 2_000
    assert list(deadlines.due(49_995)) == [f"k{n}" for n in range(6)]
    assert list(deadlines.due(NEVER)) == [f"k{n}" for n in range(6, 10)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_what_is_due_is_what_the_last_deadline_of_each_key_says(steps: list[tuple[str, int | None, int]]):
    deadlines, known = Deadlines(), {}
    for key, deadline_ms, watermark_ms in steps:
        deadlines.set(key, deadline_ms)
        known[key] = deadline_ms
        due = sorted((ms, k) for k, ms in known.items() if ms is not None and ms <= watermark_ms)
        assert list(deadlines.due(watermark_ms)) == [k for _, k in due]
        assert deadlines.next_ms > watermark_ms
        for _, k in due:
            known[k] = None
