"""Which values of coarsened components are the most probable, and how probabilities and densities are compared.

An atom is compared with a density as far as its probability is spread over a hundredth of the mixture's standard
deviation on either side. The highest point is then the best guess if a guess counts as right that is so near, which is
what a mode is of a density where the tolerance goes to 0.

Shapes in comments: P points, O other values, B batch, K components, E event.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import densities, jumps, tensors
from tfmdn.distributions.grids import Grid

tfd = tfp.distributions
tnp = tf.experimental.numpy

TOLERANCE = 0.01
# How many values of a grid the most probable one may be away from the rounded peak of what is rounded.
STEPS = 3


def heights(mixture: tfd.MixtureSameFamily, y: tf.Tensor) -> tf.Tensor:
    """The log density of y `[P, *B, *E]`, or what counts as that where it has a probability: `[P, *B]`."""
    marginals, event_rank = tensors.under_independent(mixture.components_distribution), mixture.event_shape.rank
    y = tensors.beside_components(mixture, y)  # [P, B, 1, E]
    log_prob = marginals.log_prob(y)
    spread = tf.math.log(2.0 * TOLERANCE * mixture.stddev() + np.finfo(mixture.dtype.as_numpy_dtype).tiny)
    spread = log_prob - tensors.beside_components(mixture, spread)
    density = densities.log_prob(marginals.latent, y)
    height = tf.where(marginals.is_atom(y), tf.maximum(spread, density), log_prob)
    height = tf.reduce_sum(height, list(range(-event_rank, 0)))  # [P, B, K]
    log_weights = tf.math.log_softmax(mixture.mixture_distribution.logits_parameter())
    return numerics.log_sum_exp(log_weights + height, -1)


def latent(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """The mixture of what is observed coarsely."""
    components = tensors.under_independent(mixture.components_distribution).latent
    if mixture.event_shape.rank:
        components = tfd.Independent(components, mixture.event_shape.rank)
    return tfd.MixtureSameFamily(mixture.mixture_distribution, components)


def candidates(mixture: tfd.MixtureSameFamily, peaks: tf.Tensor) -> tf.Tensor:
    """What may be the mode, given the peaks `[P, *B, *E]` of the `latent` mixture: as they are observed, and limits.

    Scalars have all limits as candidates, of `[P + 2, *B]`. Of vectors they would be very many: each peak is also taken
    with those coordinates moved to a limit, one after the other, that are higher there, `[2 P, *B, D]`. On a grid each
    candidate then climbs to neighbouring values.
    """
    low, high, grid = _ends(mixture)
    points = grid.nearest(tf.minimum(tf.maximum(peaks, low), high))
    limits = [tf.where(tf.math.is_finite(limit), limit + tf.zeros_like(points), points) for limit in (low, high)]
    if not mixture.event_shape.rank:
        points = tf.concat([points, *(limit[:1] for limit in limits)], 0)
    else:
        points = tf.concat([points, _best(mixture, points, limits)], 0)
    if jumps.grid(*_marginals(mixture)) is None:
        return points
    for _ in range(STEPS):
        neighbours = [grid.nearest(tf.clip_by_value(points + step, low, high)) for step in (-grid.step, grid.step)]
        points = _best(mixture, points, neighbours)
    return points


def neighbour(mixture: tfd.MixtureSameFamily, y: tf.Tensor, way: tf.Tensor) -> tf.Tensor:
    """The next value of the grid on a way from y `[P, *B, *E]`; y where there is no grid."""
    return y + tf.sign(way) * _ends(mixture)[2].step


def _best(mixture: tfd.MixtureSameFamily, points: tf.Tensor, others: list[tf.Tensor]) -> tf.Tensor:
    """The points `[P, *B, *E]`, with one coordinate after the other replaced by another value if that is higher."""
    event_rank = mixture.event_shape.rank
    for coordinate in range(mixture.event_shape[0] if event_rank else 1):
        chosen = tf.ones([], tf.bool)
        if event_rank:
            chosen = tf.constant(np.arange(mixture.event_shape[0]) == coordinate)
        options = tf.stack([points, *(tf.where(chosen, other, points) for other in others)])  # [O, P, B, E]
        points = numerics.choose(options, tf.argmax(heights(mixture, options), 0))
    return points


def _marginals(mixture):
    event_rank = mixture.event_shape.rank
    logits = numerics.with_trailing_axes(mixture.mixture_distribution.logits_parameter(), event_rank)
    return tensors.under_independent(mixture.components_distribution), logits, -1 - event_rank


def _ends(mixture) -> tuple[tf.Tensor, tf.Tensor, Grid]:
    """Limits and grid of each row and coordinate, `[*B, *E]`. No grid is one without a step."""
    low, high = jumps.atoms(*_marginals(mixture))
    grid = jumps.grid(*_marginals(mixture))
    return low, high, Grid(None, tf.zeros_like(low)) if grid is None else grid
