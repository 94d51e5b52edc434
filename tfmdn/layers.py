"""`MDNLayer`: the last layer of a mixture density network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import families, validation
from tfmdn.mixture import Mixture, conversion_name

tfd = tfp.distributions

# adapt() keeps a random sample of this many targets: enough for statistics to one percent, in constant memory.
ADAPT_SAMPLE_SIZE = 20_000
SAMPLING_SEED = 0x6D69787475726573


@keras.saving.register_keras_serializable(package="tfmdn")
class MDNLayer(keras.layers.Layer):
    """Turns features into a mixture distribution of the target: a dense layer whose output is p(y | x).

    The output is a `tfmdn.Mixture`, which is a `tfd.MixtureSameFamily` and passes through Keras like a tensor. The
    components start spread over a standardised target. For a target in other units call `adapt` first, or
    standardise it.

    Args:
      num_components: the number of mixture components K.
      event_shape: the shape of one target: `()` for a scalar, an integer n or `(n,)` for a vector.
      family: the kind of component: "normal", "laplace", "logistic", "student_t" (its degrees of freedom are learned
        and stay above 2.1) or "lognormal" (for targets greater than 0).
      covariance: "diag" for a scale in each coordinate; "spherical" for one scale in all coordinates, as in
        Bishop (1994); "full" for correlated coordinates (family "normal" and vectors only).
      scale_activation: how a scale is made positive: "softplus", "exp" or "elu+1".
      min_scale: the smallest scale a component can have, in units of the target's scale (which is 1 before `adapt`).
        It keeps a component from collapsing onto a single target, where the density would grow without bound.
      max_scale: the largest scale, in the same units. None means 1e6, for "lognormal" 5.
      convert_to_tensor: what the output is wherever a tensor is needed, as in metrics and `model.predict`: "mean",
        "mode", "sample", or a function of the mixture, registered with `keras.saving.register_keras_serializable`.
      kernel_initializer: initializer of the weights. None means a tenth of LeCun's, which leaves the first
        predictions where the biases put them.
      bias_initializer: initializer of the biases. None means centres spread over a standard normal target, scales
        that cover the gaps between them, and equal weights.
      kernel_regularizer: regularizer of the weights.
      bias_regularizer: regularizer of the biases.
      kernel_constraint: constraint on the weights.
      bias_constraint: constraint on the biases.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`. The density is computed in float32
        under every dtype policy but "float64".

    Input shape:
      `[*B, features]` with any number of batch axes: rows, time series, images. Masks are passed on.

    Output shape:
      A `Mixture` of batch shape `B` and event shape `event_shape`.

    Example:

    >>> layer = tfmdn.MDNLayer(num_components=5, event_shape=2)
    >>> mixture = layer(np.zeros((3, 8)))
    >>> mixture.batch_shape, mixture.event_shape
    (TensorShape([3]), TensorShape([2]))
    >>> mixture.sample(100, seed=0).shape
    TensorShape([100, 3, 2])
    >>> mixture.log_prob(np.zeros((3, 2))).shape
    TensorShape([3])
    """

    def __init__(
        self,
        num_components: int,
        event_shape: int | tuple[int, ...] = (),
        family: str = "normal",
        covariance: str = "diag",
        scale_activation: str = "softplus",
        min_scale: float = 1e-3,
        max_scale: float | None = None,
        convert_to_tensor: str | Callable[[Mixture], tf.Tensor] = "mean",
        kernel_initializer=None,
        bias_initializer=None,
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_components = validation.positive_integer("num_components", num_components)
        self.event_shape = validation.event_shape(event_shape)
        self.spec = families.component_spec(
            family, covariance, self.event_shape, scale_activation, min_scale, max_scale
        )
        self.family = family
        self.covariance = covariance
        self.scale_activation = scale_activation
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.convert_to_tensor = conversion_name(convert_to_tensor)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True
        self.dense = keras.layers.Dense(
            self.params_size,
            kernel_initializer=self.kernel_initializer or keras.initializers.VarianceScaling(0.01),
            bias_initializer=self.bias_initializer or self._initial_bias,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name="dense",
        )
        # They do not depend on the input, and so exist before build(): adapt() can come first.
        self.target_location = self._add_target_statistic("target_location", "zeros")
        self.target_scale = self._add_target_statistic("target_scale", "ones")

    def _add_target_statistic(self, name, initializer):
        return self.add_weight(
            name=name,
            shape=self.event_shape,
            dtype=self.density_dtype,
            initializer=initializer,
            trainable=False,
            autocast=False,
        )

    @property
    def density_dtype(self) -> str:
        """The dtype of the mixture: "float32", or "float64" if the layer computes in it."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    @property
    def params_size(self) -> int:
        """The number of raw outputs of the network for one row: the logits and every component's parameters."""
        return self.num_components * (1 + sum(math.prod(parameter.shape) for parameter in self.spec.parameters))

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                f"MDNLayer needs inputs whose last axis has a known size. Received: input_shape={input_shape}."
            )
        self.dense.build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], *self.event_shape)

    def compute_output_spec(self, inputs):
        # Without it Keras would trace call() on placeholders and expect tensors of it.
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.density_dtype)

    def call(self, inputs):
        params = tf.cast(self.dense(inputs), self.density_dtype)
        batch_shape = tf.shape(params)[:-1]
        shapes = [(), *(parameter.shape for parameter in self.spec.parameters)]
        blocks = tf.split(params, [self.num_components * math.prod(shape) for shape in shapes], axis=-1)
        logits, *raw = [
            tf.reshape(block, tf.concat([batch_shape, [self.num_components, *shape]], 0))  # [B, K, *shape]
            for block, shape in zip(blocks, shapes)
        ]
        location, scale = tf.convert_to_tensor(self.target_location), tf.convert_to_tensor(self.target_scale)
        values = {
            parameter.name: parameter.constrain(value, location, scale)
            for parameter, value in zip(self.spec.parameters, raw)
        }
        return Mixture(
            tfd.Categorical(logits=logits), self.spec.distribution(**values), convert_to_tensor=self.convert_to_tensor
        )

    def adapt(self, y) -> None:
        """Learns the location and the scale of the target, so that the mixture is in the target's own units.

        Call it once before training. `min_scale` and `max_scale` are relative to the scale found here. Outliers count
        at most like the far end of the bulk, rows that are not finite do not count, and a coordinate that does not
        vary gets the scale 1. For family "lognormal" the statistics are of log y.

        Args:
          y: targets `[*B, *event_shape]` as an array or a tensor; or a `tf.data.Dataset` of batches of y, of `(x, y)`
            or of `(x, y, sample_weight)`, read once.

        Raises:
          ValueError: if the targets do not have the shape of the event, if none is finite, or if the family excludes
            one of them.

        Example:

        >>> layer = tfmdn.MDNLayer(3)
        >>> layer.adapt(np.array([[100.0], [110.0], [120.0]]))
        >>> float(layer.target_location.numpy())
        110.0
        """
        rows = families.FAMILIES[self.family].standardize(self._sample_rows(y))
        first, third = np.percentile(rows, [25, 75], axis=0)
        # Tukey's outer fences: a normal target loses nothing by them.
        fence = np.where(third > first, 3.0 * (third - first), np.inf)
        rows = np.clip(rows, first - fence, third + fence)
        location, scale = rows.mean(0), rows.std(0)
        resolution = np.finfo(self.density_dtype).eps * np.abs(location)
        self.target_location.assign(location)
        self.target_scale.assign(np.where(scale > resolution, scale, 1.0))

    def _sample_rows(self, y) -> np.ndarray:
        """A uniform random sample of the finite rows, `[n, *E]` in float64."""
        # Not a seed that the targets may have been drawn with: the choice would depend on their values.
        rng = np.random.default_rng(SAMPLING_SEED)
        sample, keys = np.empty((0, *self.event_shape)), np.empty(0)
        for batch in _batches(y):
            rows = self._rows(batch)
            rows = rows[np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))]
            sample, keys = np.concatenate([sample, rows]), np.concatenate([keys, rng.random(len(rows))])
            if len(keys) > ADAPT_SAMPLE_SIZE:  # the rows with the largest keys of all seen so far
                kept = np.argpartition(keys, -ADAPT_SAMPLE_SIZE)[-ADAPT_SAMPLE_SIZE:]
                sample, keys = sample[kept], keys[kept]
        if not len(sample):
            raise ValueError("`adapt` needs at least one row of finite targets. Received none.")
        return sample

    def _rows(self, batch) -> np.ndarray:
        batch = np.asarray(batch, np.float64)
        if self.event_shape not in ((), (1,)) and batch.shape[-1:] != self.event_shape:
            raise ValueError(
                f"`adapt` needs targets whose last axis is the event shape {self.event_shape}. "
                f"Received: y of shape {batch.shape}."
            )
        return batch.reshape(-1, *self.event_shape)

    def _initial_bias(self, shape, dtype=None):
        """Centres spread like a standard normal target, each component as wide as the way to its nearest neighbour.

        Wider ones overlap and compete for the same targets, narrower ones leave gaps.
        """
        k = self.num_components
        with tf.init_scope():  # Keras also builds layers while it traces a graph
            centres = _spread_normal(k, math.prod(self.event_shape))  # [K, D]
        distances = np.linalg.norm(centres[:, np.newaxis] - centres, axis=-1) + np.diag(np.full(k, np.inf))
        scales = np.minimum(distances.min(1), 1.0)
        centres = centres.reshape(k, *self.event_shape)
        starts = [np.zeros(k)]
        for parameter in self.spec.parameters:
            starts.append(np.broadcast_to(parameter.initial_raw(centres, scales), (k, *parameter.shape)).ravel())
        return tf.cast(np.concatenate(starts), dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_components": self.num_components,
            "event_shape": self.event_shape,
            "family": self.family,
            "covariance": self.covariance,
            "scale_activation": self.scale_activation,
            "min_scale": self.min_scale,
            "max_scale": self.max_scale,
            "convert_to_tensor": self.convert_to_tensor,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


def _spread_normal(num_points: int, size: int) -> np.ndarray:
    """Points `[num_points, size]` that are spread evenly over a standard normal, with mean 0."""
    # A Hammersley set: evenly spaced in the first coordinate, of low discrepancy in all of them together.
    points = (np.arange(num_points)[:, np.newaxis] + 0.5) / num_points
    if size > 1:
        halton = tfp.mcmc.sample_halton_sequence(size - 1, num_points, randomized=False, dtype=tf.float64)
        points = np.concatenate([points, halton], 1)
    points = tfd.Normal(tf.constant(0.0, tf.float64), 1.0).quantile(points).numpy()
    return points - points.mean(0)


def _batches(y) -> Iterator:
    """The batches of targets in an array, a tensor or a dataset."""
    if not isinstance(y, tf.data.Dataset):
        yield y
        return
    for element in y:
        yield element[1] if isinstance(element, tuple) else element
