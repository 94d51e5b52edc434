"""The probability integral transform."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics
from tfmdn.scores import targets

tfd = tfp.distributions


@numerics.unconverted
def probability_integral_transform(y_true: ArrayLike, mixture: tfd.Distribution) -> tf.Tensor:
    """The predicted probability of a smaller target. For a calibrated model it is uniform between 0 and 1.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a `Mixture`.

    Returns:
      A tensor `[*B, *E]`: of each coordinate by itself. NaN where the target or the mixture is NaN.

    Raises:
      ValueError: if the shapes do not fit, or if there is no row.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> tfmdn.probability_integral_transform([0.0], standard_normal).numpy()
    array([0.5], dtype=float32)
    """
    y_true = targets.reconcile_target(y_true, mixture)
    return tf.where(tf.math.is_nan(y_true), y_true, mixture.cdf(y_true))
