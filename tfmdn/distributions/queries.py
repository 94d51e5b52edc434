"""What a `Mixture` can be asked beyond what TFP asks of its distributions: its parts, its peaks, what it is made of.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, numerics, validation
from tfmdn.distributions import coarse_regions, coordinates, counted, kinds, regions, tensors
from tfmdn.distributions import modes as modes_lib

tfd = tfp.distributions

Kind = TypeVar("Kind", bound="Queries")


class Decomposition(NamedTuple):
    """The two parts of a variance, each `[*B, *E]`."""

    aleatoric: tf.Tensor
    epistemic: tf.Tensor


class Queries:
    """A base class, before `tfd.MixtureSameFamily`, of a `Mixture`."""

    @numerics.unconverted
    def decompose(self) -> Decomposition:
        """Splits the variance of a mixture of mixtures: how far the members are spread, and how far they disagree.

        By the law of total variance, the mean of the members' variances (aleatoric: what x does not tell of y, and more
        data would not either) and the variance of their means (epistemic: what the model does not know, and more data
        would tell). Their sum is `variance()`. A mixture that was not merged has one member, and so no epistemic part.

        Returns:
          A named tuple of `aleatoric` and `epistemic`, each of shape `[*B, *E]`, in squared units of the target.
        """
        mixture = counted.in_sums(self)
        components, axis = mixture.components_distribution, -1 - self.event_shape.rank
        kinds.check_not_periodic("decompose", components)
        # In units of the spread: squares in those of the target come last, which may have no place in the dtype.
        unit = tf.stop_gradient(numerics.unit_of(self.stddev()))
        overall_mean, of_components = (tf.expand_dims(value, axis) for value in (mixture.mean(), unit))
        weights = self.mixture_distribution.probs_parameter()
        weights = numerics.with_trailing_axes(weights, self.event_shape.rank)  # [B, K, E]
        sizes = list(self.member_sizes or [tf.shape(weights)[axis]])
        means, stddevs = (components.mean() - overall_mean) / of_components, tensors.stddev(components) / of_components
        parts = [tf.split(part, sizes, axis) for part in (weights, means, stddevs)]
        aleatoric, epistemic = 0.0, 0.0
        for weight, mean, stddev in zip(*parts):
            share = tf.reduce_sum(weight, axis, keepdims=True)
            member_mean = tf.math.divide_no_nan(tf.reduce_sum(weight * mean, axis, keepdims=True), share)
            aleatoric += tf.reduce_sum(weight * (tf.square(stddev) + tf.square(mean - member_mean)), axis)
            between = share * tf.square(member_mean) if len(sizes) > 1 else 0.0 * member_mean
            epistemic += tf.squeeze(between, axis)
        return Decomposition(*(unit * (unit * part) for part in (aleatoric, epistemic)))

    @numerics.unconverted
    def temper(self: Kind, temperature: float | tf.Tensor = 1.0, scale_temperature: float | tf.Tensor = 1.0) -> Kind:
        """A sharper or broader mixture of the same components: logits / temperature, scales * scale_temperature.

        Below 1 both sharpen. Graves' (2013) bias b is `temperature=1 / (1 + b), scale_temperature=exp(-b)`. As scalar
        tensors, which are not checked, one graph serves all temperatures.

        Args:
          temperature: above 0. Towards 0 the component of the largest weight remains.
          scale_temperature: above 0. Towards 0 every draw lies at the centre of its component.
        """
        temperature = numerics.checked_tensor("temperature", temperature, validation.positive_number, self.dtype)
        scale_temperature = numerics.checked_tensor(
            "scale_temperature", scale_temperature, validation.positive_number, self.dtype
        )
        components = self.components_distribution
        values = tensors.parameters(components)
        if not any(name.startswith("scale") for name in values):
            raise ValueError(f"The components have no scale to temper. Received: {components}.")
        log_weights = tf.math.log_softmax(self.mixture_distribution.logits_parameter())
        # The largest becomes 0, and remains 0 divided by any number but 0.
        log_ratios = log_weights - tf.reduce_max(log_weights, -1, keepdims=True)
        temperature = tf.maximum(temperature, np.finfo(self.dtype.as_numpy_dtype).tiny)
        values = tensors.with_scales(values, scale_temperature)
        return tensors.rebuild(self, {"logits": log_ratios / temperature, **values})

    # Parts

    @numerics.unconverted
    def component(self, k: int) -> tfd.Distribution:
        """The distribution of component `k` by itself, of batch shape `B`. Negative numbers count from the last.

        Example:

        >>> mixture = tfmdn.Mixture(tfd.Categorical(probs=[0.25, 0.75]), tfd.Normal([-1.0, 1.0], [0.1, 0.2]))
        >>> float(mixture.component(-1).mean())
        1.0
        """
        k = validation.index("k", k, self.mixture_distribution.logits_parameter().shape[-1])
        return self._components_at(tf.fill(self.batch_shape_tensor(), k))

    @numerics.unconverted
    def most_likely_component(self) -> tfd.Distribution:
        """For each row of the batch the component of the largest weight: a distribution of batch shape `B`."""
        index = tf.argmax(self.mixture_distribution.logits_parameter(), -1, tf.int32)
        return self._components_at(tf.broadcast_to(index, self.batch_shape_tensor()))

    @numerics.unconverted
    def marginal(self: Kind, axes: int | Sequence[int]) -> Kind:
        """The distribution of some coordinates of a vector, whatever the others are.

        Args:
          axes: as NumPy takes them: an integer gives a mixture of scalar events, a list of n integers one of event
            shape `(n,)`, in the order of the list. Negative integers count from the last coordinate.

        Returns:
          A mixture of the same batch shape and weights, in closed form.

        Raises:
          ValueError: if the events are not vectors, or have no such axes.
          NotImplementedError: if the components' coordinates are neither independent nor jointly normal.
        """
        return self.copy(components_distribution=coordinates.marginal(self.components_distribution, axes))

    @numerics.unconverted
    def condition(self: Kind, axes: int | Sequence[int], values: ArrayLike) -> Kind:
        """The distribution of the other coordinates of a vector, given the values of some.

        Of a mixture of (x, y) that was fitted jointly it gives p(y | x) for any x, and p(x | y) as well.

        Args:
          axes: an integer or a list of n integers. Negative ones count from the last coordinate.
          values: what is known: for an integer of shape `[*B]`, for a list `[*B, n]`. They broadcast, and more axes
            before those are more rows of the result's batch.

        Returns:
          A mixture of the coordinates that are left, in their order: a vector even if it is one, as in
          `np.delete(y, axes, -1)`. `marginal(0)` makes a scalar of that one. The result is in closed form. Its weights
          are those of the components at the values, computed in log space, so that they are right far from all centres;
          NaN where the values lie beyond the limits of all components. Of correlated coordinates with limits it has
          three times as many components for each known coordinate.

        Raises:
          ValueError: if the events are not vectors, have no such axes or no other, or if the values do not fit.
          NotImplementedError: if the components' coordinates are neither independent nor jointly normal.

        Example:

        >>> joint = tfmdn.Mixture(
        ...     tfd.Categorical(probs=[0.5, 0.5]),
        ...     tfd.MultivariateNormalTriL([[-1.0, 0.0], [1.0, 3.0]], [[1.0, 0.0], [0.8, 0.6]]),
        ... )
        >>> y_given_x = joint.condition(0, [-1.0, 0.0, 1.0]).marginal(0)
        >>> y_given_x.mean().numpy().round(3)
        array([0.167, 1.5  , 2.833], dtype=float32)
        """
        log_weights = counted.log_weights(self)
        mixture = counted.in_densities(self)
        components, logits = coordinates.conditional(mixture.components_distribution, log_weights, axes, values)
        times = logits.shape[-1] // log_weights.shape[-1]
        conditional = self.copy(
            mixture_distribution=tfd.Categorical(logits=logits),
            components_distribution=components,
            member_sizes=self.member_sizes and tuple(times * size for size in self.member_sizes),
        )
        mask = tensors.mask(self)
        if mask is not None:
            mask = tf.broadcast_to(mask, conditional.batch_shape_tensor())
        return keras_internals.masked(conditional, mask)

    # Peaks and regions

    @numerics.unconverted
    def modes(self, max_modes: int) -> modes_lib.Modes:
        """The local maxima of the density, from the highest down. No gradient.

        They are found by climbing from every component's centre. That finds them all but in unusual mixtures, such as
        that of a low peak amid three components of a plane. Limits with a probability of their own are modes too, in
        an order as `mode` compares them; their `log_prob` is that of the probability.

        Args:
          max_modes: how many to return. There are seldom more than components.

        Returns:
          A named tuple of `points` `[max_modes, *B, *E]` and their `log_prob` `[max_modes, *B]`. Where there are fewer
          modes than that, NaN and -inf follow.

        Example:

        >>> mixture = tfmdn.Mixture(tfd.Categorical(probs=[0.3, 0.6, 0.1]), tfd.Normal([-3.0, 2.0, 2.5], 1.0))
        >>> mixture.modes(3).points.numpy().round(3)
        array([ 2.066, -3.   ,    nan], dtype=float32)
        """
        return modes_lib.modes(counted.in_densities(self), validation.positive_integer("max_modes", max_modes))

    @numerics.unconverted
    def interval(self, coverage: float = 0.9, batch_size: int | None = None) -> tf.Tensor:
        """The central interval, of each coordinate by itself: as much probability lies below it as above.

        Args:
          coverage: the probability of the interval, strictly between 0 and 1. One that ends at a value with a
            probability of its own, a limit or one of a grid, has more.
          batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.

        Returns:
          The two ends, `[*B, *E, 2]`, differentiable as `quantile` is.
        """
        tail = 0.5 - 0.5 * validation.fraction("coverage", coverage)
        return tf.stack(tf.unstack(self.quantile([tail, 1.0 - tail], batch_size=batch_size)), -1)

    @numerics.unconverted
    def highest_density_region(self, coverage: float = 0.9) -> tf.Tensor:
        """The smallest region of a scalar that has probability `coverage`: one interval, or several. No gradient.

        Between two peaks, where a central interval has no choice but to contain the gap, it leaves the gap out.

        Args:
          coverage: the probability of all of the intervals together, strictly between 0 and 1.

        Returns:
          The ends of K disjoint intervals, `[K, *B, 2]`, from left to right. Where there are fewer, NaN follows. Of
          angles, which are cut at -pi and pi, K + 1. Of `CoarsenedNormal` components K + 2: a limit with a probability
          of more than 0.001 comes before any density, and is an interval of no length if the density next to it is left
          out; on a grid it is the smallest set of values, and intervals go from the first to the last of neighbours.

        Raises:
          ValueError: if the events are not scalars. `marginal` takes one coordinate of a vector.

        Example:

        >>> mixture = tfmdn.Mixture(tfd.Categorical(probs=[0.5, 0.5]), tfd.Normal([-5.0, 5.0], 1.0))
        >>> mixture.highest_density_region(0.9).numpy().round(3)
        array([[-6.645, -3.355],
               [ 3.355,  6.645]], dtype=float32)
        """
        if self.event_shape.rank != 0:
            raise ValueError(
                "`highest_density_region` is of scalar events; `marginal(axis)` takes one coordinate of a vector. "
                f"Received: an event of shape {self.event_shape}."
            )
        # In float32 densities near a peak are equal to the last digit.
        mixture, coverage = tf.cast(counted.in_sums(self), tf.float64), validation.fraction("coverage", coverage)
        search = coarse_regions if kinds.has_jumps(self.components_distribution) else regions
        return tf.cast(search.highest_density_region(mixture, coverage), self.dtype)

    def _components_at(self, index: tf.Tensor) -> tfd.Distribution:
        """For each row the component whose number stands in `index` `[*B]`."""
        components = self.components_distribution
        values = tensors.parameters(components)
        return tensors.take(components, values, tf.shape(index), index[tf.newaxis])[0]
