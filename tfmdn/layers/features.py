"""Layers that prepare features: scaling and noise here, and all others by name. Many learn from data, by `adapt`.

Shapes in comments: B batch, F features.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation, versions
from tfmdn.layers import adaptation
from tfmdn.layers.calendar import Calendar
from tfmdn.layers.categories import CategoryEmbedding, CategoryIndicators
from tfmdn.layers.dates import DateParsing
from tfmdn.layers.embeddings import PeriodicEmbedding, PiecewiseLinearEmbedding
from tfmdn.layers.missing import Imputation, MissingIndicator
from tfmdn.layers.products import Products
from tfmdn.layers.trees import TreeEmbedding
from tfmdn.reading import weighted

__all__ = [
    "Calendar",
    "CategoryEmbedding",
    "CategoryIndicators",
    "DateParsing",
    "Imputation",
    "MissingIndicator",
    "NoiseRegularization",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "Products",
    "Standardization",
    "TreeEmbedding",
]


@versions.saved()
class Standardization(adaptation.AdaptedLayer):
    """Brings features to mean 0 and standard deviation 1, and holds those far outside of the adapted range at its rim.

    A network extrapolates without bound; the density at a feature that no training row came near should be that at
    the rim. Unlike `keras.layers.Normalization` it does so. A feature that was constant becomes 0 where it still is.

    Args:
      margin: how far beyond the range of the adapted data a feature may go, in standard deviations. None: any way.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input and output shape: `[*B, F]`.

    Example:

    >>> layer = tfmdn.features.Standardization(margin=1.0)
    >>> layer.adapt([[0.0], [10.0]])
    >>> layer(np.array([[5.0], [10.0], [1000.0]])).numpy().tolist()
    [[0.0], [1.0], [2.0]]
    """

    def __init__(self, margin: float | None = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.margin = None if margin is None else validation.nonnegative_number("margin", margin)

    def _add_state(self, features):
        self.location = self._add_statistic("location", np.zeros(features))
        self.scale = self._add_statistic("scale", np.ones(features))
        self.lowest = self._add_statistic("lowest", np.full(features, tf.as_dtype(self.variable_dtype).min))
        self.highest = self._add_statistic("highest", np.full(features, tf.as_dtype(self.variable_dtype).max))

    def _learn(self, rows, weights):
        lowest, highest = np.nanmin(rows, 0), np.nanmax(rows, 0)
        location, scale = weighted.moments(rows, weights)
        resolution = np.finfo(adaptation.precision(self.variable_dtype)).eps * np.abs(location)
        scale = np.where((scale <= resolution) | (lowest == highest), 1.0, scale)
        self.location.assign(location)
        self.scale.assign(scale)
        self.lowest.assign((lowest - location) / scale)
        self.highest.assign((highest - location) / scale)

    def call(self, inputs):
        z = (tf.cast(inputs, self.variable_dtype) - self.location) / self.scale
        if self.margin is not None:
            z = tf.clip_by_value(z, self.lowest - self.margin, self.highest + self.margin)
        return tf.cast(z, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@versions.saved()
class NoiseRegularization(adaptation.AdaptedLayer):
    """Adds normal noise while training, of a bandwidth that shrinks as the data grows.

    Noise on features and targets smooths the density that a network learns, as a kernel does in kernel density
    estimation, and for it the rule of thumb of kernel density estimation holds (Rothfuss et al. 2020, "Noise
    Regularization for Conditional Density Estimation"): the standard deviation is
    `factor * sd * n^(-1 / (4 + F))` in each of F coordinates, of which n values are finite. (Of weights n is how many
    equal rows say as much.)

    In a model it is a layer for the features. For targets, map it over a dataset:
    `dataset.map(lambda x, y: (x, noise(y, training=True)))`.

    Args:
      factor: multiple of the rule of thumb.
      seed: an integer that makes the noise repeatable, or None.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input and output shape: `[*B, F]`.

    Example:

    >>> noise = tfmdn.features.NoiseRegularization(factor=1.0, seed=0)
    >>> noise.adapt(np.linspace(-1.0, 1.0, 100)[:, np.newaxis])
    >>> noise.bandwidth.numpy().round(3)  # 0.583 * 100 ** (-1 / 5)
    array([0.232], dtype=float32)
    >>> bool(np.all(noise(np.zeros((2, 1))) == 0.0)), bool(np.all(noise(np.zeros((2, 1)), training=True) == 0.0))
    (True, False)
    """

    def __init__(self, factor: float = 1.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = validation.nonnegative_number("factor", factor)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _add_state(self, features):
        self.bandwidth = self._add_statistic("bandwidth", np.zeros(features))

    def _learn(self, rows, weights):
        counts = weighted.effective_counts(rows, weights)
        _, scale = weighted.moments(rows, weights)
        self.bandwidth.assign(self.factor * scale * counts ** (-1.0 / (4 + rows.shape[1])))

    def call(self, inputs, training=None):
        if training:
            noise = keras.random.normal(tf.shape(inputs), dtype=self.variable_dtype, seed=self.seed_generator)
            inputs = tf.cast(inputs, self.variable_dtype) + self.bandwidth * noise
        return tf.cast(inputs, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}
