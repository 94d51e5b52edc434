"""The Weibull distribution: waiting times, lifetimes, wind speeds."""

from __future__ import annotations

import functools

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import deviations, kinds
from tfmdn.distributions.gumbel import EULER, STDDEV, log_exponential, log_of_complement
from tfmdn.distributions.location_scale import LocationScale, Positive, held_exp
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import held_quotient, reach

tfd = tfp.distributions

# Of log gamma(1 + 2 x) - 2 log gamma(1 + x), for x up to this, the factors of x^2, x^3 and so on.
SERIES_UP_TO = 0.02
ORDERS = np.arange(2, 12)
SERIES = ((-1.0) ** ORDERS * scipy.special.zeta(ORDERS) / ORDERS * (2.0**ORDERS - 2.0)).tolist()


class LogWeibull(LocationScale):
    """The distribution of log y for a Weibull y: a Gumbel distribution of minima, of mode `loc`."""

    def _z(self, log_y):
        return held_quotient(log_y - self.loc, self.scale, reach(self.dtype))

    def _log_prob(self, log_y):
        z = self._z(log_y)
        return z - held_exp(z) - tf.math.log(self.scale)

    def _survival_function(self, log_y):
        return tf.exp(self._log_survival_function(log_y))

    def _log_survival_function(self, log_y):
        return -held_exp(self._z(log_y))

    def _cdf(self, log_y):
        return -tf.math.expm1(self._log_survival_function(log_y))

    def _log_cdf(self, log_y):
        return log_of_complement(-self._z(log_y))

    def _quantile(self, p):
        return self.loc + self.scale * tf.math.log(-tf.math.log1p(-p))

    def _sample_n(self, n, seed=None):
        return self.loc + self.scale * log_exponential(self, n, seed)

    def _mean(self):
        return self.loc - EULER * self.scale

    def _mode(self):
        return self.loc + tf.zeros_like(self.scale)

    def _variance(self):
        return tf.square(STDDEV * (self.scale + tf.zeros_like(self.loc)))


@registered
class Weibull(Positive):
    """The survival function exp(-(y / exp(loc))^k) of y > 0, with k = 1 + 1 / scale.

    k is above 1, so that the density is bounded: with a smaller one the likelihood of targets close to 0 would have no
    limit. A scale of 0.1 is close to a point, a large one to an exponential distribution. What falls more steeply
    than that is a mixture of several.

    Args:
      loc: the logarithm of the unit of y, below which 63 % lie.
      scale: above 0; k is 1 + 1 / scale.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations. None means the name of the class.
    """

    def _inverse_power(self):
        return self.scale / (1.0 + self.scale)

    def logarithm(self) -> LogWeibull:
        return LogWeibull(self.loc, self._inverse_power())

    def _mean(self):
        # In float64: of narrow ones beside each other the differences count.
        loc, scale = tf.cast(self.loc, tf.float64), tf.cast(self.scale, tf.float64)
        return tf.cast(tf.exp(loc + tf.math.lgamma(1.0 + scale / (1.0 + scale))), self.dtype)

    def _mode(self):
        return tf.exp(self.loc - self._inverse_power() * tf.math.log1p(self.scale))

    def _stddev(self):
        # In float64: the two logarithms are nearly the same for a small scale.
        scale = tf.cast(self.scale, tf.float64)
        log_ratio = _log_moment_ratio(scale / (1.0 + scale))
        return self._mean() * tf.cast(tf.sqrt(tf.math.expm1(log_ratio)), self.dtype)

    def _variance(self):
        return tf.square(self._stddev())


def _log_moment_ratio(inverse_power):
    """The logarithm of E y^2 / (E y)^2."""
    # Of narrow ones, whose logarithms are nearly the same, by their power series.
    is_narrow = inverse_power < SERIES_UP_TO
    small = tf.where(is_narrow, inverse_power, tf.zeros_like(inverse_power))
    series = (
        functools.reduce(lambda total, factor: (total + factor) * small, SERIES[::-1], tf.zeros_like(small)) * small
    )
    direct = tf.math.lgamma(1.0 + 2.0 * inverse_power) - 2.0 * tf.math.lgamma(1.0 + inverse_power)
    return tf.where(is_narrow, series, direct)


def of_moments(mean: tf.Tensor, stddev: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parameters that have a mean and a standard deviation; the nearest where that is larger than the mean."""
    widest = 0.99
    variation = tf.cast(tf.minimum(stddev / tf.maximum(mean, 1e-3 * stddev), widest), tf.float64)
    mean = tf.maximum(mean, 1e-3 * stddev)
    inverse_power = variation**1.086  # to a percent
    for _ in range(4):  # Newton's method
        error = _log_moment_ratio(inverse_power) - tf.math.log1p(tf.square(variation))
        slope = 2.0 * (tf.math.digamma(1.0 + 2.0 * inverse_power) - tf.math.digamma(1.0 + inverse_power))
        inverse_power -= error / slope
    inverse_power = tf.cast(tf.minimum(inverse_power, widest), mean.dtype)
    loc = tf.math.log(mean) - tf.math.lgamma(1.0 + inverse_power)
    return {"loc": loc, "scale": inverse_power / (1.0 - inverse_power)}


@kinds.may_overshoot.register
def _(components: Weibull):
    return True


FARTHEST = 5.0  # the logarithm of where exp(-x) no longer counts


def _deviation(values, y):
    # In float64: the difference of nearly the same numbers where the distribution is narrow.
    loc, scale, y64 = (tf.cast(value, tf.float64) for value in (values["loc"], values["scale"], y))
    inverse_power = scale / (1.0 + scale)
    mean = tf.exp(loc + tf.math.lgamma(1.0 + inverse_power))
    positive = tf.where(y64 > 0, y64, tf.ones_like(y64))
    z = tf.minimum((tf.math.log(positive) - loc) / inverse_power, FARTHEST)
    x = tf.exp(z)
    excess = mean * tf.math.igammac(1.0 + inverse_power, x) - positive * tf.exp(-x)  # E max(X - y, 0)
    excess = tf.where(z < FARTHEST, excess, tf.zeros_like(excess))
    return tf.cast(tf.where(y64 > 0, y64 - mean + 2.0 * excess, mean - y64), y.dtype)


deviations.register(Weibull, _deviation)
