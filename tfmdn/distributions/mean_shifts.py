"""Steps that lead up the density of a mixture, whatever its components: the mean shift.

y is moved to the average of all centres, weighted by how strongly each component pulls: the mean shift of
Carreira-Perpinan (2000, "Mode-finding for mixtures of Gaussian distributions"), with the pull of other families than
the normal found from the slope of their density. Each step raises the density.

Shapes in comments: S samples, B batch, K components, E event, D coordinates, I images.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import coarsened, reflected, small_matrices, tensors

tfd = tfp.distributions

# How near to its centre a component's pull is still resolved, in standard deviations (a Laplace's is infinite there).
NEAREST = 1e-4


@functools.singledispatch
def mean_shift(components: tfd.Distribution, event_rank: int):
    """The function of responsibilities `[S, B, K]` and y `[S, B, E]` that moves y to the weighted mean of centres."""
    marginals = tensors.marginals(components)
    centres = marginals.mode()  # [B, K, E]
    nearest = NEAREST * marginals.stddev()
    axis = -1 - event_rank

    def move(responsibilities, y):
        offset = tf.expand_dims(y, axis) - centres  # [S, B, K, E]
        offset = tf.where(tf.abs(offset) < nearest, nearest, offset)
        slope = tfp.math.value_and_gradient(lambda offset: marginals.log_prob(centres + offset), offset)[1]
        pull = tf.maximum(-slope / offset, 0.0)
        weights = numerics.with_trailing_axes(responsibilities, event_rank) * pull
        return tf.reduce_sum(weights * centres, axis) / tf.reduce_sum(weights, axis)

    return move


@mean_shift.register
def _(components: tfd.Independent, event_rank):
    inner = components.distribution
    return mean_shift(tensors.marginals(components) if inner.event_shape.rank else inner, event_rank)


@mean_shift.register
def _(marginals: reflected.ReflectedNormal, event_rank):
    """Mean shift with the normals and their reflections as components."""
    interval, scale = marginals.interval, marginals.scale  # [B, K, E]
    exists, centres = map(tf.stack, zip(*interval.images(interval.fold(marginals.loc))))  # [I, B, K, E]
    axis = -1 - event_rank

    def move(responsibilities, y):
        z = (tf.expand_dims(y, axis)[tf.newaxis] - centres[:, tf.newaxis]) / scale  # [I, S, B, K, E]
        shares = tf.nn.softmax(tf.where(exists[:, tf.newaxis], -0.5 * tf.square(z), -np.inf), 0)
        centre = tf.reduce_sum(shares * centres[:, tf.newaxis], 0)
        weights = numerics.with_trailing_axes(responsibilities, event_rank) / tf.square(scale)
        return tf.reduce_sum(weights * centre, axis) / tf.reduce_sum(weights, axis)

    return move


@mean_shift.register
def _(marginals: coarsened.CoarsenedNormal, event_rank):
    """Mean shift of those coordinates that have a density, within the limits."""
    move_latent, axis = mean_shift(marginals.latent, event_rank), -1 - event_rank
    low, high = (tf.reduce_max(limit + tf.zeros_like(marginals.loc), axis) for limit in marginals.limits)

    def move(responsibilities, y):
        has_density = ~tf.reduce_any(marginals.grid.exists | marginals.is_atom(tf.expand_dims(y, axis)), axis)
        moved = tf.minimum(tf.maximum(move_latent(responsibilities, y), low), high)
        return tf.where(has_density, moved, y)

    return move


@mean_shift.register
def _(components: tfd.MultivariateNormalDiag, event_rank):
    """Mean shift with each coordinate's pull, which is the same everywhere."""
    centres, pull = components.mean(), tf.math.reciprocal(tf.square(components.scale.diag_part()))  # [B, K, D]

    def move(responsibilities, y):
        weights = responsibilities[..., tf.newaxis] * pull  # [S, B, K, D]
        return tf.reduce_sum(weights * centres, -2) / tf.reduce_sum(weights, -2)

    return move


@mean_shift.register
def _(components: tfd.MultivariateNormalLinearOperator, event_rank):
    """Mean shift with each component's precision matrix in the place of its pull."""
    # Seen from their middle, centres far from 0 lose no digits.
    middle = tf.reduce_mean(components.mean(), -2)  # [B, D]
    loc = components.mean() - middle[..., tf.newaxis, :]  # [B, K, D]
    size = components.event_shape[0]
    precision = tf.ensure_shape(
        small_matrices.precision(components), [*[None] * (components.batch_shape.rank), size, size]
    )
    pull_to_loc = tf.linalg.matvec(precision, loc)  # [B, K, D]

    def move(responsibilities, y):
        total = tf.einsum("...k,...kij->...ij", responsibilities, precision)  # [S, B, D, D]
        total = tf.ensure_shape(total, [*[None] * (total.shape.rank - 2), size, size])
        target = tf.einsum("...k,...ki->...i", responsibilities, pull_to_loc)  # [S, B, D]
        return y + small_matrices.solve(total, target - tf.linalg.matvec(total, y - middle))

    return move
