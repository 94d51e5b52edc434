"""The rows of whatever figures are given as x."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfmdn.plots.arrays import Array, Structure
from tfmdn.plots.frames import Frame
from tfmdn.plots.rows import Rows, is_frame


def rows_of(x: Any) -> Rows:
    """The rows of x.

    Args:
      x: a frame, an array or a structure of arrays. n values are n rows of one feature.

    Raises:
      ImportError: if x is a frame and narwhals is not installed.
      ValueError: if x is no such thing, or there are no rows.
    """
    if isinstance(x, Rows):
        return x
    rows: Rows
    if is_frame(x):
        rows = Frame(x)
    elif keras.tree.is_nested(x) and any(map(np.ndim, keras.tree.flatten(x))):
        rows = Structure(keras.tree.map_structure(np.asarray, x))
    else:
        values = np.asarray(x)  # an array, a tensor, a series, or lists of numbers
        if not values.ndim:
            raise ValueError(f"`x` must be rows of features. Received: x={x!r}.")
        name = (hasattr(x, "to_frame") and x.name) or "x"
        rows = Array(values[:, np.newaxis] if values.ndim == 1 else values, str(name))
    if not len(rows):
        raise ValueError("`x` must have at least one row. Received none.")
    return rows
