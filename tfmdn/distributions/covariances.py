"""Spreads and covariances of mixtures, in units of the spread: squares in those of the target come last.

Shapes in comments: B batch, K components, D coordinates.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import tensors
from tfmdn.distributions.coarsened import CoarsenedNormal
from tfmdn.distributions.reflected import Reflected
from tfmdn.distributions.reflected_joint import ReflectedMultivariateNormal
from tfmdn.numerics import unit_of

tfd = tfp.distributions


def stddev(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The standard deviations `[*B, *E]` by the law of total variance.

    Not the root of the variance, which has no place in the dtype where the targets' units are large or small.

    Args:
      mixture: of whose components those of weight 0 are like others.
    """
    axis = -1 - mixture.event_shape.rank
    components = mixture.components_distribution
    if isinstance(tensors.under_independent(components), (Reflected, CoarsenedNormal)):
        # Between near limits the means of all components are the same but for rounding, which is not their spread.
        components = tensors.map(lambda value: tf.cast(value, tf.float64), tensors.marginals(components))
    within = tensors.stddev(components)  # [B, K, E]
    weights = numerics.with_trailing_axes(mixture.mixture_distribution.probs_parameter(), -1 - axis)
    weights = tf.cast(weights, within.dtype)
    shift = _shift(components.mean(), weights, axis)
    parts = tf.stack([within + tf.zeros_like(shift), shift])
    parts = tf.where(weights > 0.0, parts, tf.zeros_like(parts))
    unit = tf.stop_gradient(unit_of(tf.reduce_max(tf.abs(parts), [0, axis])))  # [B, E]
    squares = tf.reduce_sum(tf.square(parts / tf.expand_dims(unit, axis)), 0)
    spread = unit * numerics.square_root(tf.reduce_sum(weights * squares, axis))
    return tf.cast(spread, mixture.dtype) if mixture.dtype.is_floating else spread


def _shift(mean: tf.Tensor, weights: tf.Tensor, axis: int) -> tf.Tensor:
    """How far the means of components lie from that of the mixture, whose own rounding makes no difference."""
    shift = mean - tf.reduce_sum(weights * mean, axis, keepdims=True)
    rest = tf.reduce_sum(weights * shift, axis, keepdims=True)
    return shift - tf.where(tf.math.is_finite(rest), rest, tf.zeros_like(rest))


def of_mixture(mixture: tfd.MixtureSameFamily) -> tf.Tensor | None:
    """The covariance `[*B, D, D]` by the law of total variance; None if the kind of components is not known.

    Args:
      mixture: of vectors, of whose components those of weight 0 are like others.
    """
    components = mixture.components_distribution
    unit = tf.stop_gradient(unit_of(mixture.stddev()))  # [B, D]
    of_components = unit[..., tf.newaxis, :]
    within = _in_units(components, of_components)
    if within is None:
        return None
    weights = mixture.mixture_distribution.probs_parameter()[..., tf.newaxis]
    shift = _shift(components.mean(), weights, -2) / of_components  # [B, K, D]
    between = shift[..., :, tf.newaxis] * shift[..., tf.newaxis, :]  # [B, K, D, D]
    return in_units_of_targets(tf.reduce_sum(weights[..., tf.newaxis] * (within + between), -3), unit)


def _in_units(components: tfd.Distribution, unit: tf.Tensor) -> tf.Tensor | None:
    """The components' covariances `[*B, K, D, D]` in a unit `[*B, 1, D]`."""
    if isinstance(components, ReflectedMultivariateNormal):
        return components.covariance_in(unit)
    if tensors.has_independent_coordinates(components):
        return tf.linalg.diag(tf.square(tensors.stddev(components) / unit))
    if not isinstance(components, tfd.MultivariateNormalLinearOperator):
        return None
    factor = components.scale.to_dense() / unit[..., tf.newaxis]
    return tf.matmul(factor, factor, transpose_b=True)


def in_units_of_targets(covariance: tf.Tensor, unit: tf.Tensor) -> tf.Tensor:
    return (unit[..., :, tf.newaxis] * covariance) * unit[..., tf.newaxis, :]
