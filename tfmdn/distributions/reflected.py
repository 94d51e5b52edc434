"""Normal distributions on an interval: what would lie beyond one of its ends is reflected at that end.

With limits l and h, it is the distribution of a normal Z folded into [l, h]: of 2 l - Z where Z is below l, of 2 h - Z
where it is above h. In kernel density estimation the same is known as the reflection method (Schuster 1985, Silverman
1986, section 2.10); with one limit it is the folded normal (Leone, Nelson and Nottingham 1961). Where a component is
narrow beside its distance from the limits, it is the normal itself. At a limit its density is not 0, as that of a
target is not that ends there. An infinite limit is none.

Shapes in comments: B batch, I images, that is Z itself and its reflections.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import tensorflow_internals, tfp_internals
from tfmdn.distributions import kinds, random_numbers
from tfmdn.distributions.folded_densities import folded_log_prob
from tfmdn.distributions.folding import (
    Edges,
    Interval,
    Points,
    next_to_limit,
    normal_cdf,
    normal_density,
    normal_log_probability,
    partial_mean,
)
from tfmdn.distributions.scalars import Scalar
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import as_log_probability, as_probability, log_of_probability, log_sum_exp

tfd = tfp.distributions

# In widths of the interval. A wider normal is uniform there to 0.2 %, and only loses digits.
WIDEST = 8.0
MODE_STEPS = 200
# Below it a probability loses digits, and then vanishes, while its logarithm does not.
SMALLEST = 1e-290


class Reflected(tfp_internals.WithInfinities, tfd.AutoCompositeTensorDistribution):
    """What distributions with limits share: each is described by tensors `loc`, one of scales, `low` and `high`."""

    def __init__(self, parameters: dict):
        tensors = {name: parameters[name] for name in self._parameter_properties(None)}
        dtype = next((tf.as_dtype(value.dtype) for value in tensors.values() if hasattr(value, "dtype")), tf.float32)
        with tensorflow_internals.meant_infinities():
            for name, value in tensors.items():
                setattr(self, f"_{name}", tf.convert_to_tensor(value, dtype))
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=parameters["validate_args"],
            allow_nan_stats=parameters["allow_nan_stats"],
            parameters=parameters,
            name=parameters["name"],
        )

    loc = property(lambda self: self._loc, doc="The centre, as given.")
    low = property(lambda self: self._low, doc="The lower limit.")
    high = property(lambda self: self._high, doc="The upper limit.")

    @property
    def interval(self) -> Interval:
        """From the lower to the upper limit."""
        return Interval(self._low, self._high)

    def _default_event_space_bijector(self):
        return None

    def _scales(self) -> tf.Tensor:
        """What must be positive."""
        raise NotImplementedError

    def _parameter_control_dependencies(self, is_init):
        if not self.validate_args or not is_init:
            return []
        return [
            tf.debugging.assert_positive(self._scales(), "Scales must be positive."),
            tf.debugging.assert_less(self._low, self._high, "`low` must be less than `high`."),
        ]

    def _variance(self):
        return tf.square(self._stddev())


@kinds.limits.register
def _(components: Reflected):
    return components.low, components.high


@registered
class ReflectedNormal(Scalar, Reflected):
    """A normal distribution whose tails are reflected at the ends of an interval.

    With two limits the normal is cut off one width of the interval beyond them, and normalised, before it is folded.

    Args:
      loc: the centre. One beyond a limit stands for its reflection.
      scale: the standard deviation before the reflection. More than eight widths of the interval count as that.
      low: the lower limit, or -inf for none.
      high: the upper limit, greater than `low`, or inf for none.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.

    Example:

    >>> half_normal = tfmdn.distributions.ReflectedNormal(0.0, 1.0, low=0.0, high=np.inf)
    >>> half_normal.prob([-1.0, 0.0, 1.0]).numpy().round(4)
    array([0.    , 0.7979, 0.4839], dtype=float32)
    >>> round(float(half_normal.mean()), 4)
    0.7979
    """

    def __init__(
        self,
        loc: ArrayLike,
        scale: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "ReflectedNormal",
    ):
        parameters = dict(locals())
        del parameters["__class__"]
        super().__init__(parameters)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {name: tfp.util.ParameterProperties() for name in ("loc", "scale", "low", "high")}

    scale = property(lambda self: self._scale, doc="The standard deviation before the reflection, as given.")

    def _scales(self):
        return self._scale

    def parts(self) -> tuple[Interval, tf.Tensor, tf.Tensor, Edges]:
        """The interval, centre and standard deviation of the normal that is folded, and where the ends are for it."""
        interval = self.interval
        # At the widest the gradient passes as if it were not held, so that it can become narrower again.
        widest, passing = WIDEST * interval.safe_width, self._scale - tf.stop_gradient(self._scale)
        is_held = interval.is_bounded & (self._scale > widest)
        loc, scale = interval.fold(self._loc), tf.where(is_held, widest + passing, self._scale)
        return interval, loc, scale, Edges(interval, loc, scale)

    def _log_prob(self, y):
        interval, loc, scale, _ = self.parts()
        log_prob = folded_log_prob(interval.clip(y), loc, scale, self._low, self._high)
        return tf.where(interval.contains(y), log_prob, -math.inf)

    def _cdf(self, y):
        interval, loc, scale, edges = self.parts()
        points = Points(interval, loc, scale, y)
        # The centre lies within the limits: reflections at the lower one are on its left, at the upper on its right.
        below = normal_cdf(points.itself) - normal_cdf(points.reflected_low)
        below += normal_cdf(-points.reflected_high) - normal_cdf(-edges.top)
        is_near, near = next_to_limit(points.from_low, edges.low, edges.top)
        return as_probability(tf.where(is_near, near, below) / edges.total)

    def _survival_function(self, y):
        interval, loc, scale, edges = self.parts()
        points = Points(interval, loc, scale, y)
        above = normal_cdf(-points.itself) - normal_cdf(-points.reflected_high)
        above += normal_cdf(points.reflected_low) - normal_cdf(edges.bottom)
        is_near, near = next_to_limit(points.from_high, edges.high, edges.bottom)
        return as_probability(tf.where(is_near, near, above) / edges.total)

    def _log_cdf(self, y):
        return self._log_tail("_cdf", y, -math.inf)

    def _log_survival_function(self, y):
        return self._log_tail("_survival_function", y, math.inf)

    def _log_tail(self, method, y, end):
        """The logarithm of the probability between y and the end of the line, in float64."""
        wide, y = self._in_float64(), tf.cast(y, tf.float64)
        probability = getattr(wide, method)(y)
        is_lost = probability < SMALLEST  # not NaN

        def of_differences():
            # Differences of logarithms have digits where those of probabilities have none. They take six times as long.
            ends = tf.fill(tf.shape(probability), tf.constant(end, tf.float64))
            within = tf.where(is_lost & tf.math.is_finite(y), y, wide.loc)  # a gradient that is not asked for is finite
            between = wide.interval_log_prob(*((ends, within) if end < 0.0 else (within, ends)))
            held = log_of_probability(tf.where(is_lost, tf.ones_like(probability), probability))
            return tf.where(is_lost, tf.where(tf.math.is_finite(y), between, -math.inf), held)

        log_prob = tf.cond(tf.reduce_any(is_lost), of_differences, lambda: log_of_probability(probability))
        return tf.cast(as_log_probability(log_prob), self.dtype)

    def _in_float64(self) -> ReflectedNormal:
        return ReflectedNormal(*(tf.cast(each, tf.float64) for each in (self._loc, self._scale, self._low, self._high)))

    def interval_log_prob(self, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        """The log probability between two points: of the normal's there, and between the reflections of both."""
        interval, loc, scale, edges = self.parts()
        low, high = tf.maximum(low, self._low), tf.minimum(high, self._high)
        is_empty = low > high
        low, width = tf.where(is_empty, high, low), tf.where(is_empty, tf.zeros_like(high), high - low)
        log_probs = [normal_log_probability(low, high, loc, scale, width)]
        for exists, limit in interval.limits:
            reflected = normal_log_probability(2.0 * limit - high, 2.0 * limit - low, loc, scale, width)
            log_probs.append(tf.where(exists, reflected, tf.constant(-math.inf, self.dtype)))
        log_prob = log_sum_exp(tf.stack(log_probs), 0) - tf.math.log(edges.total)
        return tf.where(is_empty, tf.constant(-math.inf, self.dtype), log_prob)

    def _mean(self):
        # In float64: of a wide one between near limits it is the difference of what lies beyond them.
        _, loc, scale, edges = self._in_float64().parts()
        return tf.cast(loc + scale * _offset(edges), self.dtype)

    def _stddev(self):
        # In float64: between near limits two numbers that are nearly the same are subtracted.
        wide = self._in_float64()
        _, _, scale, edges = wide.parts()
        below, above = _beyond(edges)
        # A reflection at l turns (Z - loc)^2 into (Z - loc)^2 + 4 (l - Z) (l - loc).
        cut = edges.bottom * normal_density(edges.bottom) - edges.top * normal_density(edges.top)
        second_moment = 1.0 + (cut + 4.0 * (edges.low * below - edges.high * above)) / edges.total
        smallest = np.finfo(np.float64).eps
        stddev = scale * tf.sqrt(tf.maximum(second_moment - tf.square(_offset(edges)), smallest))
        return tf.cast(stddev, self.dtype)

    def _mode(self):
        """Where the mean shift of the normal and its reflections leads: as high as the highest point to 1e-5."""
        interval, loc, scale, _ = self.parts()
        zeros = tf.zeros(self.batch_shape_tensor(), self.dtype)
        loc, scale = loc + zeros, scale + zeros
        exists, centres = map(tf.stack, zip(*interval.images(loc)))  # [I, B]

        def step(y):
            z = (y - centres) / scale
            weights = tf.nn.softmax(tf.where(exists, -0.5 * tf.square(z), -math.inf), 0)
            return tf.reduce_sum(weights * centres, 0)

        (mode,) = tf.while_loop(lambda y: True, lambda y: (step(y),), (loc,), maximum_iterations=MODE_STEPS)
        return tf.stop_gradient(interval.fold(mode))

    def _sample_n(self, n, seed=None):
        interval, loc, scale, edges = self.parts()
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        z = random_numbers.normal(shape, seed, self.dtype)
        # The normal between `bottom` and `top`, by its inverse distribution function: from the nearer end, so that
        # neither tail loses digits.
        outside = tf.where(z < 0.0, normal_cdf(edges.bottom), normal_cdf(-edges.top))
        tail = outside + normal_cdf(-tf.abs(z)) * edges.total
        cut = tf.math.ndtri(tf.where(interval.is_bounded, tail, 0.5))
        z = tf.where(interval.is_bounded, tf.where(z < 0.0, cut, -cut), z)
        return interval.fold(loc + scale * z)


@kinds.tail.register
def _(components: ReflectedNormal):
    interval, loc, scale, edges = components.parts()
    inverse_scale, inverse_total = 1.0 / scale, 1.0 / edges.total
    outside = normal_cdf(-edges.top), normal_cdf(edges.bottom)
    # Where there is no limit its reflection is infinitely far.
    from_low = tf.where(interval.has_low, 2.0 * interval.safe_low - loc, -math.inf)
    from_high = tf.where(interval.has_high, 2.0 * interval.safe_high - loc, math.inf)

    def at(y, side):
        nearest, is_lower = interval.clip(y), side > 0.0
        z = [
            (nearest - loc) * inverse_scale,
            (from_low - nearest) * inverse_scale,
            (nearest - from_high) * inverse_scale,
        ]
        itself, below, above = normal_cdf(side * z[0]), normal_cdf(z[1]), normal_cdf(z[2])
        density = tf.add_n(list(map(normal_density, z))) * inverse_scale * inverse_total
        tail = itself - side * (below - above) - tf.where(is_lower, *outside)
        width = side * (nearest - tf.where(is_lower, interval.low, interval.high)) * inverse_scale
        limit, cut = (tf.where(is_lower, *ends) for ends in ((edges.low, edges.high), (edges.top, edges.bottom)))
        is_near, near = next_to_limit(width, limit, cut)
        return tf.where(is_near, near, tail) * inverse_total, tf.where(nearest == y, density, 0.0)

    return at


def _beyond(edges: Edges) -> tuple[tf.Tensor, tf.Tensor]:
    """E max(low - Z, 0) and E max(Z - high, 0), of what a standard normal Z has between `bottom` and `top`."""
    below = -partial_mean(edges.low, edges.bottom, edges.low)
    return below, partial_mean(edges.high, edges.high, edges.top)


def _offset(edges: Edges) -> tf.Tensor:
    """How far the mean is from the centre, in standard deviations."""
    below, above = _beyond(edges)
    return (normal_density(edges.bottom) - normal_density(edges.top) + 2.0 * (below - above)) / edges.total
