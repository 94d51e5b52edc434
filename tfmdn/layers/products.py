"""Products of numbers, of which the logarithm of a ratio of normal densities is made.

Shapes in comments: F features.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import versions
from tfmdn.layers import adaptation

# Standardised numbers beyond it count as it: the square of an outlier would decide everything.
LIMIT = 4.0
# Of a product, which then is about as large as a number, and is learnt as fast.
SCALE = 0.3


def pairs(features: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the two features in each product, of a feature with itself or with a later one."""
    return np.triu_indices(features)


@versions.saved()
class Products(keras.layers.Layer):
    """Numbers, and the products of each two of them.

    A linear function of these is what the logarithm of a weight is in a Gaussian mixture that is conditioned on some
    coordinates, and what the centres are. Beside the features of a last hidden layer they let an `MDNLayer` start as
    such a mixture, see `MDNLayer.adapt`.

    Numbers should be standardised. They count as at most 4 in size, and the products are multiplied by 0.3.

    Args:
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, F]`. Output shape: `[*B, F + F (F + 1) / 2]`.

    Example:

    >>> products = tfmdn.features.Products(dtype="float64")
    >>> products(np.array([[1.0, 2.0, 10.0]])).numpy().round(1).tolist()
    [[1.0, 2.0, 4.0, 0.3, 0.6, 1.2, 1.2, 2.4, 4.8]]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.input_spec = adaptation.last_axis_spec(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], width(input_shape[-1]))

    def call(self, inputs):
        numbers = tf.clip_by_value(tf.cast(inputs, self.compute_dtype), -LIMIT, LIMIT)
        first, second = (tf.gather(numbers, places, axis=-1) for places in pairs(inputs.shape[-1]))
        return tf.concat([numbers, SCALE * first * second], -1)


def width(features: int) -> int:
    """The number of outputs of `Products` of so many features."""
    return features + features * (features + 1) // 2
