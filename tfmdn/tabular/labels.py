"""pandas' labels: taken off what comes in, and put on what goes out.

Shapes in comments: n rows, d outputs, Q quantiles.
"""

from __future__ import annotations

import numpy as np


def target_names(y) -> list | None:
    """The names of pandas' targets, None of other kinds."""
    if hasattr(y, "iloc"):
        return list(y.columns) if hasattr(y, "columns") else [y.name]
    return None


def index_of(X) -> object:
    """The index of pandas' rows, None of other kinds."""
    return X.index if hasattr(X, "iloc") else None


def labelled(values: np.ndarray, index, names: list | None, columns=None):
    """Values `(n,)`, `(n, d)` or `(n, Q)` as pandas' for those who gave pandas' X and y, with their names.

    Args:
      values: what was predicted.
      index: the index of the rows, or None.
      names: the names of the targets, or None.
      columns: the names of the columns, if they are not the targets.
    """
    if index is None or names is None or values.ndim > 2:
        return values
    import pandas as pd

    if columns is not None:
        return pd.DataFrame(values, index=index, columns=columns)
    if values.ndim == 1:
        return pd.Series(values, index=index, name=names[0])
    return pd.DataFrame(values, index=index, columns=names)
