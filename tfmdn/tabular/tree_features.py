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
# So many numbers are looked at while the trees of a fold are boosted, at about 100 million a second. Histograms cost as
# much as so many rows.
MOST_WORK, HISTOGRAM_ROWS = 3e8, 8_000
FEWEST_TREES, MOST_TREES = 50, 800
EXTRA_TREES, ROWS_OF_TREE = 50, 30_000
# Nodes of the extra trees, of which each takes 14 bytes in a file.
MOST_NODES = 1_200_000
# Tables of so many rows have folds of more of the 20 parts: with more to learn from, a part is missed less.
ROWS_OF_FOLDS = ((20_000, 2), (100_000, 4), (math.inf, 10))


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
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    num_rows, num_features = x.shape
    num_outputs = values.shape[1]
    work = num_outputs * num_features * (num_rows + HISTOGRAM_ROWS)
    layer = TreeEmbedding(
        num_trees=int(np.clip(MOST_WORK / work, FEWEST_TREES, MOST_TREES)),
        num_extra_trees=EXTRA_TREES,
        rows_per_extra_leaf=max(1, round(2 * num_outputs * EXTRA_TREES * min(num_rows, ROWS_OF_TREE) / MOST_NODES)),
        rows_per_extra_tree=ROWS_OF_TREE,
        seed=seed,
        name="trees",
        dtype="float64",
    )
    size = next(size for most, size in ROWS_OF_FOLDS if num_rows <= most)
    return TreeFeatures(layer, layer.cross_fit(x, values, parts // size, weights))
