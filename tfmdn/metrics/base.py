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
# Sums are kept by how large the largest weight of a batch is, in powers of 2: about 1e-300, 1 and 1e300.
EXPONENTS = (-682.0, 0.0, 682.0)


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
        # In float64 sums do not stand still after 2^24 rows. For weights of any scale there are three of each.
        self.totals = self.add_variable((len(EXPONENTS), *shape), "zeros", SUMS, name="total")
        self.counts = self.add_variable((len(EXPONENTS),), "zeros", SUMS, name="count")

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
        of_scale, weights = _by_scale(weights)
        self.counts.assign_add(of_scale * tf.reduce_sum(weights))
        weights = numerics.with_trailing_axes(weights, values.shape.rank - rank)
        # A row that does not count may hold a NaN, of which 0 times is NaN too.
        values = tf.where(weights != 0, weights * values, tf.zeros_like(values))
        total = tf.reduce_sum(values, list(range(rank)))
        self.totals.assign_add(numerics.with_trailing_axes(of_scale, total.shape.rank) * total)

    def mean(self) -> tf.Tensor:
        """The weighted mean of the statistics so far, 0 before the first."""
        totals, counts = map(tf.convert_to_tensor, (self.totals, self.counts))
        # In units of the largest weights, beside which those of a smaller scale may vanish.
        largest = tf.reduce_max(tf.where(counts > 0.0, tf.constant(EXPONENTS, SUMS), EXPONENTS[0]))
        in_units = 2.0 ** tf.minimum(tf.constant(EXPONENTS, SUMS) - largest, 0.0)
        mean = tf.math.divide_no_nan(tf.tensordot(in_units, totals, 1), tf.tensordot(in_units, counts, 1))
        return tf.cast(mean, self.dtype)

    @property
    def is_empty(self) -> tf.Tensor:
        """Whether nothing has counted so far."""
        return tf.reduce_sum(tf.convert_to_tensor(self.counts)) == 0.0

    def result(self) -> tf.Tensor:
        return self.mean()

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.target_options}
        return {**super().get_config(), **options}


def _by_scale(weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which of `EXPONENTS` weights belong to, as a 1 among zeros, and the weights without that power of 2."""
    largest, half = tf.reduce_max(weights), 0.5 * EXPONENTS[-1]
    edges = tf.constant([2.0**-half, 2.0**half], weights.dtype)
    number = tf.reduce_sum(tf.cast(largest > edges, tf.int32))
    exponent = tf.gather(tf.constant(EXPONENTS, weights.dtype), number)
    return tf.one_hot(number, len(EXPONENTS), dtype=weights.dtype), weights * 2.0**-exponent
