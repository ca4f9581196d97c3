"""Times from the decoder's attention."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.stt.alignment import POSITION_MS, ends_ms


def attention(begins: list[int], positions: int, heads: int = 3) -> np.ndarray:
    """Each row looks at what lies between its own beginning and that of the next."""
    rows = np.full((heads, len(begins), positions), 0.001, np.float32)
    for row, (start, end) in enumerate(zip(begins, [*begins[1:], positions], strict=True)):
        rows[:, row, start:end] = 1 / (end - start)
    return rows


def test_a_token_ends_where_the_next_row_begins_to_look() -> None:
    assert ends_ms(attention([0, 20, 55, 120], 200)) == [20 * POSITION_MS, 55 * POSITION_MS, 120 * POSITION_MS]


def test_nothing_said_has_no_ends() -> None:
    assert ends_ms(attention([0], 50)) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_ends_are_in_order_within_the_audio_whatever_the_attention(rows: int, positions: int, seed: int) -> None:
    random = np.random.default_rng(seed).random((2, rows, positions)).astype(np.float32)
    ends = ends_ms(random)
    assert len(ends) == rows - 1
    assert ends == sorted(ends)
    assert all(0 <= end <= positions * POSITION_MS for end in ends)
