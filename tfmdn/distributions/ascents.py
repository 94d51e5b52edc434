"""Where climbs up the density of a mixture end.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import (
    climbs,
    coarse_modes,
    coarsened,
    crossings,
    folding,
    kinds,
    quantiles,
    reflected,
    reflected_joint,
    tensors,
)
from tfmdn.distributions.mean_shifts import mean_shift

tfd = tfp.distributions
tnp = tf.experimental.numpy

MAX_STEPS = 500
# Where a step may overshoot, the best of it and of these parts of it is taken.
SHORTER_STEPS = [0.4, 0.15, 0.05, 0.01]


def heights(mixture: tfd.MixtureSameFamily, y: tf.Tensor) -> tf.Tensor:
    """The log density of y `[P, *B, *E]`, or what is comparable with it: `[P, *B]`."""
    is_coarse = isinstance(tensors.under_independent(mixture.components_distribution), coarsened.CoarsenedNormal)
    return coarse_modes.heights(mixture, y) if is_coarse else mixture.log_prob(y)


def has_jumps(mixture: tfd.MixtureSameFamily) -> bool:
    """Whether single values can have a probability."""
    return kinds.has_jumps(tensors.under_independent(mixture.components_distribution))


def tops(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """Where a climb from each component's centre ends, `[K, *B, *E]`."""
    components = mixture.components_distribution
    quantiles.check_continuous(components)
    return _tops_of(tensors.under_independent(components), mixture)


@functools.singledispatch
def _tops_of(inner: tfd.Distribution, mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    return _climb(mixture, mixture.components_distribution.mode())


@_tops_of.register
def _(inner: tfd.LogNormal, mixture):
    return tf.exp(tops(_log_of_lognormals(mixture)))


@_tops_of.register
def _(inner: reflected.ReflectedNormal, mixture):
    return _climb(mixture, inner.interval.fold(inner.loc))


@_tops_of.register
def _(inner: reflected_joint.ReflectedMultivariateNormal, mixture):
    centres = inner.interval.fold(inner.loc)
    of_rows = _for_each_row(mixture, centres)
    low, high = (_for_each_row(mixture, limit + tf.zeros_like(centres)) for limit in (inner.low, inner.high))
    low, high = tf.reduce_max(low, -2), tf.reduce_min(high, -2)  # [B, D]
    within = [
        tf.where(tf.math.is_finite(low), low, tf.reduce_min(of_rows, -2)),
        tf.where(tf.math.is_finite(high), high, tf.reduce_max(of_rows, -2)),
    ]
    return folding.Interval(low, high).fold(_climb(_unfolded(mixture), centres, within))


@_tops_of.register
def _(inner: coarsened.CoarsenedNormal, mixture):
    points = coarse_modes.candidates(mixture, tops(coarse_modes.latent(mixture)))
    if mixture.event_shape.rank:
        # Where some coordinates are at limits, the others may be higher elsewhere than where they came from.
        points = _climb(mixture, tnp.moveaxis(points, 0, -2))
    return points


def _for_each_row(mixture: tfd.MixtureSameFamily, values: tf.Tensor) -> tf.Tensor:
    """Values of the components, which broadcast to `[*B, K, *E]`, of that shape."""
    first = values.shape.rank - 1 - mixture.event_shape.rank
    shape = tf.concat([mixture.batch_shape_tensor(), tf.shape(values)[first:]], 0)
    # TensorFlow forgets in a graph what is known of the shape.
    return tf.ensure_shape(tf.broadcast_to(values, shape), mixture.batch_shape + values.shape[first:])


def _climb(mixture: tfd.MixtureSameFamily, centres: tf.Tensor, limits: list[tf.Tensor] | None = None) -> tf.Tensor:
    """Where climbs end that start at `centres` `[*B, S, *E]`, and where else components may pile up: `[S, *B, *E]`."""
    components = mixture.components_distribution
    event_rank = mixture.event_shape.rank
    # [S, B, E]: one search from each centre, as samples
    starts = tnp.moveaxis(_for_each_row(mixture, centres), -1 - event_rank, 0)
    starts = tf.concat(
        [starts, *crossings.further_starts(mixture, starts, functools.partial(heights, mixture), limits)], 0
    )
    move = mean_shift(components, event_rank)
    parts = SHORTER_STEPS if kinds.may_overshoot(components) else []
    narrowest = tf.reduce_min(kinds.width(tensors.under_independent(components)), -1 - event_rank)  # [B, E]
    rounding = 4.0 * np.finfo(mixture.dtype.as_numpy_dtype).eps
    # Neither the shorter way round nor between values with a probability.
    may_leap = kinds.period(components) is None and not has_jumps(mixture)
    height = functools.partial(heights, mixture)

    def moved(y):
        responsibilities = mixture.posterior_marginal(y).probs_parameter()  # [S, B, K]
        end = tf.ensure_shape(move(responsibilities, y), y.shape)  # a graph may not know it
        if not parts:
            return end
        shorter = tf.stack([y + part * (end - y) for part in (1.0, *parts)])
        return numerics.choose(shorter, tf.argmax(mixture.log_prob(shorter), 0))

    def step(index, y, _):
        first = moved(y)
        second = moved(first)
        end = climbs.farther(height, y, first, second, narrowest, event_rank) if may_leap else second
        still = tf.maximum(1e-6 * narrowest, rounding * tf.abs(y))
        is_moving = tf.abs(kinds.difference(components, end, y)) > still
        if event_rank:
            is_moving = tf.reduce_any(is_moving, -1, keepdims=True)
        # A climb that has ended stays there, however long others take.
        return index + 2, tf.where(is_moving, end, y), tf.reduce_any(is_moving)

    _, ends, _ = tf.while_loop(
        lambda index, _, moving: moving & (index < MAX_STEPS), step, (0, starts, tf.constant(True))
    )
    # A Laplace's peak is a cusp that a climb comes close to but never meets: it may have started there.
    at_end, at_start = tf.unstack(heights(mixture, tf.stack([ends, starts])), num=2)
    return tf.where(numerics.with_trailing_axes(at_end > at_start, event_rank), ends, starts)


def _unfolded(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """A mixture of normals, the reflections of the components among them, as high within the limits as the mixture."""
    centres, factors, log_weights = mixture.components_distribution.images()
    logits = mixture.mixture_distribution.logits_parameter()[..., tf.newaxis] + log_weights
    shape = tf.shape(logits)  # [B, K, I]
    loc = tf.broadcast_to(centres, tf.concat([shape, tf.shape(centres)[-1:]], 0))
    scale_tril = tf.broadcast_to(factors, tf.concat([shape, tf.shape(factors)[-2:]], 0))
    logits, loc, scale_tril = (
        numerics.merge_axis(value, axis) for value, axis in ((logits, -1), (loc, -2), (scale_tril, -3))
    )
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), tfd.MultivariateNormalTriL(loc, scale_tril))


def _log_of_lognormals(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """A mixture of normals in u = log y that is as high at each u, up to a factor, as the mixture is at y.

    N(u; loc, scale) exp(-u) is exp(scale^2 / 2 - loc) N(u; loc - scale^2, scale), with exp(-u) from the change of
    variable.
    """
    values = tensors.parameters(mixture.components_distribution)  # [B, K, E]
    loc, scale = values["loc"], values["scale"]
    factor = 0.5 * tf.square(scale) - loc
    event_rank = mixture.event_shape.rank
    logits = mixture.mixture_distribution.logits_parameter() + (tf.reduce_sum(factor, -1) if event_rank else factor)
    normals = tfd.Normal(loc - tf.square(scale), scale)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), tfd.Independent(normals, event_rank))
