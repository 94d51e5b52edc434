"""The continuous ranked probability score, and the pinball loss, whose mean over all levels is half of it.

Shapes in comments: B batch, K components, E event, Q levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, validation
from tfmdn.distributions import counted, incomplete, ranked_probability, tensors
from tfmdn.distributions.batching import in_batches
from tfmdn.scores import components, saved, targets

tfd = tfp.distributions

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@saved.by_name
def crps(
    y_true: ArrayLike,
    mixture: tfd.MixtureSameFamily,
    batch_size: int | None = None,
    *,
    intervals: bool = False,
    missing: str = "error",
) -> tf.Tensor:
    """The continuous ranked probability score, in the units of the targets: E|X - y| - E|X - X'| / 2.

    X and X' are independent draws of the mixture. For a prediction of no width it is the absolute error. Unlike the
    likelihood it is bounded for narrow components, and an outlier counts by its distance alone.

    For normal, Laplace and lognormal components it is a closed form of all pairs of components, that of Grimit et al.
    (2006); for others an integral over the mixture's cumulative probability, which is right to about 1e-6, in float64
    to 1e-7 (1e-4 for more than 40 components that are very narrow beside their distances), and takes a few dozen
    numbers a component. In float32 its gradients lose digits where components are more than 1e4 of their scales apart.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a mixture of components of any family of `MDNLayer`. Of angles it is the score of Grimit et al. (2006),
        with distances along the circle.
      batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`. Of a target that lies in an
        interval it is the score with thresholds outside of it alone (Gneiting and Ranjan 2011; survival CRPS: Avati et
        al. 2020), which is 0 for any prediction within the interval.
      missing: "ignore" if NaN, or a pair of NaN, stands for a coordinate that was not observed, and does not count.

    Returns:
      A tensor of the batch shape `[*B]`. For a vector event it is the mean of the scores of the coordinates, each by
      itself: correlations do not count. `energy_score` takes them in. NaN for the rows where the target or the mixture
      is NaN.

    Raises:
      TypeError: if `mixture` is not a mixture.
      ValueError: if the shapes do not fit, if there is no row, or if the lower end of an interval is above the upper.
      NotImplementedError: if the score of this kind of component is not known; for intervals of angles.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> tfmdn.crps([0.0], standard_normal).numpy().round(4)
    array([0.2337], dtype=float32)
    """
    components.require_mixture(mixture)
    form = targets.TargetFormat(intervals, missing)
    if batch_size is not None:
        ends = [tf.cast(end, mixture.dtype) for end in form.ends(form.reconcile(y_true, mixture))]

        def of_part(part, _, low, high):
            pairs = tf.stack([low, high], -1) if intervals else low
            return crps(pairs, part, intervals=intervals, missing=missing)

        return in_batches(of_part, mixture, ends, batch_size, event_rank=0)
    if not intervals:
        return form.mean_score(lambda y: _crps_of_coordinates(y, mixture), y_true, mixture)
    return form.score(lambda low, high: _crps_of_intervals(low, high, mixture), y_true, mixture)


def _crps_of_coordinates(y: tf.Tensor, mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    return ranked_probability.crps(*_marginals(mixture), y, components.axis_of(mixture))


def _crps_of_intervals(low: tf.Tensor, high: tf.Tensor, mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The mean `[*B]` over the coordinates that are known, of ends `[*B, *E]`."""
    is_known, is_value = ~incomplete.is_unknown(low, high), low == high
    of_values = _crps_of_coordinates(tf.cast(tf.where(is_value, low, tf.zeros_like(low)), mixture.dtype), mixture)
    is_interval = is_known & ~is_value
    low, high = tf.where(is_interval, low, -math.inf), tf.where(is_interval, high, math.inf)
    ends = [tf.cast(end, mixture.dtype) for end in (low, high)]
    of_intervals = ranked_probability.interval_crps(*_marginals(mixture), *ends, components.axis_of(mixture))
    return targets.mean_over_event(tf.where(is_value, of_values, of_intervals), mixture, is_known)


def _marginals(mixture: tfd.MixtureSameFamily) -> tuple[tfd.Distribution, tf.Tensor]:
    """The univariate components of each coordinate, and their weights: `[*B, K, *E]`."""
    weights = numerics.with_trailing_axes(components.weights_of(mixture), mixture.event_shape.rank)
    return tensors.marginals(counted.in_sums(mixture).components_distribution), weights


@saved.by_name
def pinball_loss(
    y_true: ArrayLike,
    mixture: tfd.Distribution,
    levels: float | Sequence[float] = DECILES,
    *,
    missing: str = "error",
) -> tf.Tensor:
    """The pinball (quantile) loss of the mixture's quantiles, in the units of the targets.

    A target above the quantile of level p costs p times the distance, one below it 1 - p times the distance. Its mean
    over all levels is half of the CRPS.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a `Mixture`.
      levels: the probabilities of the quantiles, strictly between 0 and 1: one or several.
      missing: as in `crps`.

    Returns:
      A tensor of the batch shape `[*B]`: the mean over the levels and over the coordinates of a vector event. NaN for
      the rows where the target or the mixture is NaN.

    Raises:
      ValueError: if the shapes do not fit, if there is no row, or if a level is not between 0 and 1.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> tfmdn.pinball_loss([2.0], standard_normal, levels=0.5).numpy()
    array([1.], dtype=float32)
    """
    levels = checked_levels(levels)

    def score(y):
        error = y - mixture.quantile(levels)  # [Q, B, E]
        shaped = tf.reshape(tf.constant(levels, y.dtype), [-1, *[1] * y.shape.rank])
        return tf.reduce_mean(tf.maximum(shaped * error, (shaped - 1.0) * error), 0)

    return targets.TargetFormat(missing=missing).mean_score(score, y_true, mixture)


def checked_levels(levels) -> list[float]:
    """The probabilities of quantiles as a list, each checked to lie strictly between 0 and 1."""
    values = np.ravel(levels).tolist()
    if not values:
        raise ValueError("`levels` must have at least one level. Received: levels=[].")
    return [validation.fraction("levels", value) for value in values]
