"""Normal components with limits, in float32 and elementary operations.

They are those of `tfmdn.distributions.reflected`, whose formulas these are. An infinite limit is none;
LiteRT's converter makes of it the largest number that is finite, and ONNX has zeros like it only by multiplication.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmdn.export import portable_families as families
from tfmdn.export.elementary import (
    HALF_LOG_TWO_PI,
    TINY,
    between,
    clip,
    log1p,
    log_sum_exp,
    log_upper_tail,
    normal_density,
    upper_normal_quantile,
    upper_tail,
)

# As in `tfmdn.distributions.folding` and `reflected`.
FAR, WIDEST = 40.0, 8.0
INFINITE = 3e38
EPSILON = float(np.finfo(np.float32).eps)
# Up to how many standard deviations between two limits moments are integrated, and at which places from 0 to 1.
WIDE = 3.0
PLACES, PLACE_WEIGHTS = np.polynomial.legendre.leggauss(8)
PLACES, PLACE_WEIGHTS = (0.5 + 0.5 * PLACES).tolist(), PLACE_WEIGHTS.tolist()
NODES, NODE_WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(6))


class Interval:
    """[low, high], of which either end may be infinite, see `tfmdn.distributions.folding`."""

    def __init__(self, low: tf.Tensor, high: tf.Tensor):
        self.low, self.high = low, high
        self.has_low, self.has_high = low > -INFINITE, high < INFINITE
        self.is_bounded = self.has_low & self.has_high
        self.safe_low = tf.where(self.has_low, low, 0.0)
        self.safe_high = tf.where(self.has_high, high, 0.0)
        width = self.safe_high - self.safe_low
        self.safe_width = tf.where(self.is_bounded, width, 1.0)

    def clip(self, y: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(y, self.low), self.high)

    def is_outside(self, y: tf.Tensor) -> tf.Tensor:
        return (y < self.low) | (y > self.high)

    def fold(self, z: tf.Tensor) -> tf.Tensor:
        """z itself inside; outside its reflection, and that one's, until one lies inside."""
        phase = self._phase(z)
        wave = self.safe_low + tf.minimum(phase, 2.0 * self.safe_width - phase)
        above = self.safe_low + tf.abs(z - self.safe_low)
        below = self.safe_high - tf.abs(self.safe_high - z)
        folded = tf.where(self.is_bounded, wave, tf.where(self.has_low, above, tf.where(self.has_high, below, z)))
        return tf.where(self.is_outside(z), self.clip(folded), z)

    def sign(self, z: tf.Tensor) -> tf.Tensor:
        """-1 where `fold` is an odd number of reflections, else 1."""
        is_odd = (self._phase(z) > self.safe_width) | tf.logical_not(self.is_bounded)
        return tf.where(self.is_outside(z) & is_odd, -1.0, 1.0)

    def _phase(self, z):
        period = 2.0 * self.safe_width
        return (z - self.safe_low) - period * tf.floor((z - self.safe_low) / period)

    def images(self, y: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Whether there is a point, and the point: y and its reflections at either end."""
        everywhere = tf.abs(y) < INFINITE
        return [
            (everywhere, y),
            (self.has_low, 2.0 * self.safe_low - y),
            (self.has_high, 2.0 * self.safe_high - y),
        ]


class Latent:
    """What the normal components below share: a normal `centre` and `deviation`, of which there are images.

    Attributes:
      total: what the images have together between `start` and `end`.
    """

    interval: Interval
    centre: tf.Tensor
    deviation: tf.Tensor
    total: tf.Tensor | float

    def images(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        return self.interval.images(self.centre)

    def log_between(self, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """The log probability between two points, either of which may be infinite."""
        start, end = tf.maximum(start, self.interval.low), tf.minimum(end, self.interval.high)
        width = end - start
        parts = []
        for exists, (first, last) in (
            (None, (start, end)),
            (self.interval.has_low, (2.0 * self.interval.safe_low - end, 2.0 * self.interval.safe_low - start)),
            (self.interval.has_high, (2.0 * self.interval.safe_high - end, 2.0 * self.interval.safe_high - start)),
        ):
            part = _normal_log_between(first, last, width, self.centre, self.deviation)
            parts.append(part if exists is None else tf.where(exists, part, -INFINITE))
        return log_sum_exp(tf.stack(parts, 0), 0) - tf.math.log(self.total)


class Normal(families.Normal, Latent):
    """A normal without limits."""

    def __init__(self, loc, scale):
        super().__init__(loc, scale)
        self.centre, self.deviation, self.total = loc, scale, 1.0

    def images(self):
        return [(tf.abs(self.loc) < INFINITE, self.loc)]

    def log_tail(self, y, side):
        return log_upper_tail(-side * self._z(y))

    def log_between(self, start, end):
        return _normal_log_between(start, end, end - start, self.loc, self.scale)


class Reflected(families.Univariate, Latent):
    """A normal whose tails are reflected at the ends of an interval."""

    def __init__(self, loc, scale, low, high):
        super().__init__(loc, scale, low=low, high=high)
        self.interval = interval = Interval(low, high)
        widest = WIDEST * interval.safe_width
        self.centre = interval.fold(loc)
        self.deviation = tf.where(interval.is_bounded & (scale > widest), widest, scale)
        low, high, centre = interval.safe_low, interval.safe_high, self.centre
        self._low = -self._far_if_not(interval.has_low, centre - low)
        self._high = self._far_if_not(interval.has_high, high - centre)
        # One width beyond them, where the normal is cut off.
        self._bottom = -self._far_if_not(interval.is_bounded, (high - low) + (centre - low))
        self._top = self._far_if_not(interval.is_bounded, 2.0 * high - low - centre)
        self.total = 1.0 - upper_tail(-self._bottom) - upper_tail(self._top)

    def _far_if_not(self, exists, distance):
        distance = clip(distance / self.deviation, -FAR, FAR)
        return tf.where(exists, distance, FAR)

    def log_prob(self, y):
        interval, y_inside = self.interval, self.interval.clip(y)
        z = families.held((y_inside - self.centre) / self.deviation)
        # The density of a reflection at l is that at y times exp(-2 (y - l) (loc - l) / scale^2), which is at most 1.
        ratios = 0.0
        for exists, limit in ((interval.has_low, interval.safe_low), (interval.has_high, interval.safe_high)):
            product = ((y_inside - limit) / self.deviation) * ((self.centre - limit) / self.deviation)
            ratios += tf.where(exists, tf.exp(-2.0 * tf.maximum(product, 0.0)), 0.0)
        log_prob = -0.5 * tf.square(z) + log1p(ratios) - tf.math.log(self.deviation * self.total) - HALF_LOG_TWO_PI
        return log_prob + log_unless(interval.is_outside(y))

    def tail(self, y, side):
        y = self.interval.clip(y)
        itself = clip((y - self.centre) / self.deviation, -FAR, FAR)
        from_low = (y - self.interval.safe_low) + (self.centre - self.interval.safe_low)
        low = -self._far_if_not(self.interval.has_low, from_low)
        high = self._far_if_not(self.interval.has_high, 2.0 * self.interval.safe_high - y - self.centre)
        is_lower = side > 0.0
        starts = [tf.where(is_lower, low, itself), tf.where(is_lower, high, self._bottom)]
        ends = [tf.where(is_lower, itself, high), tf.where(is_lower, self._top, low)]
        first, second = tf.split(between(tf.concat(starts, -1), tf.concat(ends, -1)), 2, -1)  # at once: a smaller file
        return clip((first + second) / self.total, 0.0, 1.0)

    def log_tail(self, y, side):
        return self.log_between(tf.where(side > 0.0, -INFINITE, y), tf.where(side > 0.0, y, INFINITE))

    def bracket(self, levels):
        # A reflection at most doubles the probability beyond a point.
        low, high = (self.centre + self.deviation * z for z in levels.outer_normal_quantiles)
        bounded = self.interval.is_bounded
        low = tf.where(bounded, self.interval.safe_low, tf.maximum(low, self.interval.low))
        return low, tf.where(bounded, self.interval.safe_high, tf.minimum(high, self.interval.high))

    def at_normal(self, z):
        interval = self.interval
        # By the distribution function of what is not cut off, from the nearer end.
        below, above = upper_tail(-self._bottom), upper_tail(self._top)
        tail = tf.where(z < 0.0, below, above) + upper_tail(tf.abs(z)) * self.total
        distance = tf.where(tail < 0.5, upper_normal_quantile(tail), -upper_normal_quantile(1.0 - tail))
        cut = tf.where(z < 0.0, -distance, distance)
        return interval.fold(self.centre + self.deviation * tf.where(interval.is_bounded, cut, z))

    def observed(self, y, width, level):
        return at_the_ends(y, level, self.interval.low, self.interval.high)

    def mean(self):
        mean = self.centre + self.deviation * self._offset()
        return tf.where(self._is_wide(), self.interval.safe_low + self._within()[0], mean)

    def stddev(self):
        stddev = self._stddev_by_tails()
        return tf.where(self._is_wide(), self._within()[1], stddev)

    def _is_wide(self):
        """Whether it is so wide between two limits that moments are small differences of what lies beyond them."""
        return self.interval.is_bounded & (self.interval.safe_width < WIDE * self.deviation)

    def _within(self):
        """Mean, from the lower limit, and standard deviation of a wide one: by Gauss and Legendre's rule."""
        width = self.interval.safe_width
        ratio = clip(width / self.deviation, 0.0, WIDE)
        start = (self.centre - self.interval.safe_low) / width
        mass = []
        for node in PLACES:
            images = [ratio * (end - start) for end in (node, -node, 2.0 - node)]
            mass.append(tf.add_n([tf.exp(-0.5 * tf.square(z)) for z in images]))
        mass = [weight * each for weight, each in zip(PLACE_WEIGHTS, mass)]
        total = tf.add_n(mass)
        mean = tf.add_n([place * each for place, each in zip(PLACES, mass)]) / total
        variance = tf.add_n([tf.square(place - mean) * each for place, each in zip(PLACES, mass)]) / total
        return width * mean, width * tf.sqrt(variance)

    def _stddev_by_tails(self):
        below, above = self._beyond()
        cut = self._bottom * normal_density(self._bottom) - self._top * normal_density(self._top)
        second = 1.0 + (cut + 4.0 * (self._low * below - self._high * above)) / self.total
        return self.deviation * tf.sqrt(tf.maximum(second - tf.square(self._offset()), EPSILON))

    def _beyond(self):
        below = -_partial_mean(self._low, self._bottom, self._low)
        return below, _partial_mean(self._high, self._high, self._top)

    def _offset(self):
        below, above = self._beyond()
        return (normal_density(self._bottom) - normal_density(self._top) + 2.0 * (below - above)) / self.total


def _normal_log_between(start, end, width, loc, scale):
    """The log probability of a normal between two points a width apart, exact in both tails."""
    z_start, z_end = (families.held((point - loc) / scale) for point in (start, end))
    width = families.held(width / scale)
    is_right = z_start + z_end > 0.0  # seen in the mirror
    first, last = tf.where(is_right, -z_end, z_start), tf.where(is_right, -z_start, z_end)
    log_first, log_last = log_upper_tail(-first), log_upper_tail(-last)
    # Where the two are nearly the same an integral of the density between them: Gauss and Legendre's rule.
    is_narrow = (width < 1.0) & (-last * width < 2.0)
    half = 0.5 * tf.where(is_narrow, width, 1.0)
    near = tf.where(is_narrow, last, 0.0)
    distances = [(half * (1.0 - node), weight) for node, weight in zip(NODES, NODE_WEIGHTS)]
    integral = tf.add_n([weight * tf.exp(d * near - 0.5 * tf.square(d)) for d, weight in distances])
    narrow = tf.math.log(tf.maximum(half * integral, TINY)) - 0.5 * tf.square(near) - HALF_LOG_TWO_PI
    gap = tf.where(is_narrow, -1.0, tf.minimum(log_first - log_last, -1e-7))
    return tf.where(is_narrow, narrow, log_last + log1p(-tf.exp(gap)))


def _partial_mean(origin, start, end):
    """E (Z - origin) of a standard normal, over Z between `start` and `end`."""
    return normal_density(start) - normal_density(end) - origin * between(start, end)


def log_unless(is_impossible):
    """-inf where it is, else 0, of no constant: LiteRT's converter makes infinite ones finite."""
    return tf.math.log(1.0 - tf.cast(is_impossible, tf.float32))


def at_the_ends(y, level, low, high):
    """The quantiles where the level is 0 or 1: the ends of all components `[N, K]`, or infinite."""
    low, high = tf.reduce_min(low, -1), tf.reduce_max(high, -1)
    has_low, has_high = low > -INFINITE, high < INFINITE
    # Infinite where it is chosen alone, of no constant: LiteRT's converter makes infinite ones finite.
    lowest = tf.where(has_low, low, tf.math.log(tf.maximum(level, tf.cast(has_low, tf.float32))))
    highest = tf.where(has_high, high, -tf.math.log(tf.maximum(1.0 - level, tf.cast(has_high, tf.float32))))
    return tf.where(level <= 0.0, lowest, tf.where(level >= 1.0, highest, y))
