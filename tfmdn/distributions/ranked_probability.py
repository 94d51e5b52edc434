"""The continuous ranked probability score of mixtures, coordinate by coordinate, for targets and for intervals of them.

It is the integral of (F(z) - 1{y <= z})^2 over z (Matheson and Winkler 1976), and E|X - y| - E|X - X'| / 2 of two
independent draws X and X'.

Shapes in comments: B batch, K components, E event, R rows: all of B and E in one axis.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import cells, deviations, kinds, tensors
from tfmdn.distributions.batching import in_blocks
from tfmdn.distributions.coarsened import CoarsenedNormal
from tfmdn.distributions.gamma import Gamma
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.distributions.univariate import RoughStudentT
from tfmdn.distributions.weibull import Weibull

tfd = tfp.distributions

# Kinds whose scores need the digits of float64.
IN_FLOAT64 = (Gamma, Weibull, CoarsenedNormal, ReflectedNormal)


def crps(marginals: tfd.Distribution, weights: tf.Tensor, y: tf.Tensor, axis: int) -> tf.Tensor:
    """The score of each coordinate.

    Args:
      marginals: univariate components of batch shape `[*B, K, *E]`, of a kind that `deviations` knows.
      weights: of the components, `[*B, K, *E]` or broadcastable with it.
      y: targets `[*B, *E]`.
      axis: the axis of K, counted from the end.

    Returns:
      `[*B, *E]`.

    Raises:
      NotImplementedError: if the kind of components is not known.
    """
    dtype, (marginals, weights, y) = weights.dtype, _exact(marginals, weights, axis, y)
    to_target = deviations.absolute_deviation(marginals, tf.expand_dims(y, axis))  # [B, K, E]
    score = tf.reduce_sum(weights * to_target, axis) - _half_difference(marginals, weights, axis, dtype)
    return tf.cast(_not_negative(score), dtype)


def interval_crps(
    marginals: tfd.Distribution, weights: tf.Tensor, low: tf.Tensor, high: tf.Tensor, axis: int
) -> tf.Tensor:
    """The score of each coordinate, of whose target is known that it lies between two values.

    It is the integral of F^2 up to `low`, and of (1 - F)^2 from `high` on: the threshold-weighted score of Gneiting and
    Ranjan (2011) that does not look into the interval. Any prediction within the interval has a score of 0. For targets
    that are censored on the right it is the survival CRPS of Avati et al. (2020), and where both ends are equal it is
    `crps`.

    Args:
      marginals: as in `crps`, but not of angles.
      weights: of the components, `[*B, K, *E]` or broadcastable with it.
      low: the lower ends `[*B, *E]`, -inf for none.
      high: the upper ends `[*B, *E]`, at least `low`; inf for none.
      axis: the axis of K, counted from the end.

    Returns:
      `[*B, *E]`. It has no gradient in the ends.

    Raises:
      NotImplementedError: if the kind of components is not known, or if they are angles.
    """
    kinds.check_not_periodic("crps of intervals", marginals)
    dtype = weights.dtype
    # Of a lognormal, whose score of single targets is a closed form, the integral loses digits far out.
    in_float64 = (*IN_FLOAT64, tfd.LogNormal)
    marginals, weights, low, high = _exact(marginals, weights, axis, low, high, kinds_in_float64=in_float64)
    shape = tf.shape(tf.reduce_sum(weights * deviations.mean(marginals), axis))
    low, high = (tf.stop_gradient(tf.broadcast_to(end, shape)) for end in (low, high))
    return tf.cast(_not_negative(_integrated(marginals, weights, axis, dtype, low, high)), dtype)


def _not_negative(score: tf.Tensor) -> tf.Tensor:
    """The score without what rounding takes from 0, and with its gradient there."""
    return score - tf.stop_gradient(tf.minimum(score, 0.0))


def half_difference(marginals: tfd.Distribution, weights: tf.Tensor, axis: int) -> tf.Tensor:
    """E|X - X'| / 2, `[*B, *E]`."""
    dtype, (marginals, weights) = weights.dtype, _exact(marginals, weights, axis)
    return tf.cast(_half_difference(marginals, weights, axis, dtype), dtype)


def _exact(
    marginals: tfd.Distribution,
    weights: tf.Tensor,
    axis: int,
    *others: tf.Tensor,
    kinds_in_float64: tuple[type, ...] = IN_FLOAT64,
) -> tuple:
    """The same in float64, for kinds whose score is integrated from small differences of what is nearly the same.

    In float32 a narrow component, or one of little weight that is far away, would be lost, and what heavy tails have.
    Other kinds stay in their dtype.
    """
    is_rough = isinstance(tensors.plain(marginals), tfd.StudentT) and weights.dtype != tf.float64
    if not isinstance(tensors.plain(marginals), kinds_in_float64) and not is_rough:
        return marginals, weights, *others
    wide = tensors.map(lambda value: tf.cast(value, tf.float64), marginals)
    wide = RoughStudentT(**tensors.parameters(wide)) if is_rough else wide
    if weights.dtype != tf.float64:  # of which the sum is 1 only within 1e-7
        weights = tf.cast(weights, tf.float64)
        weights /= tf.reduce_sum(weights, axis, keepdims=True)
    return wide, weights, *(tf.cast(other, tf.float64) for other in others)


def _half_difference(marginals: tfd.Distribution, weights: tf.Tensor, axis: int, promised: tf.DType) -> tf.Tensor:
    """The same, with the precision of a dtype."""
    if not deviations.has_absolute_difference(marginals):
        return _integrated(marginals, weights, axis, promised)
    if weights.shape[axis] <= cells.MANY:
        return _of_pairs(marginals, weights, axis)
    values = tensors.parameters(marginals)
    weights, rows, shape = _rows(weights, values, axis)

    def block(weights, rows):
        components = tensors.with_parameters(marginals, dict(zip(values, rows)))
        return [_of_pairs(components, weights, -1)]

    (result,) = in_blocks(block, cells.BLOCK // weights.shape[-1] ** 2 + 1, 1, weights, rows)
    return tf.reshape(result, shape)


def _of_pairs(marginals: tfd.Distribution, weights: tf.Tensor, axis: int) -> tf.Tensor:
    """The same, of each pair of components."""
    # Each pair once: [.., K (K + 1) / 2, E].
    first, second = np.triu_indices(weights.shape[axis])
    times = numerics.with_trailing_axes(tf.constant(np.where(first == second, 1.0, 2.0), weights.dtype), -1 - axis)
    pair_weights = times * tf.gather(weights, first, axis=axis) * tf.gather(weights, second, axis=axis)
    between = deviations.absolute_difference(
        *(tensors.map(functools.partial(tf.gather, indices=pair), marginals, axis=axis) for pair in (first, second))
    )
    return 0.5 * tf.reduce_sum(pair_weights * between, axis)


def _integrated(
    marginals: tfd.Distribution, weights: tf.Tensor, axis: int, promised: tf.DType, *bounds: tf.Tensor
) -> tf.Tensor:
    """The same of the mixture's cumulative probabilities F; with bounds `[*B, *E]` what `interval_crps` says."""
    values = tensors.parameters(marginals)
    weights, rows, shape = _rows(weights, values, axis)
    kind = type(tensors.plain(marginals))
    times = [] if promised == weights.dtype else [cells.TIMES[promised]]
    is_many = weights.shape[-1] > cells.MANY
    integral = cells.half_difference(kind, tuple(values), is_many, bool(bounds), weights.dtype, *times)
    return tf.reshape(integral(weights, rows, [tf.reshape(bound, [-1]) for bound in bounds]), shape)


def _rows(weights: tf.Tensor, values: dict[str, tf.Tensor], axis: int):
    """The weights, and a list of the values, each `[R, K]`, and the shape `[*B, *E]`."""
    count = weights.shape[axis]
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, [weights, *values.values()]))

    def flat(value):
        value = tf.experimental.numpy.moveaxis(tf.broadcast_to(value, shape), axis, -1)
        return tf.reshape(value, [-1, count])

    batch_shape = tf.concat([shape[:axis], shape[axis:][1:]], 0)
    return flat(weights), [flat(value) for value in values.values()], batch_shape
