"""Layers for categories that come as numbers: category j has the numbers 0 to sizes[j] - 1, any other is unknown.

Shapes in comments: n rows, B batch, J categories, S numbers of all of them, U units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation, versions
from tfmdn.layers import adaptation


@versions.saved()
class CategoryIndicators(adaptation.AdaptedLayer):
    """An indicator of each number of each category, minus the share of rows that have it.

    A number that is unknown has 0 everywhere, and so is like the average of all rows.

    Args:
      sizes: how many numbers each category has.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, J]`, whole numbers of any dtype. What is below 0, too large, broken or NaN is unknown.
    Output shape: `[*B, sum(sizes)]`.

    Example:

    >>> layer = tfmdn.features.CategoryIndicators([2, 3])
    >>> layer(np.array([[0, 2], [1, -1]])).numpy().tolist()
    [[1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0]]
    >>> layer.adapt([[0, 0], [0, 1], [0, 1], [1, -1]])  # the shares are 3/4, 1/4, and 1/3, 2/3, 0
    >>> layer(np.array([[0, -1]])).numpy().tolist()
    [[0.25, -0.25, 0.0, 0.0, 0.0]]
    """

    def __init__(self, sizes: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = _checked_sizes(sizes)

    def _add_state(self, features):
        _check_width(self, features)
        self.shares = self._add_statistic("shares", np.zeros(sum(self.sizes)))

    def _learn(self, rows, weights):
        shares, counted = [], 1 if weights is None else weights[:, np.newaxis]
        for size, numbers in zip(self.sizes, rows.T):
            counts = (counted * (numbers[:, np.newaxis] == np.arange(size))).sum(0)
            shares.append(counts / (counts.sum() or 1))
        self.shares.assign(np.concatenate(shares))

    def call(self, inputs):
        numbers, indicators = _indicators(inputs, self.sizes, self.variable_dtype)
        return tf.cast(tf.where(numbers >= 0.0, indicators - self.shares, 0.0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], sum(self.sizes))

    def get_config(self):
        return {**super().get_config(), "sizes": list(self.sizes)}


@versions.saved()
class CategoryEmbedding(keras.layers.Layer):
    """A trainable vector for each number of each category, side by side (Guo and Berkhahn 2016, "Entity Embeddings").

    A number that is unknown has the vector 0. Vectors begin with a mean square length of 1, that of a standardised
    feature.

    Args:
      sizes: how many numbers each category has.
      units: the length of the vectors.
      seed: an integer that makes the initial vectors repeatable, or None.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, J]`, whole numbers of any dtype. What is below 0, too large, broken or NaN is unknown.
    Output shape: `[*B, J * units]`.

    Example:

    >>> layer = tfmdn.features.CategoryEmbedding([2, 3], units=4)
    >>> vectors = layer(np.array([[0, 2], [-1, 2]]))
    >>> vectors.shape, vectors[1, :4].numpy().tolist(), bool(np.all(vectors[0, 4:] == vectors[1, 4:]))
    (TensorShape([2, 8]), [0.0, 0.0, 0.0, 0.0], True)
    """

    def __init__(self, sizes: Sequence[int], units: int = 8, seed: int | None = None, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.sizes = _checked_sizes(sizes)
        self.units = validation.positive_integer("units", units)
        self.seed = seed
        self.supports_masking = True
        self.kernel_initializer = keras.initializers.RandomNormal(stddev=self.units**-0.5, seed=seed)

    def build(self, input_shape):
        self.input_spec = adaptation.last_axis_spec(input_shape)
        _check_width(self, input_shape[-1])
        self.kernel = self.add_weight(
            name="kernel", shape=(sum(self.sizes), self.units), initializer=self.kernel_initializer
        )

    def call(self, inputs):
        # A product for each category: one for all would mostly multiply zeros, and a lookup has gradients that a GPU
        # sums in no fixed order.
        _, indicators = _indicators(inputs, self.sizes, self.variable_dtype)
        indicators = tf.split(tf.cast(indicators, self.compute_dtype), self.sizes, axis=-1)
        vectors = tf.split(tf.cast(self.kernel, self.compute_dtype), self.sizes)
        return tf.concat([tf.tensordot(*pair, axes=1) for pair in zip(indicators, vectors)], -1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.sizes) * self.units)

    def get_config(self):
        return {**super().get_config(), "sizes": list(self.sizes), "units": self.units, "seed": self.seed}


def _indicators(inputs: tf.Tensor, sizes: Sequence[int], dtype: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The number of its category, -1 if that is unknown, and whether it is the number of the column: both `[B, S]`."""
    inputs = tf.cast(inputs, dtype)
    known = (inputs >= 0.0) & (inputs < tf.constant(sizes, dtype)) & (inputs == tf.floor(inputs))
    numbers = tf.gather(tf.where(known, inputs, -1.0), np.repeat(np.arange(len(sizes)), sizes), axis=-1)
    return numbers, tf.cast(numbers == tf.constant(np.concatenate([np.arange(size) for size in sizes]), dtype), dtype)


def _checked_sizes(sizes) -> tuple[int, ...]:
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) == 0:
        raise ValueError(f"`sizes` must be a list of at least one positive integer. Received: sizes={sizes!r}.")
    return tuple(validation.positive_integer("sizes", size) for size in sizes)


def _check_width(layer: CategoryIndicators | CategoryEmbedding, width: int) -> None:
    if width != len(layer.sizes):
        raise ValueError(
            f"{type(layer).__name__} has the sizes of {len(layer.sizes)} categories. Received: inputs with {width}."
        )
