"""Components of correlated coordinates in float32 and elementary operations.

Shapes in comments: D coordinates.
"""

from __future__ import annotations

import tensorflow as tf

from tfmdn.export import portable_families as families
from tfmdn.export.elementary import HALF_LOG_TWO_PI


class Normal:
    """Jointly normal coordinates of centres `[..., D]` and triangular factors `[..., D, D]` of covariances."""

    def __init__(self, loc: tf.Tensor, scale_tril: tf.Tensor):
        self.loc, self.scale_tril = loc, scale_tril

    def marginals(self) -> families.Univariate:
        """The distribution of each coordinate."""
        return families.Normal(self.loc, tf.sqrt(tf.reduce_sum(tf.square(self.scale_tril), -1)))

    def log_prob(self, y: tf.Tensor) -> tf.Tensor:
        """Of y `[..., D]`, without the last axis: forward substitution, column by column."""
        rest, total = y - self.loc, 0.0
        for axis in range(self.loc.shape[-1]):
            diagonal = self.scale_tril[..., axis, axis : axis + 1]
            z = families.held(rest[..., axis : axis + 1] / diagonal)
            total += tf.square(z) * 0.5 + tf.math.log(tf.abs(diagonal)) + HALF_LOG_TWO_PI
            rest -= self.scale_tril[..., axis] * z
        return -tf.squeeze(total, -1)

    def at_normal(self, z: tf.Tensor) -> tf.Tensor:
        """What the distribution makes of standard normal numbers `[..., D]`."""
        return self.loc + tf.reduce_sum(self.scale_tril * tf.expand_dims(z, -2), -1)
