"""Equidistant values, to which targets are rounded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# How far from a value of the grid rounding errors may have brought a number that is one: in steps, in units of the last
# place of how many steps it is from the origin, and in steps at most.
SLACK, ULPS, MOST = 1e-3, 4.0, 0.25


class Grid:
    """The values `origin + i * step` for integers i. A step of 0, or None, is no grid: each number is its own value."""

    def __init__(self, step: tf.Tensor | None, origin: tf.Tensor):
        self._is_none = step is None  # known without a tensor, which saves most of the operations
        self.step, self.origin = tf.zeros_like(origin), origin
        if step is not None:  # a number of steps that is infinite, as that of no limit, would have a gradient of NaN
            self.step, self.origin = tf.stop_gradient(step), tf.stop_gradient(origin)
        self.exists = self.step > 0.0

    @property
    def half_step(self) -> tf.Tensor:
        """Half of the step, 0 where there is no grid."""
        return 0.5 * self.step

    def nearest(self, y: tf.Tensor) -> tf.Tensor:
        """The value of the grid that is nearest to y."""
        return y if self._is_none else self._where_exists(tf.round(self._index(y)), y)

    def observed(self, y: tf.Tensor) -> tf.Tensor:
        """The nearest value of the grid, with the gradient of y."""
        change = self.nearest(y) - y
        return y + tf.stop_gradient(tf.where(tf.math.is_finite(y), change, tf.zeros_like(y)))

    def last_up_to(self, y: tf.Tensor) -> tf.Tensor:
        """The largest value of the grid that is at most y."""
        return y if self._is_none else self._where_exists(self._floor(self._index(y)), y)

    def floor(self, y: tf.Tensor) -> tf.Tensor:
        """The same of y as it is, not but for rounding errors."""
        return y if self._is_none else self._where_exists(tf.floor(self._index(y)), y)

    def first_from(self, y: tf.Tensor) -> tf.Tensor:
        """The smallest value of the grid that is at least y."""
        return y if self._is_none else self._where_exists(-self._floor(-self._index(y)), y)

    def contains(self, y: tf.Tensor) -> tf.Tensor:
        """Whether y is a value of the grid, but for rounding errors; False where there is no grid."""
        if self._is_none:
            return self.exists & tf.zeros_like(y, tf.bool)
        index = self._index(y)
        return self.exists & (tf.abs(index - tf.round(index)) <= self._slack(index))

    @property
    def _safe_step(self) -> tf.Tensor:
        return tf.where(self.exists, self.step, tf.ones_like(self.step))

    def _index(self, y: tf.Tensor) -> tf.Tensor:
        return (y - self.origin) / self._safe_step

    def _slack(self, index: tf.Tensor) -> tf.Tensor:
        epsilon = np.finfo(self.step.dtype.as_numpy_dtype).eps
        return SLACK + tf.minimum(ULPS * epsilon * tf.abs(index), MOST)

    def _floor(self, index: tf.Tensor) -> tf.Tensor:
        return tf.floor(index + self._slack(index))

    def _where_exists(self, index: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        value = self.origin + index * self._safe_step
        inverse = self._inverse()
        # In a graph `/` may be a product with a reciprocal, which in float32 is off by a last place; this is none.
        value = tf.where(inverse > 0.0, tf.math.divide_no_nan(tf.round(value * inverse), inverse), value)
        # What is infinite has no place on the grid, and is where it is.
        return tf.where(self.exists & tf.math.is_finite(y), value, y)

    def _inverse(self) -> tf.Tensor:
        """The integer of whose inverse all values are multiples, 0 if there is none.

        A tenth is no binary fraction, and ten is one: 3 / 10 is the double that is called 0.3, and 3 * 0.1 is not.
        """
        inverse = tf.round(tf.math.divide_no_nan(tf.ones_like(self.step), self._safe_step))
        epsilon = np.finfo(self.step.dtype.as_numpy_dtype).eps
        # Not more: every number is nearly the inverse of an integer, if that is large.
        has_inverse = tf.abs(inverse * self._safe_step - 1.0) < 2.0 * epsilon
        numerator = self.origin * inverse
        rounding = 8.0 * epsilon * tf.maximum(tf.abs(numerator), 1.0)
        is_multiple = tf.abs(numerator - tf.round(numerator)) <= rounding
        return tf.where(has_inverse & is_multiple, inverse, tf.zeros_like(inverse))
