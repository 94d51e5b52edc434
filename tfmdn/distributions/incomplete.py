"""Log likelihoods of targets of which not all is known: some lie between two ends, some were not observed.

Of each coordinate there are two ends. Equal ones are its value; of others it is known that it lies between them. -inf
and inf, or NaN for both, say nothing: the coordinate is integrated out, in closed form for every covariance.

Shapes in comments: B batch, K components, E event, D coordinates.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import coarse, counted, densities, reflected_joint, tensors

tfd = tfp.distributions


def is_unknown(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Where two ends say nothing of what lies between them."""
    return ((low == -math.inf) & (high == math.inf)) | (tf.math.is_nan(low) & tf.math.is_nan(high))


def log_likelihood(distribution: tfd.Distribution, low: tf.Tensor, high: tf.Tensor | None = None) -> tf.Tensor:
    """The log of the density of the values that are known, times the probability of the intervals.

    Args:
      distribution: a mixture, or any other distribution, of batch shape `[*B]`.
      low: `[*B, *E]`.
      high: `[*B, *E]`. None if there are no intervals.

    Returns:
      `[*B]`, with a finite gradient: `log_prob`, to the last bit, where every coordinate has a value; 0 where nothing
      is known; NaN where `low` is greater than `high`, or one of them is NaN.

    Raises:
      NotImplementedError: if there are intervals and the coordinates are not independent; if it is not known how those
        of this kind of distribution depend on each other.
    """
    event_axes = list(range(-distribution.event_shape.rank, 0))
    has_value, values = _values(low, high, distribution.dtype)
    complete = distribution.log_prob(values)
    if high is None and not event_axes:
        return tf.where(has_value, complete, tf.zeros_like(complete))
    ends = [low] if high is None else [low, high]
    if isinstance(distribution, tfd.MixtureSameFamily):
        ends = [tf.expand_dims(end, -1 - len(event_axes)) for end in ends]  # [B, 1, E]
        parts = _log_likelihood(counted.in_densities(distribution).components_distribution, *ends)  # [B, K]
        parts = counted.with_weights(parts, counted.log_weights(distribution))
        incomplete = numerics.log_sum_exp(parts, -1)
    else:
        incomplete = _log_likelihood(distribution, *ends)
    # Rounding must not make a probability of more than 1, nor a certain event uncertain.
    incomplete = tf.where(tf.reduce_any(has_value, event_axes), incomplete, numerics.as_log_probability(incomplete))
    is_known = tf.reduce_any(~is_unknown(low, low if high is None else high), event_axes)
    incomplete = tf.where(is_known, incomplete, tf.zeros_like(incomplete))
    return tf.where(tf.reduce_all(has_value, event_axes), complete, incomplete)


def _values(low: tf.Tensor, high: tf.Tensor | None, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Which coordinates have a value, and it, or 0."""
    has_value = ~tf.math.is_nan(low) if high is None else low == high
    return has_value, tf.cast(tf.where(has_value, low, tf.zeros_like(low)), dtype)


def _log_likelihood(components: tfd.Distribution, low: tf.Tensor, high: tf.Tensor | None = None) -> tf.Tensor:
    """The same of each component: `[*B, K]` of ends `[*B, 1, *E]`."""
    if high is None and not tensors.has_independent_coordinates(components):
        return _marginal_log_prob(components, low)
    coordinates = coarse.coordinates(components)
    has_value, values = _values(low, high, components.dtype)
    log_probs = tf.zeros([], components.dtype)
    if components.event_shape.rank:  # a scalar that has a value is complete
        log_probs = tf.where(has_value, densities.log_prob(coordinates, values), log_probs)  # [B, K, E]
    if high is not None:
        # In the place of a value, and of nothing, stands all that there can be, of which the probability is 1.
        is_whole = has_value | is_unknown(low, high)
        low, high = tf.where(~is_whole, low, -math.inf), tf.where(~is_whole, high, math.inf)
        log_probs += coarse.interval_log_prob(coordinates, low, high)
    return tf.reduce_sum(log_probs, list(range(-components.event_shape.rank, 0)))


def _marginal_log_prob(components: tfd.Distribution, values: tf.Tensor) -> tf.Tensor:
    """The log density `[*B, K]` of those coordinates of `values` `[*B, 1, D]` that are not NaN, jointly normal ones."""
    if isinstance(components, reflected_joint.ReflectedMultivariateNormal):
        loc, scale = components.normal()
    elif isinstance(components, tfd.MultivariateNormalLinearOperator):
        loc, scale = components.mean(), components.scale.to_dense()
    else:
        raise NotImplementedError(
            "Missing coordinates can be left out where the coordinates are independent or jointly normal. "
            f"Received: {type(components).__name__} of event shape {components.event_shape}."
        )
    is_known = ~tf.math.is_nan(values)
    scale_tril = _factor_of_known(scale, is_known)
    # In the place of a missing coordinate stands a standard normal one, independent of the others, at its centre.
    values = tf.where(is_known, values, loc)
    if isinstance(components, reflected_joint.ReflectedMultivariateNormal):
        low, high = tf.where(is_known, components.low, -math.inf), tf.where(is_known, components.high, math.inf)
        known = reflected_joint.ReflectedMultivariateNormal(loc, scale_tril, low, high)
    else:
        known = tfd.MultivariateNormalTriL(loc, scale_tril)
    num_missing = tf.reduce_sum(tf.cast(~is_known, components.dtype), -1)
    return densities.log_prob(known, values) + numerics.HALF_LOG_TWO_PI * num_missing


def _factor_of_known(scale: tf.Tensor, is_known: tf.Tensor) -> tf.Tensor:
    """The triangular factor of the covariance of those coordinates that are known, and of the identity for the others.

    By the modified Gram-Schmidt process, without the squares that would cost half of the digits. A row of a triangular
    factor keeps its last number, so that none becomes a combination of those before it.

    Args:
      scale: a factor of the covariance of all, `[*B, K, D, D]`.
      is_known: `[*B, 1, D]`.
    """
    size = scale.shape[-1]
    rows, columns = tf.where(is_known[..., tf.newaxis], scale, tf.zeros_like(scale)), []
    for axis in range(size):
        first, rows = rows[..., 0, :], rows[..., 1:, :]
        length = tf.where(is_known[..., axis], numerics.norm(first, 1), tf.ones_like(first[..., 0]))
        direction = first / length[..., tf.newaxis]
        shares = tf.linalg.matvec(rows, direction)
        rows -= shares[..., tf.newaxis] * direction[..., tf.newaxis, :]
        column = tf.concat([tf.zeros_like(first[..., :axis]), length[..., tf.newaxis], shares], -1)
        columns.append(column)
    return tf.stack(columns, -1)
