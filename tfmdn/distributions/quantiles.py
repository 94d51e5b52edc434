"""The quantiles of a mixture, which are searched for.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import jumps, kinds, tensors

tfd = tfp.distributions


def mixture_quantile(marginals: tfd.Distribution, logits: tf.Tensor, probability: tf.Tensor, axis: int) -> tf.Tensor:
    """The y at which the weighted sum of cumulative probabilities is `probability`.

    The search runs in float64: near 0.5 a float32 cumulative probability is too coarse to resolve a narrow component of
    small weight.

    Args:
      marginals: univariate, of batch shape `[*B, K, *E]` and finite variance.
      logits: of the components, `[*B, K, *E]` or broadcastable with it.
      probability: `[*S, *B, *E]` or broadcastable with it.
      axis: the axis of K.

    Returns:
      `[*S, *B, *E]`, differentiable in `probability` and in the parameters.
    """
    check_continuous(marginals)
    logarithms = kinds.logarithm(marginals)
    if logarithms is not None:  # in log y no tail is long, and quantiles commute with exp
        return tf.exp(mixture_quantile(logarithms, logits, probability, axis))
    dtype, grid = marginals.dtype, jumps.grid(marginals, logits, axis)
    if grid is not None:  # rounding is monotone, and commutes with quantiles
        values = mixture_quantile(kinds.unrounded(marginals), logits, probability, axis)
        return grid.observed(values)
    unmoved = kinds.unmoved(marginals)
    if unmoved is not None:
        return _quantile_of_moved(*unmoved, *jumps.atoms(marginals, logits, axis), logits, probability, axis)
    marginals = tensors.map(lambda value: tf.cast(value, tf.float64), marginals)
    weights = tf.nn.softmax(tf.cast(logits, tf.float64), axis)  # float32 weights would sum to 1 only within 1e-7
    probability = tf.cast(probability, tf.float64)

    def mix(function, y):
        return tf.reduce_sum(weights * function(tf.expand_dims(y, axis)), axis)

    mean = marginals.mean()

    def cdf(y):
        p = marginals.cdf(y)  # NaN outside the support of some of TFP's families, such as gamma
        return tf.where(tf.math.is_nan(p), tf.cast(y > mean, p.dtype), p)

    bounds = _cantelli_bounds if kinds.period(marginals) is None else _cut
    low, high = bounds(marginals, weights, probability, axis)
    is_finite = tf.math.is_finite(low) & tf.math.is_finite(high)
    root = tfp.math.find_root_chandrupatla(
        lambda y: mix(cdf, y) - probability,
        tf.where(is_finite, low, 0.0),
        tf.where(is_finite, high, 0.0),
        position_tolerance=1e-9 * tf.reduce_min(marginals.stddev(), axis),
        max_iterations=100,
    ).estimated_root
    y = tf.where(is_finite, root, low + high)  # at 0 and 1 one bound is infinite, and the answer
    limits = kinds.limits(marginals)
    if limits is not None:  # or the limit is
        lowest, highest = (limit + tf.zeros_like(weights) for limit in limits)
        y = tf.maximum(tf.minimum(y, tf.reduce_max(highest, axis)), tf.reduce_min(lowest, axis))
    y = tf.stop_gradient(y)

    # The gradient of the root is that of one Newton step from it (the implicit function theorem).
    is_fixed = ~tf.math.is_finite(y)
    root = tf.where(is_fixed, tf.zeros_like(y), y)
    slope = tf.stop_gradient(mix(marginals.prob, root))
    step = (probability - mix(marginals.cdf, root)) / tf.maximum(slope, 1e-30)
    return tf.cast(tf.where(is_fixed, y, root + (step - tf.stop_gradient(step))), dtype)


def _quantile_of_moved(latent, is_moved, low, high, logits, probability, axis) -> tf.Tensor:
    """The same where values of `latent` components beyond limits `[*B, *E]` are moved there, if they `[*B, K, *E]` are.

    Between the limits, up to which no value is moved across another, quantiles are what they were. Beyond them those
    components matter alone that go on there.
    """
    between = mixture_quantile(latent, logits, probability, axis)
    y = tf.where(tf.math.is_nan(between), between, tf.minimum(tf.maximum(between, low), high))
    known = tf.get_static_value(is_moved)
    if known is not None and known.all():
        return y
    weights = tf.nn.softmax(tf.cast(logits, tf.float64), axis)
    staying = tf.where(is_moved, tf.zeros_like(weights), weights)
    total, probability = tf.reduce_sum(staying, axis), tf.cast(probability, tf.float64)

    def beyond(function, limit):
        return tf.reduce_sum(staying * tf.cast(function(tf.expand_dims(limit, axis)), tf.float64), axis)

    below, above = beyond(latent.cdf, low), beyond(latent.survival_function, high)
    is_below, is_above = (probability <= below) & (below > 0.0), (1.0 - probability < above) & (above > 0.0)
    share = tf.where(total > 0.0, total, tf.ones_like(total))
    level = tf.where(is_below, probability / share, 1.0 - (1.0 - probability) / share)
    of_staying = tf.where(is_moved & tf.expand_dims(total > 0.0, axis), tf.constant(-np.inf, logits.dtype), logits)
    level = tf.where(is_below | is_above, level, 0.5 * tf.ones_like(level))
    return tf.where(is_below | is_above, mixture_quantile(latent, of_staying, level, axis), y)


def _cantelli_bounds(marginals, weights, probability, axis) -> tuple[tf.Tensor, tf.Tensor]:
    """Cantelli's inequality: how far a quantile can be from the mean, in standard deviations of the mixture."""
    mean = tf.reduce_sum(weights * marginals.mean(), axis)
    within = tf.reduce_sum(weights * marginals.variance(), axis)
    between = tf.reduce_sum(weights * tf.square(marginals.mean() - tf.expand_dims(mean, axis)), axis)
    # A little wider than the inequality, which a two-point distribution meets with equality.
    stddev = 1.001 * tf.sqrt(within + between)
    odds = probability / (1.0 - probability)
    low, high = mean - stddev / tf.sqrt(odds), mean + stddev * tf.sqrt(odds)
    return tf.stop_gradient(low), tf.stop_gradient(high)


def _cut(marginals, weights, probability, axis) -> tuple[tf.Tensor, tf.Tensor]:
    """Where values that are periodic are cut."""
    low, high = kinds.limits(marginals)
    zeros = tf.reduce_sum(tf.zeros_like(weights * marginals.mean()), axis)
    zeros += 0.0 * tf.sqrt(probability * (1.0 - probability))  # NaN outside of [0, 1]
    return low + zeros, high + zeros


def check_continuous(components: tfd.Distribution) -> None:
    """Raises NotImplementedError if the density is not one in the usual sense."""
    if components.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
        raise NotImplementedError(
            f"Quantiles, modes and regions need continuous components. Received: {type(components).__name__}."
        )
