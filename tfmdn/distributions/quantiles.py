"""The quantiles of a mixture, which are searched for.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import jumps, kinds, roots, tensors

tfd = tfp.distributions
tnp = tf.experimental.numpy

# Below it a density, in any units, is that of a gap.
LEAST_SLOPE = 1e-290


def mixture_quantile(marginals: tfd.Distribution, logits: tf.Tensor, probability: tf.Tensor, axis: int) -> tf.Tensor:
    """The y at which the weighted sum of cumulative probabilities is `probability`.

    The search ends in float64: near 0.5 a float32 cumulative probability is too coarse to resolve a narrow component of
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
    dtype = marginals.dtype
    if kinds.grid(marginals) is not None:  # rounding is monotone, and commutes with quantiles
        # In float64: the nearest float32 of what lies between two values could be on the other side of the middle.
        wide = tensors.map(lambda value: tf.cast(value, tf.float64), marginals)
        grid = jumps.grid(wide, logits, axis)
        values = mixture_quantile(kinds.unrounded(wide), logits, probability, axis)
        return tf.cast(grid.observed(values), dtype)
    unmoved = kinds.unmoved(marginals)
    if unmoved is not None:
        return _quantile_of_moved(*unmoved, *jumps.atoms(marginals, logits, axis), logits, probability, axis)
    return tf.cast(_root(marginals, logits, tf.cast(probability, tf.float64), axis), dtype)


def without_rounding(probability: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Probabilities that a few rounding errors, of either dtype, have brought out of [0, 1], as its ends."""
    slack = 8.0 * max(float(np.finfo(kind.as_numpy_dtype).eps) for kind in (probability.dtype, dtype))
    is_outside = (probability > 1.0) & (probability <= 1.0 + slack) | (probability <= 0.0) & (probability >= -slack)
    return tf.where(is_outside, tf.abs(tf.round(probability)), probability)  # 0 of the sign that roots of it need


def _root(marginals, logits, probability, axis) -> tf.Tensor:
    """The quantiles in float64, of continuous components."""
    values = tensors.parameters(marginals)
    # In a gap between components quantiles hang on nothing else but the level.
    steepest = 1e-3 * float(np.finfo(marginals.dtype.as_numpy_dtype).max)
    marginals = tensors.with_parameters(marginals, values)  # of tensors, where they were variables

    @tf.custom_gradient
    def root(probability, logits, *parameters):
        y = _searched(marginals, dict(zip(values, parameters)), logits, probability, axis)

        @numerics.with_infinities
        def gradient(upstream):
            """That of one Newton step from the root (the implicit function theorem)."""
            is_fixed = ~tf.math.is_finite(y)
            at = tf.expand_dims(tf.where(is_fixed, tf.zeros_like(y), y), axis)
            arguments = [probability, logits, *parameters]
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                weights = tf.nn.softmax(tf.cast(logits, tf.float64), axis)
                wide = {name: tf.cast(value, tf.float64) for name, value in zip(values, parameters)}
                components = tensors.with_parameters(marginals, wide)
                slope = tf.stop_gradient(tf.reduce_sum(weights * components.prob(at), axis))
                step = (probability - tf.reduce_sum(weights * components.cdf(at), axis)) / tf.maximum(
                    slope, LEAST_SLOPE
                )
                step = tf.where(is_fixed, tf.zeros_like(step), step)
            gradients = tape.gradient(step, arguments, upstream, unconnected_gradients="zero")
            return [tf.clip_by_value(each, -steepest, steepest) for each in gradients]

        return y, gradient

    return root(probability, logits, *values.values())


def _searched(marginals, values, logits, probability, axis) -> tf.Tensor:
    """The same without a gradient, by one row of the search for each row of the batch and each coordinate."""
    logits, *parameters = (tnp.moveaxis(value, axis, -1) for value in (logits, *values.values()))  # [*B, *E, K]
    components = _common_shape(logits, *parameters)
    shape = _common_shape(probability, tf.zeros(components[:-1], tf.bool))  # [*S, *B, *E]
    num_rows_axes = max(value.shape.rank for value in (logits, *parameters)) - 1
    leading = probability.shape.rank - num_rows_axes if probability.shape.rank > num_rows_axes else 0
    rows, num_components = shape[leading:], components[-1]
    num_rows, num_levels = tf.reduce_prod(rows), tf.reduce_prod(shape[:leading])

    def as_rows(value):
        return tf.reshape(tf.broadcast_to(value, tf.concat([rows, [num_components]], 0)), [num_rows, num_components])

    levels = tf.transpose(tf.reshape(tf.broadcast_to(probability, shape), [num_levels, num_rows]))
    of_rows = dict(zip(values, map(as_rows, parameters)))
    found = tf.reshape(tf.transpose(roots.search(marginals, of_rows, as_rows(logits), levels)), shape)
    static_shapes = [probability.shape, *(value.shape[:-1] for value in (logits, *parameters))]
    # TensorFlow forgets in a graph what is known of the shapes.
    found.set_shape(functools.reduce(tf.broadcast_static_shape, static_shapes))
    return found


def _common_shape(*tensors: tf.Tensor) -> tf.Tensor:
    """The shape that tensors broadcast to, in a graph a constant if it is known."""
    if all(tensor.shape.is_fully_defined() for tensor in tensors):
        return tf.constant(np.broadcast_shapes(*(tuple(tensor.shape) for tensor in tensors)), tf.int32)
    return functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, tensors))


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
    total, moved = tf.reduce_sum(staying, axis), tf.reduce_sum(weights - staying, axis)
    probability = tf.cast(probability, tf.float64)
    rest, is_left = 1.0 - probability, probability < 0.5

    def of_staying_at(function, limit):
        return tf.reduce_sum(staying * tf.cast(function(tf.expand_dims(limit, axis)), tf.float64), axis)

    below, from_low = (of_staying_at(function, low) for function in (latent.cdf, latent.survival_function))
    up_to_high, above = (of_staying_at(function, high) for function in (latent.cdf, latent.survival_function))
    # Of both tails the smaller one, which has the digits.
    is_below = tf.where(is_left, probability <= below, rest >= moved + from_low) & (below > 0.0)
    is_above = tf.where(is_left, probability > moved + up_to_high, rest < above) & (above > 0.0)
    share = tf.where(total > 0.0, total, tf.ones_like(total))
    level_above = tf.where(is_left, (probability - moved) / share, 1.0 - rest / share)
    level = tf.where(is_below, probability / share, level_above)
    of_staying = tf.where(is_moved & tf.expand_dims(total > 0.0, axis), tf.constant(-np.inf, logits.dtype), logits)
    level = tf.where(is_below | is_above, level, 0.5 * tf.ones_like(level))
    level = tf.clip_by_value(level, 0.0, 1.0)  # but for rounding, at which all that stays is below, or above
    found = mixture_quantile(latent, of_staying, level, axis)
    return tf.where(is_below, tf.minimum(found, low), tf.where(is_above, tf.maximum(found, high), y))


def check_continuous(components: tfd.Distribution) -> None:
    """Raises NotImplementedError if the density is not one in the usual sense."""
    if components.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
        raise NotImplementedError(
            f"Quantiles, modes and regions need continuous components. Received: {type(components).__name__}."
        )
