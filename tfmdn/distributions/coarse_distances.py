"""Mean distances of `CoarsenedNormal` variables from points.

Shapes in comments: B batch, K components, N points.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfmdn.distributions import kinds
from tfmdn.distributions.coarsened import CoarsenedNormal
from tfmdn.distributions.folded_distances import bell
from tfmdn.distributions.folding import FAR, normal_cdf
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.numerics import divider, held_quotient

# The sum of a tail at equidistant points: up to a step of so many standard deviations it is an integral with four
# corrections (Euler and Maclaurin), right to 1e-7 of the standard deviation; else it has so many terms.
CORRECTIONS = (-1.0 / 12.0, 7.0 / 2880.0, -31.0 / 483840.0, 127.0 / 77414400.0)
WIDEST_STEP, TERMS = 2.0 / 3.0, 9
# In standard deviations: a tail so far away is 0 beside 1.
BEYOND = 9.0


class CoarsenedDistances:
    """P(X <= y) and E|X - y| of `CoarsenedNormal` variables X.

    They are sums over the normal variable that is observed, and its reflections where there are mirrors: of what it has
    below a value of the grid, and of its mean distance from that value after it was rounded. From one value of the grid
    to the next the first is constant, and the second a straight line.
    """

    def __init__(self, components: CoarsenedNormal):
        latent, self._grid = components.latent, components.grid
        # Without a grid nothing of it is computed.
        self._has_grid = components.parameters["resolution"] is not None
        low, high = map(self._grid.nearest, kinds.limits(components))
        self._loc, self._scale = latent.loc, latent.scale
        self._total = self._base = tf.ones_like(latent.loc)
        self._images = [(tf.ones_like(latent.loc, tf.bool), tf.zeros_like(latent.loc))]  # each with its offset
        if isinstance(latent, ReflectedNormal):
            interval, self._loc, self._scale, edges = latent.parts()
            self._images += [
                (exists, tf.where(exists, 2.0 * (end - self._loc), 0.0)) for exists, end in interval.limits
            ]
            has_low, has_high = (tf.cast(exists, self._loc.dtype) for exists, _ in interval.limits)
            self._total = tf.where(interval.is_bounded, edges.total, 1.0)
            self._base = tf.where(
                interval.is_bounded, tf.math.erf(math.sqrt(0.5) * edges.top), 1.0 + has_high - has_low
            )
            low = tf.maximum(low, self._grid.nearest(interval.low))
            high = tf.minimum(high, self._grid.nearest(interval.high))
        else:
            # All of one whose centre is farther away is at the limit: from nearer by its distance has more digits.
            farthest = BEYOND * self._scale
            self._loc = tf.minimum(tf.maximum(self._loc, low - farthest), high + farthest)
        self._low, self._high, self._standardized = low, high, divider(self._scale, math.sqrt(0.5))
        self._shifts = [self._shift(offset) for _, offset in self._images]
        # The area under F up to y is `_area(y)` without what that has at the lower end.
        middle = 0.5 * self._sum([offset + shift for (_, offset), shift in zip(self._images, self._shifts)])
        self._start = self._area_at(low, middle)
        end = tf.where(tf.math.is_finite(high), high - self._loc, middle)
        self._mean = end - self._area_at(high, -self._start) + self._start  # from the centre
        self._mean = tf.where(tf.math.is_finite(high), self._mean, middle + self._start)

    def of_components(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Both. A y that is a value of the grid but for rounding errors is that."""
        return self._of_components(y, self._grid.last_up_to)

    def deviation(self, y: tf.Tensor) -> tf.Tensor:
        """The second alone, which is continuous, of y as it is."""
        return self._of_components(y, self._grid.floor)[1]

    def _of_components(self, y, last_up_to):
        inside = value = tf.minimum(tf.maximum(y, self._low), self._high)
        if self._has_grid:
            value = tf.maximum(last_up_to(inside), self._low)
        cdf, area = self._at(value)
        cdf = tf.where(value >= self._high, tf.ones_like(cdf), cdf)
        if self._has_grid:
            area += (inside - value) * cdf
        deviation = 2.0 * area + (self._loc + self._mean - 2.0 * self._start - inside) + tf.abs(y - inside)
        return tf.where(y < self._low, tf.zeros_like(cdf), cdf), deviation

    def mean(self) -> tf.Tensor:
        return self._loc + self._mean

    def _area_at(self, end, where_infinite):
        is_finite = tf.math.is_finite(end)
        return tf.where(is_finite, self._at(tf.where(is_finite, end, self._loc))[1], where_infinite)

    def _sum(self, values):
        return tf.add_n([tf.where(exists, value, 0.0) for (exists, _), value in zip(self._images, values)])

    def _at(self, value):
        """Of a value of the grid: F, and the area under F up to it and a constant."""
        distance = value - self._loc
        images = [self._of_normal(distance - offset, shift) for (_, offset), shift in zip(self._images, self._shifts)]
        if len(images) == 1:
            ((share, deviation),) = images
            return 0.5 * share + 0.5, 0.5 * (deviation + distance)
        shares, deviations = (self._sum(values) for values in zip(*images))
        half = 0.5 / self._total
        return (
            tf.clip_by_value(half * (shares + self._base), 0.0, 1.0),
            half * (deviations + self._base * distance),
        )

    def _of_normal(self, distance, shift):
        """Of values at a distance from a normal's centre: 2 F - 1 there, and how far it is on average once rounded."""
        share, density = bell(self._standardized(distance))
        deviation = distance * share + math.sqrt(2.0 / math.pi) * self._scale * density
        if not self._has_grid:
            return share, deviation
        step = self._grid.step
        ratio = tf.minimum(step, self._scale) / self._scale
        is_narrow = step > WIDEST_STEP * self._scale
        u = tf.square(held_quotient(distance, self._scale, FAR))
        first, second, third, fourth = CORRECTIONS
        polynomial = fourth * (((u - 15.0) * u + 45.0) * u - 15.0)
        polynomial = third * ((u - 6.0) * u + 3.0) + tf.square(ratio) * polynomial
        polynomial = second * (u - 1.0) + tf.square(ratio) * polynomial
        polynomial = first + tf.square(ratio) * polynomial
        wide = deviation + step * ratio * density / math.sqrt(2.0 * math.pi) * polynomial
        # Not `abs`, which has no slope at 0, where centres on the grid are.
        is_below = distance < 0.0
        length = tf.where(is_below, -distance, distance)
        narrow = 2.0 * self._tail(length) + length - tf.where(is_below, -shift, shift)
        share, _ = bell(self._standardized(distance + self._grid.half_step))
        return share, tf.where(is_narrow, narrow, wide)

    def _tail(self, distance):
        """The mean excess of what is rounded over a value of the grid that lies above the centre."""
        step = self._grid.step[..., tf.newaxis]
        points = distance[..., tf.newaxis] + step * tf.range(0.5, TERMS, dtype=step.dtype)  # [..., T]
        tails = normal_cdf(-held_quotient(points, self._scale[..., tf.newaxis], FAR))
        return self._grid.step * tf.reduce_sum(tails, -1)

    def _shift(self, offset):
        """By how much rounding moves the mean of an image."""
        if not self._has_grid:
            return tf.zeros_like(offset)
        centre = self._loc + offset
        distance = tf.stop_gradient(self._grid.nearest(centre)) - centre
        moved = distance + self._tail(distance) - self._tail(-distance)
        return tf.where(self._grid.step > WIDEST_STEP * self._scale, moved, tf.zeros_like(moved))
