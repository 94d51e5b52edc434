"""Layers for features of which some values are missing, written NaN.

Shapes in comments: n rows, B batch, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation, versions
from tfmdn.layers import adaptation
from tfmdn.reading import weighted


@versions.saved()
class Imputation(adaptation.AdaptedLayer):
    """Puts the median of what was adapted, 0 before, in the place of values that are missing.

    A network can tell them from values that are there by a `MissingIndicator` beside it.

    Args:
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input and output shape: `[*B, F]`.

    Example:

    >>> layer = tfmdn.features.Imputation()
    >>> layer.adapt([[1.0, 5.0], [2.0, np.nan], [6.0, np.nan]])
    >>> layer(np.array([[np.nan, np.nan], [7.0, 8.0]])).numpy().tolist()
    [[2.0, 5.0], [7.0, 8.0]]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)

    def _add_state(self, features):
        self.median = self._add_statistic("median", np.zeros(features))

    def _learn(self, rows, weights):
        self.median.assign(weighted.quantiles(rows, 0.5, weights))

    def call(self, inputs):
        inputs = tf.cast(inputs, self.variable_dtype)
        return tf.cast(tf.where(tf.math.is_nan(inputs), self.median, inputs), self.compute_dtype)


@versions.saved()
class MissingIndicator(keras.layers.Layer):
    """1 where a feature is missing, and 0 where it is there, for some of the features.

    Args:
      indices: which features have an indicator.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, F]`.
    Output shape: `[*B, len(indices)]`.

    Example:

    >>> layer = tfmdn.features.MissingIndicator([0, 2])
    >>> layer(np.array([[np.nan, 1.0, 2.0], [3.0, np.nan, np.nan]])).numpy().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, indices: Sequence[int], **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.indices = tuple(validation.nonnegative_integer("indices", index) for index in indices)
        self.supports_masking = True

    def build(self, input_shape):
        self.input_spec = adaptation.last_axis_spec(input_shape)
        for index in self.indices:
            validation.index("indices", index, input_shape[-1])

    def call(self, inputs):
        chosen = tf.gather(inputs, np.array(self.indices, "int32"), axis=-1)
        return tf.cast(tf.math.is_nan(tf.cast(chosen, self.variable_dtype)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.indices))

    def get_config(self):
        return {**super().get_config(), "indices": list(self.indices)}
