"""The von Mises distribution, a normal distribution of angles, and statistics of angles.

Angles are in radians, and two that differ by 2 pi are the same. Where an order is needed, as in a cumulative
probability, they are cut at -pi and pi.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import deviations, kinds, mean_shifts
from tfmdn.distributions.location_scale import LocationScale
from tfmdn.distributions.type_specs import registered

tfd = tfp.distributions

LOG_TWO_PI = math.log(2.0 * math.pi)
# Narrower ones count as that: the concentration is its inverse square.
NARROWEST = 1e-6
# The inverse scale from which on they are normal but for a share of 1e-7.
NORMAL_FROM = 1e3


@registered
class VonMises(LocationScale):
    """The von Mises distribution of angles, whose density is proportional to exp(cos(y - loc) / scale^2).

    Its mean is the direction of the mean of unit vectors, its standard deviation the circular one, sqrt(-2 log R) for a
    mean vector of length R: about the scale of a narrow distribution.

    Args:
      loc: the direction, in radians.
      scale: above 0; the concentration is 1 / scale^2. The distribution is nearly uniform from 5 on.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations. None means the name of the class.
    """

    def _inverse_scale(self):
        return 1.0 / tf.maximum(self.scale, NARROWEST)

    def _log_prob(self, y):
        inverse_scale = self._inverse_scale()
        log_normalization = LOG_TWO_PI + tf.math.log(tf.math.bessel_i0e(tf.square(inverse_scale)))
        return -2.0 * tf.square(tf.sin(0.5 * (y - self.loc)) * inverse_scale) - log_normalization

    def _cdf(self, y):
        return tf.cast(self._tail(y, 1.0), self.dtype)

    def _survival_function(self, y):
        return tf.cast(self._tail(y, -1.0), self.dtype)

    def _tail(self, y, side):
        tail = tail_of(*(tf.cast(value, tf.float64) for value in (self.loc, self._inverse_scale())))
        return tail(tf.cast(y, tf.float64), tf.constant(side, tf.float64))

    def _log_cdf(self, y):
        return tf.cast(numerics.log_of_probability(self._tail(y, 1.0)), self.dtype)

    def _log_survival_function(self, y):
        return tf.cast(numerics.log_of_probability(self._tail(y, -1.0)), self.dtype)

    def _sample_n(self, n, seed=None):
        # In float64: TFP's are the arc cosine of a number close to 1. Narrower ones than that are drawn in units of it.
        inverse_scale = tf.cast(self._inverse_scale(), tf.float64)
        held = tf.minimum(inverse_scale, NORMAL_FROM)
        zeros = tf.zeros_like(self.loc, tf.float64)
        angle = tfd.VonMises(zeros, tf.square(held)).sample(n, seed=seed) * (held / inverse_scale)
        return wrapped(self.loc + tf.cast(angle, self.dtype))

    def _mean(self):
        return wrapped(self.loc + tf.zeros_like(self.scale))

    def _mode(self):
        return self._mean()

    def _variance(self):
        # In float64: the length is close to 1. So close that its logarithm has few digits, by a series.
        concentration = tf.square(tf.cast(self._inverse_scale(), tf.float64))
        inverse = 1.0 / concentration
        series = inverse * (1.0 + inverse * (0.5 + inverse * (13.0 / 24.0)))
        length = tf.math.bessel_i1e(concentration) / tf.math.bessel_i0e(concentration)
        variance = tf.where(concentration > 1e4, series, -2.0 * tf.math.log(length))
        return tf.cast(variance, self.dtype) + tf.zeros_like(self.loc)


@kinds.period.register
def _(components: VonMises):
    return 2.0 * math.pi


@kinds.limits.register
def _(components: VonMises):
    return -math.pi, math.pi


@kinds.tail.register
def _(components: VonMises):
    tail = tail_of(*(tf.cast(value, tf.float64) for value in (components.loc, components._inverse_scale())))

    def at(y, side):
        found = tail(tf.cast(y, tf.float64), tf.cast(side, tf.float64))
        return tf.cast(found, components.dtype), components.prob(y)

    return at


def tail_of(loc: tf.Tensor, inverse_scale: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of y and a side: the probability from -pi to y where it is 1, from y to pi where it is -1; in float64.

    A sum of what lies beyond points on the way to the antipode, so that a small one keeps its digits.
    """
    loc, concentration = wrapped(loc), tf.square(inverse_scale)

    def turns_and_rest(angle):
        """The probability from `loc` - pi to `loc` + angle, as an integer and a rest; another turn adds 1."""
        turns = tf.round(angle / (2.0 * math.pi))
        within = angle - 2.0 * math.pi * turns
        is_above = within > 0.0
        distance = tf.where(is_above, within, -within)  # of which `abs` has no gradient at the peak
        beyond = _beyond(tf.minimum(distance, math.pi), concentration)
        return turns + tf.cast(is_above, tf.float64), tf.where(is_above, -beyond, beyond)

    turns_at_cut, rest_at_cut = turns_and_rest(-math.pi - loc)

    def tail(y, side):
        turns, rest = turns_and_rest(wrapped(y) - loc)
        turns, rest = turns - turns_at_cut, rest - rest_at_cut
        return numerics.as_probability(tf.where(side > 0.0, turns + rest, (1.0 - turns) - rest))

    return tail


# Gauss and Legendre's rule on [0, 1], and by how much the exponent falls over what it is used for.
TAIL_NODES, TAIL_WEIGHTS = (0.5 * part for part in np.polynomial.legendre.leggauss(32))
TAIL_NODES, FALL = TAIL_NODES + 0.5, 45.0


def _beyond(angle: tf.Tensor, concentration: tf.Tensor) -> tf.Tensor:
    """The probability from an angle between 0 and pi away from the centre to the antipode."""
    sine = tf.sin(0.5 * angle)
    farthest = tf.minimum(tf.square(sine) + 0.5 * FALL / concentration, 1.0)
    width = tf.maximum(tf.stop_gradient(2.0 * tf.asin(tf.sqrt(farthest))) - angle, 0.0)
    half_step = 0.5 * width[..., tf.newaxis] * TAIL_NODES
    fall = tf.sin(angle[..., tf.newaxis] + half_step) * tf.sin(half_step)
    shares = tf.exp(-2.0 * concentration[..., tf.newaxis] * fall) * TAIL_WEIGHTS
    height = tf.exp(-2.0 * concentration * tf.square(sine)) / (2.0 * math.pi * tf.math.bessel_i0e(concentration))
    return height * width * tf.reduce_sum(shares, -1)


def wrapped(angle: tf.Tensor) -> tf.Tensor:
    """The same angle between -pi and pi, both of which stay what they are."""
    turns = tf.round(angle / (2.0 * math.pi))
    return tf.where(tf.abs(angle) > math.pi, tf.clip_by_value(angle - 2.0 * math.pi * turns, -math.pi, math.pi), angle)


def mean(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The circular mean of a mixture of angles, `[*B, *E]`."""
    vectors, _, direction = _vectors(mixture)
    return tf.cast(_direction(*vectors, direction, -1 - mixture.event_shape.rank), mixture.dtype)


def variance(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The square of the circular standard deviation of a mixture of angles, `[*B, *E]`."""
    (weights, length), lost, direction = _vectors(mixture)
    axis = -1 - mixture.event_shape.rank
    turned = direction - tf.expand_dims(_direction(weights, length, direction, axis), axis)
    # How much shorter than 1 the mean vector is, as a sum of what is not negative: of narrow ones it has its digits.
    shortfall = tf.reduce_sum(weights * (lost + 2.0 * length * tf.square(tf.sin(0.5 * turned))), axis)
    along = tf.reduce_sum(weights * length * tf.cos(turned), axis)
    long = -2.0 * tf.math.log1p(-tf.minimum(shortfall, 0.5))
    short = -2.0 * tf.math.log(tf.clip_by_value(along, math.sqrt(np.finfo(np.float32).tiny), 1.0))
    return tf.cast(tf.where(shortfall < 0.5, long, short), mixture.dtype)


def _vectors(mixture: tfd.MixtureSameFamily) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Of each component `[*B, K, *E]` the weight, the length of its mean vector and 1 minus that, and its direction."""
    components = mixture.components_distribution
    logits = tf.cast(mixture.mixture_distribution.logits_parameter(), tf.float64)
    weights = numerics.with_trailing_axes(tf.nn.softmax(logits), mixture.event_shape.rank)
    half = -0.5 * tf.cast(components.variance(), tf.float64)
    return (weights, tf.exp(half)), -tf.math.expm1(half), tf.cast(components.mean(), tf.float64)


def _direction(weights, length, direction, axis: int) -> tf.Tensor:
    y, x = (tf.reduce_sum(weights * length * part(direction), axis) for part in (tf.sin, tf.cos))
    return tf.atan2(y, x)


def of_moments(mean: tf.Tensor, stddev: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parameters that have a circular mean and a circular standard deviation."""
    length = tf.exp(-0.5 * tf.square(tf.cast(stddev, tf.float64)))
    concentration = length * (2.0 - tf.square(length)) / (1.0 - tf.square(length))  # Banerjee et al. (2005)
    for _ in range(3):  # Newton's method
        ratio = tf.math.bessel_i1e(concentration) / tf.math.bessel_i0e(concentration)
        concentration -= (ratio - length) / (1.0 - tf.square(ratio) - ratio / concentration)
    return {"loc": mean, "scale": tf.cast(tf.math.rsqrt(concentration), mean.dtype)}


# The mean angular distance, for the CRPS of angles (Grimit et al. 2006): by Gauss and Legendre's rule, on each of the
# three parts of the circle on which the distance is a straight line, of what lies within so many standard deviations.
NODES = np.stack(np.polynomial.legendre.leggauss(2 * deviations.BLOCK), -1)
FARTHEST = 9.0


def _mean_distance(distance, first, second):
    """E|X - X'|, as an angle from 0 to pi, of von Mises variables `distance` apart, of two inverse scales, in float64.

    X - X' has the density I0(|a + b exp(i t)|) / (2 pi I0(a) I0(b)), where a and b are their concentrations.
    """
    dtype = distance.dtype
    distance, first, second = (tf.cast(value, tf.float64) for value in (distance, first, second))
    reach = tf.minimum(FARTHEST * tf.sqrt(1.0 / tf.square(first) + 1.0 / tf.square(second)), math.pi)
    half_turn = tf.fill(tf.shape(distance), tf.constant(math.pi, tf.float64))
    bounds = [
        tf.clip_by_value(bound, -reach, reach) for bound in (-half_turn, distance - half_turn, distance, half_turn)
    ]
    slopes, offsets = (1.0, -1.0, 1.0), (2.0 * math.pi - distance, distance, -distance)
    parts = [
        deviations.sum_over(NODES, _term, *ends, slope * tf.ones_like(distance), offset, first, second)
        for ends, slope, offset in zip(itertools.pairwise(bounds), slopes, offsets)
    ]
    return tf.cast(tf.add_n(parts), dtype)


def _term(nodes, start, end, slope, offset, first, second):
    half = 0.5 * (end - start)
    angle = start + half * (1.0 + nodes[:, 0])
    first, second = tf.square(first), tf.square(second)
    together = tf.sqrt(tf.square(first - second) + 4.0 * first * second * tf.square(tf.cos(0.5 * angle)))
    exponent = -4.0 * first * second * tf.square(tf.sin(0.5 * angle)) / (together + first + second)
    density = tf.exp(exponent) * tf.math.bessel_i0e(together) / (2.0 * math.pi)
    density /= tf.math.bessel_i0e(first) * tf.math.bessel_i0e(second)
    return half * nodes[:, 1] * density * (slope * angle + offset)


def _deviation(values, y):
    return _difference(values, {"loc": y, "scale": tf.constant(NARROWEST, y.dtype)})


def _difference(first, second):
    distance = tf.abs(wrapped(first["loc"] - second["loc"]))
    inverse_scales = (1.0 / tf.maximum(values["scale"], NARROWEST) for values in (first, second))
    return _mean_distance(distance, *inverse_scales)


deviations.register(VonMises, _deviation, _difference)


@mean_shifts.mean_shift.register
def _(components: VonMises, event_rank):
    """The direction of the sum of vectors in the components' directions."""
    strength = tf.square(components._inverse_scale())  # [B, K, E]
    x, y = strength * tf.cos(components.loc), strength * tf.sin(components.loc)

    def move(responsibilities, _):
        weights = numerics.with_trailing_axes(responsibilities, event_rank)  # [S, B, K, E]
        return tf.atan2(tf.reduce_sum(weights * y, -1 - event_rank), tf.reduce_sum(weights * x, -1 - event_rank))

    return move
