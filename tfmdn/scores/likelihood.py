"""The negative log-likelihood of targets."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics
from tfmdn.scores import targets

tfd = tfp.distributions


@numerics.unconverted
def negative_log_likelihood(y_true: ArrayLike, mixture: tfd.Distribution) -> tf.Tensor:
    """-log p(y_true) of each example, in nats. Negative where the density is above 1, which is no error.

    Args:
      y_true: targets `[*B, *E]` of the mixture's batch and event shape. For a scalar event, `[*B, 1]` too; for an event
        shape of `(1,)`, `[*B]` too. Integers are cast.
      mixture: the output of an `MDNLayer`, or any other `tfd.Distribution`.

    Returns:
      A tensor of the batch shape `[*B]`. NaN for the rows where the target or the mixture is NaN.

    Raises:
      TypeError: if `mixture` is not a distribution.
      ValueError: if the shapes do not fit, or if there is no row.

    Example:

    >>> mixture = tfmdn.MDNLayer(2)(np.zeros((3, 4)))
    >>> tfmdn.negative_log_likelihood(np.zeros((3, 1)), mixture).shape
    TensorShape([3])
    """
    return targets.score_known(lambda y: -mixture.log_prob(y), y_true, mixture)
