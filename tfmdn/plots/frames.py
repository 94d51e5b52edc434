"""The rows of frames: pandas', polars' or pyarrow's. narwhals reads them, and is imported when there is one.

Shapes in comments: n rows, F features, m values of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmdn.plots import columns
from tfmdn.plots.columns import Column
from tfmdn.plots.rows import At, Rows


class Frame(Rows):
    """The rows of a frame.

    Args:
      frame: pandas', polars' or pyarrow's.
    """

    def __init__(self, frame):
        self._narwhals = _narwhals()
        self._frame = self._narwhals.from_native(frame, eager_only=True)
        self.features = list(self._frame.columns)
        self.has_others = len(self.features) > 1

    def __len__(self) -> int:
        return len(self._frame)

    def part(self, rows: slice):
        return self._frame[rows].to_native()

    def taken(self, rows: np.ndarray, others: Mapping[Any, np.ndarray] | None = None):
        columns = [self._frame.get_column(name)[sources.tolist()] for name, sources in (others or {}).items()]
        return self._narwhals.maybe_reset_index(self._frame[rows.tolist()]).with_columns(*columns).to_native()

    def column(self, feature) -> Column:
        return columns.of_series(self._frame.get_column(feature))

    def numbers(self) -> list:
        index = self._narwhals.maybe_get_index(self._frame)
        return super().numbers() if index is None else list(index)

    def held(self, feature, at: At) -> Frame:
        row, given = self._at(at)
        values, rows = self.column(feature).steps()
        series = {name: self._frame.get_column(name) for name in self.features}
        held = []
        for name, one in series.items():
            if name == feature:
                held.append(one[rows.tolist()] if values is None else self._new(one, values))
            elif name in given:
                held.append(self._new(one, [given[name]] * len(rows)))
            else:
                typical = columns.of_series(one).typical() if row is None else row
                held.append(one[[typical] * len(rows)])
        frame = self._frame[[0] * len(rows)].with_columns(*held)
        return Frame(self._narwhals.maybe_reset_index(frame).to_native())

    def _new(self, like, values):
        """A column of values, as another is."""
        new = self._narwhals.new_series(like.name, values, backend=self._frame.implementation)
        is_rounded = like.dtype.is_integer() and new.dtype.is_float()
        return new if is_rounded or like.dtype in (new.dtype, self._narwhals.Object) else new.cast(like.dtype)


def numbers(frame: Any) -> np.ndarray:
    """A frame as an array of numbers, `[n, F]`.

    Raises:
      ValueError: if there is a column of other values.
    """
    frame = _narwhals().from_native(frame, eager_only=True)
    others = [name for name, dtype in frame.schema.items() if not (dtype.is_numeric() or dtype == _narwhals().Boolean)]
    if others:
        raise ValueError(
            "A Keras model takes rows of numbers, or what its own inputs are, such as a dictionary of arrays. "
            f"Received: a frame with other values in the columns {others}."
        )
    return frame.to_numpy()


def _narwhals():
    try:
        import narwhals
    except ModuleNotFoundError as error:
        if error.name != "narwhals":
            raise
        raise ImportError("tfmdn.plots needs narwhals for frames: pip install 'tfmdn[plots]'.") from error
    return narwhals
