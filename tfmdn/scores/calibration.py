"""How often targets lie where they were predicted, of the predicted probabilities of what is up to them.

Shapes in comments: B batch, E event, N bins.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.scores.targets import TargetFormat
from tfmdn.scores.transform import has_jumps, probabilities

tfd = tfp.distributions

ROUNDING = 1e-6  # of cumulative probabilities


def share_inside(
    below: tf.Tensor,
    up_to: tf.Tensor,
    coverage: float,
    mixture: tfd.Distribution,
    interval: Callable[[], tf.Tensor],
    is_interval: tf.Tensor | None = None,
) -> tf.Tensor:
    """Whether targets lie inside central intervals, `[*B, *E]`: 0 or 1, or the share of one that is an interval.

    Args:
      below: the predicted probability of values below each target.
      up_to: that of values up to it. NaN where nothing is known.
      coverage: the probability of the central interval.
      mixture: the prediction.
      interval: returns the central interval `[*B, *E, 2]`, which is asked for where quantiles must be known.
      is_interval: which targets are only known to lie in an interval, None for none.
    """
    start, end, slack = 0.5 - 0.5 * coverage, 0.5 + 0.5 * coverage, 0.0
    if has_jumps(mixture):
        start, end = probabilities(interval(), mixture, TargetFormat(intervals=True))
        slack = ROUNDING
    share = tf.cast((below >= start - slack) & (up_to <= end + slack), up_to.dtype)
    if is_interval is not None:
        inside = tf.maximum(tf.minimum(up_to, end) - tf.maximum(below, start), 0.0)
        share = tf.where(is_interval, tf.math.divide_no_nan(inside, up_to - below), share)
    return tf.where(tf.math.is_nan(up_to), up_to, share)


def shares_of_bins(below: tf.Tensor, up_to: tf.Tensor, num_bins: int) -> tf.Tensor:
    """Which share of each target is in each bin of the integral transform: `[N, *B, *E]`, NaN where nothing is known.

    Args:
      below: the predicted probability of values below each target.
      up_to: that of values up to it. What lies between the two is spread evenly.
      num_bins: the number of bins N.
    """
    index = tf.cast(tf.clip_by_value(up_to * num_bins, 0.0, num_bins - 1.0), tf.int32)
    in_bin = tf.one_hot(index, num_bins, axis=0, dtype=up_to.dtype)
    if below is not up_to:
        edges = tf.range(num_bins + 1, dtype=up_to.dtype) / num_bins
        edges = numerics.with_trailing_axes(edges, up_to.shape.rank)
        # The share that lies below each edge. A width of 0 has no shares, but must not make the others NaN.
        width = tf.where(below < up_to, up_to - below, tf.ones_like(up_to))
        shares = tf.clip_by_value((edges - below) / width, 0.0, 1.0)
        in_bin = tf.where(below < up_to, shares[1:] - shares[:-1], in_bin)
    # A probability of NaN has no bin: it makes all of them NaN.
    return in_bin + tf.where(tf.math.is_nan(up_to), up_to, tf.zeros_like(up_to))


def error_of_bins(shares: tf.Tensor) -> tf.Tensor:
    """The root mean square, over the edges between bins, of how far the shares `[N]` below them are from the edges."""
    num_bins = shares.shape[0]
    edges = tf.range(1, num_bins, dtype=shares.dtype) / num_bins
    return tf.sqrt(tf.reduce_mean(tf.square(tf.cumsum(shares)[:-1] - edges)))
