"""Highest density regions where single values have a probability.

Shapes in comments: V values of a grid, I intervals, A atoms, B batch, K components, E event.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import coarse_modes, jumps, kinds, regions
from tfmdn.distributions.grids import Grid

tfd = tfp.distributions
tnp = tf.experimental.numpy

# An atom of no more than this probability counts as one of the density's points.
LEAST_ATOM = 1e-3
# How many values of a grid are looked at one by one; of more the density before it was rounded tells as much.
MOST_VALUES, BLOCK = 1000, 32
# In standard deviations: how near to a limit the density is looked at, and from where on an end is that limit.
NEXT_TO_LIMIT = 1e-6


def highest_density_region(mixture: tfd.MixtureSameFamily, coverage: float) -> tf.Tensor:
    """The region of a scalar mixture with probabilities of single values: `[K + 2, *B, 2]`, from left to right.

    A value with a probability is infinitely dense: atoms come first, from the most probable on, and the density has
    what is left of `coverage`. On a grid it is the smallest set of values that has this probability.
    """
    components, logits = mixture.components_distribution, mixture.mixture_distribution.logits_parameter()
    grid = jumps.grid(components, logits, -1)
    if grid is None:
        return _of_atoms_and_density(mixture, coverage)
    tail = (1.0 - coverage) / 64.0
    first, last = tf.unstack(mixture.quantile([tail, 1.0 - tail]))
    # Where there is no grid in some rows, their values are as good as on a very fine one.
    count = tf.where(grid.exists, (last - first) / tf.where(grid.exists, grid.step, 1.0) + 1.5, math.inf)
    count = tf.reduce_max(count)
    return tf.cond(
        count <= MOST_VALUES,
        lambda: _of_values(mixture, coverage, grid, first, last, tf.cast(count, tf.int32)),
        lambda: _of_many_values(mixture, coverage, grid),
    )


def _of_values(mixture, coverage, grid: Grid, first: tf.Tensor, last: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The smallest set of values between two quantiles, of which there are at most `count` in each row."""
    blocks = tf.reshape(tf.range(BLOCK * ((count - 1) // BLOCK + 1)), [-1, BLOCK])

    def evaluate(numbers):
        numbers = numerics.with_trailing_axes(tf.cast(numbers, mixture.dtype), first.shape.rank)
        values = grid.nearest(first + numbers * grid.step)
        is_inside = values <= last + grid.half_step
        return values, tf.where(is_inside, mixture.prob_of(values), 0.0)

    values, probability = (
        tf.reshape(part, tf.concat([[-1], tf.shape(part)[2:]], 0))
        for part in tf.map_fn(evaluate, blocks, fn_output_signature=(mixture.dtype, mixture.dtype))
    )
    # Of values that are as probable but for rounding the first come first, and are not scattered.
    order = tf.argsort(-tf.round(tf.math.log(probability) * 1e6), 0, stable=True)
    up_to = tf.cumsum(tnp.take_along_axis(probability, order, 0), 0, exclusive=True)
    is_chosen = tnp.take_along_axis(up_to < coverage, tf.argsort(order, 0), 0) & (probability > 0.0)
    nothing = tf.zeros_like(is_chosen[:1])
    is_first = is_chosen & ~tf.concat([nothing, is_chosen[:-1]], 0)
    is_last = is_chosen & ~tf.concat([is_chosen[1:], nothing], 0)
    return _paired(values, is_first, values, is_last, _max_intervals(mixture))


def _of_many_values(mixture, coverage, grid: Grid) -> tf.Tensor:
    """The values whose cells meet the region of what is rounded."""
    components = kinds.unrounded(mixture.components_distribution)
    region = grid.nearest(
        tnp.moveaxis(_of_atoms_and_density(mixture.copy(components_distribution=components), coverage), -1, 0)
    )
    return _joined(*tf.unstack(region), 1.5 * grid.step, _max_intervals(mixture))


def _of_atoms_and_density(mixture, coverage) -> tf.Tensor:
    """Atoms, and the region of the density between and beside them."""
    components, logits = mixture.components_distribution, mixture.mixture_distribution.logits_parameter()
    mean = mixture.mean()
    atoms = tf.stack([atom + tf.zeros_like(mean) for atom in jumps.atoms(components, logits, -1)])  # [A, B]
    exists = tf.math.is_finite(atoms)
    atoms = tf.where(exists, atoms, mean)
    probability = tf.where(exists, mixture.prob_of(atoms), 0.0)
    is_first = probability[0] >= probability[1]
    before = tf.stack([tf.where(~is_first, probability[1], 0.0), tf.where(is_first, probability[0], 0.0)])
    counts = (probability > LEAST_ATOM) & (before < coverage)
    rest = coverage - tf.reduce_sum(tf.where(counts, probability, 0.0), 0)
    next_to = tf.maximum(
        NEXT_TO_LIMIT * mixture.stddev(), 64.0 * np.finfo(mixture.dtype.as_numpy_dtype).eps * tf.abs(atoms)
    )
    latent = coarse_modes.latent(mixture)

    def density_at(y):
        is_at = [tf.abs(y - atom) < 0.5 * near for atom, near in zip(tf.unstack(atoms), tf.unstack(next_to))]
        log_prob = tf.where(tf.reduce_any(is_at, 0), latent.log_prob(y), mixture.log_prob(y))
        passed = [tf.where(y >= atom, part, 0.0) for atom, part in zip(tf.unstack(atoms), tf.unstack(probability))]
        return log_prob, mixture.cdf(y) - tf.add_n(passed)

    points = tf.concat([atoms - next_to, atoms, atoms + next_to], 0)
    region = regions.highest_density_region(latent, coverage, rest, density_at, points)  # [I, B, 2]
    region = tf.where(rest[..., tf.newaxis] > 0.0, region, math.nan)
    for atom, near in zip(tf.unstack(atoms), tf.unstack(next_to)):
        region = tf.where(
            tf.abs(region - atom[..., tf.newaxis]) <= near[..., tf.newaxis], atom[..., tf.newaxis], region
        )
    alone = tf.where(counts, atoms, math.nan)
    first, last = (tf.concat([alone, end], 0) for end in tf.unstack(region, axis=-1))
    return _joined(first, last, tf.zeros_like(rest), _max_intervals(mixture))


def _max_intervals(mixture) -> int:
    return mixture.components_distribution.batch_shape[-1] + 2


def _joined(first: tf.Tensor, last: tf.Tensor, gap: tf.Tensor, max_intervals: int) -> tf.Tensor:
    """Intervals `[I, *B]`, NaN where there is none, of which those are one that are no farther than `gap` apart."""
    first, last = (tf.where(tf.math.is_nan(end), tf.constant(math.inf, end.dtype), end) for end in (first, last))
    order = tf.argsort(first, 0, stable=True)
    first, last = (tnp.take_along_axis(end, order, 0) for end in (first, last))
    reached = tfp.math.scan_associative(tf.maximum, last)
    is_apart = first[1:] > reached[:-1] + gap
    exists = tf.math.is_finite(first)
    everywhere = tf.ones_like(exists[:1])
    is_first = exists & tf.concat([everywhere, is_apart], 0)
    is_last = exists & tf.concat([is_apart | ~exists[1:], everywhere], 0)
    return _paired(first, is_first, reached, is_last, max_intervals)


def _paired(first, is_first, last, is_last, max_intervals: int) -> tf.Tensor:
    """Of ascending values `[N, *B]` the first and the last ones of intervals, side by side: `[I, *B, 2]`."""
    missing = tf.fill(tf.concat([[max_intervals], tf.shape(first)[1:]], 0), tf.constant(math.inf, first.dtype))

    def chosen(values, is_chosen):
        values = tf.sort(tf.concat([tf.where(is_chosen, values, math.inf), missing], 0), 0)[:max_intervals]
        return tf.where(tf.math.is_finite(values), values, math.nan)

    return tf.stack([chosen(first, is_first), chosen(last, is_last)], -1)
