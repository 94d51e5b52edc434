"""Where climbs begin beside the components' centres, lest a peak be missed to which none of these leads.

Components of vectors that are wide in one direction and narrow in another cross, and the highest point can be where
they do. Between limits the reflections of wide components pile up in the middle or at the ends, and so do angles.

Shapes in comments: P points, O other values, R starts, B batch, K components, E event, D coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import kinds, reflected, small_matrices, tensors

tfd = tfp.distributions
tnp = tf.experimental.numpy

# From how many of the highest centres other components are looked for that cross theirs.
TOPS = 4
# In how many parts scalars, and in how many each coordinate of vectors, are looked at between two limits, or a turn.
PARTS, COORDINATE_PARTS = 24, 6
# Up to how many reflections are looked at as other components.
MOST = 400
# How often each coordinate is looked at.
SWEEPS = 2

Heights = Callable[[tf.Tensor], tf.Tensor]


def further_starts(
    mixture: tfd.MixtureSameFamily, centres: tf.Tensor, heights: Heights, limits: list[tf.Tensor] | None = None
) -> list[tf.Tensor]:
    """Points `[R, *B, *E]` of great height, for centres `[K, *B, *E]` that climbs begin from anyway.

    Args:
      mixture: the mixture, in which there may be more components, as many behind each of those centres.
      centres: of its components.
      heights: the log density `[P, *B]` of points `[P, *B, *E]`.
      limits: lower and upper ones `[*B, *E]` that the components do not know of.
    """
    components, event_rank = mixture.components_distribution, mixture.event_shape.rank
    if centres.shape.rank is None or None in mixture.event_shape:  # which TensorFlow has forgotten in a graph
        return []
    heights = _of_known_rank(heights, event_rank)
    limits = limits or _limits(tensors.under_independent(components), centres, event_rank)
    if event_rank == 0 or mixture.event_shape[0] == 1:
        return [] if limits is None else [_peaks_among(_between(*limits, PARTS), heights, event_rank)]
    values = [] if limits is None else [_between(*limits, COORDINATE_PARTS)]
    order = tf.argsort(heights(centres), 0, direction="DESCENDING")[:TOPS]
    order = tf.ensure_shape(order, [None] * (centres.shape.rank - event_rank))  # which a graph may have forgotten
    if tensors.has_independent_coordinates(components):
        tops = _taken(centres, order)
        return [_along_coordinates(tops, tf.concat([centres, *values], 0), heights, mixture.event_shape[0])]
    if not isinstance(components, tfd.MultivariateNormalLinearOperator):
        return []
    points = _crossings_of_normals(mixture, centres, order, heights)
    return [_along_coordinates(points, *values, heights, mixture.event_shape[0]) if values else points]


def _of_known_rank(heights: Heights, event_rank: int) -> Heights:
    """The same function, of which a graph knows the number of axes where it has forgotten that of the mixture."""
    return lambda y: tf.ensure_shape(heights(y), [None] * (y.shape.rank - event_rank))


def _taken(values: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Of values `[K, *B, ...]` those whose numbers stand in `[R, *B]`: `[R, *B, ...]`."""
    trailing = values.shape[order.shape.rank :]
    taken = tnp.take_along_axis(values, numerics.with_trailing_axes(order, trailing.rank), 0)
    return tf.ensure_shape(taken, [None, *[None] * (order.shape.rank - 1), *trailing])


def _limits(marginals: tfd.Distribution, centres: tf.Tensor, event_rank: int) -> list[tf.Tensor] | None:
    """Two limits `[*B, *E]`, or one and what is beyond all centres; None if there are none."""
    if kinds.period(marginals) is not None:
        return [tf.constant(limit, centres.dtype) + tf.zeros_like(centres[0]) for limit in kinds.limits(marginals)]
    if not isinstance(marginals, reflected.ReflectedNormal):
        return None
    axis, wide = -1 - event_rank, kinds.width(marginals)
    low, high = (limit + tf.zeros_like(wide) for limit in (marginals.low, marginals.high))  # [B, K, E]
    low, high, widest = tf.reduce_max(low, axis), tf.reduce_min(high, axis), tf.reduce_max(wide, axis)
    return [
        tf.where(tf.math.is_finite(low), low, tf.reduce_min(centres, 0) - widest),
        tf.where(tf.math.is_finite(high), high, tf.reduce_max(centres, 0) + widest),
    ]


def _between(low: tf.Tensor, high: tf.Tensor, parts: int) -> tf.Tensor:
    """Values `[O, *B, *E]` from one to the other of `[*B, *E]`."""
    shares = tf.constant(np.linspace(0.0, 1.0, parts + 1), low.dtype)
    return low + tf.reshape(shares, [-1] + [1] * low.shape.rank) * (high - low)


def _peaks_among(values: tf.Tensor, heights: Heights, event_rank: int) -> tf.Tensor:
    """The highest of scalars `[O, *B]` in ascending order that are not lower than those next to them."""
    height = heights(values)
    edge = tf.fill(tf.shape(height[:1]), tf.constant(-np.inf, height.dtype))
    before, after = tf.concat([edge, height[:-1]], 0), tf.concat([height[1:], edge], 0)
    is_peak = (height >= before) & (height >= after)
    return _taken(values, tf.argsort(tf.where(is_peak, height, -np.inf), 0, direction="DESCENDING")[:TOPS])


def _along_coordinates(points: tf.Tensor, options: tf.Tensor, heights: Heights, size: int) -> tf.Tensor:
    """The points `[R, *B, D]`, with one coordinate after the other replaced by the best of `options` `[O, *B, D]`."""

    def step(number, points):
        is_chosen = tf.range(size) == number % size
        others = tf.where(is_chosen, options[:, tf.newaxis], points)  # [O, R, B, D]
        others = tf.concat([points[tf.newaxis], others], 0)
        return number + 1, tf.ensure_shape(numerics.choose(others, tf.argmax(heights(others), 0)), points.shape)

    # A loop, whose body is traced once and not for each coordinate.
    return tf.while_loop(lambda number, _: number < SWEEPS * size, step, (0, points))[1]


def _crossings_of_normals(
    mixture: tfd.MixtureSameFamily, centres: tf.Tensor, order: tf.Tensor, heights: Heights
) -> tf.Tensor:
    """For each of the highest centres the highest of the points where its component and another one are high together.

    The product of two normal densities is highest at the mean of their centres, weighted by their precision matrices.
    In more than two dimensions a third component is looked for in the same way.

    Args:
      mixture: of correlated normals, as many behind each of the centres.
      centres: `[K, *B, D]`.
      order: numbers of some of these, `[R, *B]`.
      heights: the log density of points.
    """
    components, size = mixture.components_distribution, mixture.event_shape[0]
    precision = tf.ensure_shape(small_matrices.precision(components), [*components.batch_shape, size, size])
    shape = tf.concat([mixture.batch_shape_tensor(), tf.shape(precision)[-3:]], 0)
    batch_rank = centres.shape.rank - 2
    precision = tf.ensure_shape(tf.broadcast_to(precision, shape), [*[None] * (batch_rank + 1), size, size])
    others = tf.broadcast_to(components.mean(), shape[:-1])  # [B, K, D]
    others = tf.ensure_shape(others, [*[None] * (batch_rank + 1), size])
    others = tf.transpose(others, [batch_rank, *range(batch_rank), batch_rank + 1])
    precision = tf.transpose(precision, [batch_rank, *range(batch_rank), batch_rank + 1, batch_rank + 2])
    times = tf.shape(precision)[0] // tf.shape(centres)[0]
    own_precision = tf.ensure_shape(precision[::times], [*[None] * (batch_rank + 1), size, size])
    step = tf.where(tf.shape(precision)[0] > MOST, times, 1)
    others, precision, order_of_own = others[::step], precision[::step], order * (times // step)
    precision = tf.ensure_shape(precision, [*[None] * (batch_rank + 1), size, size])
    centres = tf.ensure_shape(centres, [*[None] * (batch_rank + 1), size])
    points, own = _taken(centres, order), _taken(own_precision, order)  # [R, B, D], [R, B, D, D]
    height = tf.fill(tf.shape(order), tf.constant(-np.inf, centres.dtype))
    number = tf.reshape(tf.range(tf.shape(others)[0]), [-1] + [1] * order.shape.rank)
    is_other = number != order_of_own  # [K, R, B]
    for _ in range(min(size, 3) - 1):
        total = precision[:, tf.newaxis] + own  # [K, R, B, D, D]
        total = tf.ensure_shape(total, [*[None] * (total.shape.rank - 2), size, size])
        pull = tf.linalg.matvec(precision[:, tf.newaxis], others[:, tf.newaxis] - points)
        crossings = points + small_matrices.solve(total, pull)
        crossings = tf.ensure_shape(crossings, [*[None] * (batch_rank + 2), size])
        found = tf.where(is_other, heights(crossings), -np.inf)
        best = tf.argmax(found, 0)
        is_higher = tf.reduce_max(found, 0) > height
        height = tf.maximum(height, tf.reduce_max(found, 0))
        points = tf.where(is_higher[..., tf.newaxis], numerics.choose(crossings, best), points)
        own = tf.where(is_higher[..., tf.newaxis, tf.newaxis], numerics.choose(total, best), own)
    return points
