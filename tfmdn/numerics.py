"""What keeps densities and their gradients finite, however far away a target is."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def reach(dtype: tf.DType) -> float:
    """The number of standard deviations whose square, times any reasonable gradient, is finite: 3e15 in float32."""
    return float(np.finfo(dtype.as_numpy_dtype).max) ** 0.4


def held_quotient(distance: tf.Tensor, scale: tf.Tensor, limit: float) -> tf.Tensor:
    """distance / scale, held within the limit before the division: an overflow would turn its gradient into NaN."""
    return tf.maximum(tf.minimum(distance, limit * scale), -limit * scale) / scale
