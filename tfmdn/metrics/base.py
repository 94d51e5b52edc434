"""What metrics have in common: sums over examples, which count neither masked steps nor rows of weight 0.

Shapes in comments: B batch.
"""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.scores import targets, weighting

tfd = tfp.distributions


class ScoreMetric(keras.metrics.Metric):
    """A metric made of sums over examples. A subclass says of what in `statistics`, and makes the result of the sums.

    Args:
      shape: the shape of what is summed.
      name: name of the metric.
      dtype: dtype of the sums.

    Attributes:
      direction: "down" if less is better, "up" if more is, None if neither; for callbacks with `mode="auto"`.
    """

    direction: str | None = None

    def __init__(self, shape: tuple[int, ...] = (), name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        if self.direction is not None:
            keras_internals.set_direction(self, self.direction)
        self.total = self.add_variable(shape, "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """What is summed, of each example: `[*B, *shape]`."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: targets, the mixture and, if given, one weight for each row or for each example."""
        if keras_internals.is_placeholder(y_pred):
            return
        y_true = targets.reconcile_target(y_true, y_pred)
        values = tf.cast(self.statistics(y_true, y_pred), self.dtype)
        rank = y_pred.batch_shape.rank
        weights = weighting.example_weights(
            y_pred, sample_weight, tf.reduce_sum(values, list(range(rank, values.shape.rank)))
        )
        self.count.assign_add(tf.reduce_sum(weights))
        weights = numerics.with_trailing_axes(weights, values.shape.rank - rank)
        # A row that does not count may hold a NaN, of which 0 times is NaN too.
        values = tf.where(weights != 0, weights * values, tf.zeros_like(values))
        self.total.assign_add(tf.reduce_sum(values, list(range(rank))))

    def mean(self) -> tf.Tensor:
        """The weighted mean of the statistics so far, 0 before the first."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count))

    def result(self) -> tf.Tensor:
        return self.mean()
