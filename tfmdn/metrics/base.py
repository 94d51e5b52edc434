"""What metrics have in common: sums over examples, which count neither masked steps nor rows of weight 0.

Shapes in comments: B batch.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.scores import weighting
from tfmdn.scores.targets import TargetFormat

tfd = tfp.distributions

SUMS = "float64"


class ScoreMetric(keras.metrics.Metric):
    """A metric made of sums over examples. A subclass says of what in `statistics`, and makes the result of the sums.

    Args:
      shape: the shape of what is summed.
      name: name of the metric.
      dtype: dtype of the result. Sums are in float64.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
      missing: whether NaN stands for what was not observed, likewise. What is not observed counts in no mean.

    Attributes:
      direction: "down" if less is better, "up" if more is, None if neither; for callbacks with `mode="auto"`.
    """

    direction: str | None = None
    # What `get_config` tells of how targets are given.
    target_options: tuple[str, ...] = ("intervals", "missing")

    def __init__(
        self,
        shape: tuple[int, ...] = (),
        name: str | None = None,
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.intervals, self.missing = intervals, missing
        self.target_format = TargetFormat(intervals, missing)
        if self.direction is not None:
            keras_internals.set_direction(self, self.direction)
        # In float64 sums do not stand still after 2^24 rows, and weights may be of any scale.
        self.total = self.add_variable(shape, "zeros", SUMS, name="total")
        self.count = self.add_variable((), "zeros", SUMS, name="count")

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """What is summed, of each example: `[*B, *shape]`. The targets come as `target_format` reconciles them."""
        raise NotImplementedError

    @numerics.unconverted
    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: targets, the mixture and, if given, one weight for each row or for each example.

        Only the ratios of weights matter. What has a weight of 0 does not count, whatever it is.

        Raises:
          ValueError: if weights are negative or not finite; in a graph `tf.errors.InvalidArgumentError`. Where XLA has
            compiled it, the result is NaN.
        """
        y_true = self.target_format.reconcile(y_true, y_pred)
        weights = weighting.target_weights(self.target_format, y_true, y_pred, sample_weight, SUMS)
        if sample_weight is not None:
            is_wrong = ~((weights >= 0.0) & (weights < math.inf))
            with tf.control_dependencies(numerics.requirement_of_rows(is_wrong, weighting.EXPECTED)):
                weights = tf.where(is_wrong, tf.constant(math.nan, weights.dtype), weights)
        y_true = self.target_format.only(weights != 0, y_true)
        values = tf.cast(self.statistics(y_true, y_pred), SUMS)
        rank = y_pred.batch_shape.rank
        self.count.assign_add(tf.reduce_sum(weights))
        weights = numerics.with_trailing_axes(weights, values.shape.rank - rank)
        # A row that does not count may hold a NaN, of which 0 times is NaN too.
        values = tf.where(weights != 0, weights * values, tf.zeros_like(values))
        self.total.assign_add(tf.reduce_sum(values, list(range(rank))))

    def mean(self) -> tf.Tensor:
        """The weighted mean of the statistics so far, 0 before the first."""
        mean = tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count))
        return tf.cast(mean, self.dtype)

    def result(self) -> tf.Tensor:
        return self.mean()

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.target_options}
        return {**super().get_config(), **options}
