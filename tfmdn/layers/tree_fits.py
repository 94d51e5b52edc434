"""scikit-learn's trees, fitted fold by fold.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfmdn import sklearn_internals
from tfmdn.layers.tree_tensors import Tree

# Extra trees know numbers of single precision.
LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Boosted:
    """Trees of which each learns what those before it have left: a fast library's, `HistGradientBoostingRegressor`."""

    num_trees: int
    learning_rate: float
    num_leaves: int
    rows_per_leaf: int

    def regressor(self, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            max_iter=self.num_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.num_leaves,
            min_samples_leaf=self.rows_per_leaf,
            early_stopping=False,
            random_state=seed,
        )

    divisor = 1.0

    @staticmethod
    def inputs(x: np.ndarray) -> np.ndarray:
        return x

    @staticmethod
    def tensor(x: tf.Tensor) -> tf.Tensor:
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
    """Trees with thresholds at random, of which the mean counts: `ExtraTreesRegressor`."""

    num_trees: int
    num_leaves: int

    def regressor(self, seed: int) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor

        return ExtraTreesRegressor(self.num_trees, max_leaf_nodes=self.num_leaves, random_state=seed)

    @property
    def divisor(self) -> float:
        return float(self.num_trees)

    @staticmethod
    def inputs(x: np.ndarray) -> np.ndarray:
        return np.clip(x, -LARGEST, LARGEST)

    @staticmethod
    def tensor(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(tf.clip_by_value(x, -LARGEST, LARGEST), tf.float32), tf.float64)

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


def fits(
    kind: Boosted | Extra,
    x: np.ndarray,
    targets: list[np.ndarray],
    weights: np.ndarray | None,
    learners: list[np.ndarray],
    seeds: list[int],
    judged: list[np.ndarray],
) -> list[tuple[tuple[float, list[Tree]], np.ndarray]]:
    """Fits a model to each of several selections of rows, side by side.

    Args:
      kind: which trees.
      x: features `[n, F]`.
      targets: those of each model, `[n]`.
      weights: those of rows `[n]`, or None.
      learners: the numbers of the rows that each model learns from.
      seeds: one for each model.
      judged: the numbers of the rows that each model is to predict.

    Returns:
      For each model its trees, and its predictions of the rows.
    """
    import joblib
    import threadpoolctl

    x = kind.inputs(x)

    def fit(target, rows, seed, others):
        # Small tables take several times as long where threads wait for each other: these are for the models.
        with threadpoolctl.threadpool_limits(1, user_api="openmp"):
            model = kind.regressor(seed).fit(x[rows], target[rows], None if weights is None else weights[rows])
            predictions = model.predict(x[others]) if len(others) else np.empty(0)
        return kind.trees(model), predictions

    tasks = zip(targets, learners, seeds, judged)
    return joblib.Parallel(n_jobs=joblib.cpu_count(), prefer="threads")(joblib.delayed(fit)(*task) for task in tasks)
