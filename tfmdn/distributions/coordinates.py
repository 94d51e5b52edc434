"""Some coordinates of vector components: their own distribution, and that of the others where their values are known.

Both are closed forms, for components whose coordinates are independent or jointly normal.
Shapes in comments: S samples, B batch, K components, D coordinates, of which n are chosen.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics, validation
from tfmdn.distributions import densities, folding, reflected_joint, tensors

tfd = tfp.distributions


def marginal(components: tfd.Distribution, axes: int | Sequence[int]) -> tfd.Distribution:
    """The distribution of the coordinates `axes`, whatever the others are.

    Args:
      components: of batch shape `[*B, K]` and event shape `(D,)`.
      axes: an integer for a scalar event; a list of n integers for an event of shape `(n,)`, in the order of the list.

    Returns:
      A distribution of batch shape `[*B, K]`.

    Raises:
      ValueError: if the events are not vectors, or have no such axes.
      NotImplementedError: if the kind of distribution does not tell.
    """
    chosen, _ = _split_axes(components, axes)
    if isinstance(axes, numbers.Integral):
        return _gathered(tensors.marginals(components), chosen[0])
    if tensors.has_independent_coordinates(components):
        return _gathered(components, chosen)
    return _reordered(components, chosen)


def conditional(
    components: tfd.Distribution, log_weights: tf.Tensor, axes: int | Sequence[int], values
) -> tuple[tfd.Distribution, tf.Tensor]:
    """The mixture of the other coordinates where those of `axes` have the given values.

    Args:
      components: of batch shape `[*B, K]` and event shape `(D,)`.
      log_weights: of the components, `[*B, K]`.
      axes: an integer or a list of n integers. At least one coordinate must remain.
      values: `[*S, *B]` for an integer, `[*S, *B, n]` for a list, or broadcastable with it.

    Returns:
      The components, of batch shape `[*S, *B, K]` or broadcastable with it, and of event shape `(D - n,)`, in the
      order of the given ones; and their logits, `[*S, *B, K]`. Of correlated coordinates with limits there are more: as
      many for each component as there are reflections of the values.

    Raises:
      ValueError: if the events are not vectors, have no such axes or no other, or if the values do not fit them.
      NotImplementedError: if the kind of distribution does not tell.
    """
    chosen, others = _split_axes(components, axes)
    if not others:
        raise ValueError(f"`axes` must leave at least one of the {len(chosen)} axes. Received: axes={axes!r}.")
    # The hint lets Python's floats keep their digits: tf.cast alone would make float32 of them first.
    values = tf.cast(tf.convert_to_tensor(values, dtype_hint=components.dtype), components.dtype)
    if isinstance(axes, numbers.Integral):
        values = values[..., tf.newaxis]
    _check_values(components, values, len(chosen))
    values = values[..., tf.newaxis, :]  # [S, B, 1, n]
    if tensors.has_independent_coordinates(components):
        log_prob = densities.log_prob(_gathered(components, chosen), values)
        return _gathered(components, others), log_weights + log_prob
    joint = _reordered(components, chosen + others)
    n = len(chosen)
    if not isinstance(joint, reflected_joint.ReflectedMultivariateNormal):
        loc, log_prob = _given(joint.loc, joint.scale_tril, values)
        return tfd.MultivariateNormalTriL(loc, joint.scale_tril[..., n:, n:]), log_weights + log_prob
    return _given_with_limits(joint, log_weights, values)


def _given_with_limits(
    joint: reflected_joint.ReflectedMultivariateNormal, log_weights: tf.Tensor, values: tf.Tensor
) -> tuple[reflected_joint.ReflectedMultivariateNormal, tf.Tensor]:
    """As `conditional` gives them, where the first n coordinates are `values` `[*S, *B, 1, n]`.

    For each component there are as many as its reflections in the known coordinates, side by side.
    """
    n = values.shape[-1]
    known = folding.Interval(joint.low[..., :n], joint.high[..., :n])
    is_inside = tf.reduce_all(known.contains(values), -1)  # [S, B, K]
    loc, scale_tril = joint.normal()
    locs, logits = [], []
    for image, exists, _ in folding.images_of(values, known):
        loc_of_others, log_prob = _given(loc, scale_tril, image)
        locs.append(loc_of_others)
        logits.append(tf.where(exists & is_inside, log_weights + log_prob, -np.inf))
    logits = tf.stack(logits, -1)  # [S, B, K, I]
    count = logits.shape[-1]

    def for_each_image(value, event_ndims):
        """A parameter `[*B, K, *E]` as `[*B, K * I, *E]`."""
        return tf.repeat(value, count, value.shape.rank - event_ndims - 1)

    loc = numerics.merge_axis(tf.stack(locs, -2), -2)
    others = {"scale_tril": for_each_image(scale_tril[..., n:, n:], 2)}
    for name in ("low", "high"):
        others[name] = for_each_image((getattr(joint, name) + tf.zeros_like(joint.loc))[..., n:], 1)
    return reflected_joint.ReflectedMultivariateNormal(loc, **others), numerics.merge_axis(logits, -1)


def _given(loc: tf.Tensor, scale_tril: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The centre of the last coordinates of normals given the first n, and the log density of these.

    Args:
      loc: `[*B, K, D]`.
      scale_tril: `[*B, K, D, D]`.
      values: `[*S, *B, 1, n]`.
    """
    n = values.shape[-1]
    known = tfd.MultivariateNormalTriL(loc[..., :n], scale_tril[..., :n, :n])
    z = known.scale.solvevec(values - known.loc)  # [S, B, K, n]
    return loc[..., n:] + tf.linalg.matvec(scale_tril[..., n:, :n], z), densities.log_prob(known, values)


def _split_axes(components: tfd.Distribution, axes) -> tuple[list[int], list[int]]:
    """The chosen axes as a list of indices of 0 or more, and the others in ascending order."""
    if components.event_shape.rank != 1:
        raise ValueError(f"Axes are those of a vector event. Received: an event of shape {components.event_shape}.")
    size = components.event_shape[0]
    chosen = [validation.index("axes", axis, size) for axis in np.atleast_1d(np.asarray(axes, object))]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"`axes` must be an integer, or a list of different integers. Received: axes={axes!r}.")
    return chosen, [axis for axis in range(size) if axis not in chosen]


def _check_values(components: tfd.Distribution, values: tf.Tensor, count: int) -> None:
    expected = tf.TensorShape([*components.batch_shape[:-1], count])
    try:
        fits = tf.broadcast_static_shape(values.shape, expected)[-1] == count
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "`values` must have one value for each of `axes` in their last dimension (an integer axis has no such "
            f"dimension), and broadcast with the batch shape {components.batch_shape[:-1]} before it. "
            f"Received: values of shape {values.shape} for {count} axes."
        )


def _gathered(components: tfd.Distribution, axes: int | list[int]) -> tfd.Distribution:
    """The same kind of distribution of some of the last axis of its parameters."""
    return tensors.map(lambda value: tf.gather(value, axes, axis=-1), components)


def _reordered(components: tfd.Distribution, axes: list[int]) -> tfd.Distribution:
    """The joint distribution of some coordinates of normals, reflected or not, in the order of `axes`."""
    if isinstance(components, reflected_joint.ReflectedMultivariateNormal):
        loc, scale_tril = components.normal()
        low, high = (tf.gather(limit, axes, axis=-1) for limit in (components.low, components.high))
        return reflected_joint.ReflectedMultivariateNormal(*_reordered_normal(loc, scale_tril, axes), low, high)
    if isinstance(components, tfd.MultivariateNormalLinearOperator):
        return tfd.MultivariateNormalTriL(*_reordered_normal(components.mean(), components.scale.to_dense(), axes))
    raise NotImplementedError(f"The coordinates of {type(components).__name__} have no known joint distribution.")


def _reordered_normal(loc: tf.Tensor, scale: tf.Tensor, axes: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre and triangular factor of some coordinates, of a centre `[..., D]` and any factor `[..., D, D]`."""
    rows = tf.gather(scale, axes, axis=-2)  # [B, K, n, D]
    # rows = tril Q: the Cholesky factor of their covariance, without the squares that would cost half of the digits.
    # Each in units of its own: that takes the squares of what is in a row.
    unit = tf.stop_gradient(tf.reduce_max(tf.abs(rows), -1, keepdims=True))
    _, upper = tf.linalg.qr(tf.linalg.matrix_transpose(rows / unit))
    sign = tf.where(tf.linalg.diag_part(upper) < 0.0, -tf.ones_like(upper[..., 0]), tf.ones_like(upper[..., 0]))
    return tf.gather(loc, axes, axis=-1), unit * tf.linalg.matrix_transpose(sign[..., tf.newaxis] * upper)
