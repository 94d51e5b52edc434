"""What targets a mixture takes, and what becomes of those that are not known.

Shapes in comments: B batch, E event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, validation
from tfmdn.distributions import coarse, incomplete

tfd = tfp.distributions

MISSING = ("error", "ignore")


@dataclasses.dataclass(frozen=True)
class TargetFormat:
    """How targets say what is known of them.

    The methods that take tensors take what `reconcile` returns.

    Attributes:
      intervals: whether each number of a target is a pair (low, high) in a last axis. Equal ends are its value; of
        others it is known that it lies between them, with -inf or inf where there is no such end.
      missing: "error" if each number of a target must be there; "ignore" if NaN, or a pair of NaN, stands for one that
        was not observed.
    """

    intervals: bool = False
    missing: str = "error"

    def __post_init__(self):
        validation.boolean("intervals", self.intervals)
        validation.one_of("missing", self.missing, MISSING)

    @property
    def is_plain(self) -> bool:
        """Whether a target is what the mixture is a distribution of, and nothing else."""
        return not self.intervals and self.missing == "error"

    def reconcile(self, y_true, mixture: tfd.Distribution) -> tf.Tensor:
        """The targets `[*B, *E]`, or `[*B, *E, 2]` for intervals; see `reconcile_target`."""
        return reconcile_target(y_true, mixture, self.intervals)

    def ends(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The lower and the upper ends `[*B, *E]`, which are the same without intervals."""
        return (y[..., 0], y[..., 1]) if self.intervals else (y, y)

    def is_missing(self, y: tf.Tensor) -> tf.Tensor:
        """Which numbers `[*B, *E]` were not observed."""
        if self.is_plain:
            return tf.zeros_like(y, tf.bool)
        low, high = self.ends(y)
        is_unknown = incomplete.is_unknown(low, high)
        return is_unknown if self.missing == "ignore" else is_unknown & ~tf.math.is_nan(low)

    def known(self, y: tf.Tensor) -> tf.Tensor | None:
        """Which numbers `[*B, *E]` count in a mean over coordinates; None for all."""
        return None if self.is_plain else ~self.is_missing(y)

    def rows_that_say_anything(self, y: ArrayLike) -> np.ndarray:
        """Which rows of an array `[n, ...]` of targets have a number that was observed, `[n]`."""
        if self.is_plain:
            return np.ones(len(y), bool)
        is_known = ~self.is_missing(tf.convert_to_tensor(np.asarray(y, np.float64)))
        return is_known.numpy().reshape(len(y), -1).any(1)

    def says_anything(self, y: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """Which targets have a number that was observed, `[*B]`. The others count in no mean."""
        return any_of_event(~self.is_missing(y), mixture)

    def only(self, counts: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The targets, with NaN for those that do not count, `[*B]`: what is wrong with these is no error."""
        if self.is_plain:
            return y
        return tf.where(numerics.with_trailing_axes(counts, y.shape.rank - counts.shape.rank), y, math.nan)

    def has_nan(self, y: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """Which targets have a NaN that does not stand for what is missing, `[*B]`."""
        if self.is_plain:
            return any_of_event(tf.math.is_nan(y), mixture)
        low, high = self.ends(y)
        return any_of_event((tf.math.is_nan(low) | tf.math.is_nan(high)) & ~self.is_missing(y), mixture)

    def is_infinite(self, y: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """Which targets have an infinite value, `[*B]`."""
        low, high = self.ends(y)
        is_infinite = tf.math.is_inf(low) & (low == high) if self.intervals else tf.math.is_inf(y)
        return any_of_event(is_infinite, mixture)

    def order_checks(self, y: tf.Tensor) -> list[tf.Operation]:
        """Operations that raise if a lower end is above its upper end: eagerly a ValueError at once."""
        if not self.intervals:
            return []
        low, high = self.ends(y)
        message = "The lower end of an interval must not be above its upper end."
        return numerics.requirement(~tf.reduce_any(low > high), message, lambda: coarse.received(low, high, low > high))

    def score(self, score: Callable, y_true, mixture: tfd.Distribution) -> tf.Tensor:
        """The scores `[*B]` of targets, with no gradient from those that are missing or wrong.

        Args:
          score: of the lower and upper ends `[*B, *E]`, in which what was not observed is NaN. Without intervals the
            upper ends are None.
          y_true: the targets, as they come.
          mixture: their distribution.

        Returns:
          NaN for the rows with a NaN that does not stand for what is missing, and for those with a lower end above the
          upper one where nothing can raise.
        """
        y = self.reconcile(y_true, mixture)
        with tf.control_dependencies(self.order_checks(y)):
            low, high = self.ends(tf.identity(y))
        is_wrong = self.has_nan(y, mixture) | any_of_event(low > high, mixture)
        is_unknown = self.is_missing(y) | numerics.with_trailing_axes(is_wrong, mixture.event_shape.rank)
        # The gradient of a NaN would turn every weight into NaN: it is cut off, the value is not.
        low, high = (tf.where(is_unknown, tf.constant(math.nan, end.dtype), end) for end in (low, high))
        values = score(low, high if self.intervals else None)
        return tf.where(is_wrong, tf.cast(math.nan, values.dtype), values)

    def mean_score(self, score: Callable[[tf.Tensor], tf.Tensor], y_true, mixture: tfd.Distribution) -> tf.Tensor:
        """The mean `[*B]` of the scores `[*B, *E]` of single coordinates, of those that were observed; see `score`."""
        if self.is_plain:
            return score_known(lambda y: mean_over_event(score(y), mixture), y_true, mixture)

        def of_known(y, _):
            is_known = ~tf.math.is_nan(y)
            return mean_over_event(score(tf.where(is_known, y, tf.zeros_like(y))), mixture, is_known)

        return self.score(of_known, y_true, mixture)


def reconcile_target(y_true, mixture: tfd.Distribution, intervals: bool = False) -> tf.Tensor:
    """The targets as a tensor of exactly the mixture's shape and dtype.

    TFP broadcasts `(n, 1)` targets against n scalar distributions to n x n densities without a word: here a last axis
    of size 1 is removed or added, and any other difference is an error.

    With `intervals` each number is a pair in a last axis. Pairs of float64 stay so: ends that differ in float64 alone
    are not the same.
    """
    if not isinstance(mixture, tfd.Distribution):
        raise TypeError(
            "Expected the distribution that an MDNLayer outputs. Is it the last layer, and reached this unchanged? "
            f"Received: {type(mixture).__name__} of shape {getattr(mixture, 'shape', None)}."
        )
    y_true = tf.convert_to_tensor(y_true)
    if not intervals or y_true.dtype != tf.float64:
        y_true = tf.cast(y_true, mixture.dtype)
    pair = [2] if intervals else []
    if y_true.shape.rank is None:  # Keras has traced the model with targets `[n]`, and now `[n, 1]` come
        shape = tf.concat([mixture.batch_shape_tensor(), mixture.event_shape_tensor(), tf.constant(pair, tf.int32)], 0)
        y_true = tf.reshape(y_true, shape)
    received, expected = y_true.shape, mixture.batch_shape + mixture.event_shape + pair
    last = -1 - len(pair)
    if mixture.event_shape.rank == 0 and received.rank == expected.rank + 1 and received[last] in (1, None):
        y_true = tf.squeeze(y_true, last)
    elif mixture.event_shape == (1,) and received.rank == expected.rank - 1:
        y_true = tf.expand_dims(y_true, last)
    if not y_true.shape.is_compatible_with(expected):
        pairs = ", and pairs (low, high)" if intervals else ""
        raise ValueError(
            f"The targets do not fit the mixture. Expected: y_true of shape {expected}, which is batch shape "
            f"{mixture.batch_shape} and event shape {mixture.event_shape}{pairs}. Received: y_true of shape {received}."
        )
    if 0 in y_true.shape:
        raise ValueError(f"Expected at least one row. Received: an empty batch, y_true of shape {received}.")
    return tf.ensure_shape(y_true, expected)


def score_known(score: Callable[[tf.Tensor], tf.Tensor], y_true, mixture: tfd.Distribution) -> tf.Tensor:
    """The scores `[*B]` of the reconciled targets. NaN, with no gradient, for the rows with a NaN in the target."""
    y_true = reconcile_target(y_true, mixture)
    # The gradient of a NaN target would turn every weight into NaN: it is cut off, the value is not.
    values = score(tf.where(tf.math.is_nan(y_true), tf.zeros_like(y_true), y_true))
    return tf.where(any_of_event(tf.math.is_nan(y_true), mixture), tf.cast(math.nan, values.dtype), values)


def any_of_event(is_chosen: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
    """Which targets have a number that is chosen: `[*B, *E]` to `[*B]`."""
    return tf.reduce_any(is_chosen, list(range(-mixture.event_shape.rank, 0)))


def mean_over_event(values: tf.Tensor, mixture: tfd.Distribution, is_known: tf.Tensor | None = None) -> tf.Tensor:
    """The mean over the coordinates of each target that are known, or over all: `[*B, *E]` to `[*B]`. 0 if none is."""
    axes = list(range(-mixture.event_shape.rank, 0))
    if is_known is None:
        return tf.reduce_mean(values, axes)
    total = tf.reduce_sum(tf.where(is_known, values, tf.zeros_like(values)), axes)
    return total / tf.maximum(tf.reduce_sum(tf.cast(is_known, values.dtype), axes), 1.0)
