"""Intervals with or without ends, reflection at their ends, and what a standard normal has between two points.

Shapes in comments: D coordinates, I images.
"""

from __future__ import annotations

import functools
import itertools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.numerics import HALF_LOG_TWO_PI, held_quotient, log_difference, log_of_probability, reach

tfd = tfp.distributions

# How close to each other the logarithms of two cumulative probabilities are whose difference has lost too many digits
# in float64. In an interval so narrow the density in the middle is the mean density to 1e-11.
NARROW = 1e-5
# Beyond it the normal distribution function is exactly 0 or 1 in every dtype. Infinity would make gradients NaN.
FAR = 40.0


class Interval:
    """[low, high], of which either end may be infinite."""

    def __init__(self, low: tf.Tensor, high: tf.Tensor):
        self.low, self.high = low, high
        self.has_low, self.has_high = tf.math.is_finite(low), tf.math.is_finite(high)
        self.is_bounded = self.has_low & self.has_high
        # In the place of an infinite end stands a number that does no harm where it is not used.
        self.safe_low = tf.where(self.has_low, low, 0.0)
        self.safe_high = tf.where(self.has_high, high, 0.0)
        self.safe_width = tf.where(self.is_bounded, self.safe_high - self.safe_low, 1.0)

    @property
    def limits(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """For both ends, whether there is one, and where."""
        return [(self.has_low, self.safe_low), (self.has_high, self.safe_high)]

    def contains(self, y: tf.Tensor) -> tf.Tensor:
        return ~((y < self.low) | (y > self.high))  # NaN too, so that it stays NaN

    def clip(self, y: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(y, self.low), self.high)

    def images(self, y: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """y and its reflections at either end, each with whether there is that end, of a common shape."""
        same = tf.zeros_like(y) + tf.zeros_like(self.low) + tf.zeros_like(self.high)
        everywhere = tf.ones_like(same, tf.bool)
        return [
            (everywhere, y + same),
            *((exists & everywhere, 2.0 * limit - y + same) for exists, limit in self.limits),
        ]

    def fold(self, z: tf.Tensor) -> tf.Tensor:
        """z itself inside; outside its reflection, and that one's, until one lies inside."""
        phase = tf.math.floormod(z - self.safe_low, 2.0 * self.safe_width)
        wave = self.safe_low + tf.minimum(phase, 2.0 * self.safe_width - phase)
        above = self.safe_low + tf.abs(z - self.safe_low)
        below = self.safe_high - tf.abs(self.safe_high - z)
        folded = tf.where(self.is_bounded, wave, tf.where(self.has_low, above, tf.where(self.has_high, below, z)))
        # Rounding may leave the interval by a last digit.
        return tf.where(self.contains(z), z, self.clip(folded))

    def sign(self, z: tf.Tensor) -> tf.Tensor:
        """-1 where `fold` is an odd number of reflections, else 1."""
        phase = tf.math.floormod(z - self.safe_low, 2.0 * self.safe_width)
        is_odd = ~self.contains(z) & (~self.is_bounded | (phase > self.safe_width))
        return tf.where(is_odd, -tf.ones_like(z), tf.ones_like(z))


class Edges:
    """The limits in standard deviations from the centre, and one width beyond them: where the normal is cut off."""

    def __init__(self, interval: Interval, loc: tf.Tensor, scale: tf.Tensor):
        low, high = interval.safe_low, interval.safe_high
        self.low = -_far_if_not(interval.has_low, loc - low, scale)
        self.high = _far_if_not(interval.has_high, high - loc, scale)
        # As `Points` has the reflections of the other end: rounded alike, a probability of 0 is exactly that. By
        # differences, not sums, which lose digits where an interval is narrow beside its distance from 0.
        self.bottom = -_far_if_not(interval.is_bounded, (high - low) + (loc - low), scale)
        self.top = _far_if_not(interval.is_bounded, 2.0 * high - low - loc, scale)

    @property
    def total(self) -> tf.Tensor:
        """The probability between bottom and top, as a sum of positive terms."""
        return 0.5 * (tf.math.erf(math.sqrt(0.5) * self.top) - tf.math.erf(math.sqrt(0.5) * self.bottom))


class Points:
    """y, or the end that is nearest to it, and its reflections, in standard deviations from the centre."""

    def __init__(self, interval: Interval, loc: tf.Tensor, scale: tf.Tensor, y: tf.Tensor):
        y = interval.clip(y)
        self.itself = held_quotient(y - loc, scale, FAR)
        self.reflected_low = -_far_if_not(interval.has_low, (y - interval.safe_low) + (loc - interval.safe_low), scale)
        self.reflected_high = _far_if_not(interval.has_high, 2.0 * interval.safe_high - y - loc, scale)
        self.from_low = _far_if_not(interval.has_low, y - interval.safe_low, scale)
        self.from_high = _far_if_not(interval.has_high, interval.safe_high - y, scale)


def images_of(y: tf.Tensor, interval: Interval) -> list[tuple[tf.Tensor, tf.Tensor, tuple[float, ...]]]:
    """y itself and its reflections at one or several limits.

    Args:
      y: `[..., D]`. Values beyond a limit are moved to it.
      interval: of limits that broadcast with y.

    Returns:
      For each of 3^D choices the point `[..., D]`, whether there are all of the limits that it takes, `[...]`, and for
      each coordinate -1 if it is reflected and 1 if not.
    """
    choices = zip(interval.images(interval.clip(y)), (1.0, -1.0, -1.0))
    images = []
    for choice in itertools.product(choices, repeat=y.shape[-1]):
        parts, signs = zip(*choice)
        exists = functools.reduce(tf.logical_and, [exists[..., axis] for axis, (exists, _) in enumerate(parts)])
        images.append((tf.stack([point[..., axis] for axis, (_, point) in enumerate(parts)], -1), exists, signs))
    return images


def _far_if_not(exists, distance, scale):
    return tf.where(exists, held_quotient(distance, scale, FAR), FAR)


def normal_cdf(z: tf.Tensor) -> tf.Tensor:
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)


def normal_density(z: tf.Tensor) -> tf.Tensor:
    return tf.exp(-0.5 * tf.square(z) - HALF_LOG_TWO_PI)


def between(start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """The probability of a standard normal between the two, exact in both tails."""
    is_right = start > 0.0
    return tf.where(is_right, normal_cdf(-start) - normal_cdf(-end), normal_cdf(end) - normal_cdf(start))


def next_to_limit(width: tf.Tensor, limit: tf.Tensor, cut: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What a folded standard normal has between a limit and a point near it, where differences have no digits left.

    Args:
      width: the distance of the point from the limit, 0 or more; infinite if there is no limit.
      limit: the distance of the limit from the centre.
      cut: that of where the normal is cut off, at most `FAR`.

    Returns:
      Where the point is near enough, and the probability there, by the derivatives of the density.
    """
    limit, cut = tf.abs(limit), tf.abs(cut)
    is_near = width * tf.maximum(tf.maximum(limit, cut), 1.0) < 0.02
    width = tf.where(is_near, width, tf.zeros_like(width))

    def around(middle, width):
        z, step = tf.square(middle), tf.square(width)
        series = 1.0 + step / 24.0 * (z - 1.0 + step / 80.0 * (z * (z - 6.0) + 3.0))
        return normal_density(middle) * width * series

    return is_near, around(limit, 2.0 * width) + around(cut - 0.5 * width, width)


def normal_log_probability(
    low: tf.Tensor, high: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, width: tf.Tensor | None = None
) -> tf.Tensor:
    """The log probability of a normal between `low` and `high`, either of which may be infinite: exact in both tails.

    `width` is high - low, where more digits of it are known. In float64, in which the two cumulative probabilities of
    intervals that are not `NARROW` have digits enough.
    """
    limit = reach(scale.dtype)
    has_low, has_high = low > -math.inf, high < math.inf
    z_low = held_quotient(tf.where(has_low, low, loc) - loc, scale, limit)
    z_high = held_quotient(tf.where(has_high, high, loc) - loc, scale, limit)
    # In the left tail no digits are lost: what is mostly on the right is seen in the mirror.
    is_right = has_low & (~has_high | (z_low + z_high > 0.0))
    has_start, has_end = tf.where(is_right, has_high, has_low), tf.where(is_right, has_low, has_high)
    start, end = tf.where(is_right, -z_high, z_low), tf.where(is_right, -z_low, z_high)
    standard = tfd.Normal(tf.zeros([], scale.dtype), 1.0)
    below_end = tf.where(has_end, standard.log_cdf(end), tf.zeros_like(end))
    below_start = tf.where(has_start, standard.log_cdf(start), tf.constant(-math.inf, scale.dtype))
    is_narrow = has_start & has_end & (below_end - below_start < NARROW)
    width = tf.where(is_narrow, high - low if width is None else width, scale) / scale
    middle = tf.where(is_narrow, 0.5 * (start + end), tf.zeros_like(end))
    narrow = log_of_probability(width) - 0.5 * tf.square(middle) - HALF_LOG_TWO_PI
    return tf.where(is_narrow, narrow, log_difference(below_end, below_start))


def partial_mean(origin: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """E (Z - origin) of a standard normal, over Z between `start` and `end`."""
    return normal_density(start) - normal_density(end) - origin * between(start, end)
