"""Layers that give each numeric feature several inputs of the network behind.

Shapes in comments: B batch, F features, C frequencies, T bins.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation, versions
from tfmdn.layers import adaptation
from tfmdn.reading import weighted

# The bins of more rows are those of a sample, whose edges are known to a fortieth of a bin.
MOST_ROWS = 100_000
# Not a seed that data may have been drawn with: the choice of rows would depend on their values.
SAMPLING_SEED = 0x62696E73


@versions.saved()
class PeriodicEmbedding(keras.layers.Layer):
    """Sines and cosines of each feature, mixed by a small dense layer of its own, beside the feature itself.

    Smooth networks learn quick changes slowly; trainable frequencies let them (Gorishniy et al. 2022, "On Embeddings
    for Numerical Features in Tabular Deep Learning", PLR). Of a feature z: relu(W [sin(2 pi c z), cos(2 pi c z)] + b).

    Args:
      num_frequencies: the number of frequencies c for each feature.
      units: the number of outputs for each feature, beside the feature itself.
      frequency_scale: the standard deviation of the initial frequencies, in periods for each unit of the feature.
        Meant for features of standard deviation 1.
      seed: an integer that makes the initial weights repeatable, or None.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, F]`.
    Output shape: `[*B, F * (1 + units)]`.

    Example:

    >>> tfmdn.features.PeriodicEmbedding(units=8)(np.zeros((5, 3))).shape
    TensorShape([5, 27])
    """

    def __init__(
        self,
        num_frequencies: int = 8,
        units: int = 8,
        frequency_scale: float = 0.3,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_frequencies = validation.positive_integer("num_frequencies", num_frequencies)
        self.units = validation.positive_integer("units", units)
        self.frequency_scale = validation.positive_number("frequency_scale", frequency_scale)
        self.seed = seed
        self.supports_masking = True
        seeds = (None, None) if seed is None else np.random.SeedSequence(seed).generate_state(2).tolist()
        self.frequencies_initializer = keras.initializers.RandomNormal(stddev=self.frequency_scale, seed=seeds[0])
        # Each feature has a dense layer of its own, which Keras' fan-in initializers do not see in the kernel's shape.
        stddev = 1.0 / math.sqrt(2 * self.num_frequencies)
        self.kernel_initializer = keras.initializers.RandomNormal(stddev=stddev, seed=seeds[1])

    def build(self, input_shape):
        self.input_spec = adaptation.last_axis_spec(input_shape)
        features = input_shape[-1]
        self.frequencies = self.add_weight(
            name="frequencies",
            shape=(features, self.num_frequencies),
            initializer=self.frequencies_initializer,
        )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, 2 * self.num_frequencies, self.units),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(name="bias", shape=(features, self.units), initializer="zeros")

    def call(self, inputs):
        inputs = tf.cast(inputs, self.compute_dtype)  # whole numbers too
        angles = 2.0 * math.pi * inputs[..., tf.newaxis] * self.frequencies  # [B, F, C]
        waves = tf.concat([tf.sin(angles), tf.cos(angles)], -1)  # [B, F, 2 C]
        embedded = tf.nn.relu(tf.einsum("...fc,fcu->...fu", waves, self.kernel) + self.bias)
        return _beside(inputs, embedded)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] * (1 + self.units))

    def get_config(self):
        return {
            **super().get_config(),
            "num_frequencies": self.num_frequencies,
            "units": self.units,
            "frequency_scale": self.frequency_scale,
            "seed": self.seed,
        }


@versions.saved()
class PiecewiseLinearEmbedding(adaptation.AdaptedLayer):
    """For each feature how far it is through each of the bins between its quantiles, beside the feature itself.

    A value below a bin gives -1/2 there, above it 1/2, and inside it what lies linearly between: a dense layer behind
    can then bend at every bin's edge (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
    Learning", PLE). Outside of the adapted range only the feature itself goes on growing.

    Args:
      num_bins: the number of bins T for each feature. A feature with fewer distinct values has fewer; the others are 0.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, F]`.
    Output shape: `[*B, F * (1 + num_bins)]`.

    Example:

    >>> layer = tfmdn.features.PiecewiseLinearEmbedding(num_bins=2)
    >>> layer.adapt([[0.0], [1.0], [3.0]])  # the bins are [0, 1] and [1, 3]
    >>> layer(np.array([[0.0], [0.5], [2.0]])).numpy().tolist()
    [[0.0, -0.5, -0.5], [0.5, 0.0, -0.5], [2.0, 0.5, 0.0]]
    """

    def __init__(self, num_bins: int = 16, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_bins = validation.positive_integer("num_bins", num_bins)

    def _add_state(self, features):
        self.starts = self._add_statistic("starts", np.zeros((features, self.num_bins)))
        # The inverse, so that a bin which is not used has 0.
        self.inverse_widths = self._add_statistic("inverse_widths", np.zeros((features, self.num_bins)))

    def _learn(self, rows, weights):
        starts = np.zeros(self.starts.shape)
        inverse_widths = np.zeros(self.starts.shape)
        precision = adaptation.precision(self.variable_dtype)
        if len(rows) > MOST_ROWS:
            sampled = np.random.default_rng(SAMPLING_SEED).integers(len(rows), size=MOST_ROWS)
            rows, weights = (rows if weights is None else rows[weighted.by_weight(weights)])[sampled], None
        for feature, column in enumerate(rows.T):
            known = np.isfinite(column)
            own = None if weights is None else weights[known]
            edges = _bin_edges(column[known].astype(precision), self.num_bins, own)
            starts[feature, : len(edges) - 1] = edges[:-1]
            inverse_widths[feature, : len(edges) - 1] = 1.0 / np.diff(edges)
        self.starts.assign(starts)
        self.inverse_widths.assign(np.minimum(inverse_widths, np.finfo(precision).max))

    def call(self, inputs):
        inputs = tf.cast(inputs, self.variable_dtype)
        passed = tf.clip_by_value((inputs[..., tf.newaxis] - self.starts) * self.inverse_widths, 0.0, 1.0)  # [B, F, T]
        outputs = _beside(inputs, passed - 0.5 * tf.cast(self.inverse_widths > 0.0, passed.dtype))
        return tf.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] * (1 + self.num_bins))

    def get_config(self):
        return {**super().get_config(), "num_bins": self.num_bins}


def _bin_edges(values: np.ndarray, num_bins: int, weights: np.ndarray | None) -> np.ndarray:
    """Increasing edges of at most `num_bins` bins: the distinct values if they are few, else quantiles.

    The values are in the precision of the weights: edges that differ only beyond it would make bins of no width.
    """
    values = values.astype(np.float64)
    edges = np.unique(values)
    if len(edges) <= num_bins + 1:
        return edges
    return np.unique(weighted.quantiles(values, np.linspace(0.0, 1.0, num_bins + 1), weights))


def _beside(inputs: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
    """The features `[B, F]` and what each is embedded as `[B, F, U]`, in one last axis."""
    size = embedded.shape[-2] * embedded.shape[-1]
    flat = tf.reshape(embedded, tf.concat([tf.shape(inputs)[:-1], [size]], 0))
    return tf.concat([inputs, flat], -1)
