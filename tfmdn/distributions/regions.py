"""Where the density of a scalar mixture is highest.

Shapes in comments: P points, of K components together N; I intervals, B batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import counted, kinds, quantiles

tfd = tfp.distributions
tnp = tf.experimental.numpy

# The first points, in standard deviations of each component: this far apart, and ever farther beyond LINEAR.
SPACING = 0.2
LINEAR = 4.0
# Up to where the density of a component can be above that of a wider one.
FARTHEST = 1e4
# In how many parts what is between 0 and the points of positive components is divided, in log y.
FURTHER = 48
# How often, and in how many parts, the gaps between points that hold a bound are divided.
REFINEMENTS = 2
PARTS = 12
# So many numbers are looked at together.
BLOCK = 100_000
# The logarithm of how much lower than the peak a density can be and still count.
DEPTH = 200.0


def highest_density_region(
    mixture: tfd.MixtureSameFamily,
    coverage: float,
    share: tf.Tensor | None = None,
    density_at: Callable | None = None,
    further_points: tf.Tensor | None = None,
) -> tf.Tensor:
    """The intervals `[K, *B, 2]` of probability `coverage` outside of which the density is lower than anywhere inside.

    The density is taken at points as close together as each component needs. Between them its logarithm is taken for a
    line, and where that crosses the level sought, more points are put, until the error does not matter.

    Args:
      mixture: a `Mixture` of scalar events.
      coverage: the probability of the region.
      share: how much of it is left for the density, `[*B]`, where there are atoms too.
      density_at: the log density, and the cumulative probability that belongs to it, of y `[S, *B]`, if they are not
        the mixture's own.
      further_points: where else the density is taken, `[P, *B]`: on both sides of where it jumps.
    """
    components = mixture.components_distribution
    quantiles.check_continuous(components)
    logarithms = kinds.logarithm(components)  # in which a positive one is wide or narrow
    searched, to_y = (components, tf.identity) if logarithms is None else (logarithms, tf.exp)
    centres, scales = searched.mode(), searched.stddev()
    max_intervals = tf.shape(centres)[-1]
    if logarithms is not None:  # of wide ones the density by y is highest far below the centre of log y
        lowest = math.log(np.finfo(mixture.dtype.as_numpy_dtype).tiny)
        tops = tf.maximum(tf.math.log(components.mode()), lowest)
        centres, scales = tf.concat([centres, tops + tf.zeros_like(centres)], -1), _repeated(scales, 2)
    turn = kinds.period(components)
    if turn is not None:  # beyond the cut a peak goes on at the other end, and an interval across it comes as two
        centres = tf.concat([centres - turn, centres, centres + turn], -1)
        scales = _repeated(tf.minimum(scales, 1.0), 3)
        max_intervals += 1
    reach = 4.0 / math.sqrt(1.0 - coverage)  # by Chebyshev, at most (1 - coverage) / 16 lies farther away
    shape = tf.concat([mixture.batch_shape_tensor(), tf.shape(centres)[-1:]], 0)
    centres, scales = (tnp.moveaxis(tf.broadcast_to(part, shape), -1, 0) for part in (centres, scales))  # [K, B]

    weights, mean = counted.weights(mixture), mixture.mean()
    share = coverage if share is None else share
    num_components = components.batch_shape[-1]

    def at(y):
        if density_at is not None:
            return density_at(y)
        if turn is not None:
            inside = tf.clip_by_value(y, *kinds.limits(components))
            return tf.where(y == inside, mixture.log_prob(inside), -np.inf), mixture.cdf(inside)
        # Not `mixture.cdf`, which has the digits of far tails and takes five times as long: sums need none of them.
        of_components = components.cdf(y[..., tf.newaxis])
        log_prob, cdf = mixture.log_prob(y), tf.reduce_sum(weights * of_components, -1)
        # NaN is what some of TFP's families, such as gamma, have outside of their support.
        is_nan = tf.math.is_nan(log_prob)
        return tf.where(~is_nan, log_prob, -np.inf), tf.where(is_nan, tf.cast(y > mean, cdf.dtype), cdf)

    def evaluate(points):
        """Points `[K, P, *B]`, their log density and their cumulative probability, each `[N, *B]`."""
        flat = tf.reshape(points, tf.concat([[-1], tf.shape(points)[2:]], 0))
        if (points.shape.num_elements() or BLOCK) * (num_components or BLOCK) <= BLOCK:
            return [flat, *at(to_y(flat))]
        # P at a time: the memory of all at once would grow with the square of K.
        values = tf.map_fn(lambda some: at(to_y(some)), points, fn_output_signature=(mixture.dtype, mixture.dtype))
        return [flat, *(tf.reshape(value, tf.shape(flat)) for value in values)]

    highest = math.asinh(reach / LINEAR)
    steps = LINEAR * np.sinh(np.linspace(-highest, highest, 2 * math.ceil(highest * LINEAR / SPACING) + 1))
    # A narrow component is as high as a wide one farther out: there its density is nearly a power, or vanishes.
    beyond = steps[-1] * 2.0 ** np.arange(1, math.ceil(math.log2(FARTHEST / steps[-1])) + 1)
    steps = np.concatenate([-beyond[::-1], steps, beyond])
    samples = evaluate(_along(centres, scales, steps))
    if logarithms is not None:  # towards 0 it falls ever more slowly, the wider they are
        further_points = _down_to(lowest, tf.reduce_min(samples[0], 0))
    if further_points is not None:
        samples = [tf.concat(pair, 0) for pair in zip(samples, evaluate(further_points[tf.newaxis]))]
    # At first beside a bound, too: a peak between two points is higher than both.
    for beside in [1] + [0] * REFINEMENTS:
        left, right, _ = _bounds(*samples, share, max_intervals, beside)
        parts = PARTS * (1 + 2 * beside)
        inner = _along(left, right - left, np.arange(1, parts) / parts)  # [I, P, 2, B]
        inner = tf.reshape(inner, tf.concat([[max_intervals, -1], tf.shape(inner)[3:]], 0))
        samples = [tf.concat(pair, 0) for pair in zip(samples, evaluate(inner))]
    left, right, bounds = _bounds(*samples, share, max_intervals)
    if turn is not None:
        low, high = (tf.constant(limit, bounds.dtype) for limit in kinds.limits(components))
        at_cut = tf.where(left < low, low, tf.where(right > high, high, bounds))
        bounds = tf.where(tf.math.is_nan(bounds), bounds, at_cut)
    if logarithms is not None:  # what is left of an interval down there is down to 0
        bounds = tf.where(bounds < lowest, tf.constant(-math.inf, bounds.dtype), bounds)
    return tf.stop_gradient(tnp.moveaxis(to_y(bounds), 1, -1))


def _repeated(values: tf.Tensor, times: int) -> tf.Tensor:
    return tf.tile(values, [*[1] * (values.shape.rank - 1), times])


def _down_to(lowest: float, start: tf.Tensor) -> tf.Tensor:
    """Points `[P, *B]` from a little below the lowest that matters up to those that there are, from `start` on."""
    end = tf.constant(lowest - 1.0, start.dtype)
    parts = numerics.with_trailing_axes(
        tf.constant(np.linspace(0.0, 1.0, FURTHER + 1)[:-1], start.dtype), start.shape.rank
    )
    return tf.minimum(end, start) + parts * tf.maximum(start - end, 0.0)


def _along(start: tf.Tensor, difference: tf.Tensor, parts: np.ndarray) -> tf.Tensor:
    """start + part * difference for P parts: `[K, P, *B]` of `[K, *B]`."""
    parts = tf.constant(parts.reshape(-1, *[1] * (start.shape.rank - 1)), start.dtype)
    return start[:, tf.newaxis] + parts * difference[:, tf.newaxis]


@tf.function(autograph=False, reduce_retracing=True)
def _level(log_prob: tf.Tensor, cdf: tf.Tensor, top: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Above which level `[R]` log densities `[N, R]`, of which `top` is the highest, have probability `share`."""
    resolution = np.finfo(log_prob.dtype.as_numpy_dtype)
    # A row of NaN, which has no root, would let the search for those of all go on to its limit.
    is_none = ~tf.math.is_finite(top)
    log_prob, cdf, top, share = (
        tf.where(is_none, tf.zeros_like(values), values) for values in (log_prob, cdf, top, share)
    )

    def excess(level):
        above = log_prob - level
        higher, difference = tf.maximum(above[:-1], above[1:]), tf.abs(above[:-1] - above[1:])
        part = tf.clip_by_value(higher / tf.maximum(difference, resolution.tiny), 0.0, 1.0)
        return tf.reduce_sum(part * (cdf[1:] - cdf[:-1]), 0) - share

    level = tfp.math.find_root_chandrupatla(
        excess, top - DEPTH, top, position_tolerance=100.0 * resolution.eps, max_iterations=100
    ).estimated_root
    return tf.where(is_none, tf.constant(np.nan, level.dtype), level)


def _bounds(points, log_prob, cdf, share, max_intervals, beside: int = 0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where the log density, known at points `[N, *B]`, crosses the level above which it has probability `share`.

    Returns:
      Points to the left and to the right of each bound, `beside` more than those next to it on either side, and the
      bound, each `[I, 2, *B]`: where the density rises above the level, and where it falls below. Bounds that there are
      not are NaN.
    """
    order = tf.argsort(points, 0)
    points, log_prob, cdf = (tnp.take_along_axis(values, order, 0) for values in (points, log_prob, cdf))
    top = tf.reduce_max(log_prob, 0)
    # What may lie beyond the outermost points does not count.
    number = numerics.with_trailing_axes(tf.range(tf.shape(points)[0]), points.shape.rank - 1)
    is_outermost = (number == 0) | (number == tf.shape(points)[0] - 1)
    log_prob = tf.where(is_outermost, top - DEPTH, tf.maximum(log_prob, top - DEPTH))
    # Flat, so that a trace for one batch serves those of other sizes and ranks.
    flat = [tf.reshape(values, [tf.shape(values)[0], tf.size(top)]) for values in (log_prob, cdf)]
    share = tf.broadcast_to(tf.convert_to_tensor(share, cdf.dtype), tf.shape(top))
    level = _level(*flat, tf.reshape(top, [-1]), tf.reshape(share, [-1]))
    above = log_prob - tf.reshape(level, tf.shape(top))
    is_inside = above > 0.0
    crossings = tf.stack([~is_inside[:-1] & is_inside[1:], is_inside[:-1] & ~is_inside[1:]], 1)  # [N - 1, 2, B]
    count = tf.shape(crossings)[0]
    number = numerics.with_trailing_axes(tf.range(count), crossings.shape.rank - 1)
    number = tf.sort(tf.where(crossings, number, count), 0)[:max_intervals]  # [I, 2, B]
    exists, number = number < count, tf.minimum(number, count - 1)

    def at(values, number):
        return tnp.take_along_axis(values[:, tf.newaxis], number, 0)

    left, right = at(points, number), at(points, number + 1)
    part = at(above, number) / (at(above, number) - at(above, number + 1))
    bounds = tf.where(exists, left + part * (right - left), np.nan)
    if beside:
        left = at(points, tf.maximum(number - beside, 0))
        right = at(points, tf.minimum(number + 1 + beside, count))
    return left, right, bounds
