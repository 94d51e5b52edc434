"""Normal components with atoms and on grids, in float32 and elementary operations.

They are those of `tfmdn.distributions.coarsened`, whose formulas these are. Shapes as in `portable`.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmdn.export import portable_families as families
from tfmdn.export.elementary import between, clip, normal_density
from tfmdn.export.portable_limits import (
    EPSILON,
    FAR,
    INFINITE,
    Interval,
    Normal,
    Reflected,
    at_the_ends,
    log_unless,
)

# As in `tfmdn.distributions.reflected`, `grids` and `coarse_moments`.
SLACK, MOST, NARROW_IN_STEPS, VALUES = 1e-3, 0.25, 4.0, 32
NARROW, GAUSS = 0.125, ((-(0.6**0.5), 5.0 / 9.0), (0.0, 8.0 / 9.0), (0.6**0.5, 5.0 / 9.0))


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
        is_exact = (tf.abs(inverse * step - 1.0) < 2.0 * EPSILON) & (tf.abs(numerator - tf.round(numerator)) <= slack)
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

    def _at_limits(self, y):
        """Whether y is the lower or the upper limit, but for rounding errors."""

        def is_at(limit):
            slack = 8.0 * EPSILON * tf.abs(limit)
            if self._grid is not None:  # of which the next value is another one
                step = self._grid.step
                slack = tf.where(step > 0.0, tf.minimum(slack, MOST * step), slack) + SLACK * step
            return (tf.abs(limit) < INFINITE) & (tf.abs(y - limit) <= slack)

        return is_at(self._nearest(self._low)), is_at(self._nearest(self._high))

    def has_probability(self, y):
        at_low, at_high = self._at_limits(self._nearest(y))
        is_limit = at_low | at_high
        return is_limit if self._grid is None else is_limit | self._grid.exists

    def log_prob(self, y):
        y = self._nearest(y)
        low, high = self._nearest(self._low), self._nearest(self._high)
        at_low, at_high = self._at_limits(y)
        is_limit, stays = at_low | at_high, tf.logical_not(self._moves)
        is_atom = self._moves & is_limit
        probability = tf.where(
            at_low, self._latent.log_tail(_finite(self._low), 1.0), self._latent.log_tail(_finite(self._high), -1.0)
        )
        log_prob = tf.where(is_atom, probability, self._latent.log_prob(tf.where(is_atom, self.loc, y)))
        # What stays has no probability of being exactly a limit, beside what is moved there.
        is_impossible = stays & is_limit
        if self._grid is not None:
            half_step = 0.5 * self._grid.step
            start = tf.where(self._moves & ((y <= low) | at_low), -INFINITE, y - half_step)
            end = tf.where(self._moves & ((y >= high) | at_high), INFINITE, y + half_step)
            of_cell = self._latent.log_between(start, tf.where(self._grid.exists, end, INFINITE))
            log_prob = tf.where(self._grid.exists, of_cell, log_prob)
            is_impossible &= tf.logical_not(self._grid.exists)
        is_impossible |= self._moves & ((y < low) | (y > high)) & tf.logical_not(is_limit)
        return log_prob + log_unless(is_impossible)

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
        y = at_the_ends(y, level, low, high)
        if self._grid is None:
            return y
        return Grid(tf.reduce_max(self._grid.step, -1), tf.reduce_max(self._grid.origin, -1)).nearest(y)

    def mean(self):
        return self._moments()[0]

    def stddev(self):
        return self._moments()[1]

    def _moments(self):
        """Mean and standard deviation, as `tfmdn.distributions.coarse_moments`, relative to a value near the mean.

        Second moments are in units of the latent deviation: squares of targets may have no place in float32.
        """
        low, high = self._limits()
        reference = self._nearest(tf.minimum(tf.maximum(self._latent.mean(), low), high))
        first, second = self._clipped_moments(low, high, reference)
        if self._grid is not None:
            first, second = self._rounded_moments(low, high, reference, first, second)
        unit = self._latent.deviation
        return reference + first, unit * tf.sqrt(tf.maximum(second - tf.square(first / unit), 0.0))

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
            # Between limits that are close to each other these are small differences: rather three points of Gauss's.
            half, middle = 0.5 * (z_end - z_start), 0.5 * start + 0.5 * end - reference
            shift = clip(middle / latent.deviation, -FAR, FAR)
            points = [(shift + half * t, half * w * normal_density(z_start + half * (1.0 + t))) for t, w in GAUSS]
            is_narrow = half < NARROW
            of_first = tf.where(is_narrow, sum(w * z for z, w in points) / latent.total, of_first)
            of_second = tf.where(is_narrow, sum(w * z * z for z, w in points) / latent.total, of_second)
            first += tf.where(exists, latent.deviation * of_first, 0.0)
            second += tf.where(exists, of_second, 0.0)
        for limit, side in ((low, 1.0), (high, -1.0)):
            is_finite = tf.abs(limit) < INFINITE
            distance = tf.where(is_finite, limit - reference, 0.0)
            probability = latent.tail(_finite(limit), side)
            first += distance * probability
            second += tf.square(distance / latent.deviation) * probability
        return first, second

    def _rounded_moments(self, low, high, reference, first, second):
        latent, grid = self._latent, self._grid
        numbers = np.arange(VALUES + 1, dtype=np.float32).reshape(-1, *[1] * reference.shape.rank)
        first_sum = second_sum = 0.0
        for side in (1.0, -1.0):
            values = reference + side * numbers * grid.step  # [V, N, K, E]
            beyond = latent.tail(values[:-1] + 0.5 * side * grid.step, -side)
            observed = tf.minimum(tf.maximum(values, low), high) - reference
            squares = tf.square(observed / latent.deviation)
            first_sum += tf.reduce_sum((observed[1:] - observed[:-1]) * beyond, 0)
            second_sum += tf.reduce_sum((squares[1:] - squares[:-1]) * beyond, 0)

        def correction(limit, where_infinite):
            is_finite, finite = tf.abs(limit) < INFINITE, _finite(limit)
            density, tail = tf.exp(latent.log_prob(finite)), latent.tail(finite, -1.0)
            of_second = 2.0 * (finite - reference) * density - 2.0 * tail
            return (
                tf.where(is_finite, density, 0.0),
                tf.where(is_finite, of_second, -2.0 * where_infinite),
            )

        at_low, at_high = correction(low, 1.0), correction(high, 0.0)
        of_first = grid.step * (grid.step * (at_high[0] - at_low[0])) / 24.0
        of_second = tf.square(grid.step / latent.deviation) * (at_high[1] - at_low[1]) / 24.0
        is_narrow = grid.exists & (self.scale <= NARROW_IN_STEPS * grid.step)
        return (
            tf.where(is_narrow, first_sum, first + of_first),
            tf.where(is_narrow, second_sum, second + of_second),
        )


def _finite(limit):
    return tf.where(tf.abs(limit) < INFINITE, limit, 0.0)
