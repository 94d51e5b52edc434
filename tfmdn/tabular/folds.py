"""Which rows count how much, and which members are judged by them.

Shapes in comments: n rows, M members.
"""

from __future__ import annotations

import numpy as np

# Rows in one of the parts that members are judged by: enough to compare, and little work beside the training.
MAX_HELD_OUT = 2_500
# Fewer rows do not tell how broad predictions should be.
MIN_CALIBRATED = 40


def by_weight(weights: np.ndarray) -> np.ndarray:
    """Row numbers `[n]` in which each row is about as often as its weight `[n]` says: once, if all are alike."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative, (np.arange(len(weights)) + 0.5) * (cumulative[-1] / len(weights)))


def folds(num_rows: int, num_members: int, rng: np.random.Generator) -> np.ndarray:
    """Which rows each member is judged by, booleans `[n, M]`: a tenth, each half of it with the next member.

    Of a half, at most `MAX_HELD_OUT` rows. Only rows that two members have not learnt from tell how broad a mixture of
    members should be. Too few rows to tell that are shared out without overlap.
    """
    held_out = np.zeros((num_rows, num_members), bool)
    in_pairs = num_rows >= MIN_CALIBRATED
    for first in range(0, num_members, 10):
        members = range(first, min(first + 10, num_members))
        rows = rng.permutation(num_rows)
        parts = np.array_split(rows, 20 if in_pairs else min(10, num_rows))[: max(2, len(members))]
        for member in members:
            for part in (member, member + 1) if in_pairs else (member,):
                held_out[parts[(part - first) % len(parts)][:MAX_HELD_OUT], member] = True
    return held_out
