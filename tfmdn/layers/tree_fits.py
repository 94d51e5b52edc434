"""scikit-learn's trees, fitted fold by fold.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfmdn import sklearn_internals
from tfmdn.layers import tree_tensors
from tfmdn.layers.tree_tensors import Tree

# Extra trees know numbers of single precision, and scikit-learn sums up columns of them. Farther ones are as far.
LARGEST = 1e30
# Of the features, at which each split of an extra tree looks.
SHARE_OF_FEATURES = 0.5
# Boosted trees that are fitted at once, and the share of them that the best number is to be below: else there are more.
FIRST_TREES, ENOUGH = 100, 0.8
# What of the squared error the last half of the trees must have saved for more of them to be worth their time.
WORTH = 0.01
# Rows of a fold that tell which number is best.
MOST_JUDGED = 5_000


@dataclasses.dataclass(frozen=True)
class Boosted:
    """Trees of which each learns what those before it have left: a fast library's, `HistGradientBoostingRegressor`."""

    num_trees: int
    learning_rate: float
    num_leaves: int
    rows_per_leaf: int

    num_columns: ClassVar[int] = 1

    def regressor(self, seed: int, num_trees: int, num_rows: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            max_iter=num_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.num_leaves,
            min_samples_leaf=self.rows_per_leaf,
            early_stopping=False,
            warm_start=True,
            random_state=seed,
        )

    def predictions(self, model: Any, x: np.ndarray, count: int) -> np.ndarray:
        """Those of the first so many trees, `[n, 1]`."""
        return next(itertools.islice(model.staged_predict(x), count - 1, None))[:, np.newaxis]

    @staticmethod
    def columns(forest: tree_tensors.Forest, centres: tf.Tensor, x: tf.Tensor) -> list[tf.Tensor]:
        """Those of all trees for rows `[n, F]` of float64, of each output: one tensor `[d, n]`."""
        return [tree_tensors.sums(forest, x)[0]]

    @staticmethod
    def inputs(x: np.ndarray) -> np.ndarray:
        return x

    @staticmethod
    def trees(model: Any) -> tuple[float, list[Tree]]:
        """What the trees of a fitted model are added to, and these."""
        trees = [
            Tree(
                nodes["feature_idx"],
                nodes["num_threshold"],
                nodes["missing_go_to_left"],
                np.where(nodes["is_leaf"], 0, nodes["left"].astype(np.int64)),
                nodes["right"].astype(np.int64),
                nodes["value"],
            )
            for nodes in sklearn_internals.boosted_nodes(model)
        ]
        return sklearn_internals.baseline(model), trees


@dataclasses.dataclass(frozen=True)
class Extra:
    """Trees with thresholds at random, of which the mean counts: `ExtraTreesRegressor`.

    Each split looks at half of the features, which makes the trees differ more.
    """

    num_trees: int
    rows_per_leaf: int
    most_rows: int

    num_columns: ClassVar[int] = 2

    def regressor(self, seed: int, num_trees: int, num_rows: int) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor

        is_part = num_rows > self.most_rows
        return ExtraTreesRegressor(
            num_trees,
            min_samples_leaf=self.rows_per_leaf,
            max_features=SHARE_OF_FEATURES,
            bootstrap=is_part,
            max_samples=self.most_rows if is_part else None,
            random_state=seed,
        )

    def predictions(self, model: Any, x: np.ndarray, count: int) -> np.ndarray:
        """The mean and the standard deviation of the trees' predictions, `[n, 2]`."""
        single, mean = np.float32(x), model.predict(x)
        square = np.zeros(len(x))
        for tree in model.estimators_:  # one by one, for the sake of memory
            square += np.square(tree.predict(single) - mean)
        return np.stack([mean, np.sqrt(square / len(model.estimators_))], 1)

    def columns(self, forest: tree_tensors.Forest, centres: tf.Tensor, x: tf.Tensor) -> list[tf.Tensor]:
        """Those for rows `[n, F]` of float64, of each output: two tensors `[d, n]`.

        Squares are taken of what differs from a number in the midst of the targets, for the sake of their digits.
        """
        # What is missing stays so: TensorFlow may clip it, or not.
        x = tf.where(tf.math.is_nan(x), x, tf.clip_by_value(x, -LARGEST, LARGEST))
        x = tf.cast(tf.cast(x, tf.float32), tf.float64)
        mean, square = (total / self.num_trees for total in tree_tensors.sums(forest, x, centres))
        variance = tf.maximum(square - tf.square(mean - centres[:, tf.newaxis]), 0.0)
        return [mean, tf.sqrt(variance)]

    @staticmethod
    def inputs(x: np.ndarray) -> np.ndarray:
        return np.clip(x, -LARGEST, LARGEST)

    @staticmethod
    def trees(model: Any) -> tuple[float, list[Tree]]:
        trees = []
        for tree in (member.tree_ for member in model.estimators_):
            is_leaf = tree.children_left < 0
            trees.append(
                Tree(
                    np.where(is_leaf, 0, tree.feature),
                    tree.threshold,
                    tree.missing_go_to_left,
                    np.where(is_leaf, 0, tree.children_left),
                    tree.children_right,
                    tree.value[:, 0, 0],
                )
            )
        return 0.0, trees


@dataclasses.dataclass(frozen=True)
class Fold:
    """What a model learns from, and is judged by: the numbers of rows."""

    learnt: np.ndarray
    judged: np.ndarray


def cross_fitted(
    kind: Boosted | Extra, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, folds: Sequence[Fold], seed: int
) -> tuple[np.ndarray, tuple[float, list[Tree]]]:
    """Fits trees to all rows but those of a fold, for each fold, and then to all rows.

    There are as many boosted trees as are best on the rows that they have not learnt from.

    Args:
      kind: which trees.
      x: features `[n, F]`.
      y: targets `[n]`, NaN where a row is not learnt from.
      weights: of rows `[n]`, or None.
      folds: of each fold the rows that are learnt from, and the others.
      seed: of the trees.

    Returns:
      The `predictions` of rows by trees that have not learnt from them, `[n, C]`; and what the trees that are fitted
      to all rows are added to, and these.
    """
    x = kind.inputs(x)
    models = [kind.regressor(seed, kind.num_trees, len(fold.learnt)) for fold in folds]
    count = kind.num_trees
    if isinstance(kind, Boosted):
        count = _best_size(kind.num_trees, models, x, y, weights, folds)
    else:
        _side_by_side(lambda model, fold: _fit(model, x, y, weights, fold.learnt), models, folds)
    predictions = _side_by_side(lambda model, fold: kind.predictions(model, x[fold.judged], count), models, folds)
    columns = np.empty((len(x), predictions[0].shape[1]))
    for fold, values in zip(folds, predictions):
        columns[fold.judged] = values
    rows = np.flatnonzero(np.isfinite(y))
    (last,) = _side_by_side(lambda model: _fit(model, x, y, weights, rows), [kind.regressor(seed, count, len(rows))])
    return columns, kind.trees(last)


def _best_size(most: int, models: list, x, y, weights, folds: Sequence[Fold]) -> int:
    """Fits boosted trees, and returns how many of them have the least squared error on rows not learnt from.

    They are fitted by and by, until the best number is behind them, or those that came last have hardly helped.
    """
    rng = np.random.default_rng(0)
    judged = [fold.judged[np.isfinite(y[fold.judged])] for fold in folds]
    judged = [rows if len(rows) <= MOST_JUDGED else rng.choice(rows, MOST_JUDGED, replace=False) for rows in judged]
    size = min(FIRST_TREES, most)
    while True:

        def errors(model, fold, rows, size=size):
            model.set_params(max_iter=size)
            _fit(model, x, y, weights, fold.learnt)
            if not len(rows):  # of an output that is not known in this fold
                return np.zeros(size)
            squares = (np.square(predicted - y[rows]) for predicted in model.staged_predict(x[rows]))
            return np.array([square.sum() if weights is None else square @ weights[rows] for square in squares])

        total = np.sum(_side_by_side(errors, models, folds, judged), 0)
        best = int(np.argmin(total)) + 1
        has_hardly_helped = total[: size // 2].min(initial=np.inf) <= (1.0 + WORTH) * total.min()
        if size == most or best < ENOUGH * size or has_hardly_helped:
            return best
        size = min(2 * size, most)


def _fit(model: Any, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, rows: np.ndarray) -> Any:
    return model.fit(x[rows], y[rows], None if weights is None else weights[rows])


def _side_by_side(function: Callable, *columns: Sequence) -> list:
    """What a function returns for each row of the columns, computed on all cores."""
    import threadpoolctl

    def run(*arguments):
        # Small tables take several times as long where threads wait for each other: these are for the models.
        with threadpoolctl.threadpool_limits(1 if len(columns[0]) > 1 else None, user_api="openmp"):
            return function(*arguments)

    with concurrent.futures.ThreadPoolExecutor(_num_cores()) as threads:
        return list(threads.map(run, *columns))


def _num_cores() -> int:
    """Those that the process may use, where the system says which."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
