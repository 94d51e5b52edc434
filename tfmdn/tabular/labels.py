"""Labels of tables: taken off what comes in, put on what goes out, and written to files.

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


def plain(value):
    """A value as JSON can hold it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def plain_name(name):
    """The name of a column as JSON can hold it: a list for the tuple of a MultiIndex, text for a date and the like."""
    if isinstance(name, (tuple, list)):
        return [plain_name(part) for part in name]
    name = plain(name)
    return name if isinstance(name, (str, int, float, type(None))) else str(name)


def name_of(plain_name):
    """The name of a column of what `plain_name` made of it."""
    return tuple(map(name_of, plain_name)) if isinstance(plain_name, list) else plain_name
