"""Covariances of mixtures, computed in units of the spread: squares in those of the target come last.

Shapes in comments: B batch, K components, D coordinates.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import tensors
from tfmdn.distributions.reflected_joint import ReflectedMultivariateNormal
from tfmdn.numerics import unit_of

tfd = tfp.distributions


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
    weights = mixture.mixture_distribution.probs_parameter()[..., tf.newaxis, tf.newaxis]
    shift = (components.mean() - mixture.mean()[..., tf.newaxis, :]) / of_components  # [B, K, D]
    between = shift[..., :, tf.newaxis] * shift[..., tf.newaxis, :]  # [B, K, D, D]
    return in_units_of_targets(tf.reduce_sum(weights * (within + between), -3), unit)


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
