"""Lognormal and Student-t components: where TFP's are not exact enough, and what mixtures ask of them."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import tfp_internals
from tfmdn.distributions import deviations, kinds, tensors, unit_tails
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import held_quotient, reach, where_positive

tfd = tfp.distributions


@registered
class LogNormal(tfp_internals.WithInfinities, tfd.LogNormal):
    """`tfd.LogNormal` that is also right where y <= 0: no density, and a cumulative probability of 0."""

    def _log_prob(self, y):
        return where_positive(y, super()._log_prob, -np.inf)

    def _cdf(self, y):
        return where_positive(y, super()._cdf, 0.0)

    def _log_cdf(self, y):
        return where_positive(y, super()._log_cdf, -np.inf)

    def _survival_function(self, y):
        return where_positive(y, super()._survival_function, 1.0)

    def _log_survival_function(self, y):
        return where_positive(y, super()._log_survival_function, 0.0)

    def _stddev(self):
        return self._mean() * tf.sqrt(tf.math.expm1(tf.square(self.scale)))


@kinds.limits.register
def _(components: tfd.LogNormal):
    return 0.0, math.inf


@kinds.logarithm.register
def _(components: tfd.LogNormal):
    values = tensors.parameters(components)
    return tfd.Normal(values["loc"], values["scale"])


def _lognormal_deviation(values, y):
    loc, scale = values["loc"], values["scale"]
    mean = tf.exp(loc + 0.5 * tf.square(scale))
    positive = tf.where(y > 0, y, tf.ones_like(y))
    gap = _lognormal_gap(loc + 0.5 * tf.square(scale), tf.math.log(positive), scale)
    return tf.where(y > 0, gap, mean - y)


def _lognormal_difference(first, second):
    log_means = [values["loc"] + 0.5 * tf.square(values["scale"]) for values in (first, second)]
    return _lognormal_gap(*log_means, tf.sqrt(tf.square(first["scale"]) + tf.square(second["scale"])))


def _lognormal_gap(log_first, log_second, scale):
    """E|X - X'| of two lognormals, of the log of their means and the standard deviation of log(X / X').

    E max(X - X', 0) is the value of an option to exchange one asset for another (Margrabe 1978).
    """
    z = (log_first - log_second) / scale
    above, below = (z + 0.5 * scale) * math.sqrt(0.5), (z - 0.5 * scale) * math.sqrt(0.5)
    return tf.exp(log_first) * tf.math.erf(above) - tf.exp(log_second) * tf.math.erf(below)


deviations.register(tfd.LogNormal, _lognormal_deviation, _lognormal_difference)


# Student's t

# In scales: where a tail no longer matters.
FARTHEST = 1e8
# From so many degrees of freedom on a tail that has fallen by exp(-FALL / 2) is 0, in either dtype.
MANY, FALL = 30.0, 2e3


@registered
class StudentT(tfp_internals.WithInfinities, tfd.StudentT):
    """`tfd.StudentT` whose upper tail is as exact as the lower one: TFP's is 1 minus a number close to 1.

    All is computed in units of the scale, whose inverse square TFP's gradients have.
    """

    def _standard(self):
        return tfd.StudentT(self.df, tf.zeros([], self.dtype), tf.ones([], self.dtype))

    def _log_prob(self, y):
        z = tf.abs(held_quotient(y - self.loc, self.scale, reach(self.dtype) ** 2))
        is_far = z > FARTHEST  # where 1 does not count beside z^2
        near, far = tf.where(is_far, tf.zeros_like(z), z), tf.where(is_far, z, tf.ones_like(z))
        log_df = tf.math.log(self.df)
        log_sum = tf.where(is_far, 2.0 * tf.math.log(far) - log_df, tf.math.log1p(tf.square(near) / self.df))
        at_centre = self._standard().log_prob(tf.zeros([], self.dtype))
        return at_centre - tf.math.log(self.scale) - 0.5 * (self.df + 1.0) * log_sum

    def _cdf(self, y):
        z = held_quotient(y - self.loc, self.scale, reach(self.dtype))
        # Farther out, where the tail is 0 in float32, TFP's expansion for many degrees of freedom overflows there.
        df = tf.maximum(self.df, MANY)
        farthest = tf.where(
            self.df < MANY, tf.constant(reach(self.dtype), self.dtype), tf.sqrt(df * tf.math.expm1(FALL / df))
        )
        return self._standard().cdf(tf.maximum(tf.minimum(z, farthest), -farthest))

    def _log_cdf(self, y):
        # In float64: in float32 the probability would be 0 where its logarithm is -88, and inexact long before.
        wide = StudentT(*(tf.cast(value, tf.float64) for value in (self.df, self.loc, self.scale)))
        wide_y = tf.cast(y, tf.float64)
        # So far out that the probability is 0 the gradient of its logarithm would be NaN.
        is_positive = ~(wide.cdf(wide_y) <= 0.0)  # NaN too, so that it stays NaN
        log_cdf = tf.cast(tf.math.log(wide.cdf(tf.where(is_positive, wide_y, wide.loc))), self.dtype)
        return tf.where(is_positive, log_cdf, tf.constant(-np.inf, self.dtype))

    def _survival_function(self, y):
        return self.cdf(2.0 * self.loc - y)

    def _log_survival_function(self, y):
        return self.log_cdf(2.0 * self.loc - y)

    def _stddev(self):
        return self.scale * self._standard().stddev() + tf.zeros_like(self.loc)


@unit_tails.standardized.register
def _(components: StudentT, y):
    z = held_quotient(y - components.loc, components.scale, reach(components.dtype))
    scale = tf.ones_like(components.scale)
    return StudentT(components.df, tf.zeros_like(scale), scale), z


@kinds.tail.register
def _(components: tfd.StudentT):
    loc, inverse_scale, df = components.loc, 1.0 / components.scale, components.df
    standard = tfd.StudentT(df, tf.zeros_like(df), tf.ones_like(df))

    def at(y, side):
        z = (y - loc) * inverse_scale
        return standard.cdf(side * z), standard.prob(z) * inverse_scale

    return at


def _student_t_excess(u, df):
    """E max(T - u, 0) of a standard Student-t."""
    standard = StudentT(df, tf.zeros_like(df), tf.ones_like(df))  # TFP's tail is NaN far out
    return standard.prob(u) * (df + tf.square(u)) / (df - 1.0) - u * standard.cdf(-u)


def _student_t_deviation(values, y):
    distance = tf.abs(y - values["loc"])
    u = held_quotient(distance, values["scale"], FARTHEST)
    return distance + 2.0 * values["scale"] * _student_t_excess(u, values["df"])


deviations.register(tfd.StudentT, _student_t_deviation)


@registered
class RoughStudentT(StudentT):
    """A Student-t in float64 whose tails have the digits of float32, in which they take an eighth of the time.

    The CRPS is an integral far into these tails: between two points there, what float64 has beside 1 is needed.
    """

    def distances(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """P(X <= y) and E|X - y|."""
        df, distance = self.df, y - self.loc
        length = tf.abs(distance)
        rough = tf.cast(held_quotient(length, self.scale, FARTHEST), tf.float32)
        df_rough = tf.cast(df, tf.float32)
        standard = StudentT(df_rough, tf.zeros_like(df_rough), tf.ones_like(df_rough))
        density, tail, u = (tf.cast(value, df.dtype) for value in (standard.prob(rough), standard.cdf(-rough), rough))
        excess = density * (df + tf.square(u)) / (df - 1.0) - u * tail
        return tf.where(distance > 0.0, 1.0 - tail, tail), length + 2.0 * self.scale * excess


@deviations.absolute_deviation.register
def _(components: RoughStudentT, y):
    return components.distances(y)[1]


@deviations.of_mixture.register
def _(components: RoughStudentT, weights):
    return deviations.mixed(components.mean(), components.distances, weights)
