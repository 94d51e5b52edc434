"""What a head knows of its targets before it learns: their units, their limits, and where its components start.

Shapes in comments: B batch, K components, E event.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import numerics, processes
from tfmdn.layers import adaptation, families, joint_starts, outputs, quantization, specs, starts
from tfmdn.layers.ends import Ends
from tfmdn.layers.units import Units


class AdaptedHead(keras.layers.Layer):
    """A base class of `MDNLayer`: what `adapt` learns, in variables that training leaves alone.

    A subclass sets, before it calls `_add_knowledge`, the attributes below.

    Attributes:
      num_components: K, without the background.
      event_shape: E.
      family, covariance, support, min_scale, bias_initializer, background: arguments of the layer.
      ends: how components end.
      spec: what a component is made of.
      raw_outputs: what the network says of all components.
      dense: the layer whose outputs these are.
    """

    num_components: int
    event_shape: tuple[int, ...]
    ends: Ends
    spec: specs.ComponentSpec
    raw_outputs: outputs.Outputs
    dense: keras.layers.Dense
    _start: starts.Start | None = None

    def _add_knowledge(self) -> None:
        """Makes the variables. They do not depend on the input, and so exist before build(): adapt() can come first."""
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
    @numerics.with_infinities
    def units(self) -> Units:
        """What `adapt` has learnt of the target: its units, and how it ends where it can."""
        ends = {name: value.numpy() for name, value in self._values_of_ends().items()}
        location, scale = self.target_location.numpy(), self.target_scale.numpy()
        return Units(families.FAMILIES[self.family], location, scale, ends)

    @numerics.with_infinities
    def set_units(self, units: Units) -> None:
        """Makes these the units of the target, as `adapt` does, and leaves the components as they are."""
        for name, value in units.statistics.items():
            getattr(self, name).assign(value)

    def _ends(self) -> dict[str, tf.Tensor]:
        """What the components are made of where they end: arguments of their distribution `[*E, K]`, or nothing."""
        values = {name: tf.expand_dims(value, -1) for name, value in self._values_of_ends().items()}  # [E, 1]
        return self.ends.arguments(values, self.num_components, has_background=bool(self.background))

    def _values_of_ends(self) -> dict[str, tf.Tensor]:
        """What the variables say of how targets end: `[*E]` each."""
        return {name: tf.convert_to_tensor(getattr(self, name)) for name in self.ends.names}

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
        quantization.require_floats(self.dense, "A start from a joint mixture")
        self.dense.kernel.assign(tf.concat([self.dense.kernel[:-size], tf.cast(start.kernel, self.variable_dtype)], 0))
        self.dense.bias.assign(start.bias)
        self.component_factors.assign(start.factors)

    def _unit_factors(self) -> np.ndarray:
        return np.tile(np.eye(*self.event_shape), (self.num_components, 1, 1))

    def _initial_bias(self, shape, dtype=None):
        if self._start is None:
            with tf.init_scope():  # Keras also builds layers while it traces a graph
                self._start = starts.spread(self.num_components, math.prod(self.event_shape))
        return tf.cast(self.raw_outputs.initial(self._start), dtype)
