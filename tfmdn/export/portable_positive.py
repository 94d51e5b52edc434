"""Components of positive targets in float32 and elementary operations: what is asked of them is asked of log y."""

from __future__ import annotations

import tensorflow as tf

from tfmdn.export.elementary import (
    HALF_LOG_TWO_PI,
    excess_of_exp,
    expm1,
    log_gamma_of_one_plus,
    log_gamma_ratio,
    log_upper_tail,
    stirling_remainder,
)
from tfmdn.export.portable_families import NARROWEST, LocationScale, Normal, Univariate, held_exp

# The logarithm of the largest number whose exponential is finite, and a little less.
HIGHEST = 88.0


class Positive(Univariate):
    """A distribution of positive y, of which `logarithm` is that of log y."""

    is_positive = True

    def logarithm(self) -> LocationScale:
        raise NotImplementedError

    def log_prob(self, y):
        is_inside = y > 0.0
        log_y = tf.math.log(tf.where(is_inside, y, 1.0))
        log_prob = self.logarithm().log_prob(log_y) - log_y
        return log_prob + tf.math.log(tf.cast(is_inside, tf.float32))

    def tail(self, log_y, side):
        return self.logarithm().tail(log_y, side)

    def at_normal(self, z):
        return self.logarithm().at_normal(z)


class LogNormal(Positive):
    def logarithm(self):
        return Normal(self.loc, self.scale)

    def mean(self):
        return tf.exp(tf.minimum(self.loc + 0.5 * tf.square(self.scale), HIGHEST))

    def stddev(self):
        return tf.sqrt(expm1(tf.square(self.scale))) * self.mean()


class LogWeibull(LocationScale):
    """A Gumbel distribution of minima."""

    def _standard_log_prob(self, z):
        return z - held_exp(z)

    def _standard_tail(self, z, side):
        log_survival = -held_exp(z)
        return tf.where(side > 0.0, -expm1(log_survival), tf.exp(log_survival))

    def _standard_at(self, z):
        return tf.math.log(-log_upper_tail(z))


class Weibull(Positive):
    def _inverse_power(self):
        return self.scale / (1.0 + self.scale)

    def logarithm(self):
        return LogWeibull(self.loc, self._inverse_power())

    def mean(self):
        return tf.exp(self.loc + log_gamma_of_one_plus(self._inverse_power()))

    def stddev(self):
        return self.mean() * tf.sqrt(expm1(log_gamma_ratio(self._inverse_power())))


class LogGamma(LocationScale):
    """Of the logarithm, of mean exp(loc) and standard deviation scale * exp(loc) of the gamma distribution itself."""

    def log_prob(self, y):
        concentration = 1.0 / tf.square(tf.maximum(self.scale, NARROWEST))
        # c log c - c - log Gamma(c) by Stirling's formula; the rest is -c (exp(d) - 1 - d) of the distance d.
        log_peak = 0.5 * tf.math.log(concentration) - HALF_LOG_TWO_PI - stirling_remainder(concentration)
        return log_peak - concentration * excess_of_exp(y - self.loc)


class Gamma(Positive):
    why_no_quantiles = "the incomplete gamma function"

    def _variation(self):
        return self.scale / tf.sqrt(1.0 + tf.square(self.scale))

    def logarithm(self):
        return LogGamma(self.loc, self._variation())

    def mean(self):
        return tf.exp(self.loc)

    def stddev(self):
        return tf.exp(self.loc) * self._variation()
