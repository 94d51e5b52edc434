"""The rows of x as a model takes them, and their features one by one: frames, arrays, and structures of arrays.

A frame is pandas', polars' or pyarrow's; narwhals reads them, and is imported when there is one. The features of an
array `[n, F]` are its columns, those of a structure its arrays.

Shapes in comments: n rows, F features, m values of a feature.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfmdn.plots import columns
from tfmdn.plots.columns import Column

# What the features that are not on the axis are held at: a row's number, or values by feature. None: what is typical.
At = int | Mapping[Any, Any] | None


class Rows(abc.ABC):
    """Rows of features.

    Attributes:
      features: what the features that can stand on an axis are called: names, or numbers of columns.
      can_be_held: what all features are called.
      has_others: whether a feature that stands on the axis is not all that there is.
    """

    features: list
    has_others: bool

    @property
    def can_be_held(self) -> list:
        return self.features

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def part(self, rows: slice) -> Any:
        """Some of the rows, of the kind that was given."""

    @abc.abstractmethod
    def taken(self, rows: np.ndarray, others: Mapping[Any, np.ndarray] | None = None) -> Any:
        """Rows by number `[m]`, which may repeat, of the kind that was given.

        Args:
          rows: their numbers.
          others: by feature the numbers `[m]` of the rows whose values of it they have instead.
        """

    @abc.abstractmethod
    def column(self, feature) -> Column:
        """A feature's values."""

    @abc.abstractmethod
    def held(self, feature, at: At) -> Rows:
        """Rows in which one feature goes through its values, and the others stay as they are; see `of`."""

    def label(self, feature) -> str:
        """What stands beside the axis."""
        return str(feature)

    def names(self, feature=None) -> list[str]:
        """What tells each row from the others: a feature, for None the only one that differs, or the number."""
        if feature is not None:
            feature = self.checked("feature", feature, self.features)
        elif len(self.features) == 1:
            feature = self.features[0]
        else:
            differ = [name for name in self.features if len(set(self.column(name).texts())) > 1]
            if len(differ) != 1:
                return [f"row {number}" for number in self.numbers()]
            feature = differ[0]
        return [f"{self.label(feature)} = {text}" for text in self.column(feature).texts()]

    def numbers(self) -> list:
        """What the rows are numbered by."""
        return list(range(len(self)))

    def chosen(self, feature):
        """The feature that was asked for, or the only one.

        Raises:
          ValueError: if there is no such feature, or if there are several and none was asked for.
        """
        if not self.features:
            raise ValueError(
                "No feature of `x` can stand on an axis. Give `model(x)` in place of the model, and in place of `x` a "
                f"number for each row, of shape [n]. Received: x of shape {self.shape}."
            )
        if feature is None and len(self.features) > 1:
            raise ValueError(
                f"`feature` must say which feature stands on the axis: one of {_listed(self.features)}. "
                "Received: feature=None."
            )
        return self.features[0] if feature is None else self.checked("feature", feature, self.features)

    def checked(self, argument: str, feature, allowed: list):
        """The name of one of the features that are allowed, of its name or number."""
        if feature in allowed:
            return feature
        if isinstance(feature, (int, np.integer)) and -len(allowed) <= feature < len(allowed):
            return allowed[feature]
        raise ValueError(f"`{argument}` must be one of {_listed(allowed)}. Received: {argument}={feature!r}.")

    @property
    def shape(self) -> Any:
        """The shape of what was given."""
        return (len(self), len(self.features))

    def _at(self, at: At) -> tuple[int | None, dict]:
        """The number of the row that others are held at, if it is one, and values by feature."""
        if at is None:
            return None, {}
        if hasattr(at, "items") and not is_frame(at):
            return None, {self.checked("at", name, self.can_be_held): value for name, value in dict(at.items()).items()}
        if not isinstance(at, (int, np.integer)) or not -len(self) <= at < len(self):
            raise ValueError(
                f"`at` must be None, the number of one of the {len(self)} rows of `x`, or values by feature, as in "
                f"at={{{self.can_be_held[0]!r}: 1.0}}. Received: at={at!r}."
            )
        return int(at) % len(self), {}


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


def _listed(features: list) -> str:
    return ", ".join([*map(repr, features[:20]), *["..."][: len(features) > 20]])


def is_frame(x: Any) -> bool:
    """Whether x is a frame of pandas, polars or pyarrow, or would be one."""
    return hasattr(x, "columns") or hasattr(x, "column_names")


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


def of(x: Any) -> Rows:
    """The rows of x.

    Rows that are held (`Rows.held`) go through the values of one feature: numbers that are not whole from the least to
    the greatest in even steps, whole ones, dates and texts as the rows have them. The others are held at a row's
    values, or at what is typical: the middle of numbers and dates, the most frequent text.

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


def _narwhals():
    try:
        import narwhals
    except ModuleNotFoundError as error:
        if error.name != "narwhals":
            raise
        raise ImportError("tfmdn.plots needs narwhals for frames: pip install 'tfmdn[plots]'.") from error
    return narwhals
