"""Columns of numbers and of dates as features: what is missing is filled in and marked, and dates have cycles.

Shapes in comments: n rows, N columns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import keras
import numpy as np

from tfmdn.layers import features
from tfmdn.tabular.dates import DAY

# A cycle counts if dates go beyond one of it: within one it is the trend once more.
CYCLES = {"year": 366 * DAY, "month": 31 * DAY, "week": 7 * DAY, "day": DAY}
# So many rows tell which cycles there are.
MAX_CYCLE_ROWS = 10_000


def encoded(
    names: Sequence[object], dates: Collection[int], table: keras.KerasTensor, values: np.ndarray
) -> tuple[list[keras.KerasTensor], list[keras.KerasTensor], list[str]]:
    """Features of numeric columns.

    Args:
      names: the names of the columns, N of them.
      dates: the numbers of those that are dates, in seconds since 1970.
      table: the columns `[B, N]` in float64, NaN where there is no value.
      values: their values in the table that is learnt from, `[n, N]`.

    Returns:
      Numbers and features of order 1, each as a list of tensors `[B, ...]`, and what was found, a sentence each.
    """
    is_missing = np.isnan(values)
    is_empty = is_missing.all(0)
    lowest, highest = (np.full(len(names), np.nan) for _ in range(2))
    lowest[~is_empty], highest[~is_empty] = np.nanmin(values[:, ~is_empty], 0), np.nanmax(values[:, ~is_empty], 0)
    varies = lowest < highest
    findings = [f"Column {names[number]} has no value and is left out" for number in np.flatnonzero(is_empty)]
    is_marked = is_missing.any(0) & ~is_empty
    findings += [
        f"Column {names[number]} has the same value in every row and is left out"
        for number in np.flatnonzero(~is_empty & ~varies & ~is_marked)
    ]
    numbers, indicators = [], []
    if varies.any():
        kept = np.flatnonzero(varies)
        imputation = features.Imputation(dtype="float64")
        imputation.adapt(values[:, kept])
        filled = imputation(table if varies.all() else keras.ops.take(table, kept, axis=-1))
        numbers.append(filled)
        for place, number in enumerate(kept):
            if number in dates:
                cycles = _cycles(values[~is_missing[:, number], number])
                if cycles:
                    turns = features.Calendar(cycles, dtype="float64")(filled[:, place])
                    numbers.append(turns[:, 0::3])
                    indicators += [turns[:, 1::3], turns[:, 2::3]]
    if is_marked.any():
        indicators.append(features.MissingIndicator(np.flatnonzero(is_marked).tolist(), dtype="float64")(table))
    return numbers, indicators, findings


def _cycles(seconds: np.ndarray) -> tuple[str, ...]:
    """The cycles that dates `[n]` go through, and at more than one point of them."""
    names = [name for name, length in CYCLES.items() if np.ptp(seconds) > length]
    if not names:
        return ()
    some = np.random.default_rng(0).permutation(seconds)[:MAX_CYCLE_ROWS]
    phases = np.asarray(features.Calendar(tuple(names), dtype="float64")(some))[:, 0::3]
    return tuple(name for name, phase in zip(names, phases.T) if np.ptp(phase) > 0.0)
