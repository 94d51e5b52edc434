"""The Gumbel distribution: maxima of many values, such as the highest gust of a year; skewed to the right."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import deviations, kinds, random_numbers
from tfmdn.distributions.location_scale import LocationScale, held_exp
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import held_quotient, reach

tfd = tfp.distributions

EULER = float(np.euler_gamma)
STDDEV = math.pi / math.sqrt(6.0)


@registered
class Gumbel(LocationScale):
    """The distribution function exp(-exp(-(y - loc) / scale)), exact in both tails and finite far away.

    `tfd.Gumbel` loses the upper tail, and its density has no gradient far below `loc`.

    Args:
      loc: the mode.
      scale: the standard deviation divided by pi / sqrt(6).
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations. None means the name of the class.
    """

    def _z(self, y):
        return held_quotient(y - self.loc, self.scale, reach(self.dtype))

    def _log_prob(self, y):
        z = self._z(y)
        return -z - held_exp(-z) - tf.math.log(self.scale)

    def _cdf(self, y):
        return tf.exp(self._log_cdf(y))

    def _log_cdf(self, y):
        return -held_exp(-self._z(y))

    def _survival_function(self, y):
        return -tf.math.expm1(self._log_cdf(y))

    def _log_survival_function(self, y):
        return log_of_complement(self._z(y))

    def _quantile(self, p):
        return self.loc - self.scale * tf.math.log(-tf.math.log(p))

    def _sample_n(self, n, seed=None):
        return self.loc - self.scale * log_exponential(self, n, seed)

    def _mean(self):
        return self.loc + EULER * self.scale

    def _mode(self):
        return self.loc + tf.zeros_like(self.scale)

    def _stddev(self):
        return STDDEV * (self.scale + tf.zeros_like(self.loc))

    def _variance(self):
        return tf.square(self._stddev())


def of_moments(mean: tf.Tensor, stddev: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parameters that have a mean and a standard deviation."""
    scale = stddev / STDDEV
    return {"loc": mean - EULER * scale, "scale": scale}


def log_exponential(components: LocationScale, n, seed) -> tf.Tensor:
    """log E of standard exponential draws `[n, *B]`. It has a Gumbel distribution if its sign is changed."""
    shape = tf.concat([[n], components.batch_shape_tensor()], 0)
    uniform = random_numbers.uniform(shape, seed, components.dtype)
    smallest = np.finfo(components.dtype.as_numpy_dtype).tiny
    return tf.math.log(tf.maximum(-tf.math.log1p(-uniform), smallest))


def log_of_complement(z: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(-exp(-z))): -z where z is large."""
    is_far = z > 15.0  # there exp(-z) / 2, which is left out, does not count in float64 beside z
    near = tf.where(is_far, tf.zeros_like(z), z)
    log_near = tf.math.log(-tf.math.expm1(-held_exp(-near)))
    return tf.where(is_far, -z - 0.5 * tf.exp(-tf.maximum(z, 15.0)), log_near)


@kinds.may_overshoot.register
def _(components: Gumbel):
    return True


# Where the exponential integral of -x is 0 in every dtype; and Gauss and Legendre's rule on [0, 1].
FARTHEST_INTEGRAL = 40.0
UNIT_NODES = 0.5 * (1.0 + np.stack(np.polynomial.legendre.leggauss(deviations.BLOCK), -1)) - [0.0, 0.5]


def _term_of_integral(nodes, x):
    return -nodes[:, 1] * tf.math.expm1(-nodes[:, 0] * x) / nodes[:, 0]


def _deviation(values, y):
    # E max(G - z, 0) of a standard Gumbel G is the entire exponential integral of exp(-z).
    distance = y - values["loc"]
    z = held_quotient(distance, values["scale"], deviations.FARTHEST)
    log_x = tf.minimum(-z, math.log(FARTHEST_INTEGRAL))
    # Of (1 - exp(-x s)) / s over s from 0 to 1.
    integral = deviations.sum_over(UNIT_NODES, _term_of_integral, tf.exp(log_x))
    # Each is what comes on top of the distance: beyond the farthest there is no more of it.
    excess = tf.where(z > 0.0, 2.0 * integral - EULER, 2.0 * (integral - log_x) - EULER)
    return tf.where(z > 0.0, distance, -distance) + values["scale"] * excess  # not `abs`: it has no slope at 0


deviations.register(Gumbel, _deviation)
