"""Rows of features: what they share whatever they are, and what can be asked of them.

Shapes in comments: n rows, F features, m values of a feature.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

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
        """Rows in which one feature goes through its values, and the others stay as they are.

        The values are numbers that are not whole from the least to the greatest in even steps; whole ones, dates and
        texts as the rows have them.

        Args:
          feature: the one.
          at: what the others are held at: the number of a row, or values by feature. Those that are not told stay at
            what is typical: the middle of numbers and dates, the most frequent text.

        Raises:
          ValueError: if there is no such row or feature.
        """

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


def _listed(features: list) -> str:
    return ", ".join([*map(repr, features[:20]), *["..."][: len(features) > 20]])


def is_frame(x: Any) -> bool:
    """Whether x is a frame of pandas, polars or pyarrow, or would be one."""
    return hasattr(x, "columns") or hasattr(x, "column_names")
