"""Rows that do not count, before a model sees them: they may hold anything, in x too.

The gradient of a layer is its input times what comes from the loss, and NaN times 0 is NaN: what stands in a row of
weight 0 would still turn all weights into NaN. So what a model cannot take there gives way to a row that counts.

Shapes in comments: B batch, T steps.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn import keras_internals, numerics
from tfmdn.layers.mdn import MDNLayer

WEIGHTS = "`sample_weight` must be finite numbers, 0 or more."


def guarded(model: keras.Model, step: Callable) -> Callable:
    """The step of training or judging of a model, without what does not count. Of other models it is the step itself.

    Whether a model outputs a mixture is known when it has been built, and so when the step is traced.
    """

    @numerics.unconverted
    @functools.wraps(step)
    def guarded_step(data):
        if not concerns(model):
            return step(data)
        with after_checks(model):
            return step(without_junk(model, data))

    return guarded_step


def after_checks(model: keras.Model) -> contextlib.AbstractContextManager:
    """In a step that is traced nothing is learnt before it is known that the batch can be learnt from.

    A loss of ours says so itself. Of another one, gradients that are not finite tell.
    """
    if not concerns(model):
        return contextlib.nullcontext()
    losses = keras.tree.flatten(getattr(model, "loss", None))
    says_so = all(hasattr(loss, "target_format") for loss in losses)
    has_own_limit = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    check = (lambda gradients: []) if says_so or has_own_limit else _finite
    return keras_internals.after_checks(model, numerics.CHECKS, check)


def _finite(gradients: list) -> list[tf.Operation]:
    """A look at those of biases, which are few numbers, and bad where a row is."""
    biases = [gradient for gradient in gradients if isinstance(gradient, tf.Tensor) and gradient.shape.rank == 1]
    are_finite = list(map(tf.math.is_finite, biases))
    if not are_finite:
        return []
    message = (
        "The gradient of the loss is not finite: x or a target of a row that counts is NaN or infinite, or has no "
        "density. Remove such rows, or give them a sample_weight of 0."
    )
    return numerics.requirement(tf.reduce_all(tf.concat(are_finite, 0)), message)


def concerns(model: keras.Model) -> bool:
    """Whether a model outputs mixtures, or learns by a loss of ours."""
    if hasattr(model, "weights_by_member"):  # an Ensemble
        return True
    losses = keras.tree.flatten(getattr(model, "loss", None))
    if any(hasattr(loss, "target_format") for loss in losses):
        return True
    return any(isinstance(layer, MDNLayer) for layer in keras_internals.layers_of(model))


@numerics.with_infinities
def without_junk(model: keras.Model, data: Any) -> Any:
    """A batch `(x, y, sample_weight)`, or all rows, with nothing in what does not count that a model cannot take.

    Rows of weight 0 in every output, and steps where weights are by step, whose x holds a number that is not finite or
    too large to compute with, are copies of one that counts; and so are targets whose own weight is 0. Without weights
    the data are what they were.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is None:
        return data
    data = x, y, sample_weight = keras.tree.map_structure(_as_tensor, (x, y, sample_weight))
    checks = []
    for weights in filter(lambda part: part is not None, keras.tree.flatten(sample_weight)):
        if weights.dtype != tf.bool:
            is_wrong = ~((weights >= 0) & (weights < math.inf)) if weights.dtype.is_floating else weights < 0
            checks += numerics.requirement_of_rows(is_wrong, WEIGHTS)
    counts = keras.tree.map_structure(_that_count, sample_weight)
    counts = _by_output(y, counts, by_member=getattr(model, "weights_by_member", False))
    if counts is None:  # of a structure that Keras is to say something about
        return data
    largest = _reach(tf.as_dtype(model.compute_dtype))
    with tf.control_dependencies(checks):
        if not any(own is None for own in counts):
            anywhere = _in_any_output(counts)
            x = keras.tree.map_structure(lambda part: _replaced(part, anywhere, -1, largest), x, none_is_leaf=False)
        targets = iter(counts)
        y = keras.tree.map_structure(lambda part: _replaced(part, next(targets), 0, largest), y)
    return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


def _as_tensor(part):
    """Arrays as tensors, as single batches may come."""
    return tf.constant(part) if isinstance(part, np.ndarray) and part.dtype.kind in "fiub" else part


def _that_count(weights: tf.Tensor | None) -> tf.Tensor | None:
    return None if weights is None else weights if weights.dtype == tf.bool else weights != 0


def _by_output(y, counts, by_member: bool) -> list[tf.Tensor | None] | None:
    """What counts of each output, in the order of the flat targets; None if that is not clear."""
    size = len(keras.tree.flatten(y))
    flat = _aligned(y, counts) if keras.tree.is_nested(counts) else [counts] * size
    if flat is None or len(flat) != size:
        return None
    if by_member:  # the last axis is of members
        flat = [own if own is None or own.shape.rank < 2 else tf.reduce_any(own, -1) for own in flat]
    return flat


def _aligned(y, counts) -> list | None:
    if isinstance(y, dict) and isinstance(counts, dict):
        if any(keras.tree.is_nested(part) for part in [*y.values(), *counts.values()]):
            return None
        return [counts.get(name) for name in sorted(y)]
    try:
        keras.tree.assert_same_structure(y, counts)
    except (TypeError, ValueError):
        return None
    return keras.tree.flatten(counts)


def _in_any_output(counts: list[tf.Tensor]) -> tf.Tensor:
    """What counts in any output: steps `[B, T]` if all outputs have weights of these, else rows `[B]`."""
    shapes = {tuple(own.shape[1:]) for own in counts}
    if len(counts) > 1 and (len(shapes) > 1 or None in next(iter(shapes))):
        counts = [tf.reduce_any(own, list(range(1, own.shape.rank))) for own in counts]
    return functools.reduce(tf.logical_or, counts)


def _replaced(part, counts: tf.Tensor | None, most_axes: int, largest: float):
    """One array of a batch `[B, ...]`, with a row or step that counts in the place of bad ones that do not.

    Args:
      part: the array.
      counts: which rows `[B]` or steps `[B, T]` count, or None for all.
      most_axes: how many axes at most are of steps, counted from the end of the shape: 0 for all, -1 for all but one.
      largest: larger numbers are as bad as infinite ones.
    """
    if counts is None or not isinstance(part, tf.Tensor) or not part.dtype.is_floating or not part.shape.rank:
        return part
    counts = _counts_like(part, counts, most_axes)
    axes = counts.shape.rank
    if tf.executing_eagerly() and bool(tf.reduce_all(counts)):
        return part
    limit = tf.constant(min(largest, _reach(part.dtype)), part.dtype)
    is_fine = tf.abs(part) <= limit  # NaN is not
    is_fine = tf.reduce_all(is_fine, list(range(axes, part.shape.rank)))  # [B] or [B, T]
    is_good = counts & is_fine
    order = tf.cumsum(tf.cast(tf.reshape(is_good, [-1]), tf.int32))
    is_first = is_good & tf.reshape(order == 1, tf.shape(is_good))
    trailing = part.shape.rank - axes
    if tf.executing_eagerly() and bool(tf.reduce_all(counts | is_fine)):
        return part
    first = tf.where(numerics.with_trailing_axes(is_first, trailing), part, tf.zeros_like(part))
    first = tf.reduce_sum(first, list(range(axes)), keepdims=True)  # 0 if nothing counts
    return tf.where(numerics.with_trailing_axes(counts | is_fine, trailing), part, first)


def _reach(dtype: tf.DType) -> float:
    """The largest number whose square can be computed with, and some more."""
    return numerics.reach(tf.float32 if dtype == tf.bfloat16 else dtype)


def _counts_like(part: tf.Tensor, counts: tf.Tensor, most_axes: int) -> tf.Tensor:
    """Which rows of an array count, `[B]`; or, if it has the same steps, which steps `[B, T]`."""
    most_axes = max(part.shape.rank + most_axes, 1)
    while counts.shape.rank > 1:
        steps, own = counts.shape[1:], part.shape[1 : counts.shape.rank]
        if counts.shape.rank <= most_axes and steps.is_fully_defined() and steps == own:
            break
        if counts.shape.rank == 2 <= most_axes and steps.is_compatible_with(
            own
        ):  # it is not known if they are the same
            sizes = tf.shape(part)[1], tf.shape(counts)[1]
            places = tf.minimum(tf.range(sizes[0]), sizes[1] - 1)
            rows = tf.reduce_any(counts, 1, keepdims=True)
            return tf.where(sizes[0] == sizes[1], tf.gather(counts, places, axis=1), rows)
        counts = tf.reduce_any(counts, -1)
    return counts
