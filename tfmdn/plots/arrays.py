"""The rows of arrays, whose features are their columns, and of structures of arrays, whose features these are.

Shapes in comments: n rows, F features, m values of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfmdn.plots import columns
from tfmdn.plots.columns import Column
from tfmdn.plots.rows import At, Rows


class Array(Rows):
    """The rows of an array: `[n, F]`, or of another shape, which has no features that could stand on an axis.

    Args:
      values: `[n, ...]`.
      name: what the only feature is called.
    """

    def __init__(self, values: np.ndarray, name: str = "x"):
        self._values = values
        self._name = name
        self.features = list(range(values.shape[1])) if values.ndim == 2 else []
        self.has_others = len(self.features) > 1

    def __len__(self) -> int:
        return len(self._values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def part(self, rows: slice) -> np.ndarray:
        return self._values[rows]

    def taken(self, rows: np.ndarray, others: Mapping[Any, np.ndarray] | None = None) -> np.ndarray:
        taken = self._values[rows]
        for number, sources in (others or {}).items():
            taken[:, number] = self._values[sources, number]
        return taken

    def column(self, feature: int) -> Column:
        return columns.of_array(self._values[:, feature])

    def label(self, feature: int) -> str:
        return self._name if len(self.features) == 1 else f"x[{feature}]"

    def held(self, feature: int, at: At) -> Array:
        row, given = self._at(at)
        values, rows = self.column(feature).steps()
        held = np.repeat(_held(self._values, row), len(rows), 0)
        held = held.astype(np.result_type(held, *map(np.asarray, given.values())))
        for name, value in given.items():
            held[:, name] = value
        held[:, feature] = self._values[rows, feature] if values is None else values
        return Array(held, self._name)


class Structure(Rows):
    """The rows of a structure of arrays, such as a dictionary: the inputs of a model that has several.

    Args:
      values: arrays `[n, ...]`. Those of shape `[n]` or `[n, 1]` in a dictionary, a list or a tuple are features that
        can stand on an axis.
    """

    def __init__(self, values):
        self._values = values
        named = values.items() if isinstance(values, Mapping) else enumerate(values)
        self._named = {name: value for name, value in named if not keras.tree.is_nested(value)}
        self.features = [name for name, value in self._named.items() if value.size == len(value)]
        self.has_others = len(keras.tree.flatten(values)) > 1

    @property
    def can_be_held(self) -> list:
        return list(self._named)

    def __len__(self) -> int:
        return len(keras.tree.flatten(self._values)[0])

    @property
    def shape(self) -> Any:
        return keras.tree.map_structure(np.shape, self._values)

    def part(self, rows: slice):
        return keras.tree.map_structure(lambda leaf: leaf[rows], self._values)

    def taken(self, rows: np.ndarray, others: Mapping[Any, np.ndarray] | None = None):
        sources = others or {}
        named = {name: self._named[name][sources.get(name, rows)] for name in self._named}
        return named if isinstance(self._values, Mapping) else type(self._values)(named.values())

    def column(self, feature) -> Column:
        return columns.of_array(self._named[feature].ravel())

    def held(self, feature, at: At) -> Structure:
        row, given = self._at(at)
        values, rows = self.column(feature).steps()
        own = self._named[feature]
        replaced = {name: np.full((len(rows), *self._named[name].shape[1:]), value) for name, value in given.items()}
        replaced[feature] = own[rows] if values is None else values.reshape(-1, *own.shape[1:]).astype(own.dtype)

        def one(name, value):
            repeated = keras.tree.map_structure(lambda leaf: np.repeat(_held(leaf, row), len(rows), 0), value)
            return replaced.get(name, repeated)

        if isinstance(self._values, Mapping):
            return Structure({name: one(name, value) for name, value in self._values.items()})
        return Structure(type(self._values)(one(name, value) for name, value in enumerate(self._values)))


def _held(values: np.ndarray, row: int | None) -> np.ndarray:
    """The row of a number, or for None one of what is typical: `[1, ...]`."""
    if row is not None:
        return values[row : row + 1]
    flat = values.reshape(len(values), -1)
    rows = [columns.of_array(column).typical() for column in flat.T]
    return flat[rows, range(len(rows))].reshape(1, *values.shape[1:])
