"""The predictions of trees as features of a table, and when they are worth to be tried.

Shapes in comments: n rows, F features, T tree features, E event.
"""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np

from tfmdn import validation
from tfmdn.layers.features import TreeEmbedding
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import encoding, folds, targets
from tfmdn.tabular.layout import Layout

# Fewer rows do not tell well whether trees help, and are learnt in seconds without them.
MIN_ROWS = 300
# A relation of one or two features is learnt well without: on the known problems of few rows trees cost 0.02 nats.
MIN_FEATURES = 3
# Each output has trees of its own.
MOST_OUTPUTS = 10
# So many numbers are looked at while the trees of a fold are boosted, and in a second. Histograms cost as much as some
# rows.
MOST_WORK, WORK_PER_SECOND, HISTOGRAM_ROWS = 3e8, 1e8, 8_000
FEWEST_TREES, MOST_TREES = 50, 800
EXTRA_TREES, ROWS_OF_TREE = 50, 30_000
# Nodes of the extra trees, of which each takes 14 bytes in a file.
MOST_NODES = 1_200_000
# Of the 20 parts, by the number of rows: where there is much to learn from, a part of it is missed less.
PARTS_PER_FOLD = ((20_000, 2), (100_000, 4), (math.inf, 10))
# For each output: by boosted trees, by extra trees, and how far these agree.
COLUMNS = 3
# Of the scale of predictions: extra trees that differ less found rows of the same features. Of so many of the rows.
AGREED, LEAST_TWINS = 1e-6, 0.02
# Of `max_seconds`, on one core.
MOST_OF_TIME = 0.5
# Targets of other scales are brought near 1: scikit-learn boosts in single precision, and takes tiny variances for 0.
SCALES = 1e-3, 1e6


@dataclasses.dataclass(frozen=True)
class TreeFeatures:
    """What trees say of the rows that are learnt from, and of others.

    Attributes:
      layer: from features `[n, F]` to tree features `[n, T]`.
      columns: those of the rows that are learnt from, by trees that have not seen them, `[n, T]`.
    """

    layer: TreeEmbedding
    columns: np.ndarray

    def hidden(self, num_members: int) -> np.ndarray:
        """Which tree features members of the kind with trees do not see, booleans `[M, T]`.

        How far extra trees agree tells of rows that are in the table twice, where it helps all. Where there are next to
        none, it is better if every other member goes without: they differ more.
        """
        hidden = np.zeros((num_members, self.size), bool)
        spread = self.columns[:, self.size - self.size // COLUMNS :]
        scale = self.columns[:, : self.size // COLUMNS].std(0)
        if (spread <= AGREED * scale).mean() < LEAST_TWINS:
            hidden[1::2, self.size - self.size // COLUMNS :] = True
        return hidden

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


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many trees there are for a table, and of how many rows.

    Attributes:
      num_trees: the largest number of boosted trees of each output.
      rows_per_leaf: the smallest number of rows in a leaf of an extra tree.
      parts_per_fold: how many of the 20 parts make a fold.
      seconds: about how long all of them take on a core.
    """

    num_trees: int
    rows_per_leaf: int
    parts_per_fold: int
    seconds: float

    @classmethod
    def of(cls, num_rows: int, num_features: int, num_outputs: int) -> Plan:
        """That for a table."""
        work = num_outputs * num_features * (num_rows + HISTOGRAM_ROWS)
        num_trees = int(np.clip(MOST_WORK / work, FEWEST_TREES, MOST_TREES))
        num_nodes = 2 * num_outputs * EXTRA_TREES * min(num_rows, ROWS_OF_TREE)
        parts_per_fold = next(size for most, size in PARTS_PER_FOLD if num_rows <= most)
        seconds = (folds.NUM_PARTS / parts_per_fold + 1) * num_trees * work / WORK_PER_SECOND
        return cls(num_trees, max(1, round(num_nodes / MOST_NODES)), parts_per_fold, seconds)


def are_tried(
    trees: bool | str, shape: tuple[int, int], num_outputs: int, is_default: bool, max_seconds: float | None
) -> bool:
    """Whether members are tried that see the predictions of trees.

    Args:
      trees: what was said of it: True, False or "auto".
      shape: of the features.
      num_outputs: the number of outputs.
      is_default: whether the networks are the default ones.
      max_seconds: how long the training may take, None for no limit.
    """
    expected = "True, False or 'auto'"
    if not validation.is_auto("trees", trees, expected):
        if trees not in (True, False):
            raise ValueError(f"`trees` must be {expected}. Received: trees={trees!r}.")
        return bool(trees) and shape[0] >= folds.MIN_CALIBRATED
    has_time = max_seconds is None or Plan.of(*shape, num_outputs).seconds < MOST_OF_TIME * max_seconds
    is_worth_it = shape[0] >= MIN_ROWS and shape[1] >= MIN_FEATURES and num_outputs <= MOST_OUTPUTS
    return is_default and has_time and is_worth_it


def learned(
    x: np.ndarray, y: np.ndarray, form: TargetFormat, weights: np.ndarray, parts: np.ndarray, seed: int
) -> TreeFeatures | None:
    """Trees of features and targets; None if there is an output of which one fold alone knows anything.

    Args:
      x: features `[n, F]`.
      y: targets `[n, *E]`, or as `form` says.
      form: what is said of them.
      weights: of the rows, `[n]`.
      parts: which of 20 parts each row is in, `[n]`: a few of them make a fold.
      seed: what all random numbers follow from.
    """
    values = targets.known(y, form)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    plan = Plan.of(*x.shape, values.shape[1])
    # Of few groups there are fewer parts.
    own_folds = parts // (plan.parts_per_fold if parts.max() == folds.NUM_PARTS - 1 else 1)
    if any(len(np.unique(own_folds[np.isfinite(column)])) < 2 for column in values.T):
        return None
    layer = TreeEmbedding(
        num_trees=plan.num_trees,
        num_extra_trees=EXTRA_TREES,
        rows_per_extra_leaf=plan.rows_per_leaf,
        rows_per_extra_tree=ROWS_OF_TREE,
        seed=seed,
        name="trees",
        dtype="float64",
    )
    # scikit-learn has a smallest weight of a leaf.
    return TreeFeatures(layer, layer.cross_fit(x, _scaled(values), own_folds, weights / weights.mean()))


def _scaled(values: np.ndarray) -> np.ndarray:
    """Targets `[n, d]`, those of scales that trees do not know in others: networks standardise what trees predict."""
    exponents = np.zeros(values.shape[1], int)
    for number, column in enumerate(values.T):
        largest = np.nanmax(np.abs(column))
        spread = largest and largest * np.nanstd(column / largest)  # whose squares are finite
        if spread and not SCALES[0] <= spread <= SCALES[1]:
            exponents[number] = -np.frexp(spread)[1]
    return np.ldexp(values, exponents)
