"""`MDNLayer`: the last layer of a mixture density network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, processes, tensorflow_internals, validation, versions
from tfmdn.distributions.mixture import Mixture
from tfmdn.distributions.tensor_like import conversion_name
from tfmdn.layers import background as background_lib
from tfmdn.layers import keras_mdn_layer, outputs, quantization, specs
from tfmdn.layers.adapted_head import AdaptedHead
from tfmdn.layers.ends import Ends

tfd = tfp.distributions


@versions.saved()
class MDNLayer(AdaptedHead):
    """Turns features into a mixture distribution of the target: a dense layer whose output is p(y | x).

    The output is a `tfmdn.Mixture`, which is a `tfd.MixtureSameFamily` and passes through Keras like a tensor. The
    components start spread over a standardised target. For a target in other units call `adapt` first, or
    standardise it.

    Args:
      num_components: the number of mixture components K.
      event_shape: the shape of one target: `()` for a scalar, an integer n or `(n,)` for a vector.
      family: the kind of component: "normal", "laplace", "logistic", "student_t" (its degrees of freedom are learned
        and stay above 2.1); "gumbel" (maxima, skewed to the right); "lognormal", "gamma" or "weibull" (for targets
        greater than 0; the shape of the last two is above 1, so that no density is infinite at 0); or "von_mises" (for
        angles in radians, of which those that differ by 2 pi are the same).
      covariance: "diag" for a scale in each coordinate; "spherical" for one scale in all coordinates, as in
        Bishop (1994); "full" for correlated coordinates (family "normal" and vectors only).
      scale_activation: how the network's output becomes a scale. "exp": it is the logarithm of the scale, which bends
        smoothly towards `min_scale` and `max_scale`; the fastest. "softplus" or "elu+1": `min_scale` plus that function
        of it, cut at `max_scale`.
      min_scale: the smallest scale a component can have, in units of the target's scale (which is 1 before `adapt`).
        It keeps a component from collapsing onto a single target, where the density would grow without bound.
      max_scale: the largest scale, in the same units. None means 1000, for "lognormal" 5, for "gamma",
        "weibull" and "von_mises" 10.
      support: where targets can lie, for family "normal": a pair (low, high) of numbers, None for no limit, or lists
        with one for each coordinate. Components are then reflected at the limits
        (`tfmdn.distributions.ReflectedNormal`): no density lies outside, and at a limit it does not fall to 0. "auto":
        `adapt` looks for limits at which the targets end abruptly (`tfmdn.layers.support.found_in`), and the
        background, which there must be, goes on beyond them. None: all numbers. With covariance "full" for at most 3
        coordinates.
      atoms: which limits of `support` have a probability of their own, since what would lie beyond is observed as the
        limit (Tobin 1958): True, or a pair (low, high) of booleans or of lists with one for each coordinate. "auto":
        those that many of the targets equal that `adapt` sees (`tfmdn.layers.coarseness.found_in`). None: none of
        them. Components are then `tfmdn.distributions.CoarsenedNormal`, and `log_prob` of such a limit is the logarithm
        of a probability. For family "normal" and independent coordinates.
      resolution: the step to which targets are rounded: a number, or a list with one or None for each coordinate. Their
        `log_prob` is then that of an interval around each, the logarithm of a probability; draws and quantiles are
        rounded as the targets are, and limits have a probability of their own. "auto": `adapt` looks for a step in the
        targets, and takes one of at least a fiftieth of their standard deviation. None: targets are not rounded.
      background: the weight of one more component, which is the same for every input: as broad as 1.5 times the
        target's scale, around its location. A target far from all that was learnt then costs at most about
        `-log(background)` nats more than under the target's marginal, in training too. 0 means none. Training leaves
        the weight as it is; `tfmdn.Ensemble.calibrate` learns from other rows what it should be.
      convert_to_tensor: what the output is wherever a tensor is needed, as in metrics and `model.predict`: "mean",
        "mode", "sample", or a function of the mixture, registered with `keras.saving.register_keras_serializable`.
      kernel_initializer: initializer of the weights. None means a tenth of LeCun's, which leaves the first
        predictions where the biases put them.
      bias_initializer: initializer of the biases. None means components that start on the targets `adapt` has seen; and
        without `adapt` centres spread over a standard normal target, scales that cover the gaps between them, and equal
        weights.
      scale_regularizer: regularizer of how far the logarithm of each scale is from where its bias alone puts it, summed
        over the components and averaged over rows; masked steps do not count. Where a component has next to no weight
        the data says nothing of its scale, which then drifts, often to absurd sizes. `keras.regularizers.L2(1e-3)`
        keeps it at what is usual for the component, as a prior does, and is hardly felt where the component has weight.
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
        scale_activation: str = "exp",
        min_scale: float = 1e-3,
        max_scale: float | None = None,
        support: str | tuple | None = None,
        atoms: str | bool | tuple | None = None,
        resolution: str | float | Sequence[float | None] | None = None,
        background: float = 0.0,
        convert_to_tensor: str | Callable[[Mixture], tf.Tensor] = "mean",
        kernel_initializer: str | keras.Initializer | None = None,
        bias_initializer: str | keras.Initializer | None = None,
        scale_regularizer: str | keras.Regularizer | None = None,
        kernel_regularizer: str | keras.Regularizer | None = None,
        bias_regularizer: str | keras.Regularizer | None = None,
        kernel_constraint: str | keras.constraints.Constraint | None = None,
        bias_constraint: str | keras.constraints.Constraint | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.dtype_policy = quantization.plain(policy)
        self.num_components = validation.positive_integer("num_components", num_components)
        self.event_shape = validation.event_shape(event_shape)
        self.background = validation.proportion("background", background)
        self.ends = Ends.settled(support, atoms, resolution, self.event_shape, self.background)
        self.support, self.atoms, self.resolution = self.ends.support, self.ends.atoms, self.ends.resolution
        self.spec = specs.component_spec(
            family, covariance, self.event_shape, scale_activation, min_scale, max_scale, self.ends
        )
        self.raw_outputs = outputs.Outputs(self.spec, self.num_components)
        self.family = family
        self.covariance = covariance
        self.scale_activation = scale_activation
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.convert_to_tensor = conversion_name(convert_to_tensor)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.scale_regularizer = keras.regularizers.get(scale_regularizer)
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
            dtype=policy,
            name="dense",
        )
        self._add_knowledge()

    @property
    def params_size(self) -> int:
        """The number of raw outputs of the network for one row: the logits and every component's parameters."""
        return self.raw_outputs.size

    def build(self, input_shape):
        processes.require_usable_tensorflow()
        if input_shape[-1] is None:
            raise ValueError(
                f"MDNLayer needs inputs whose last axis has a known size. Received: input_shape={input_shape}."
            )
        self.dense.build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], *self.event_shape)

    def compute_output_spec(self, inputs, mask=None):
        # Without it Keras would trace call() on placeholders and expect tensors of it.
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.density_dtype)

    def call(self, inputs, mask=None):
        processes.require_usable_tensorflow()
        if mask is not None:
            keras_internals.require_masks()
        logits, values = self.raw_outputs.constrained(tf.cast(self.dense(inputs), self.density_dtype))
        if self.scale_regularizer is not None:
            _, values_of_bias = self.raw_outputs.constrained(tf.cast(self.dense.bias, self.density_dtype))
            departures = values["log_scale"] - values_of_bias["log_scale"]
            penalty = outputs.mean_penalty(self.scale_regularizer, departures, tf.shape(logits)[:-1], mask)
            self.add_loss(tf.cast(penalty, keras.config.floatx()))  # in which Keras adds losses up
        if self.spec.has_factors:
            values["factors"] = tf.convert_to_tensor(self.component_factors)
        if self.background:
            logits = background_lib.logits_with(logits, tf.convert_to_tensor(self.background_weight))
            values = background_lib.values_with(values, self.spec)
        # Not `[..., tf.newaxis]`, of which OpenVINO makes garbage if it is a scalar (docs/openvino.md).
        location, scale = tf.expand_dims(self.target_location, -1), tf.expand_dims(self.target_scale, -1)  # [E, 1]
        with tensorflow_internals.meant_infinities():  # limits that there are not
            return Mixture(
                tfd.Categorical(logits=logits),
                self.spec.distribution(location, scale, self._ends(), **values),
                convert_to_tensor=self.convert_to_tensor,
            )

    @classmethod
    def from_keras_mdn_layer(
        cls, weights: Sequence[ArrayLike], event_shape: int | tuple[int, ...], epsilon: float = 1e-7, **kwargs: Any
    ) -> MDNLayer:
        """The head that a trained `MDN` of the package keras-mdn-layer is, with its weights: the same density.

        Args:
          weights: what its `get_weights()` returns.
          event_shape: its `output_dimension`; or `()` for a scalar where that is 1.
          epsilon: what it adds to its scales: `keras.config.epsilon()` where it was trained.
          **kwargs: arguments of the layer that leave the density as it is, such as `name` or `convert_to_tensor`.

        Raises:
          TypeError: for arguments that would change the density.
          ValueError: if the weights are not those of such a layer with that output dimension.

        Example:

        >>> arrays = [np.zeros((8, 10)), np.zeros(10), np.zeros((8, 10)), np.zeros(10), np.zeros((8, 5)), np.zeros(5)]
        >>> layer = tfmdn.MDNLayer.from_keras_mdn_layer(arrays, event_shape=2)
        >>> layer.num_components, layer(np.zeros((3, 8))).event_shape
        (5, TensorShape([2]))
        """
        size = math.prod(validation.event_shape(event_shape))
        weights = keras_mdn_layer.checked(weights, size)
        density = keras_mdn_layer.density(epsilon, kwargs)
        layer = cls(len(weights[5]), event_shape, **density, **kwargs)
        layer.build((None, len(weights[0])))
        kernel, bias = keras_mdn_layer.kernel_and_bias(weights, layer.raw_outputs)
        layer.dense.kernel.assign(kernel)
        layer.dense.bias.assign(bias)
        layer.built = True
        return layer

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        changes = config.pop("dense", {})
        layer = super().from_config(config)
        quantization.restore(layer.dense, changes)
        return layer

    def get_config(self):
        changes = quantization.changes(self.dense, self.dtype_policy)
        return {
            **super().get_config(),
            **({"dense": changes} if changes else {}),
            "num_components": self.num_components,
            "event_shape": self.event_shape,
            "family": self.family,
            "covariance": self.covariance,
            "scale_activation": self.scale_activation,
            "min_scale": self.min_scale,
            "max_scale": self.max_scale,
            "support": self.support,
            "atoms": self.atoms,
            "resolution": self.resolution,
            "background": self.background,
            "convert_to_tensor": self.convert_to_tensor,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "scale_regularizer": keras.regularizers.serialize(self.scale_regularizer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


def heads_of(model: keras.Model) -> list[MDNLayer]:
    """Every `MDNLayer` of a model, once, however deep in it."""
    return list(dict.fromkeys(layer for layer in keras_internals.layers_of(model) if isinstance(layer, MDNLayer)))
