"""Which token was heard when, from the decoder's attention to the audio, after openai/whisper, timing.py."""

from typing import Final

import numpy as np
import numpy.typing as npt

POSITION_MS: Final = 20
"""What a position of Whisper's encoder stands for."""
_MEDIAN_WIDTH: Final = 7


def ends_ms(attention: npt.NDArray[np.float32]) -> list[int]:
    """When each token is over, in milliseconds from the start of the audio.

    `attention` is [heads, 1 + tokens, positions], of the heads that follow the audio; row 0 is of the last token of the
    prompt, row i of the i-th token of the text. A row looks at what the next token was heard in, so that it begins
    where its own token ends.
    """
    mean, deviation = attention.mean(axis=1, keepdims=True), attention.std(axis=1, keepdims=True)
    smooth = _median((attention - mean) / np.maximum(deviation, 1e-9)).mean(axis=0)
    begins = _begins(-smooth.astype(np.float64))
    return [position * POSITION_MS for position in begins[1:]]


def _median(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    half = _MEDIAN_WIDTH // 2
    if rows.shape[-1] <= half:
        return rows
    padded = np.pad(rows, [(0, 0), (0, 0), (half, half)], mode="reflect")
    filtered: npt.NDArray[np.float32] = np.median(
        np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_WIDTH, -1), -1
    )
    return filtered


def _begins(cost: npt.NDArray[np.float64]) -> list[int]:
    """The column at which the cheapest path from the first to the last corner enters each row.

    Dynamic time warping; a path goes right, down or both.
    """
    rows, columns = cost.shape
    steps: list[list[int]] = []  # where a cell is reached from: 0 diagonally, 1 from above, 2 from the left
    above = [0.0] + [np.inf] * columns
    for row in cost.tolist():
        left = np.inf
        reached = [np.inf]
        steps.append([])
        for j, own in enumerate(row):
            ways = (above[j], above[j + 1], left)
            best = min(ways)
            steps[-1].append(ways.index(best))
            left = own + best
            reached.append(left)
        above = reached
    begins = [0] * rows
    i, j = rows - 1, columns - 1
    while i > 0:
        begins[i] = j
        step = steps[i][j]
        i -= step != 2
        j -= step != 1
    return begins
