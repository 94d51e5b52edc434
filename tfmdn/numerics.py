"""Arithmetic that stays finite however far away a target is, axes of tensors, and arguments as tensors."""

from __future__ import annotations

import functools
import math
import numbers
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import processes, tensorflow_internals

Function = TypeVar("Function", bound=Callable)

LARGEST = float(np.finfo(np.float32).max)  # in float64, too: heads pass from one to the other
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def reach(dtype: tf.DType) -> float:
    """The number of standard deviations whose square, times any reasonable gradient, is finite: 3e15 in float32."""
    return float(np.finfo(dtype.as_numpy_dtype).max) ** 0.4


def largest_slope(size: int | None, dtype: tf.DType) -> float:
    """How many times its diagonal a number of a triangular factor may be, so that solutions of it are finite."""
    largest = float(np.finfo(dtype.as_numpy_dtype).max)
    return max(largest ** (0.55 / max((size or 2) - 1, 1)), 1e5)


def without_infinities(values):
    """Numbers with the largest ones of float32 in place of infinities, which are not to be seen where others look."""
    clip = tf.clip_by_value if tf.is_tensor(values) else np.clip
    return clip(values, -LARGEST, LARGEST)


def with_infinities_again(values: tf.Tensor) -> tf.Tensor:
    """What `without_infinities` was made of."""
    values = tf.where(values >= LARGEST, tf.constant(math.inf, values.dtype), values)
    return tf.where(values <= -LARGEST, tf.constant(-math.inf, values.dtype), values)


def held_quotient(distance: tf.Tensor, scale: tf.Tensor, limit: float) -> tf.Tensor:
    """distance / scale, held within the limit before the division: an overflow would turn its gradient into NaN."""
    return tf.maximum(tf.minimum(distance, limit * scale), -limit * scale) / scale


def divider(scale: tf.Tensor, factor: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function of a distance that is factor * distance / scale, by products alone.

    In its gradients no product of scales stands, which may have no place in the dtype.
    """
    inverse, ratio = tf.stop_gradient(factor / scale), tf.stop_gradient(scale) / scale
    return lambda distance: distance * inverse * ratio


def log_sum_exp(values: tf.Tensor, axis: int) -> tf.Tensor:
    """log(sum(exp(values))) along an axis. Where all are -inf its gradient is 0, and not NaN as TensorFlow's is."""
    is_possible = tf.reduce_any(values != -np.inf, axis, keepdims=True)
    total = tf.reduce_logsumexp(tf.where(is_possible, values, tf.zeros_like(values)), axis)
    return tf.where(tf.squeeze(is_possible, axis), total, tf.constant(-np.inf, values.dtype))


def log_difference(larger: tf.Tensor, smaller: tf.Tensor) -> tf.Tensor:
    """log(exp(larger) - exp(smaller)), and -inf without a gradient where the first is not larger; NaN of NaN."""
    is_different, is_nan = larger > smaller, tf.math.is_nan(larger) | tf.math.is_nan(smaller)
    larger = tf.where(is_different, larger, tf.zeros_like(larger))
    # An infinite gap has the same result as a wide one, which has no gradient of NaN.
    gap = tf.where(is_different, tf.minimum(larger - smaller, 1e3), tf.ones_like(larger))
    nothing = tf.where(is_nan, tf.constant(np.nan, larger.dtype), tf.constant(-np.inf, larger.dtype))
    return tf.where(is_different, larger + tfp.math.log1mexp(gap), nothing)


def with_trailing_axes(tensor: tf.Tensor, count: int) -> tf.Tensor:
    """The tensor with `count` more axes of size 1 at its end."""
    tensor = tf.convert_to_tensor(tensor)
    for _ in range(count):
        tensor = tf.expand_dims(tensor, -1)
    return tensor


def append(value: tf.Tensor, constant) -> tf.Tensor:
    """One more number at the end of the last axis, the same everywhere."""
    return tf.concat([value, tf.zeros_like(value[..., :1]) + tf.cast(constant, value.dtype)], -1)


def broadcast_shape(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The shape that tensors of two shapes broadcast to. In a graph it is of operations that ONNX has, too."""
    if tf.executing_eagerly() or None in (first.shape[0], second.shape[0]):
        return tf.broadcast_dynamic_shape(first, second)
    missing = second.shape[0] - first.shape[0]
    if missing < 0:
        return broadcast_shape(second, first)
    first = tf.concat([[1] * missing, first], 0) if missing else first
    return tf.where(first == 1, second, first)


def merge_axis(tensor: tf.Tensor, axis: int) -> tf.Tensor:
    """The axis, counted from the end, merged into the one before it. If both have a known size, the result has."""
    at = tensor.shape.rank + axis
    shape, sizes = tf.shape(tensor), tensor.shape[at - 1 : at + 1]
    count = sizes.num_elements()
    total = shape[at - 1] * shape[at] if count is None else count
    merged = tf.reshape(tensor, tf.concat([shape[: at - 1], [total], shape[at + 1 :]], 0))
    return tf.ensure_shape(merged, [*tensor.shape[: at - 1], count, *tensor.shape[at + 1 :]])


def choose(points: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Of points `[K, *B, *E]` the one whose number stands in `index` `[*B]`."""
    choice = tf.one_hot(index, tf.shape(points)[0], on_value=True, off_value=False, axis=0)  # [K, B]
    choice = with_trailing_axes(choice, points.shape.rank - choice.shape.rank)
    return tf.reduce_sum(tf.where(choice, points, tf.zeros_like(points)), 0)


def sum_to(gradient: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The gradient of `value`, which was broadcast to the shape of `gradient`."""
    if gradient.shape.is_fully_defined() and gradient.shape == value.shape:
        return gradient
    shape = tf.shape(value)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)


def unit_of(x: tf.Tensor) -> tf.Tensor:
    """What numbers of that size can be divided by: itself, the smallest number of the dtype for 0, 1 if not finite."""
    return tf.maximum(tf.where(tf.math.is_finite(x), x, tf.ones_like(x)), np.finfo(x.dtype.as_numpy_dtype).tiny)


def norm(x: tf.Tensor, event_rank: int) -> tf.Tensor:
    """The length of vectors, with neither an overflow nor a NaN in the gradient: `[..., D]` to `[...]`."""
    if not event_rank:
        return tf.abs(x)
    unit = tf.stop_gradient(unit_of(tf.reduce_max(tf.abs(x), -1, keepdims=True)))
    squares = tf.reduce_sum(tf.square(x / unit), -1)  # 1 or more, or 0 at x = 0
    return unit[..., 0] * tf.sqrt(tf.maximum(squares, 0.5)) * tf.cast(squares > 0, x.dtype)


def square_root(x: tf.Tensor) -> tf.Tensor:
    """The square root, whose gradient at 0 is 0."""
    is_positive = ~(x <= 0.0)  # NaN too, so that it stays NaN
    return tf.where(is_positive, tf.sqrt(tf.where(is_positive, x, tf.ones_like(x))), tf.zeros_like(x))


def where_positive(y: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor], outside: float) -> tf.Tensor:
    """function(y) where y > 0, else a number, without a gradient from where the function is not defined."""
    inside = ~(y <= 0)  # NaN too, so that it stays NaN
    value = function(tf.where(inside, y, tf.ones_like(y)))
    return tf.where(inside, value, tf.cast(outside, value.dtype))


def log_of_probability(probability: tf.Tensor) -> tf.Tensor:
    """-inf for 0, with a gradient that is not NaN."""
    is_positive = ~(probability <= 0.0)  # NaN too, so that it stays NaN
    log = tf.math.log(tf.where(is_positive, probability, tf.ones_like(probability)))
    return tf.where(is_positive, log, tf.constant(-np.inf, probability.dtype))


def as_probability(value: tf.Tensor) -> tf.Tensor:
    """A probability that rounding has brought below 0 or above 1, as that; with the gradient that it had."""
    return value + tf.stop_gradient(tf.clip_by_value(value, 0.0, 1.0) - value)


def as_log_probability(value: tf.Tensor) -> tf.Tensor:
    """The logarithm of a probability that rounding has brought above 1, as 0; with the gradient that it had."""
    return value - tf.stop_gradient(tf.maximum(value, 0.0))


def checked_tensor(name: str, value, check: Callable, dtype: tf.DType) -> tf.Tensor:
    """A number that passes `check(name, value)`, as a tensor. A tensor, of unknown value in a graph, is only cast."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(check(name, value), dtype)


def requirement(condition: tf.Tensor, message: str, received: Callable[[], str] = str) -> list[tf.Operation]:
    """Operations that raise unless the condition holds: at once a ValueError, which also tells what was received."""
    if not tf.executing_eagerly():
        return [tf.debugging.Assert(condition, [message])]
    if not bool(condition):
        raise ValueError(f"{message} {received()}".strip())
    return []


FIRST_ROW = "The first such row of the batch, from 0:"
# The collection of a graph's operations that raise. What must not happen before waits for them.
CHECKS = "tfmdn_checks"


def requirement_of_rows(is_wrong: tf.Tensor, message: str) -> list[tf.Operation]:
    """Operations that raise if anything is wrong in a batch `[B, ...]`, and say in which row first."""
    if tf.executing_eagerly():
        if bool(tf.reduce_any(is_wrong)):
            raise ValueError(f"{message} {FIRST_ROW} {int(_first_row(is_wrong))}.")
        return []
    check = tf.debugging.Assert(~tf.reduce_any(is_wrong), [f"{message} {FIRST_ROW}", _first_row(is_wrong)])
    if check is not None:
        tf.compat.v1.add_to_collection(CHECKS, check)
    return [check]


def row_of(error: Exception) -> int | None:
    """The row that the message of such an error names, or None."""
    found = re.search(re.escape(FIRST_ROW) + r"\D*(\d+)", str(error))
    return int(found.group(1)) if found else None


def _first_row(is_wrong: tf.Tensor) -> tf.Tensor:
    """Not by argmax, which a batch without rows does not have."""
    rank = is_wrong.shape.rank
    if not rank:
        return tf.constant(0)
    rows = tf.reduce_any(is_wrong, list(range(1, rank))) if rank > 1 else is_wrong
    count = tf.size(rows)
    return tf.reduce_min(tf.where(rows, tf.range(count), count))


def stateless_seed(seed):
    """An integer of any size as the two int32 that TensorFlow's stateless operations take; any other seed as it is."""
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        return seed
    seed = int(seed)
    return tf.constant([(seed >> 31) & 0x7FFFFFFF, seed & 0x7FFFFFFF], tf.int32)


def unconverted(function: Function) -> Function:
    """The function, which AutoGraph leaves as it is in a `tf.function` of a user's, and which raises after a late fork.

    AutoGraph rewrites Python's loops over tensors. Where there are none to rewrite it takes longer to read all that a
    function calls than TensorFlow takes to trace it: 2.2 of 2.4 seconds of the first `tfmdn.crps`.
    """

    @with_infinities
    @functools.wraps(function)
    def checked(*args, **kwargs):
        processes.require_usable_tensorflow()
        return function(*args, **kwargs)

    return tf.autograph.experimental.do_not_convert(checked)


def with_infinities(function: Function) -> Function:
    """The function, in which `tf.debugging.enable_check_numerics()` does not look for infinities that are meant."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with tensorflow_internals.meant_infinities():
            return function(*args, **kwargs)

    return call
