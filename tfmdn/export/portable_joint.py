"""Components of correlated coordinates in float32 and elementary operations.

Shapes in comments: N rows, K components, D coordinates, I images.
"""

from __future__ import annotations

import tensorflow as tf

from tfmdn.export import portable_families as families
from tfmdn.export import portable_limits as limits
from tfmdn.export.elementary import HALF_LOG_TWO_PI, log_sum_exp


def lengths(rows: tf.Tensor) -> tf.Tensor:
    """The lengths of rows `[..., D]` that are not 0, without a square in their units: `[...]`."""
    unit = tf.reduce_max(tf.abs(rows), -1, keepdims=True)
    return tf.squeeze(unit, -1) * tf.sqrt(tf.reduce_sum(tf.square(rows / unit), -1))


class Normal:
    """Jointly normal coordinates of centres `[..., D]` and triangular factors `[..., D, D]` of covariances."""

    def __init__(self, loc: tf.Tensor, scale_tril: tf.Tensor):
        self.loc, self.scale_tril = loc, scale_tril

    def marginals(self) -> families.Univariate:
        """The distribution of each coordinate."""
        return families.Normal(self.loc, lengths(self.scale_tril))

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


# As in `tfmdn.distributions.reflected_joint`, whose formulas these are.
WIDEST_CORRELATED = 0.25
IMPOSSIBLE = -1e30


class Reflected:
    """The same, each coordinate reflected at the ends of an interval of its own."""

    def __init__(self, loc: tf.Tensor, scale_tril: tf.Tensor, low: tf.Tensor, high: tf.Tensor):
        self._interval = interval = limits.Interval(low, high)
        stddev = lengths(scale_tril)
        widest = WIDEST_CORRELATED * interval.safe_width
        is_held = interval.is_bounded & (stddev > widest)
        factor = interval.sign(loc) * tf.where(is_held, widest / stddev, tf.ones_like(stddev))
        self.loc, self.scale_tril = interval.fold(loc), tf.expand_dims(factor, -1) * scale_tril
        self._marginals = limits.Reflected(self.loc, lengths(self.scale_tril), low, high)

    def marginals(self) -> families.Univariate:
        """The distribution of each coordinate."""
        return self._marginals

    def log_prob(self, y: tf.Tensor) -> tf.Tensor:
        """Of y `[N, 1, D]`: `[N, K]`, by forward substitution of all images, of which coordinates share the first."""
        interval, size = self._interval, self.loc.shape[-1]
        images = [
            (exists & (tf.abs(self.loc) >= 0.0), point + tf.zeros_like(self.loc))
            for exists, point in interval.images(interval.clip(y))
        ]
        zs, total = [], tf.zeros_like(self.loc[..., :1])  # [N, K, I]
        for axis in range(size):
            exists, points = (tf.stack([part[..., axis] for part in parts], -1) for parts in zip(*images))  # [N, K, 3]
            rest = tf.expand_dims(points - self.loc[..., axis : axis + 1], -2)  # [N, K, 1, 3]
            for other, z in enumerate(zs):
                rest -= tf.expand_dims(self.scale_tril[..., axis, other : other + 1] * z, -1)
            diagonal = self.scale_tril[..., axis, axis : axis + 1]  # [N, K, 1]
            z = families.held(rest / tf.expand_dims(diagonal, -1)) + tf.zeros_like(tf.expand_dims(total, -1))
            own = tf.where(tf.expand_dims(exists, -2), -0.5 * tf.square(z), IMPOSSIBLE)
            own -= tf.expand_dims(tf.math.log(tf.abs(diagonal)) + HALF_LOG_TWO_PI, -1)
            zs = [tf.expand_dims(earlier, -1) + tf.zeros_like(z) for earlier in zs] + [z]  # [N, K, I, 3]
            zs = [_merged(each, 3 ** (axis + 1)) for each in zs]
            total = _merged(tf.expand_dims(total, -1) + own, 3 ** (axis + 1))
        is_outside = tf.reduce_max(tf.cast(interval.is_outside(y), tf.float32), -1)
        return log_sum_exp(total, -1) + tf.math.log(1.0 - is_outside)

    def at_normal(self, z: tf.Tensor) -> tf.Tensor:
        """What the distribution makes of standard normal numbers `[..., D]`."""
        return self._interval.fold(self.loc + tf.reduce_sum(self.scale_tril * tf.expand_dims(z, -2), -1))


def _merged(value: tf.Tensor, size: int) -> tf.Tensor:
    """`[N, K, I, 3]` as `[N, K, 3 I]`."""
    return tf.reshape(value, [-1, value.shape[1], size])
