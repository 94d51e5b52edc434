"""The peaks of a mixture's density, which are climbed to.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import (
    climbs,
    coarse_modes,
    coarsened,
    compiled,
    folding,
    kinds,
    quantiles,
    reflected,
    reflected_joint,
    tensor_like,
    tensors,
)

tfd = tfp.distributions
tnp = tf.experimental.numpy

# How near to its centre a component's pull is still resolved, in standard deviations (a Laplace's is infinite there).
NEAREST = 1e-4
MAX_STEPS = 500
# Where a step may overshoot, the best of it and of these parts of it is taken.
SHORTER_STEPS = [0.4, 0.15, 0.05, 0.01]
# Where to look for a dip between two points, in parts of their distance: peaks can be far narrower than that.
WAY_TO_A_PEAK = 0.5 * 0.25 ** np.arange(12)


class Modes(NamedTuple):
    """Peaks of a density from the highest down: `points` `[M, *B, *E]`, `log_prob` `[M, *B]`.

    Where a row has fewer than M peaks, the points end with NaN and their log density with -inf.
    """

    points: tf.Tensor
    log_prob: tf.Tensor


def highest_density_point(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The y `[*B, *E]` of highest density, as far as a climb from some component's centre leads to it."""
    return _highest(mixture) if _has_jumps(mixture) else compiled.by_graph(_highest, mixture)


def _highest(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    wide = _wide(mixture)
    points = _tops(wide)
    highest = numerics.choose(points, tf.argmax(_heights(wide, points), 0))
    return tf.stop_gradient(tf.cast(highest, mixture.dtype))


def modes(mixture: tfd.MixtureSameFamily, max_modes: int) -> Modes:
    """The highest `max_modes` peaks of the density, of those that climbs from the components' centres lead to.

    Two climbs have reached the same peak if the density does not dip on the way from the lower to the higher end.
    """
    if _has_jumps(mixture):  # whose graph takes longer to trace than it saves
        return _modes(mixture, max_modes)
    return compiled.by_graph(_modes, mixture, max_modes, axis=1)


def _modes(mixture: tfd.MixtureSameFamily, max_modes: int) -> Modes:
    dtype, mixture = mixture.dtype, _wide(mixture)
    points = _tops(mixture)  # [K, B, E]
    heights = _heights(mixture, points)  # [K, B]
    rounding = 32.0 * np.finfo(mixture.dtype.as_numpy_dtype).eps * (1.0 + tf.abs(heights))

    def take_highest(index, remaining, peaks, log_probs):
        best = tf.argmax(remaining, 0)
        height = tf.reduce_max(remaining, 0)  # [B]
        peak = numerics.choose(points, best)  # [B, E]
        way = kinds.difference(mixture.components_distribution, peak, points)
        between = [points + part * way for part in WAY_TO_A_PEAK]
        if has_jumps:
            between = [tf.stack([*between, coarse_modes.neighbour(mixture, points, way)])]  # of many operations each
        is_apart = [tf.reduce_any(_heights(mixture, y) < heights - rounding, axes) for y in between]
        remaining = tf.where(tf.reduce_any(is_apart, 0), remaining, -np.inf)
        is_peak = numerics.with_trailing_axes(height > -np.inf, mixture.event_shape.rank)
        peaks = tf.tensor_scatter_nd_update(peaks, [[index]], [tf.where(is_peak, peak, np.nan)])
        log_prob = tf.where(height > -np.inf, mixture.log_prob(peak), -np.inf) if has_jumps else height
        return index + 1, remaining, peaks, tf.tensor_scatter_nd_update(log_probs, [[index]], [log_prob])

    has_jumps = _has_jumps(mixture)
    axes = [0] if has_jumps else []  # of points on the way, side by side
    batch_shape = tf.shape(heights)[1:]
    no_peaks = tf.fill(tf.concat([[max_modes], tf.shape(points)[1:]], 0), tf.constant(np.nan, mixture.dtype))
    no_log_probs = tf.fill(tf.concat([[max_modes], batch_shape], 0), tf.constant(-np.inf, mixture.dtype))
    _, _, peaks, log_probs = tf.while_loop(
        lambda index, remaining, *_: (index < max_modes) & tf.reduce_any(remaining > -np.inf),
        take_highest,
        (0, heights, no_peaks, no_log_probs),
    )
    return Modes(*(tf.stop_gradient(tf.cast(values, dtype)) for values in (peaks, log_probs)))


def _wide(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """The mixture in float64, in which it can be told how much higher a step leads; itself if that is unknown."""
    try:
        return tensor_like.cast(mixture, tf.float64)
    except NotImplementedError:
        return mixture


def _has_jumps(mixture: tfd.MixtureSameFamily) -> bool:
    return kinds.has_jumps(tensors.under_independent(mixture.components_distribution))


def _heights(mixture: tfd.MixtureSameFamily, y: tf.Tensor) -> tf.Tensor:
    """The log density of y `[P, *B, *E]`, or what is comparable with it: `[P, *B]`."""
    is_coarse = isinstance(tensors.under_independent(mixture.components_distribution), coarsened.CoarsenedNormal)
    return coarse_modes.heights(mixture, y) if is_coarse else mixture.log_prob(y)


def _tops(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """Where a climb from each component's centre ends, `[K, *B, *E]`.

    y is moved to the average of all centres, weighted by how strongly each component pulls: the mean shift of
    Carreira-Perpinan (2000, "Mode-finding for mixtures of Gaussian distributions"), with the pull of other families
    than the normal found from the slope of their density. Each step raises the density.
    """
    components = mixture.components_distribution
    quantiles.check_continuous(components)
    return _tops_of(tensors.under_independent(components), mixture)


@functools.singledispatch
def _tops_of(inner: tfd.Distribution, mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    return _climb(mixture, mixture.components_distribution.mode())


@_tops_of.register
def _(inner: tfd.LogNormal, mixture):
    return tf.exp(_tops(_log_of_lognormals(mixture)))


@_tops_of.register
def _(inner: reflected.ReflectedNormal, mixture):
    return _climb(mixture, inner.interval.fold(inner.loc))


@_tops_of.register
def _(inner: reflected_joint.ReflectedMultivariateNormal, mixture):
    centres = inner.interval.fold(inner.loc)
    limits = [
        tnp.moveaxis(_for_each_row(mixture, limit + tf.zeros_like(centres)), -2, 0) for limit in (inner.low, inner.high)
    ]
    return folding.Interval(*limits).fold(_climb(_unfolded(mixture), centres))


@_tops_of.register
def _(inner: coarsened.CoarsenedNormal, mixture):
    points = coarse_modes.candidates(mixture, _tops(coarse_modes.latent(mixture)))
    if mixture.event_shape.rank:
        # Where some coordinates are at limits, the others may be higher elsewhere than where they came from.
        points = _climb(mixture, tnp.moveaxis(points, 0, -2))
    return points


def _for_each_row(mixture: tfd.MixtureSameFamily, values: tf.Tensor) -> tf.Tensor:
    """Values of the components, which broadcast to `[*B, K, *E]`, of that shape."""
    trailing = tf.shape(values)[values.shape.rank - 1 - mixture.event_shape.rank :]
    return tf.broadcast_to(values, tf.concat([mixture.batch_shape_tensor(), trailing], 0))


def _climb(mixture: tfd.MixtureSameFamily, centres: tf.Tensor) -> tf.Tensor:
    """Where climbs end that start at `centres` `[*B, S, *E]`, `[S, *B, *E]`."""
    components = mixture.components_distribution
    event_rank = mixture.event_shape.rank
    # [S, B, E]: one search from each centre, as samples
    starts = tnp.moveaxis(_for_each_row(mixture, centres), -1 - event_rank, 0)
    move = mean_shift(components, event_rank)
    parts = SHORTER_STEPS if kinds.may_overshoot(components) else []
    narrowest = tf.reduce_min(kinds.width(tensors.under_independent(components)), -1 - event_rank)  # [B, E]
    rounding = 4.0 * np.finfo(mixture.dtype.as_numpy_dtype).eps
    # Neither the shorter way round nor between values with a probability.
    may_leap = kinds.period(components) is None and not _has_jumps(mixture)
    heights = functools.partial(_heights, mixture)

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
        end = climbs.farther(heights, y, first, second, narrowest, event_rank) if may_leap else second
        still = tf.maximum(1e-6 * narrowest, rounding * tf.abs(y))
        return index + 2, end, tf.reduce_any(tf.abs(kinds.difference(components, end, y)) > still)

    _, ends, _ = tf.while_loop(
        lambda index, _, moving: moving & (index < MAX_STEPS), step, (0, starts, tf.constant(True))
    )
    # A Laplace's peak is a cusp that a climb comes close to but never meets: it may have started there.
    has_climbed = _heights(mixture, ends) > _heights(mixture, starts)
    return tf.where(numerics.with_trailing_axes(has_climbed, event_rank), ends, starts)


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
def _(components: tfd.MultivariateNormalLinearOperator, event_rank):
    """Mean shift with each component's precision matrix in the place of its pull."""
    loc = components.mean()  # [B, K, D]
    precision = tf.linalg.inv(components.covariance())  # [B, K, D, D]
    pull_to_loc = tf.linalg.matvec(precision, loc)  # [B, K, D]

    def move(responsibilities, y):
        total = tf.einsum("...k,...kij->...ij", responsibilities, precision)  # [S, B, D, D]
        target = tf.einsum("...k,...ki->...i", responsibilities, pull_to_loc)  # [S, B, D]
        return tf.linalg.solve(total, target[..., tf.newaxis])[..., 0]

    return move


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
