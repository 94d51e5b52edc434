"""The gamma distribution: waiting times, amounts of rain, claims."""

from __future__ import annotations

import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import deviations, kinds
from tfmdn.distributions.location_scale import LocationScale, Positive, held_exp
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import as_probability, log_of_probability

tfd = tfp.distributions

# The smallest standard deviation divided by the mean: float64 cannot tell narrower ones from a point.
NARROWEST = 1e-6
# Logarithms of y / mean beyond which the tails are 0.
FARTHEST = 50.0
CLOSE_TO_0 = -40.0
# The shape from which on the incomplete gamma function is expanded in its inverse; the coefficients of powers of eta in
# the first two terms, from the highest.
EXPANDED_FROM = 1e4
# The shape from which on the logarithm of its density is normalised by a series, to 1e-16.
SERIES_FROM = 1e2
FIRST_TERM = [8.296711340953086e-7, -1.854062210715160e-6, -2.185448510679992e-6, 3.9192631785224378e-5]
FIRST_TERM += [-1.7875514403292181e-4, 3.527336860670194e-4, 1 / 864, -2 / 135, 1 / 12, -1 / 3]
SECOND_TERM = [7.6491609160811101e-6, -1.8098550334489978e-5, -4.0187757201646091e-7, 2.0576131687242798e-4]
SECOND_TERM += [-9.9022633744855967e-4, 1 / 378, -1 / 288, -1 / 540]


class LogGamma(LocationScale):
    """The distribution of log y for a gamma y of mean exp(loc) and standard deviation scale * exp(loc).

    All of it is computed in float64, which the incomplete gamma function of a narrow one needs.
    """

    def _concentration(self):
        return 1.0 / tf.square(tf.maximum(tf.cast(self.scale, tf.float64), NARROWEST))

    def _distance(self, log_y):
        return tf.cast(log_y, tf.float64) - tf.cast(self.loc, tf.float64)

    def _log_prob(self, log_y):
        return tf.cast(_log_density(self._concentration(), self._distance(log_y)), self.dtype)

    def _tail(self, log_y, sign):
        return tail(self._concentration(), self._distance(log_y), sign)

    def _cdf(self, log_y):
        return tf.cast(tf.exp(self._log_lower(log_y)), self.dtype)

    def _survival_function(self, log_y):
        return tf.cast(self._tail(log_y, 1.0), self.dtype)

    def _log_cdf(self, log_y):
        return tf.cast(self._log_lower(log_y), self.dtype)

    def _log_lower(self, log_y):
        concentration, distance = self._concentration(), self._distance(log_y)
        # So close to 0 that the density of y is a power.
        is_close = distance < CLOSE_TO_0
        power = concentration * (distance + tf.math.log(concentration)) - tf.math.lgamma(concentration + 1.0)
        near = log_of_probability(tail(concentration, tf.where(is_close, tf.zeros_like(distance), distance), -1.0))
        return tf.where(is_close, power, near)

    def _log_survival_function(self, log_y):
        return tf.cast(log_of_probability(self._tail(log_y, 1.0)), self.dtype)

    def _sample_n(self, n, seed=None):
        concentration = tf.cast(self._concentration(), self.dtype)
        return tfd.ExpGamma(concentration, log_rate=tf.math.log(concentration) - self.loc).sample(n, seed=seed)

    def _mean(self):
        concentration = self._concentration()
        return self.loc + tf.cast(tf.math.digamma(concentration) - tf.math.log(concentration), self.dtype)

    def _mode(self):
        return self.loc + tf.zeros_like(self.scale)

    def _variance(self):
        concentration = self._concentration() + tf.zeros_like(self.loc, tf.float64)
        return tf.cast(tf.math.polygamma(tf.ones_like(concentration), concentration), self.dtype)


def tail(concentration: tf.Tensor, distance: tf.Tensor, sign: float) -> tf.Tensor:
    """The probability beyond a point of a gamma distribution, in float64.

    Args:
      concentration: its shape.
      distance: the logarithm of the point divided by the mean.
      sign: 1 for the probability above, -1 for that below.
    """
    distance = tf.clip_by_value(distance, -FARTHEST, FARTHEST)
    # TensorFlow's function takes the more steps the narrower the distribution is, and stops too early.
    is_narrow = concentration > EXPANDED_FROM
    incomplete = tf.math.igammac if sign > 0.0 else tf.math.igamma
    moderate = tf.minimum(concentration, EXPANDED_FROM)
    exact = incomplete(moderate, moderate * tf.exp(distance))
    expanded = _expanded_tail(tf.maximum(concentration, EXPANDED_FROM), distance, sign)
    return as_probability(tf.where(is_narrow, expanded, exact))


def _expanded_tail(concentration, distance, sign):
    """The uniform asymptotic expansion of Temme (1979), to its second term: right to 1e-10."""
    # eta^2 / 2 = exp(distance) - 1 - distance
    is_small = tf.abs(distance) < 1e-2
    held = tf.clip_by_value(distance, -1.0, 1.0)  # beyond it the tails are 0
    safe = tf.where(is_small, tf.ones_like(held), held)
    series = 0.5 + distance / 6.0 * (1.0 + distance / 4.0 * (1.0 + distance / 5.0 * (1.0 + distance / 6.0)))
    half_square = tf.where(is_small, series, (tf.math.expm1(safe) - safe) / tf.square(safe))
    eta = held * tf.sqrt(2.0 * half_square)
    z = eta * tf.sqrt(0.5 * concentration)
    held = tf.clip_by_value(eta, -0.5, 0.5)
    first, second = (
        functools.reduce(lambda total, factor: total * held + factor, factors) for factors in (FIRST_TERM, SECOND_TERM)
    )
    correction = tf.exp(-tf.square(z)) * tf.math.rsqrt(2.0 * math.pi * concentration) * (first + second / concentration)
    return 0.5 * tf.math.erfc(sign * z) + sign * correction


def _log_density(concentration, distance):
    # a log a - lgamma(a) - a, of a narrow one the difference of large numbers: by Stirling's series.
    is_narrow = concentration > SERIES_FROM
    large, moderate = tf.maximum(concentration, SERIES_FROM), tf.minimum(concentration, SERIES_FROM)
    inverse = 1.0 / large
    series = inverse * (1.0 / 12.0 - tf.square(inverse) * (1.0 / 360.0 - tf.square(inverse) / 1260.0))
    series = 0.5 * tf.math.log(large / (2.0 * math.pi)) - series
    exact = moderate * tf.math.log(moderate) - moderate - tf.math.lgamma(moderate)
    # exp(distance) - 1 - distance, times a
    is_near = tf.abs(distance) < 1e-2
    zeros = tf.zeros_like(distance)
    near, far = tf.where(is_near, distance, zeros), tf.where(is_near, zeros, distance)
    small = 0.5 + near / 6.0 * (1.0 + near / 4.0 * (1.0 + near / 5.0 * (1.0 + near / 6.0 * (1.0 + near / 7.0))))
    excess = held_exp(far + tf.math.log(concentration)) - concentration * (1.0 + far)
    excess = tf.where(is_near, concentration * tf.square(near) * small, excess)
    return tf.where(is_narrow, series, exact) - excess


@registered
class Gamma(Positive):
    """The gamma distribution of mean exp(loc) and shape 1 + 1 / scale^2.

    The shape is above 1, so that the density is bounded: with a smaller one the likelihood of targets close to 0 would
    have no limit. A small scale is the standard deviation divided by the mean, a large one gives an exponential
    distribution. What falls more steeply than that is a mixture of several.

    Args:
      loc: the logarithm of the mean.
      scale: above 0; the variance of y / mean is 1 / (1 + 1 / scale^2).
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations. None means the name of the class.
    """

    def _variation(self):
        """The standard deviation divided by the mean."""
        return self.scale * tf.math.rsqrt(1.0 + tf.square(self.scale))

    def logarithm(self) -> LogGamma:
        return LogGamma(self.loc, self._variation())

    def _mean(self):
        return tf.exp(self.loc) + tf.zeros_like(self.scale)

    def _mode(self):
        return tf.exp(self.loc - tf.math.log1p(tf.square(self.scale)))

    def _stddev(self):
        return tf.exp(self.loc) * self._variation()

    def _variance(self):
        return tf.square(self._stddev())


def of_moments(mean: tf.Tensor, stddev: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parameters that have a mean and a standard deviation; the nearest where that is larger than the mean."""
    mean = tf.maximum(mean, 1e-3 * stddev)
    variation = tf.minimum(stddev / mean, 0.99)
    return {"loc": tf.math.log(mean), "scale": variation * tf.math.rsqrt(1.0 - tf.square(variation))}


@kinds.may_overshoot.register
def _(components: Gamma):
    return True


def _deviation(values, y):
    # In float64: the difference of nearly the same numbers where the distribution is narrow.
    loc, scale, y64 = (tf.cast(value, tf.float64) for value in (values["loc"], values["scale"], y))
    mean, concentration = tf.exp(loc), 1.0 + 1.0 / tf.square(tf.maximum(scale, NARROWEST))
    positive = tf.where(y64 > 0, y64, tf.ones_like(y64))
    distance = tf.minimum(tf.math.log(positive) - loc, FARTHEST)
    # E max(X - y, 0): the same point, seen from a distribution of a larger shape.
    above_of_next = tail(concentration + 1.0, distance + tf.math.log(concentration / (concentration + 1.0)), 1.0)
    excess = mean * above_of_next - positive * tail(concentration, distance, 1.0)
    excess = tf.where(distance < FARTHEST, excess, tf.zeros_like(excess))
    return tf.cast(tf.where(y64 > 0, y64 - mean + 2.0 * excess, mean - y64), y.dtype)


deviations.register(Gamma, _deviation)


@kinds.has_rough_tails.register
def _(components: Gamma):
    return True
