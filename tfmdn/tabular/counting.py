"""Rows of tables that do not count, before anybody looks at what they hold.

Shapes in comments: n rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmdn import validation
from tfmdn.tabular import tables


def without_junk(X, y, sample_weight, intervals: bool, groups=None) -> tuple[Any, Any, Any, Any]:
    """The same table, with copies of a row that counts in the place of those that do not: they may hold anything.

    Rows of weight 0 do not count, and neither do those whose targets NumPy has masked.

    Args:
      X: a table of any kind.
      y: targets `(n,)` or `(n, d)`, or pairs of them in a last axis; or a masked array.
      sample_weight: weights of the rows `(n,)`, or None.
      intervals: whether targets are pairs.
      groups: labels of the rows, or None.

    Returns:
      The table, the targets, the weights, and the labels. NaN stands for single numbers of targets that are masked.

    Raises:
      ValueError: if weights are not numbers, 0 or more, of all rows.
    """
    is_masked = isinstance(y, np.ma.MaskedArray)
    if sample_weight is None and not is_masked:
        return X, y, sample_weight, groups
    num_rows = _length(y)
    if num_rows is None:  # which is for others to say
        return X, y, sample_weight, groups
    counts = validation.row_weights(sample_weight, num_rows) > 0.0
    if is_masked and y.ndim:
        masked = np.ma.getmaskarray(y)
        if intervals:  # of half a pair nothing is known
            masked = np.broadcast_to(masked.any(-1, keepdims=True), y.shape)
        counts &= ~masked.reshape(num_rows, -1).all(1)
        y = tables.filled(np.ma.masked_array(y.data, masked))
        sample_weight = np.ones(num_rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
        sample_weight = np.where(counts, sample_weight, 0.0)
    if counts.all() or not counts.any() or _length(X) != num_rows:
        return X, y, sample_weight, groups
    rows = np.where(counts, np.arange(num_rows), np.argmax(counts))
    groups = None if groups is None or _length(groups) != num_rows else rows_of(groups, rows)
    return rows_of(X, rows), rows_of(y, rows), sample_weight, groups


def that_count(X, y, intervals: bool) -> tuple[Any, Any]:
    """The rows of a table whose targets are not masked."""
    if not isinstance(y, np.ma.MaskedArray):
        return X, y
    X, y, weights, _ = without_junk(X, y, None, intervals)
    rows = np.flatnonzero(weights)
    return (X, y) if len(rows) == len(y) else (rows_of(X, rows), y[rows])


def rows_of(table: Any, rows: np.ndarray) -> Any:
    """Rows of a table of any kind, or of one of its columns, by their numbers."""
    if isinstance(table, Mapping):
        return {name: rows_of(column, rows) for name, column in table.items()}
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    if isinstance(table, (list, tuple)):
        return [table[row] for row in rows]
    if hasattr(table, "take") and hasattr(table, "to_pylist"):  # PyArrow
        return table.take(rows)
    if hasattr(table, "tocsr"):
        return table.tocsr()[rows]
    if hasattr(table, "get_columns") or hasattr(table, "to_list"):  # Polars
        return table[rows]
    return table[rows] if isinstance(table, np.ndarray) else np.asarray(table)[rows]


def _length(table: Any) -> int | None:
    if isinstance(table, Mapping):
        return _length(next(iter(table.values()), ()))
    if not hasattr(table, "shape") and not hasattr(table, "__len__"):
        table = np.asarray(table)
    shape = getattr(table, "shape", None)
    return len(table) if shape is None else shape[0] if len(shape) else None
