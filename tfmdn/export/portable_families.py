"""Univariate components in float32 and elementary operations: what `tfmdn.layers.families` has without limits.

Each is a class of the tensors that describe it, which broadcast with each other, and answers what an exported model is
asked. Quantiles that need more than the elementary functions of `elementary` are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from tfmdn.distributions.rescaled import PARAMETERS
from tfmdn.export.elementary import (
    HALF_LOG_TWO_PI,
    REACH,
    clip,
    expm1,
    half_step_remainder,
    log1p,
    log_bessel_ratio,
    log_scaled_i0,
    log_upper_tail,
    upper_normal_quantile,
    upper_tail,
)

EULER = 0.5772156649015329
STDDEV_OF_GUMBEL = math.pi / math.sqrt(6.0)
NARROWEST = 1e-6


class Levels:
    """Probabilities, of each the smaller tail: float32 tells them apart close to 0, and not close to 1."""

    def __init__(self, level: tf.Tensor):
        self.level = level
        self.side = tf.where(level <= 0.5, 1.0, -1.0)
        self.target = tf.where(level <= 0.5, level, 1.0 - level)

    @property
    def normal_quantile(self) -> tf.Tensor:
        return -self.side * upper_normal_quantile(self.target)

    @property
    def outer_normal_quantiles(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Those with half of either tail beyond them."""
        return -upper_normal_quantile(0.5 * self.level), upper_normal_quantile(0.5 * (1.0 - self.level))


class Univariate:
    """What the families share.

    Attributes:
      why_no_quantiles: None, or what would be needed for `tail` and `at_normal`, which the class then lacks.
      is_positive: whether it is the distribution of exp(y), of whose logarithm the answers are. `log_prob`, `mean` and
        `stddev` are of the positive values themselves.
      is_angle: whether its mean and standard deviation are those of angles.
    """

    why_no_quantiles: str | None = None
    is_positive = False
    is_angle = False

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor, **others: tf.Tensor):
        self.loc, self.scale = loc, scale
        self._arguments = {"loc": loc, "scale": scale, **others}

    def mapped(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Univariate:
        """The same of what a function makes of each tensor."""
        return type(self)(**{name: function(value) for name, value in self._arguments.items()})

    def log_prob(self, y: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def has_probability(self, y: tf.Tensor) -> tf.Tensor | None:
        """Where `log_prob` is the logarithm of a probability; None if it is nowhere."""
        return None

    def tail(self, y: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        """The probability below y where `side` is 1, that above it where it is -1; each exact where it is small."""
        raise NotImplementedError

    def bracket(self, levels: Levels) -> tuple[tf.Tensor, tf.Tensor]:
        """Two values between which the quantile of a component is."""
        quantile = self.at_normal(levels.normal_quantile)
        return quantile, quantile

    def at_normal(self, z: tf.Tensor) -> tf.Tensor:
        """The value below which is as much probability as below z of a standard normal."""
        raise NotImplementedError

    def observed(self, y: tf.Tensor, width: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """The quantile that a search has found to a `width`: at the levels 0 and 1 it is infinite."""
        # LiteRT's converter makes infinite constants finite.
        return tf.where(level < 1.0, tf.where(level > 0.0, y, tf.math.log(level)), -tf.math.log(1.0 - level))

    def mean(self) -> tf.Tensor:
        raise NotImplementedError

    def stddev(self) -> tf.Tensor:
        raise NotImplementedError


def held(z: tf.Tensor) -> tf.Tensor:
    """z, held where its square is finite."""
    return clip(z, -REACH, REACH)


def held_exp(z: tf.Tensor) -> tf.Tensor:
    """exp(z), as a straight line from 40 on, see `tfmdn.distributions.location_scale.held_exp`."""
    return tf.exp(tf.minimum(z, 40.0)) * (1.0 + tf.maximum(z - 40.0, 0.0))


class LocationScale(Univariate):
    """Of a location and a scale: z = (y - loc) / scale."""

    def _z(self, y):
        return held((y - self.loc) / self.scale)

    def log_prob(self, y):
        return self._standard_log_prob(self._z(y)) - tf.math.log(self.scale)

    def tail(self, y, side):
        return self._standard_tail(self._z(y), side)

    def at_normal(self, z):
        return self.loc + self.scale * self._standard_at(z)

    def mean(self):
        return self.loc

    def stddev(self):
        return self.scale


class Normal(LocationScale):
    def _standard_log_prob(self, z):
        return -0.5 * tf.square(z) - HALF_LOG_TWO_PI

    def _standard_tail(self, z, side):
        return upper_tail(-side * z)

    def _standard_at(self, z):
        return z


class Rescaled(Normal):
    """In standard units, which keep the digits that a location far from 0 does not have, see `rescaled`."""

    def __init__(self, standard_loc, standard_log_scale, target_location, target_scale):
        super().__init__(
            target_location + target_scale * standard_loc, tf.exp(standard_log_scale + tf.math.log(target_scale))
        )
        self._standard = standard_loc, standard_log_scale, target_location, target_scale
        self._arguments = dict(zip(PARAMETERS, self._standard))

    def _z(self, y):
        loc, log_scale, location, unit = self._standard
        return held(((y - location) / unit - loc) * tf.exp(-log_scale))

    def log_prob(self, y):
        _, log_scale, _, unit = self._standard
        return self._standard_log_prob(self._z(y)) - log_scale - tf.math.log(unit)


class Laplace(LocationScale):
    def _standard_log_prob(self, z):
        return -tf.abs(z) - math.log(2.0)

    def _standard_tail(self, z, side):
        tail = 0.5 * tf.exp(-tf.abs(z))
        return tf.where(side * z < 0.0, tail, 1.0 - tail)

    def _standard_at(self, z):
        distance = -log_upper_tail(tf.abs(z)) - math.log(2.0)
        return tf.where(z < 0.0, -distance, distance)

    def stddev(self):
        return math.sqrt(2.0) * self.scale


class Logistic(LocationScale):
    def _standard_log_prob(self, z):
        return -tf.abs(z) - 2.0 * log1p(tf.exp(-tf.abs(z)))

    def _standard_tail(self, z, side):
        tail = tf.exp(-tf.abs(z))
        return tf.where(side * z < 0.0, tail, 1.0) / (1.0 + tail)

    def _standard_at(self, z):
        return log_upper_tail(-z) - log_upper_tail(z)

    def stddev(self):
        return self.scale * (math.pi / math.sqrt(3.0))


class Gumbel(LocationScale):
    def _standard_log_prob(self, z):
        return -z - held_exp(-z)

    def _standard_tail(self, z, side):
        log_cdf = -held_exp(-z)
        return tf.where(side > 0.0, tf.exp(log_cdf), -expm1(log_cdf))

    def _standard_at(self, z):
        return -tf.math.log(-log_upper_tail(-z))

    def mean(self):
        return self.loc + EULER * self.scale

    def stddev(self):
        return STDDEV_OF_GUMBEL * self.scale


class StudentT(LocationScale):
    why_no_quantiles = "the incomplete beta function"

    def __init__(self, loc, scale, df):
        super().__init__(loc, scale, df=df)
        self.df = df

    def _z(self, y):  # where the square of another one is held its tails still fall
        return clip((y - self.loc) / self.scale, -3e38, 3e38)

    def _standard_log_prob(self, z):
        half = 0.5 * self.df
        # (Gamma(half + 1/2) / Gamma(half)) / sqrt(pi df), of which df cancels but for a remainder.
        log_normalization = half_step_remainder(half) - HALF_LOG_TWO_PI
        # log(1 + z^2 / df) without a square that overflows.
        z = tf.abs(z) / tf.sqrt(self.df)
        large = tf.maximum(z, 1.0)
        log_sum = 2.0 * tf.math.log(large) + log1p(tf.square(z / large / large))
        return log_normalization - (half + 0.5) * log_sum

    def stddev(self):
        return self.scale * tf.sqrt(self.df / (self.df - 2.0))


class VonMises(LocationScale):
    why_no_quantiles = "the integral of the von Mises density"
    is_angle = True

    def _concentration(self):
        return 1.0 / tf.square(tf.maximum(self.scale, NARROWEST))

    def log_prob(self, y):
        sine = tf.sin(0.5 * (y - self.loc)) / tf.maximum(self.scale, NARROWEST)
        return -2.0 * tf.square(sine) - log_scaled_i0(self._concentration()) - math.log(2.0 * math.pi)

    def stddev(self):
        return tf.sqrt(-2.0 * log_bessel_ratio(self._concentration()))
