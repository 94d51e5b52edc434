"""Mean distances of normal variables from points, and of normal variables that are reflected at limits.

Shapes in comments: B batch, K components, N points.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfmdn.distributions.folding import FAR
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.numerics import divider


class NormalDistances:
    """Of normal variables: P(Z <= y) and E|Z - y|.

    Args:
      loc: the centres.
      scale: the standard deviations.
    """

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor):
        self._loc, self._standardized, self._peak = (
            loc,
            divider(scale, math.sqrt(0.5)),
            math.sqrt(2.0 / math.pi) * scale,
        )

    def of_components(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of each component: P(Z <= y) and E|Z - y|, of the shape that y and the components broadcast to."""
        distance, share, density = self._at(y)
        return 0.5 + 0.5 * share, distance * share + self._peak * density

    def of_mixture(self, weights: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of their mixture, at y `[B, N, 1]`, where the components are `[B, 1, K]` and their weights `[B, K]`."""
        distance, share, density = self._at(y)
        deviation = tf.linalg.matvec(distance * share, weights)
        deviation += tf.linalg.matvec(density, weights * self._peak[:, 0])
        return 0.5 + 0.5 * tf.linalg.matvec(share, weights), deviation

    def _at(self, y):
        distance = y - self._loc
        return distance, *bell(self._standardized(distance))


class ReflectedDistances:
    """The same of `ReflectedNormal` variables.

    Their E|X - y| is that of the normal, plus what its reflections at the limits have inside, plus a constant and, with
    two limits, a straight line in y. It is computed as seen from a limit, the lower one if there are two: a normal
    without limits has one where it does not reach.
    """

    def __init__(self, components: ReflectedNormal):
        interval, loc, scale, edges = components.parts()
        self._interval = interval
        far = tf.stop_gradient(FAR * scale)
        self._is_mirrored = interval.has_high & ~interval.has_low
        self._sign = tf.where(self._is_mirrored, -tf.ones_like(loc), tf.ones_like(loc))
        limit = tf.where(
            interval.has_low, interval.safe_low, tf.where(interval.has_high, interval.safe_high, loc - far)
        )
        self._loc = tf.where(interval.has_low | interval.has_high, self._sign * (loc - limit), far)
        self._start = self._sign * limit
        self._standardized, self._peak = divider(scale, math.sqrt(0.5)), math.sqrt(2.0 / math.pi) * scale
        top, bottom = (tf.math.erf(math.sqrt(0.5) * end) for end in (edges.top, edges.bottom))
        is_bounded = interval.is_bounded
        self._top, self._total = top, tf.where(is_bounded, edges.total, tf.ones_like(edges.total))
        self._slope = tf.where(is_bounded, 0.5 * (top + bottom) / edges.total, tf.zeros_like(top))
        self._width = tf.where(is_bounded, interval.safe_width, tf.constant(math.inf, loc.dtype))
        self._far = far
        excess = self._excess(self._loc)
        beyond = self._excess(tf.where(is_bounded, 2.0 * interval.safe_width - self._loc, far))
        of_bounded = components.mean() - limit - (self._loc + 2.0 * excess + beyond) / self._total
        self._constant = tf.where(is_bounded, of_bounded, -excess)
        self._is_any_bounded = tf.reduce_any(is_bounded)

    def of_components(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        share, deviation, density = self._at(y)
        cdf = 0.5 * share / self._total
        cdf = tf.clip_by_value(tf.where(self._is_mirrored, 1.0 - cdf, cdf), 0.0, 1.0)
        return cdf, deviation + self._peak / self._total * density + self._constant

    def of_mixture(self, weights: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        share, deviation, density = self._at(y)
        share_weights, density_weights = 0.5 * (self._sign / self._total)[:, 0], (self._peak / self._total)[:, 0]
        base = tf.cast(self._is_mirrored, y.dtype)
        cdf = tf.linalg.matvec(share, weights * share_weights) + tf.linalg.matvec(base, weights)
        deviation = tf.linalg.matvec(deviation, weights) + tf.linalg.matvec(density, weights * density_weights)
        return cdf, deviation + tf.linalg.matvec(self._constant, weights)

    def _excess(self, distance):
        """By how much the normal is farther away on average than a point at a distance."""
        share, density = bell(self._standardized(distance))
        return self._peak * density - distance * (1.0 - share)

    def _at(self, y):
        """Twice the probability between limit and y, E|X - y| without bells, and their sum; the first unnormalised."""
        return tf.cond(self._is_any_bounded, lambda: self._folded(y, True), lambda: self._folded(y, False))

    def _folded(self, y, has_two_limits):
        y = self._sign * y - self._start
        inside = tf.maximum(y, 0.0)
        if has_two_limits:
            inside = tf.minimum(inside, self._width)
        distance, reflected = inside - self._loc, inside + self._loc
        share, density = bell(self._standardized(distance))
        reflected_share, reflected_density = bell(self._standardized(reflected))
        deviation = distance * share - reflected * (1.0 - reflected_share)
        share, density = share + reflected_share, density + reflected_density
        if not has_two_limits:
            return share, deviation + (inside - y), density
        distance = tf.where(self._interval.is_bounded, 2.0 * self._width - inside - self._loc, self._far)
        reflected_share, reflected_density = bell(self._standardized(distance))
        deviation = (deviation - distance * (1.0 - reflected_share)) / self._total + self._slope * inside
        return share + (self._top - reflected_share), deviation + tf.abs(y - inside), density + reflected_density


def bell(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """erf(z) and exp(-z^2), with a finite gradient."""
    z = tf.raw_ops.ClipByValue(t=z, clip_value_min=tf.constant(-FAR, z.dtype), clip_value_max=tf.constant(FAR, z.dtype))
    return tf.math.erf(z), tf.exp(-tf.square(z))
