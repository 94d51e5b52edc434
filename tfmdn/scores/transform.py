"""The probability integral transform, also of targets that lie in an interval and of distributions with jumps.

Shapes in comments: B batch, E event.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics
from tfmdn.distributions import kinds, random_numbers, tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.scores import saved
from tfmdn.scores.targets import TargetFormat

tfd = tfp.distributions


@saved.by_name
def probability_integral_transform(
    y_true: ArrayLike, mixture: tfd.Distribution, *, intervals: bool = False, seed: int | tf.Tensor | None = None
) -> tf.Tensor:
    """The predicted probability of a smaller target. For a calibrated model it is uniform between 0 and 1.

    Where the target has a probability of its own, as limits and rounded values may have, or where it is only known to
    lie in an interval, there is more than one such probability. One of them is drawn, which again is uniform for a
    calibrated model (Brockwell 2007).

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a `Mixture`.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
      seed: of what is drawn: an integer, for which it is the same at each call; a stateless seed of TensorFlow; or None
        for new numbers at each call. It makes no difference where nothing has to be drawn.

    Returns:
      A tensor `[*B, *E]`: of each coordinate by itself. NaN where the target or the mixture is NaN, and where nothing
      is known of the target.

    Raises:
      ValueError: if the shapes do not fit, if there is no row, or if the lower end of an interval is above the upper.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> tfmdn.probability_integral_transform([0.0], standard_normal).numpy()
    array([0.5], dtype=float32)
    >>> above_median = tfmdn.probability_integral_transform([[0.0, np.inf]], standard_normal, intervals=True)
    >>> 0.5 <= float(above_median[0]) <= 1.0
    True
    """
    form = TargetFormat(intervals)
    below, up_to = probabilities(form.reconcile(y_true, mixture), mixture, form)
    if below is up_to:
        return up_to
    uniform = random_numbers.uniform(tf.shape(up_to), seed, up_to.dtype)
    return numerics.as_probability(below + uniform * (up_to - below))


def probabilities(y: tf.Tensor, mixture: tfd.Distribution, form: TargetFormat) -> tuple[tf.Tensor, tf.Tensor]:
    """Those of values below the targets, and of values up to them: `[*B, *E]`.

    Args:
      y: reconciled targets.
      mixture: a `Mixture`.
      form: what they say.

    Returns:
      One and the same tensor if no target has a probability of its own. NaN where a target is NaN or says nothing.
    """
    low, high = form.ends(y)
    jumps = has_jumps(mixture)
    if not form.intervals and not jumps:
        probability = tf.where(tf.math.is_nan(y), y, mixture.cdf(y))
        return probability, probability
    with tf.control_dependencies(form.order_checks(y)):
        is_known = ~(form.is_missing(y) | tf.math.is_nan(low) | tf.math.is_nan(high) | (low > high))

    def safe(end):
        return tf.cast(tf.where(is_known & tf.math.is_finite(end), end, tf.zeros_like(end)), mixture.dtype)

    below = mixture.cdf(safe(low))
    if jumps:
        below = tf.maximum(below - mixture.prob_of(safe(low)), 0.0)
    below = tf.where(low > -math.inf, below, 0.0)
    up_to = tf.where(high < math.inf, mixture.cdf(safe(high)), 1.0)
    nan = tf.constant(math.nan, up_to.dtype)
    return tf.where(is_known, below, nan), tf.where(is_known, up_to, nan)


def has_jumps(mixture: tfd.Distribution) -> bool:
    """Whether single values may have a probability."""
    return isinstance(mixture, Mixture) and kinds.has_jumps(tensors.marginals(mixture.components_distribution))
