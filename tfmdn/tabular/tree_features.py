"""The predictions of trees as features of a table, and when they are worth to be tried.

Shapes in comments: n rows, F features, T tree features, E event.
"""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np

from tfmdn.layers.features import TreeEmbedding
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import encoding, targets
from tfmdn.tabular.layout import Layout

# Fewer rows do not tell well whether trees help, and are learnt in seconds without them.
MIN_ROWS = 300
# Each output has trees of its own.
MOST_OUTPUTS = 10


@dataclasses.dataclass(frozen=True)
class TreeFeatures:
    """What trees say of the rows that are learnt from, and of others.

    Attributes:
      layer: from features `[n, F]` to tree features `[n, T]`.
      columns: those of the rows that are learnt from, by trees that have not seen them, `[n, T]`.
    """

    layer: TreeEmbedding
    columns: np.ndarray

    @property
    def size(self) -> int:
        """The number of tree features T."""
        return self.columns.shape[1]

    def beside(self, x: np.ndarray, layout: Layout) -> np.ndarray:
        """Features `[n, F + T]` of the rows that are learnt from, the tree features after the numbers of a layout."""
        return np.concatenate([x[:, : layout.numbers], self.columns, x[:, layout.numbers :]], 1)

    def encoding(self, before: keras.Model | None, layout: Layout, is_used: bool) -> keras.Model:
        """A model from raw columns to features `[n, F + T]`.

        Args:
          before: from raw columns to features `[n, F]`, None if the columns are them.
          layout: which of these are what.
          is_used: whether the ensemble has members that see the tree features. Else they are 0.
        """
        inputs = keras.Input((layout.num_features,), dtype="float64", name="x") if before is None else before.input
        x = inputs if before is None else before.output
        columns = self.layer(x) if is_used else keras.ops.repeat(keras.ops.zeros_like(x[:, :1]), self.size, axis=1)
        parts = [x[:, : layout.numbers], columns, x[:, layout.numbers :]]
        parts = [part for part in parts if part.shape[-1]]
        return keras.Model(inputs, keras.layers.Concatenate(dtype="float64")(parts), name=encoding.NAME)


def are_worth_trying(num_rows: int, num_outputs: int) -> bool:
    return num_rows >= MIN_ROWS and num_outputs <= MOST_OUTPUTS


def learned(
    x: np.ndarray, y: np.ndarray, form: TargetFormat, weights: np.ndarray, parts: np.ndarray, seed: int
) -> TreeFeatures:
    """Trees of features and targets.

    Args:
      x: features `[n, F]`.
      y: targets `[n, *E]`, or as `form` says.
      form: what is said of them.
      weights: of the rows, `[n]`.
      parts: which of 20 parts each row is in, `[n]`. Two of them make a fold.
      seed: what all random numbers follow from.
    """
    values = targets.known(y, form)
    layer = TreeEmbedding(seed=seed, name="trees", dtype="float64")
    columns = layer.cross_fit(x, values.reshape(len(values), math.prod(values.shape[1:])), parts // 2, weights)
    return TreeFeatures(layer, columns)
