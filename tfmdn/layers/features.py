"""Layers that prepare numeric features: scaling, embeddings, and noise. Most learn from data, by `adapt`.

Shapes in comments: B batch, F features, C frequencies, T bins.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation
from tfmdn.layers import adaptation

__all__ = ["NoiseRegularization", "PeriodicEmbedding", "PiecewiseLinearEmbedding", "Standardization"]


class AdaptedLayer(keras.layers.Layer):
    """A layer over the last axis whose state `adapt` learns from rows of features `[n, F]`.

    `call` computes in `variable_dtype`: before they are scaled, features may lie far beyond half precision.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def adapt(self, x) -> None:
        """Learns the layer's state from data, before training.

        Args:
          x: features `[*B, F]` as an array, a tensor, or a `tf.data.Dataset` of batches of x or of tuples that
            start with x. Values that are not finite do not count.

        Raises:
          ValueError: if there are no rows, if the number of features is not that of the layer, or if a feature has no
            finite value.
        """
        rows = _rows(x)
        if not self.built:
            self.build((None, rows.shape[1]))
        features = self.input_spec.axes[-1]
        if rows.shape[1] != features:
            raise ValueError(
                f"{type(self).__name__} was built for {features} features. Received: x with {rows.shape[1]} features."
            )
        rows = np.where(np.isfinite(rows), rows, np.nan)
        empty = np.flatnonzero(np.isnan(rows).all(0))
        if len(empty):
            raise ValueError(f"`adapt` needs a finite value of every feature. Received: none in columns {empty}.")
        self._learn(rows)

    def build(self, input_shape):
        self.input_spec = _last_axis_spec(input_shape)
        self._add_state(input_shape[-1])

    def _add_state(self, features: int) -> None:
        raise NotImplementedError

    def _learn(self, rows: np.ndarray) -> None:
        """Assigns the state learnt of rows `[n, F]`, in which NaN stands for what is not finite."""
        raise NotImplementedError

    def _add_statistic(self, name: str, value: np.ndarray) -> keras.Variable:
        return adaptation.add_statistic(self, name, value, self.variable_dtype)


@keras.saving.register_keras_serializable(package="tfmdn")
class Standardization(AdaptedLayer):
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

    def __init__(self, margin: float | None = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.margin = None if margin is None else validation.nonnegative_number("margin", margin)

    def _add_state(self, features):
        self.location = self._add_statistic("location", np.zeros(features))
        self.scale = self._add_statistic("scale", np.ones(features))
        self.lowest = self._add_statistic("lowest", np.full(features, -np.inf))
        self.highest = self._add_statistic("highest", np.full(features, np.inf))

    def _learn(self, rows):
        lowest, highest = np.nanmin(rows, 0), np.nanmax(rows, 0)
        location, scale = np.nanmean(rows, 0), np.nanstd(rows, 0)
        resolution = np.finfo(_precision(self.variable_dtype)).eps * np.abs(location)
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


@keras.saving.register_keras_serializable(package="tfmdn")
class PeriodicEmbedding(keras.layers.Layer):
    """Sines and cosines of each feature, mixed by a small dense layer of its own, beside the feature itself.

    Smooth networks learn quick changes slowly; trainable frequencies let them (Gorishniy et al. 2022, "On Embeddings
    for Numerical Features in Tabular Deep Learning", PLR). Of a feature z: relu(W [sin(2 pi c z), cos(2 pi c z)] + b).

    Args:
      num_frequencies: the number of frequencies c for each feature.
      units: the number of outputs for each feature, beside the feature itself.
      frequency_scale: the standard deviation of the initial frequencies, in periods for each unit of the feature.
        Meant for features of standard deviation 1.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `[*B, F]`.
    Output shape: `[*B, F * (1 + units)]`.

    Example:

    >>> tfmdn.features.PeriodicEmbedding(units=8)(np.zeros((5, 3))).shape
    TensorShape([5, 27])
    """

    def __init__(self, num_frequencies: int = 8, units: int = 8, frequency_scale: float = 0.3, **kwargs):
        super().__init__(**kwargs)
        self.num_frequencies = validation.positive_integer("num_frequencies", num_frequencies)
        self.units = validation.positive_integer("units", units)
        self.frequency_scale = validation.positive_number("frequency_scale", frequency_scale)
        self.supports_masking = True

    def build(self, input_shape):
        self.input_spec = _last_axis_spec(input_shape)
        features = input_shape[-1]
        self.frequencies = self.add_weight(
            name="frequencies",
            shape=(features, self.num_frequencies),
            initializer=keras.initializers.RandomNormal(stddev=self.frequency_scale),
        )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, 2 * self.num_frequencies, self.units),
            # Each feature has a dense layer of its own, which Keras' fan-in initializers do not see in this shape.
            initializer=keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(2 * self.num_frequencies)),
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
        }


@keras.saving.register_keras_serializable(package="tfmdn")
class PiecewiseLinearEmbedding(AdaptedLayer):
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

    def __init__(self, num_bins: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.num_bins = validation.positive_integer("num_bins", num_bins)

    def _add_state(self, features):
        self.starts = self._add_statistic("starts", np.zeros((features, self.num_bins)))
        # The inverse, so that a bin which is not used has 0.
        self.inverse_widths = self._add_statistic("inverse_widths", np.zeros((features, self.num_bins)))

    def _learn(self, rows):
        starts = np.zeros(self.starts.shape)
        inverse_widths = np.zeros(self.starts.shape)
        precision = _precision(self.variable_dtype)
        for feature, column in enumerate(rows.T):
            edges = _bin_edges(column[np.isfinite(column)].astype(precision), self.num_bins)
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


@keras.saving.register_keras_serializable(package="tfmdn")
class NoiseRegularization(AdaptedLayer):
    """Adds normal noise while training, of a bandwidth that shrinks as the data grows.

    Noise on features and targets smooths the density that a network learns, as a kernel does in kernel density
    estimation, and for it the rule of thumb of kernel density estimation holds (Rothfuss et al. 2020, "Noise
    Regularization for Conditional Density Estimation"): the standard deviation is
    `factor * sd * n^(-1 / (4 + F))` in each of F coordinates, of which n values are finite.

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

    def __init__(self, factor: float = 1.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.factor = validation.nonnegative_number("factor", factor)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _add_state(self, features):
        self.bandwidth = self._add_statistic("bandwidth", np.zeros(features))

    def _learn(self, rows):
        counts = np.isfinite(rows).sum(0)
        self.bandwidth.assign(self.factor * np.nanstd(rows, 0) * counts ** (-1.0 / (4 + rows.shape[1])))

    def call(self, inputs, training=None):
        if training:
            noise = keras.random.normal(tf.shape(inputs), dtype=self.variable_dtype, seed=self.seed_generator)
            inputs = tf.cast(inputs, self.variable_dtype) + self.bandwidth * noise
        return tf.cast(inputs, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


def _rows(x) -> np.ndarray:
    """The features of an array, a tensor or a dataset, as rows `[n, F]` in float64."""
    if isinstance(x, tf.data.Dataset):
        batches = [_rows(batch) for batch in adaptation.batches(x, part=0)]
        x = np.concatenate(batches) if batches else np.empty((0, 0))
    x = np.asarray(x, np.float64)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"`adapt` needs rows of features, [n, F]. Received: x of shape {x.shape}. "
            "A single feature needs an axis of its own, [n, 1]."
        )
    return x.reshape(-1, x.shape[-1])


def _last_axis_spec(input_shape: tuple) -> keras.layers.InputSpec:
    """What a layer of state for each feature can be called on."""
    if input_shape[-1] is None:
        raise ValueError(f"The last axis needs a known size. Received: input_shape={input_shape}.")
    return keras.layers.InputSpec(min_ndim=1, axes={-1: input_shape[-1]})


def _precision(variable_dtype: str) -> type[np.floating]:
    """The precision in which NumPy looks at data for weights of a dtype. It has no statistics in bfloat16."""
    return np.float64 if variable_dtype == "float64" else np.float32


def _bin_edges(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Increasing edges of at most `num_bins` bins: the distinct values if they are few, else quantiles.

    The values are in the precision of the weights: edges that differ only beyond it would make bins of no width.
    """
    values = values.astype(np.float64)
    edges = np.unique(values)
    return edges if len(edges) <= num_bins + 1 else np.unique(np.quantile(values, np.linspace(0.0, 1.0, num_bins + 1)))


def _beside(inputs: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
    """The features `[B, F]` and what each is embedded as `[B, F, U]`, in one last axis."""
    size = embedded.shape[-2] * embedded.shape[-1]
    flat = tf.reshape(embedded, tf.concat([tf.shape(inputs)[:-1], [size]], 0))
    return tf.concat([inputs, flat], -1)
