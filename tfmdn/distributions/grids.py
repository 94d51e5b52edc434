"""Equidistant values, to which targets are rounded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# In steps: how far from a value of the grid rounding errors may have brought a number that is one.
SLACK = 1e-3


class Grid:
    """The values `origin + i * step` for integers i. A step of 0, or None, is no grid: each number is its own value."""

    def __init__(self, step: tf.Tensor | None, origin: tf.Tensor):
        step = tf.zeros_like(origin) if step is None else step
        self.step, self.origin = step, origin
        self.exists = step > 0.0
        self._safe_step = tf.where(self.exists, step, tf.ones_like(step))
        # A tenth is no binary fraction, and ten is one: 3 / 10 is the double that is called 0.3, and 3 * 0.1 is not.
        inverse = tf.round(1.0 / self._safe_step)
        has_inverse = tf.abs(inverse * self._safe_step - 1.0) < 1e-6
        numerator = origin * inverse
        rounding = 8.0 * np.finfo(step.dtype.as_numpy_dtype).eps * tf.maximum(tf.abs(numerator), 1.0)
        self._is_fraction = has_inverse & (tf.abs(numerator - tf.round(numerator)) <= rounding)
        self._inverse = tf.where(self._is_fraction, inverse, tf.ones_like(inverse))

    @property
    def half_step(self) -> tf.Tensor:
        """Half of the step, 0 where there is no grid."""
        return 0.5 * self.step

    def nearest(self, y: tf.Tensor) -> tf.Tensor:
        """The value of the grid that is nearest to y."""
        return self._where_exists(tf.round((y - self.origin) / self._safe_step), y)

    def last_up_to(self, y: tf.Tensor) -> tf.Tensor:
        """The largest value of the grid that is at most y."""
        return self._where_exists(tf.floor((y - self.origin) / self._safe_step + SLACK), y)

    def first_from(self, y: tf.Tensor) -> tf.Tensor:
        """The smallest value of the grid that is at least y."""
        return self._where_exists(tf.math.ceil((y - self.origin) / self._safe_step - SLACK), y)

    def contains(self, y: tf.Tensor) -> tf.Tensor:
        """Whether y is a value of the grid, but for rounding errors; False where there is no grid."""
        index = (y - self.origin) / self._safe_step
        return self.exists & (tf.abs(index - tf.round(index)) <= SLACK)

    def _where_exists(self, index: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        value = self.origin + index * self._safe_step
        value = tf.where(self._is_fraction, tf.round(value * self._inverse) / self._inverse, value)
        # What is infinite has no place on the grid, and is where it is.
        return tf.where(self.exists & tf.math.is_finite(y), value, y)
