"""Normal components with limits and on grids, in float32 and elementary operations.

They are those of `tfmdn.distributions.reflected` and `coarsened`, whose formulas these are. An infinite limit is none;
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

# As in `tfmdn.distributions.folding`, `reflected`, `grids` and `coarse_moments`.
FAR, WIDEST, SLACK, NARROW_IN_STEPS, VALUES = 40.0, 8.0, 1e-3, 4.0, 32
INFINITE = 3e38
EPSILON = float(np.finfo(np.float32).eps)
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
        parts = []
        for exists, (first, last) in (
            (None, (start, end)),
            (self.interval.has_low, (2.0 * self.interval.safe_low - end, 2.0 * self.interval.safe_low - start)),
            (self.interval.has_high, (2.0 * self.interval.safe_high - end, 2.0 * self.interval.safe_high - start)),
        ):
            part = _normal_log_between(first, last, self.centre, self.deviation)
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
        return _normal_log_between(start, end, self.loc, self.scale)


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
        self._bottom = -self._far_if_not(interval.is_bounded, high + centre - 2.0 * low)
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
        return log_prob + _log_unless(interval.is_outside(y))

    def tail(self, y, side):
        y = self.interval.clip(y)
        itself = clip((y - self.centre) / self.deviation, -FAR, FAR)
        low = -self._far_if_not(self.interval.has_low, y + self.centre - 2.0 * self.interval.safe_low)
        high = self._far_if_not(self.interval.has_high, 2.0 * self.interval.safe_high - y - self.centre)
        is_lower = side > 0.0
        starts = [tf.where(is_lower, low, itself), tf.where(is_lower, high, self._bottom)]
        ends = [tf.where(is_lower, itself, high), tf.where(is_lower, self._top, low)]
        first, second = tf.split(between(tf.concat(starts, -1), tf.concat(ends, -1)), 2, -1)  # at once: a smaller file
        return clip((first + second) / self.total, 0.0, 1.0)

    def log_tail(self, y, side):
        return tf.math.log(tf.maximum(self.tail(y, side), TINY))

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
        return _at_the_ends(y, level, self.interval.low, self.interval.high)

    def mean(self):
        return self.centre + self.deviation * self._offset()

    def variance(self):
        below, above = self._beyond()
        cut = self._bottom * normal_density(self._bottom) - self._top * normal_density(self._top)
        second = 1.0 + (cut + 4.0 * (self._low * below - self._high * above)) / self.total
        return tf.square(self.deviation) * tf.maximum(second - tf.square(self._offset()), EPSILON)

    def _beyond(self):
        below = -_partial_mean(self._low, self._bottom, self._low)
        return below, _partial_mean(self._high, self._high, self._top)

    def _offset(self):
        below, above = self._beyond()
        return (normal_density(self._bottom) - normal_density(self._top) + 2.0 * (below - above)) / self.total


class Grid:
    """The values `origin + i * step`, see `tfmdn.distributions.grids`. Where the step is 0 there is none."""

    def __init__(self, step: tf.Tensor, origin: tf.Tensor):
        self.step, self.origin, self.exists = step, origin, step > 0.0

    def nearest(self, y: tf.Tensor) -> tf.Tensor:
        step = tf.where(self.exists, self.step, 1.0)
        value = self.origin + tf.round((y - self.origin) / step) * step
        # A tenth is no binary fraction, and ten is one: 3 / 10 is the float32 that is called 0.3, and 3 * 0.1 is not.
        inverse = tf.round(1.0 / step)
        numerator = self.origin * inverse
        slack = 8.0 * EPSILON * tf.maximum(tf.abs(numerator), 1.0)
        is_exact = (tf.abs(inverse * step - 1.0) < 1e-6) & (tf.abs(numerator - tf.round(numerator)) <= slack)
        value = tf.where(is_exact & (inverse > 0.0), tf.round(value * inverse) / tf.maximum(inverse, 1.0), value)
        return tf.where(self.exists & (tf.abs(y) < INFINITE), value, y)


class Coarsened(families.Univariate):
    """Normal values that are moved to a limit, or rounded."""

    def __init__(self, loc, scale, low, high, is_moved, origin, resolution=None, mirror_low=None, mirror_high=None):
        given = {"low": low, "high": high, "is_moved": is_moved, "origin": origin, "resolution": resolution}
        given |= {"mirror_low": mirror_low, "mirror_high": mirror_high}
        super().__init__(loc, scale, **{name: value for name, value in given.items() if value is not None})
        self._low, self._high, self._moves = low, high, is_moved > 0.5
        self._latent = Normal(loc, scale) if mirror_low is None else Reflected(loc, scale, mirror_low, mirror_high)
        self._grid = None if resolution is None else Grid(resolution, origin)

    def _nearest(self, y):
        return y if self._grid is None else self._grid.nearest(y)

    def _limits(self):
        """The limits as they are observed, infinite where nothing is moved to them."""
        low, high = self._nearest(self._low), self._nearest(self._high)
        return tf.where(self._moves, low, -INFINITE), tf.where(self._moves, high, INFINITE)

    def log_prob(self, y):
        y, step = self._nearest(y), 0.0 if self._grid is None else self._grid.step
        low, high = self._nearest(self._low), self._nearest(self._high)

        def is_at(limit):
            return (tf.abs(limit) < INFINITE) & (tf.abs(y - limit) <= 8.0 * EPSILON * tf.abs(limit) + SLACK * step)

        at_low, at_high = is_at(low), is_at(high)
        is_limit, stays = at_low | at_high, tf.logical_not(self._moves)
        is_atom = self._moves & is_limit
        probability = tf.where(
            at_low, self._latent.log_tail(_finite(self._low), 1.0), self._latent.log_tail(_finite(self._high), -1.0)
        )
        log_prob = tf.where(is_atom, probability, self._latent.log_prob(tf.where(is_atom, self.loc, y)))
        # What stays has no probability of being exactly a limit, beside what is moved there.
        is_impossible = stays & is_limit
        if self._grid is not None:
            start = tf.where(self._moves & ((y <= low) | at_low), -INFINITE, y - 0.5 * step)
            end = tf.where(self._moves & ((y >= high) | at_high), INFINITE, y + 0.5 * step)
            of_cell = self._latent.log_between(start, tf.where(self._grid.exists, end, INFINITE))
            log_prob = tf.where(self._grid.exists, of_cell, log_prob)
            is_impossible &= tf.logical_not(self._grid.exists)
        is_impossible |= self._moves & ((y < low) | (y > high)) & tf.logical_not(is_limit)
        return log_prob + _log_unless(is_impossible)

    def tail(self, y, side):
        tail = self._latent.tail(y, side)
        tail = tf.where(self._moves & (y < self._low), 0.5 - 0.5 * side, tail)
        return tf.where(self._moves & (y >= self._high), 0.5 + 0.5 * side, tail)

    def bracket(self, levels):
        return tuple(self._moved(end) for end in self._latent.bracket(levels))

    def at_normal(self, z):
        return self._nearest(self._moved(self._latent.at_normal(z)))

    def _moved(self, y):
        return tf.where(self._moves, tf.minimum(tf.maximum(y, self._low), self._high), y)

    def observed(self, y, width, level):
        """On a limit if the search ends next to it, and then on the grid; both are the same for all components."""
        low, high = tf.reduce_max(self._low, -1), tf.reduce_min(self._high, -1)
        for limit in (low, high):
            slack = 4.0 * width + 4.0 * EPSILON * tf.abs(limit)
            y = tf.where((tf.abs(limit) < INFINITE) & (tf.abs(y - limit) <= slack), limit, y)
        staying = tf.zeros_like(self.scale) + INFINITE
        mirrors = self._latent.interval if isinstance(self._latent, Reflected) else Interval(-staying, staying)
        low, high = tf.where(self._moves, self._low, mirrors.low), tf.where(self._moves, self._high, mirrors.high)
        y = _at_the_ends(y, level, low, high)
        if self._grid is None:
            return y
        return Grid(tf.reduce_max(self._grid.step, -1), tf.reduce_max(self._grid.origin, -1)).nearest(y)

    def mean(self):
        return self._moments()[0]

    def variance(self):
        return self._moments()[1]

    def _moments(self):
        """As `tfmdn.distributions.coarse_moments`, relative to a value near the mean."""
        low, high = self._limits()
        reference = tf.minimum(tf.maximum(self._latent.mean(), low), high)
        first, second = self._clipped_moments(low, high, reference)
        if self._grid is not None:
            first, second = self._rounded_moments(low, high, reference, first, second)
        return reference + first, tf.maximum(second - tf.square(first), 0.0)

    def _clipped_moments(self, low, high, reference):
        latent, first, second = self._latent, 0.0, 0.0
        start, end = low, high
        if isinstance(latent, Reflected):
            start, end = tf.maximum(low, latent.interval.low), tf.minimum(high, latent.interval.high)
        for exists, centre in latent.images():
            z_start, z_end = (clip((point - centre) / latent.deviation, -FAR, FAR) for point in (start, end))
            origin = (reference - centre) / latent.deviation
            share = between(z_start, z_end) / latent.total
            slope = (normal_density(z_start) - normal_density(z_end)) / latent.total
            curve = (z_start * normal_density(z_start) - z_end * normal_density(z_end)) / latent.total
            of_first = slope - origin * share
            of_second = share + curve - origin * (slope + of_first)
            first += tf.where(exists, latent.deviation * of_first, 0.0)
            second += tf.where(exists, tf.square(latent.deviation) * of_second, 0.0)
        for limit, side in ((low, 1.0), (high, -1.0)):
            is_finite = tf.abs(limit) < INFINITE
            distance = tf.where(is_finite, limit - reference, 0.0)
            probability = latent.tail(_finite(limit), side)
            first += distance * probability
            second += tf.square(distance) * probability
        return first, second

    def _rounded_moments(self, low, high, reference, first, second):
        latent, grid = self._latent, self._grid
        numbers = np.arange(-VALUES, VALUES + 1, dtype=np.float32).reshape(-1, *[1] * reference.shape.rank)
        values = grid.nearest(reference) + numbers * grid.step  # [V, N, K, E]
        above = latent.tail(values[:-1] + 0.5 * grid.step, -1.0)
        observed = tf.minimum(tf.maximum(values, low), high) - reference
        squares = tf.square(observed)
        first_sum = observed[0] + tf.reduce_sum((observed[1:] - observed[:-1]) * above, 0)
        second_sum = squares[0] + tf.reduce_sum((squares[1:] - squares[:-1]) * above, 0)

        def correction(limit, where_infinite):
            is_finite, finite = tf.abs(limit) < INFINITE, _finite(limit)
            density, tail = tf.exp(latent.log_prob(finite)), latent.tail(finite, -1.0)
            of_second = 2.0 * (finite - reference) * density - 2.0 * tail
            return (
                tf.where(is_finite, density, 0.0),
                tf.where(is_finite, of_second, -2.0 * where_infinite),
            )

        at_low, at_high = correction(low, 1.0), correction(high, 0.0)
        factor = tf.square(grid.step) / 24.0
        is_narrow = grid.exists & (self.scale <= NARROW_IN_STEPS * grid.step)
        return (
            tf.where(is_narrow, first_sum, first + factor * (at_high[0] - at_low[0])),
            tf.where(is_narrow, second_sum, second + factor * (at_high[1] - at_low[1])),
        )


def _normal_log_between(start, end, loc, scale):
    """The log probability of a normal between two points, exact in both tails."""
    z_start, z_end = (families.held((point - loc) / scale) for point in (start, end))
    width = families.held((end - start) / scale)
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


def _finite(limit):
    return tf.where(tf.abs(limit) < INFINITE, limit, 0.0)


def _log_unless(is_impossible):
    """-inf where it is, else 0, of no constant: LiteRT's converter makes infinite ones finite."""
    return tf.math.log(1.0 - tf.cast(is_impossible, tf.float32))


def _at_the_ends(y, level, low, high):
    """The quantiles where the level is 0 or 1: the ends of all components `[N, K]`, or infinite."""
    low, high = tf.reduce_min(low, -1), tf.reduce_max(high, -1)
    has_low, has_high = low > -INFINITE, high < INFINITE
    # Infinite where it is chosen alone, of no constant: LiteRT's converter makes infinite ones finite.
    lowest = tf.where(has_low, low, tf.math.log(tf.maximum(level, tf.cast(has_low, tf.float32))))
    highest = tf.where(has_high, high, -tf.math.log(tf.maximum(1.0 - level, tf.cast(has_high, tf.float32))))
    return tf.where(level <= 0.0, lowest, tf.where(level >= 1.0, highest, y))
