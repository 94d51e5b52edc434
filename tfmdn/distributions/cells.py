"""Half of E|X - X'| of two draws of a mixture, which is the integral of F (1 - F), from F and E|X - z| alone.

The line is divided into cells, at whose ends F and E|X - z| are known, and with the second the integral of F over each
cell. What is not known is how F rises within a cell. Cells are split at the mean of what X has there, those first that
count most, so that their ends gather where X does: in a smooth density, in narrow components far from each other, at
single values. The error is of second order in what X has in a cell, and of the fourth in its width where F is smooth.

That takes as many numbers as there are ends, times components: not pairs of components. And it takes them for a block
of rows at a time, in the gradient too.

Shapes in comments: R rows, r rows of a block, K components, N ends, C cells.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import deviations, kinds
from tfmdn.distributions.batching import in_blocks
from tfmdn.distributions.grids import Grid
from tfmdn.numerics import unit_of

tfd = tfp.distributions

# The first ends, in mean distances from the mean.
FIRST = (-8.0, -4.0, -2.5, -1.6, -1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 8.0)
# So many cells are split at a time, so often: more often in float64, which has digits for what that gains. Of many
# components each has a small share of the error.
SPLIT, TIMES, TIMES_OF_MANY, MANY = 16, {tf.float32: 7, tf.float64: 24}, 3, 40
# How many numbers a block has: as many as a processor has place for nearby.
BLOCK = 2**18
# What lies farther away, in mean distances, is as good as infinite; and so small a probability is none.
FARTHEST, LEAST = 1e12, 1e-12


@functools.cache
def half_difference(
    kind: type[tfd.Distribution],
    names: tuple[str, ...],
    is_many: bool,
    has_bounds: bool,
    dtype: tf.DType,
    times: int | None = None,
) -> Callable:
    """The function that integrates F (1 - F) of a mixture of components of a kind, traced once for any R and K.

    Args:
      kind: the class of univariate distributions, of which `deviations` knows E|X - y|.
      names: of the tensors that describe them.
      is_many: whether K is more than `MANY`.
      has_bounds: whether, in place of F (1 - F), F^2 is integrated below an interval and (1 - F)^2 above it.
      dtype: of all tensors.
      times: how often cells are split; None for as often as the dtype has digits.

    Returns:
      A function `(weights, values, bounds)` of tensors that have as many rows R: the weights of the components
      `[R, K]`, a list of the values `[R, K]` of each of the names, and a list of the ends `[R]` of the interval, which
      have no gradient, or an empty one. It returns `[R]`, right to about 1e-6 of the value, to 1e-7 in float64, and to
      1e-4 of mixtures of very many narrow components.
    """

    def mixture_of(weights, values):
        """The mean, the function that gives F and E|X - z| at z `[r, N]`, and the one that moves z to where F rises."""
        components = kind(**{name: value[:, tf.newaxis] for name, value in zip(names, values)})  # [r, 1, K]
        grid = kinds.grid(components)  # all have the same
        jumps = None if grid is None else Grid(grid.step[..., 0], grid.origin[..., 0])
        return *deviations.of_mixture(components, weights), functools.partial(_to_jumps, jumps)

    def integrate(weights, values, bounds):
        """Of a block: the integral, the ends z of the cells, and the derivatives by the mean, F and E|X - z|."""
        mean, at, to_jumps = mixture_of(weights, values)
        first, left_out, beyond = _first_ends(mean, at(mean)[1], to_jumps, bounds)
        splits = TIMES_OF_MANY if is_many else times or TIMES[dtype]
        more = tf.ones([tf.shape(first)[0], SPLIT * splits], mean.dtype)
        to_come = math.inf * more, more, 0.0 * more
        ends = [tf.concat(pair, -1) for pair in zip(_sorted(first, *at(first)), to_come)]

        def split(*ends):
            _, centres, importance = _cells(*ends, mean, left_out)
            chosen = tf.math.top_k(importance, SPLIT, sorted=False).indices
            infinite = math.inf * more[:, :1]
            neighbours = tf.concat([-infinite, ends[0]], -1), tf.concat([ends[0], infinite], -1)
            z = to_jumps(*(tf.gather(value, chosen, batch_dims=1) for value in (centres, *neighbours)))
            return _sorted(*(tf.concat([old[:, :-SPLIT], new], -1) for old, new in zip(ends, (z, *at(z)))))

        z, cdf, deviation = tf.while_loop(
            lambda *ends: True, split, ends, maximum_iterations=splits, parallel_iterations=1
        )
        # In units of the distances: gradients have their products, which may have no place in the dtype.
        # A mixture that is next to a point has distances of rounding alone, in whose units its place is none.
        rounding = np.finfo(z.dtype.as_numpy_dtype).eps * tf.abs(z)
        unit = unit_of(tf.reduce_max(tf.maximum(deviation, rounding), -1, keepdims=True))
        places, mean, deviation, *left_out = (value / unit for value in (z, mean, deviation, *left_out))
        with tf.GradientTape() as tape:
            tape.watch([mean, cdf, deviation])
            total = tf.reduce_sum(_cells(places, cdf, deviation, mean, left_out)[0], -1)
        of_mean, of_cdf, of_deviation = tape.gradient(total, [mean, cdf, deviation])
        return [unit[:, 0] * total + beyond, z, of_mean, unit * of_cdf, of_deviation]

    def differentiate(upstream, weights, values, z, derivatives):
        sources = [weights, *values]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            mean, at, _ = mixture_of(weights, values)
            parts = zip(derivatives, (mean, *at(z)))
            total = tf.add_n([tf.reduce_sum(derivative * value, -1) for derivative, value in parts])
        return tape.gradient(total, sources, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def traced(weights, values, bounds):
        @tf.custom_gradient
        def integral(weights, *values_and_bounds):
            values, bounds = values_and_bounds[: len(names)], values_and_bounds[len(names) :]
            size = BLOCK // (SPLIT * tf.shape(weights)[1]) + 1
            total, z, *derivatives = in_blocks(integrate, size, 5, weights, values, bounds)

            @numerics.with_infinities
            def gradient(upstream):
                block = size * SPLIT // z.shape[-1] + 1
                rows = upstream, weights, values, z, derivatives
                gradients = in_blocks(differentiate, block, 1 + len(names), *rows)
                return [*gradients, *(tf.zeros_like(bound) for bound in bounds)]

            return total, gradient

        return integral(weights, *values, *bounds)

    rows, ends = tf.TensorSpec([None, None], dtype), tf.TensorSpec([None], dtype)
    signature = [rows, [rows] * len(names), [ends] * (2 if has_bounds else 0)]
    # A partial of its own: TensorFlow would count the traces of all kinds together, and warn of too many.
    return tf.function(functools.partial(traced), autograph=False, input_signature=signature)


def _to_jumps(
    grid: Grid | None, z: tf.Tensor, left: tf.Tensor | None = None, right: tf.Tensor | None = None
) -> tf.Tensor:
    """Points where F rises, at or below z on a grid: of its values, those between the ends of a cell if it has any."""
    if grid is None:
        return z
    z = grid.last_up_to(z)
    if right is None:
        return z
    # The mean of a cell may be as good as one of its ends, where nearly all is that it has, and yet not all.
    step = grid.step + tf.zeros_like(z)
    z = tf.where((z >= right) & (right < math.inf), right - step, z)
    return tf.minimum(tf.where((z <= left) & tf.math.is_finite(left), left + step, z), right)


def _first_ends(
    mean: tf.Tensor, distance: tf.Tensor, to_jumps: Callable, bounds
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """The first ends of cells for a mean distance from the mean, and what two bounds make of them.

    Args:
      mean: `[r, 1]`.
      distance: `[r, 1]`.
      to_jumps: to which points ends are moved.
      bounds: two of `[r]`, or none.

    Returns:
      The ends `[r, N]`; the bounds `[r, 1]` as two of these; and `[r]`: how much of the line, where F is 0 or 1, lies
      between those and bounds that are so far away that they are none.
    """
    ends, left_out = [to_jumps(mean + distance * tf.constant(FIRST, mean.dtype))], []
    farthest, beyond = tf.minimum(FARTHEST * distance, 0.1 * mean.dtype.max), tf.zeros_like(mean)
    for bound, sign in zip(bounds, (-1.0, 1.0)):
        bound = bound[:, tf.newaxis]
        ends.append(mean + tf.clip_by_value(bound - mean, -farthest, farthest))
        infinite = tf.constant(sign * math.inf, mean.dtype)
        left_out.append(tf.where(sign * (bound - mean) > farthest, infinite, ends[-1]))
        beyond += tf.maximum(sign * (ends[-1] - bound), 0.0)
    return tf.concat(ends, -1), left_out, beyond[:, 0]


def _sorted(z: tf.Tensor, *others: tf.Tensor) -> list[tf.Tensor]:
    order = tf.argsort(z)
    return [tf.gather(value, order, batch_dims=1) for value in (z, *others)]


def _cells(z, cdf, deviation, mean, left_out) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of each cell the integral, where to split it, and how much that counts: `[r, C]`.

    Args:
      z: the ends of cells in order `[r, N]`, of which the last may be infinite: these are yet to come.
      cdf: F there.
      deviation: E|X - z| there.
      mean: of X, `[r, 1]`.
      left_out: ends `[r, 1]` of an interval of which nothing counts, or none.
    """
    infinite = tf.fill([tf.shape(z)[0], 1], tf.constant(math.inf, z.dtype))
    left, right = tf.concat([-infinite, z], -1), tf.concat([z, infinite], -1)
    is_lowest, is_highest, is_none = left == -math.inf, right == math.inf, left == math.inf
    is_tail = is_lowest | is_highest
    if left_out:
        is_below, is_above = right <= left_out[0], left >= left_out[1]
        is_none |= ~(is_below | is_above)
    end = tf.where(is_lowest, right, tf.where(left == math.inf, tf.zeros_like(left), left))
    width = tf.where(is_tail, tf.zeros_like(left), right - left)
    zero = tf.zeros_like(infinite)
    start, rise = tf.concat([zero, cdf], -1), tf.concat([cdf, zero + 1.0], -1) - tf.concat([zero, cdf], -1)
    from_left, from_right = tf.concat([zero, deviation], -1), tf.concat([deviation, zero], -1)
    # F rises by `rise` times a function of mean `share`. In the tails F falls as an exponential function.
    area = 0.5 * (from_right - from_left + width) - start * width
    low_area, high_area = 0.5 * (from_right + end - mean), 0.5 * (from_left - end + mean)
    of_tail = tf.where(is_lowest, low_area, high_area)
    is_flat = ~(rise * tf.where(is_tail, tf.ones_like(width), width) > LEAST * width) | ~(rise > LEAST)
    safe_rise = tf.where(is_flat, tf.ones_like(rise), rise)
    safe_width = tf.where(is_flat | ~(width > 0.0), tf.ones_like(width), width)
    share = tf.where(is_flat, 0.5 * tf.ones_like(area), tf.clip_by_value(area / safe_width / safe_rise, 0.0, 1.0))
    variance = share * (1.0 - share) / 3.0
    square = tf.square(share) + variance
    if left_out:  # of F below, of 1 - F above
        first, slope = tf.where(is_below, start, 1.0 - start), tf.where(is_below, rise, -rise)
        inner = tf.square(first) + slope * (2.0 * first * share + slope * square)
    else:
        inner = start * (1.0 - start) + rise * ((1.0 - 2.0 * start) * share - rise * square)
    # What is left of a tail may be rounding alone: divided by as good as no rise, it would be far away.
    rounding = 4.0 * np.finfo(z.dtype.as_numpy_dtype).eps * (from_left + from_right)
    distance = tf.where(is_flat | ~(of_tail > rounding), tf.zeros_like(area), of_tail / safe_rise)
    if left_out:  # where nothing lies outside, the score is 0
        of_tail = tf.where(of_tail <= 0.25 * rounding, tf.zeros_like(of_tail), of_tail)
    integral = tf.where(is_tail, of_tail * (0.5 * rise if left_out else 1.0 - 0.5 * rise), width * inner)
    centre = end + tf.where(is_tail, tf.where(is_lowest, -distance, distance), width * (1.0 - share))
    importance = tf.where(is_tail, 0.5 * of_tail * rise, width * tf.square(rise) * variance)
    nothing = tf.zeros_like(integral)
    return tf.where(is_none, nothing, integral), tf.stop_gradient(centre), tf.where(is_none, nothing - 1.0, importance)
