"""What targets a mixture takes, and what becomes of those that are not known.

Shapes in comments: B batch, E event.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def reconcile_target(y_true, mixture: tfd.Distribution) -> tf.Tensor:
    """The targets as a tensor of exactly the mixture's shape and dtype.

    TFP broadcasts `(n, 1)` targets against n scalar distributions to n x n densities without a word: here a last axis
    of size 1 is removed or added, and any other difference is an error.
    """
    if not isinstance(mixture, tfd.Distribution):
        raise TypeError(
            "Expected the distribution that an MDNLayer outputs. Is it the last layer, and reached this unchanged? "
            f"Received: {type(mixture).__name__} of shape {getattr(mixture, 'shape', None)}."
        )
    y_true = tf.cast(tf.convert_to_tensor(y_true), mixture.dtype)
    if y_true.shape.rank is None:  # Keras has traced the model with targets `[n]`, and now `[n, 1]` come
        y_true = tf.reshape(y_true, tf.concat([mixture.batch_shape_tensor(), mixture.event_shape_tensor()], 0))
    received, expected = y_true.shape, mixture.batch_shape + mixture.event_shape
    if mixture.event_shape.rank == 0 and received.rank == expected.rank + 1 and received[-1] in (1, None):
        y_true = tf.squeeze(y_true, -1)
    elif mixture.event_shape == (1,) and received.rank == expected.rank - 1:
        y_true = y_true[..., tf.newaxis]
    if not y_true.shape.is_compatible_with(expected):
        raise ValueError(
            f"The targets do not fit the mixture. Expected: y_true of shape {expected}, which is batch shape "
            f"{mixture.batch_shape} and event shape {mixture.event_shape}. Received: y_true of shape {received}."
        )
    if 0 in y_true.shape:
        raise ValueError(f"Expected at least one row. Received: an empty batch, y_true of shape {received}.")
    return tf.ensure_shape(y_true, expected)


def score_known(score: Callable[[tf.Tensor], tf.Tensor], y_true, mixture: tfd.Distribution) -> tf.Tensor:
    """The scores `[*B]` of the reconciled targets. NaN, with no gradient, for the rows with a NaN in the target."""
    y_true = reconcile_target(y_true, mixture)
    # The gradient of a NaN target would turn every weight into NaN: it is cut off, the value is not.
    values = score(tf.where(tf.math.is_nan(y_true), tf.zeros_like(y_true), y_true))
    return tf.where(any_number(tf.math.is_nan, y_true, mixture), tf.cast(float("nan"), values.dtype), values)


def any_number(is_bad: Callable[[tf.Tensor], tf.Tensor], y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
    """Which targets `[*B, *E]` have a number in them that `is_bad`, such as NaN: `[*B]`."""
    return tf.reduce_any(is_bad(y_true), list(range(-mixture.event_shape.rank, 0)))


def mean_over_event(values: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
    """The mean over the coordinates of each target: `[*B, *E]` to `[*B]`."""
    return tf.reduce_mean(values, list(range(-mixture.event_shape.rank, 0)))
