"""`TreeEmbedding`: what ensembles of trees make of features, as further features.

Shapes in comments: n rows, B batch, F features, d outputs, T columns.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import validation, versions
from tfmdn.layers import adaptation, tree_fits, tree_tensors
from tfmdn.reading import containers


@versions.saved()
class TreeEmbedding(keras.layers.Layer):
    """Predictions of tree ensembles that were fitted to the targets, as features for a network.

    Trees see what is rough, has steps, or comes back in neighbouring rows, which a network learns slowly. A network
    that is to learn how far to trust them needs predictions for its training rows by trees that have not seen these
    (Wolpert 1992, "Stacked generalization"): `cross_fit` returns such. What is learnt are scikit-learn's
    `HistGradientBoostingRegressor` and `ExtraTreesRegressor`. For new rows they are fitted to all rows once more; what
    is kept are the trees of these, as weights of the layer, with which it predicts what they would, to the last bits,
    without scikit-learn.

    Args:
      num_trees: the largest number of boosted trees of each output, 0 for none. There are as many as are best on rows
        that they have not learnt from.
      learning_rate: how much of its part each boosted tree learns.
      num_leaves: the largest number of leaves of a boosted tree.
      rows_per_leaf: the smallest number of rows in a leaf of a boosted tree.
      num_extra_trees: the number of extra trees of each output, 0 for none.
      rows_per_extra_leaf: the smallest number of rows in a leaf of an extra tree.
      rows_per_extra_tree: an extra tree learns from so many rows, drawn at random, if there are more.
      num_folds: the number of folds where none are given.
      seed: an integer that makes folds and trees repeatable, or None.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`. Thresholds have double precision in
        any case.

    Input shape: `[*B, F]`. NaN is a value that is missing.
    Output shape: `[*B, T]`: the sums of the boosted trees for all outputs, then the means of the extra trees, then the
      standard deviations of these, which are small where neighbouring rows have the same target.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(0.0, 3.0, (300, 1))
    >>> y = np.floor(x[:, 0]) + rng.normal(0.0, 0.1, 300)
    >>> layer = tfmdn.features.TreeEmbedding(num_trees=50, num_extra_trees=0, dtype="float64", seed=0)
    >>> columns = layer.cross_fit(x, y)  # to learn from
    >>> columns.shape, bool(np.median(np.abs(columns - np.floor(x))) < 0.05)
    ((300, 1), True)
    >>> error = layer(np.array([[0.5], [1.5], [2.5]])) - [[0.0], [1.0], [2.0]]  # for new rows
    >>> bool(np.abs(error).max() < 0.2)
    True
    """

    def __init__(
        self,
        num_trees: int = 800,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        rows_per_leaf: int = 8,
        num_extra_trees: int = 50,
        rows_per_extra_leaf: int = 1,
        rows_per_extra_tree: int = 30_000,
        num_folds: int = 10,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.num_trees = validation.nonnegative_integer("num_trees", num_trees)
        self.learning_rate = validation.positive_number("learning_rate", learning_rate)
        self.num_leaves = _two_or_more("num_leaves", num_leaves)
        self.rows_per_leaf = validation.positive_integer("rows_per_leaf", rows_per_leaf)
        self.num_extra_trees = validation.nonnegative_integer("num_extra_trees", num_extra_trees)
        self.rows_per_extra_leaf = validation.positive_integer("rows_per_extra_leaf", rows_per_extra_leaf)
        self.rows_per_extra_tree = validation.positive_integer("rows_per_extra_tree", rows_per_extra_tree)
        self.num_folds = _two_or_more("num_folds", num_folds)
        self.seed = seed
        if not self.num_trees and not self.num_extra_trees:
            raise ValueError("`num_trees` or `num_extra_trees` must be above 0. Received: 0 for both.")
        self.supports_masking = True
        self._sizes = None
        self.forests = []

    def cross_fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        folds: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> np.ndarray:
        """Fits the trees, and returns for each row the predictions of those that have not seen its fold.

        Args:
          x: features `[n, F]`, an array or a frame of numbers. NaN is a value that is missing, and so is one that is
            masked.
          y: targets `[n]` or `[n, d]`. From a row without a finite target, or of one that is masked, an output's trees
            do not learn.
          folds: the number of each row's fold, integers `[n]`. Rows that belong together have the same one. None:
            `num_folds` at random.
          sample_weight: weights of rows `[n]`, of which only the ratios matter. Rows of weight 0 are predicted and not
            learnt from.

        Returns:
          `[n, T]` in float64.

        Raises:
          ImportError: if scikit-learn is not installed.
          TypeError: if they are not numbers.
          ValueError: if the arrays do not belong together, if there is nothing to learn from outside of a fold, or if
            the layer has learnt before.
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__} learns once, as its trees are of any size. Received: a layer that has learnt "
                "before. Make another one."
            )
        ((x, y), _), *_ = containers.read_pairs(x, y)
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"`x` must be rows of features, [n, F]. Received: x of shape {x.shape}.")
        y = y[:, np.newaxis] if y.ndim == 1 else y
        if y.ndim != 2 or len(y) != len(x) or y.size == 0:
            raise ValueError(f"`y` must be targets of the {len(x)} rows, [n] or [n, d]. Received: shape {y.shape}.")
        weights = validation.row_weights(sample_weight, len(x))
        folds = self._random_folds(len(x)) if folds is None else _checked_folds(folds, len(x))
        y = np.where(weights[:, np.newaxis] > 0.0, y, np.nan)  # what does not count is as what is not known
        selections = [_selections(column, folds, number) for number, column in enumerate(y.T)]
        weights = None if len(np.unique(weights[weights > 0.0])) == 1 else weights
        rng = np.random.default_rng(self.seed)
        columns, forests = [], []
        for kind in self.kinds:
            fitted = [
                tree_fits.cross_fitted(kind, x, column, weights, own_folds, int(rng.integers(2**31)))
                for column, own_folds in zip(y.T, selections)
            ]
            columns.append(np.stack([own for own, _ in fitted], -1).reshape(len(x), -1))  # [n, C d]
            forests.append(tree_tensors.forest_of([trees for _, trees in fitted]))
        self._add_state(x.shape[1], y.shape[1], forests)
        self.centres.assign(np.nanmean(np.where(np.isfinite(y), y, np.nan), 0))
        self.built = True
        return np.concatenate(columns, 1)

    def adapt(
        self,
        x: ArrayLike,
        y: ArrayLike,
        folds: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        """Does what `cross_fit` does, and keeps the predictions of the rows to itself."""
        self.cross_fit(x, y, folds, sample_weight)

    @property
    def kinds(self) -> list[tree_fits.Boosted | tree_fits.Extra]:
        """Which trees there are, in the order of their columns."""
        kinds = []
        if self.num_trees:
            kinds.append(tree_fits.Boosted(self.num_trees, self.learning_rate, self.num_leaves, self.rows_per_leaf))
        if self.num_extra_trees:
            kinds.append(tree_fits.Extra(self.num_extra_trees, self.rows_per_extra_leaf, self.rows_per_extra_tree))
        return kinds

    def _random_folds(self, num_rows: int) -> np.ndarray:
        return np.random.default_rng(self.seed).permutation(num_rows) % self.num_folds

    def _add_state(self, features: int, outputs: int, forests: list[tree_tensors.Forest]) -> None:
        self.input_spec = adaptation.last_axis_spec((None, features))
        self._sizes = {
            "features": features,
            "outputs": outputs,
            "forests": [
                {name: (value.shape, str(value.dtype)) for name, value in forest._asdict().items()}
                for forest in forests
            ],
        }
        self.centres = adaptation.add_statistic(self, "centres", np.zeros(outputs), "float64")
        self.forests = [
            tree_tensors.Forest(
                *(
                    adaptation.add_statistic(self, f"{name}_{index}", value, str(value.dtype))
                    for name, value in forest._asdict().items()
                )
            )
            for index, forest in enumerate(forests)
        ]

    def build(self, input_shape):
        raise ValueError(
            f"{type(self).__name__} knows what it returns when it has learnt. Received: a call before. Call "
            "`cross_fit(x, y)` or `adapt(x, y)` first."
        )

    def get_build_config(self):
        return self._sizes

    def build_from_config(self, config):
        forests = [
            tree_tensors.Forest(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in forest.items()})
            for forest in config["forests"]
        ]
        self._add_state(config["features"], config["outputs"], forests)
        self.built = True

    def call(self, inputs):
        x = tf.reshape(tf.cast(inputs, tf.float64), [-1, self._sizes["features"]])
        columns = []
        for kind, forest in zip(self.kinds, self.forests):
            columns += kind.columns(forest, tf.convert_to_tensor(self.centres), x)  # [d, n]
        columns = tf.transpose(tf.concat(columns, 0))  # [n, T]
        shape = tf.concat([tf.shape(inputs)[:-1], columns.shape[-1:]], 0)
        outputs = tf.cast(tf.reshape(columns, shape), self.compute_dtype)
        return tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape):
        if self._sizes is None:
            self.build(input_shape)
        return (*input_shape[:-1], self._sizes["outputs"] * sum(kind.num_columns for kind in self.kinds))

    def get_config(self):
        return {
            **super().get_config(),
            "num_trees": self.num_trees,
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "rows_per_leaf": self.rows_per_leaf,
            "num_extra_trees": self.num_extra_trees,
            "rows_per_extra_leaf": self.rows_per_extra_leaf,
            "rows_per_extra_tree": self.rows_per_extra_tree,
            "num_folds": self.num_folds,
            "seed": self.seed,
        }


def _two_or_more(name: str, value: int) -> int:
    if validation.positive_integer(name, value) < 2:
        raise ValueError(f"`{name}` must be 2 or more. Received: {name}={value!r}.")
    return int(value)


def _checked_folds(folds: ArrayLike, num_rows: int) -> np.ndarray:
    folds = np.asarray(folds)
    if folds.shape != (num_rows,) or not np.issubdtype(folds.dtype, np.integer):
        raise ValueError(
            f"`folds` must be integers, one for each of the {num_rows} rows. "
            f"Received: shape {folds.shape} of {folds.dtype}."
        )
    return folds


def _selections(y: np.ndarray, folds: np.ndarray, output: int) -> list[tree_fits.Fold]:
    """Of each fold which rows the targets `[n]` of an output may be learnt from, and the others."""
    counts = np.isfinite(y)
    selections = []
    for fold in np.unique(folds):
        is_own = folds == fold
        if not (counts & ~is_own).any():
            raise ValueError(
                "Each output needs rows outside of each fold to learn from, of a finite target and a weight above 0. "
                f"Received: none outside of fold {fold} for output {output}."
            )
        selections.append(tree_fits.Fold(np.flatnonzero(counts & ~is_own), np.flatnonzero(is_own)))
    return selections
