"""`MDNLayer`: the last layer of a mixture density network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, processes, validation, versions
from tfmdn.distributions.mixture import Mixture
from tfmdn.distributions.tensor_like import conversion_name
from tfmdn.layers import adaptation, families, joint_starts, keras_mdn_layer, outputs, specs, starts
from tfmdn.layers import background as background_lib
from tfmdn.layers.ends import Ends
from tfmdn.layers.units import Units

tfd = tfp.distributions


@versions.saved()
class MDNLayer(keras.layers.Layer):
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
            dtype=self.dtype_policy,
            name="dense",
        )
        self._start: starts.Start | None = None
        # They do not depend on the input, and so exist before build(): adapt() can come first.
        self.target_location = self._add_statistic("target_location", np.zeros(self.event_shape))
        self.target_scale = self._add_statistic("target_scale", np.ones(self.event_shape))
        if self.spec.has_factors:
            self.component_factors = self._add_statistic("component_factors", self._unit_factors())
        for statistic, value in self.ends.initial(self.event_shape).items():
            setattr(self, statistic, self._add_statistic(statistic, value))
        if self.background:
            self.background_weight = self._add_statistic("background_weight", np.float64(self.background))

    def _add_statistic(self, name: str, value: np.ndarray) -> keras.Variable:
        return adaptation.add_statistic(self, name, value, self.density_dtype)

    @property
    def density_dtype(self) -> str:
        """The dtype of the mixture: "float32", or "float64" if the layer computes in it."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    @property
    def units(self) -> Units:
        """What `adapt` has learnt of the target: its units, and how it ends where it can."""
        ends = {name: getattr(self, name).numpy() for name in self.ends.names}
        location, scale = self.target_location.numpy(), self.target_scale.numpy()
        return Units(families.FAMILIES[self.family], location, scale, ends)

    def set_units(self, units: Units) -> None:
        """Makes these the units of the target, as `adapt` does, and leaves the components as they are."""
        for name, value in units.statistics.items():
            getattr(self, name).assign(value)

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
        return Mixture(
            tfd.Categorical(logits=logits),
            self.spec.distribution(location, scale, self._ends(), **values),
            convert_to_tensor=self.convert_to_tensor,
        )

    def _ends(self) -> dict[str, tf.Tensor]:
        """What the components are made of where they end: arguments of their distribution `[*E, K]`, or nothing."""
        values = {name: tf.expand_dims(getattr(self, name), -1) for name in self.ends.names}  # [E, 1]
        return self.ends.arguments(values, self.num_components, has_background=bool(self.background))

    def adapt(
        self,
        y: ArrayLike | tf.data.Dataset | keras.utils.PyDataset,
        x: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        """Learns the location and the scale of the target, and starts the components on the targets.

        Call it once before training. The mixture is then in the target's own units, and `min_scale` and `max_scale`
        are relative to the scale found here. Outliers count at most like the far end of the bulk, rows that are
        not finite do not count, and a coordinate that does not vary gets the scale 1. For "lognormal" the statistics
        are of log y; for "gamma" and "weibull" too, with a scale of 1, in which a component's is about the standard
        deviation of log y; angles keep the location 0 and the scale 1, a radian.

        The components start on clusters of the targets (k-means++, Arthur and Vassilvitskii 2007): their centres, their
        weights, and scales that cover the way to the nearest other centre. With a `bias_initializer` they start as that
        says. Given x, they start as what a Gaussian mixture of x and y (scikit-learn's, of as many normals as the BIC
        chooses) says of y, and learn in units of the covariances that they start with: where outputs are strongly
        correlated, learning would be slow in other units.

        Args:
          y: targets `[*B, *event_shape]` as an array, a tensor or a frame of numbers (of targets that are intervals one
            value each, such as the middle); or a `tf.data.Dataset` or `PyDataset` of batches of y, of `(x, y)` or of
            `(x, y, sample_weight)`, read once. What is missing or masked does not count.
          x: standardised features `[n, F]` for targets `[n, D]`, of a built layer with covariance "full" and without
            limits. The last columns of the layer's inputs must be their `tfmdn.features.Products`.
          sample_weight: weights of rows `[n]` or of steps `[*B]`, of which only the ratios matter: the location and the
            scale are a weighted mean and standard deviation, and what has a weight of 0 does not count. None: all
            alike. A dataset has them in its elements.

        Raises:
          TypeError: if the targets are not numbers, or a structure of several arrays.
          ValueError: if the targets do not have the shape of the event, if none is finite and counts, if the family or
            the `support` excludes one of them, or if weights are not finite numbers, 0 or more.

        Example:

        >>> layer = tfmdn.MDNLayer(3)
        >>> layer.adapt(np.array([[100.0], [110.0], [120.0]]))
        >>> float(layer.target_location.numpy())
        110.0
        """
        processes.require_usable_tensorflow()
        family = families.FAMILIES[self.family]
        units, rows, place = Units.learned(y, family, self.event_shape, self.ends, self.density_dtype, sample_weight)
        self.set_units(units)
        rng = np.random.default_rng(adaptation.SAMPLING_SEED)
        self._start = starts.clusters(rows.reshape(len(rows), -1), self.num_components, rng).moved(*place)
        if self.built and self.bias_initializer is None:
            self.dense.bias.assign(self._initial_bias(self.dense.bias.shape, self.dense.bias.dtype))
        if self.spec.has_factors:
            self.component_factors.assign(self._unit_factors())
        if x is not None:
            x, y = joint_starts.typical_rows(x, y, sample_weight)
            joint = joint_starts.JointMixture(x, units.standardize(y), self.num_components, self.min_scale)
            self.begin_as(joint.start(self.raw_outputs))

    def begin_as(self, start: joint_starts.JointStart) -> None:
        """Lets the components of a built layer start as a joint mixture of `Products`, its last inputs, and targets."""
        size = len(start.kernel)
        if not self.spec.has_factors or not self.built or self.dense.kernel.shape[0] < size:
            raise ValueError(
                "A joint mixture is a start for a built layer with covariance='full' and without `support`, whose last "
                f"inputs are the {size} `Products` of x. Received: covariance={self.covariance!r}, "
                f"support={self.support}, {f'{self.dense.kernel.shape[0]} inputs' if self.built else 'not built'}."
            )
        self.dense.kernel.assign(tf.concat([self.dense.kernel[:-size], tf.cast(start.kernel, self.variable_dtype)], 0))
        self.dense.bias.assign(start.bias)
        self.component_factors.assign(start.factors)

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

    def _unit_factors(self) -> np.ndarray:
        return np.tile(np.eye(*self.event_shape), (self.num_components, 1, 1))

    def _initial_bias(self, shape, dtype=None):
        if self._start is None:
            with tf.init_scope():  # Keras also builds layers while it traces a graph
                self._start = starts.spread(self.num_components, math.prod(self.event_shape))
        return tf.cast(self.raw_outputs.initial(self._start), dtype)

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
