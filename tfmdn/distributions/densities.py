"""Log densities of components that stay finite however far away a target is.

Shapes in comments: S samples, B batch, K components, E event, D coordinates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import rescaled
from tfmdn.numerics import HALF_LOG_TWO_PI, held_quotient, largest_slope, reach, sum_to

tfd = tfp.distributions


def log_prob(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor:
    """log density of `y` `[S, B, 1, E]` under each component: `[S, B, K]`.

    The same mathematics as `components.log_prob(y)`. Normal components keep a finite value and a finite gradient
    however far away y is: beyond `reach` standard deviations the log density stays what it is there, where its
    square would overflow and its gradient turn into NaN.
    """
    if (stable := _stable_log_prob(components)) is not None:
        return stable(components, y)
    if not components.dtype.is_floating:
        return components.log_prob(y)
    # At infinity there is no density, and no gradient.
    is_infinite = tf.math.is_inf(y)
    log_prob = components.log_prob(tf.where(is_infinite, tf.zeros_like(y), y))
    is_infinite = tf.reduce_any(is_infinite, list(range(-components.event_shape.rank, 0)))
    return tf.where(is_infinite & ~tf.math.is_nan(log_prob), tf.constant(-math.inf, log_prob.dtype), log_prob)


def can_be_none(components: tfd.Distribution) -> bool:
    """Whether there may be no density at all at some y, as beyond a limit and at infinity."""
    return _stable_log_prob(components) is None


def _stable_log_prob(components: tfd.Distribution) -> Callable | None:
    """The log density of such components that is finite however far away y is, if it is known here."""
    if components.validate_args:  # TFP's own checks must run
        return None
    if type(components) is tfd.Independent:
        of_coordinates = STABLE_LOG_PROBS.get(type(components.distribution))
        return of_coordinates and functools.partial(_independent_log_prob, of_coordinates)
    return STABLE_LOG_PROBS.get(type(components))  # a subclass may have a density of its own


def _normal_log_prob(components, y):
    return _standard_normal_log_prob(y, components.loc, _log_of(components.scale)) - HALF_LOG_TWO_PI


def _rescaled_log_prob(components, y):
    """The logarithm of the scale saves another one, and its gradient; y takes less to standardise than K centres do."""
    scale = components.target_scale
    z = (y - components.target_location) / scale
    log_prob = _standard_normal_log_prob(z, components.standard_loc, components.standard_log_scale)
    return log_prob - tf.math.log(scale) - HALF_LOG_TWO_PI


def _diag_log_prob(components, y):
    scale_diag = components.parameters["scale_diag"]
    if components.loc is None or scale_diag is None:
        return components.log_prob(y)
    log_scale = _log_of(tf.convert_to_tensor(scale_diag, components.dtype))
    log_prob = _standard_normal_log_prob(y, components.loc, log_scale, axis=-1)
    return log_prob - _event_size(components, y) * HALF_LOG_TWO_PI


def _rescaled_diag_log_prob(components, y):
    scale = components.target_scale
    z = (y - components.target_location) / scale  # [S, B, 1, D]
    # With the components on the last axis, the sum over the coordinates is vectorised.
    z, loc, log_scale = map(tf.linalg.matrix_transpose, (z, components.standard_loc, components.standard_log_scale))
    log_prob = _standard_normal_log_prob(z, loc, log_scale, axis=-2) - tf.reduce_sum(tf.math.log(scale), -1)
    return log_prob - _event_size(components, y) * HALF_LOG_TWO_PI


def _event_size(components, y):
    return tf.cast(components.event_shape[0] or tf.shape(y)[-1], components.dtype)


def _log_of(scale):
    return tf.math.log(tf.abs(scale))  # TFP allows any scale but 0


def _standard_normal_log_prob(y, loc, log_scale, axis: int | None = None) -> tf.Tensor:
    """-z^2 / 2 - log_scale for z = (y - loc) / scale, summed over `axis` if there is one.

    The gradient of its own saves operations and arrays as large as z, which has as many elements as there are
    components times coordinates for each y.
    """

    @tf.custom_gradient
    def with_gradient(y, loc, log_scale):
        def gradient(upstream):
            upstream = upstream if axis is None else tf.expand_dims(upstream, axis)
            z, inverse_scale = _residuals(y, loc, log_scale)
            # What does not count, as a component of weight 0, has no gradient even where nothing is known of it.
            pull = tf.math.multiply_no_nan(z, upstream)
            slope = tf.math.multiply_no_nan(inverse_scale, pull)
            curve = tf.math.multiply_no_nan(z, pull)
            return sum_to(-slope, y), sum_to(slope, loc), sum_to(curve - upstream, log_scale)

        # A graph overwrites arrays that it no longer needs. Eagerly, three times as many would be held at once.
        log_prob = _summed_log_prob_in_graph if tf.executing_eagerly() else _summed_log_prob
        return log_prob(y, loc, log_scale, axis), gradient

    return with_gradient(*map(tf.convert_to_tensor, (y, loc, log_scale)))


def _summed_log_prob(y, loc, log_scale, axis):
    z, _ = _residuals(y, loc, log_scale)
    half_square = 0.5 * tf.square(z)
    if axis is None:
        return -half_square - log_scale
    return -tf.reduce_sum(half_square, axis) - tf.reduce_sum(log_scale, axis)


_summed_log_prob_in_graph = tf.function(_summed_log_prob, autograph=False, reduce_retracing=True)


def _residuals(y, loc, log_scale) -> tuple[tf.Tensor, tf.Tensor]:
    """(y - loc) / scale, held within reach, and 1 / scale."""
    inverse_scale, limit = tf.exp(-log_scale), reach(log_scale.dtype)
    return tf.clip_by_value((y - loc) * inverse_scale, -limit, limit), inverse_scale


def _tril_log_prob(components, y):
    scale_tril = components.parameters["scale_tril"]
    if components.loc is None or scale_tril is None:
        return components.log_prob(y)
    scale_tril = tf.convert_to_tensor(scale_tril, components.dtype)
    diagonal = tf.abs(tf.linalg.diag_part(scale_tril))  # TFP allows any diagonal but 0
    # Rows in units of their own scale: neither the difference nor the solution then leaves the range of the dtype.
    z = _divide_held(y - components.loc, diagonal)  # [S, B, K, D]
    unit_tril = _held_factor(scale_tril / diagonal[..., tf.newaxis])
    z = tf.linalg.LinearOperatorLowerTriangular(unit_tril).solvevec(z)
    z = _divide_held(z, tf.ones_like(z))
    return -tf.reduce_sum(0.5 * tf.square(z) + tf.math.log(diagonal) + HALF_LOG_TWO_PI, -1)


def _held_factor(unit_tril: tf.Tensor) -> tf.Tensor:
    """The factor of unit diagonal, held where solutions would leave the dtype, and be differences of infinities.

    Correlations are then 1 but for less than the dtype can tell.
    """
    most = largest_slope(unit_tril.shape[-1], unit_tril.dtype)
    return tf.clip_by_value(unit_tril, -most, most)


def _laplace_log_prob(components, y):
    z = held_quotient(tf.abs(y - components.loc), components.scale, reach(components.dtype))
    return -z - tf.math.log(2.0 * components.scale)


def _logistic_log_prob(components, y):
    z = tf.abs(held_quotient(y - components.loc, components.scale, reach(components.dtype)))
    return -z - 2.0 * tf.math.softplus(-z) - tf.math.log(components.scale)


def _independent_log_prob(of_coordinates, components, y):
    inner = components.distribution
    axes = list(range(inner.event_shape.rank - components.event_shape.rank, 0))
    return tf.reduce_sum(of_coordinates(inner, y), axes)


STABLE_LOG_PROBS = {
    tfd.Laplace: _laplace_log_prob,
    tfd.Logistic: _logistic_log_prob,
    tfd.Normal: _normal_log_prob,
    rescaled.RescaledNormal: _rescaled_log_prob,
    tfd.MultivariateNormalDiag: _diag_log_prob,
    rescaled.RescaledMultivariateNormalDiag: _rescaled_diag_log_prob,
    tfd.MultivariateNormalTriL: _tril_log_prob,
}


def _divide_held(difference: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """difference / scale, held within reach. Below it, value and gradient are those of the plain quotient."""
    # Of an infinite difference in a large unit, too.
    limit = tf.stop_gradient(tf.minimum(reach(scale.dtype) * scale, scale.dtype.max))
    difference += tf.zeros_like(limit)  # clip_by_value does not broadcast, and a gradient passes only to the full shape
    # The difference is what is held: the quotient's gradient would still square the difference itself.
    return tf.grad_pass_through(lambda value: tf.clip_by_value(value, -limit, limit))(difference) / scale
