"""The negative log-likelihood of targets, of which not all need be known."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn.distributions import incomplete
from tfmdn.scores import saved, targets

tfd = tfp.distributions


@saved.by_name
def negative_log_likelihood(
    y_true: ArrayLike, mixture: tfd.Distribution, *, intervals: bool = False, missing: str = "error"
) -> tf.Tensor:
    """-log p(y_true) of each example, in nats. Negative where the density is above 1, which is no error.

    What is known of a target may be a set in which it lies. Its likelihood is then the probability of the set (Heitjan
    and Rubin 1991), and not that of a value in it.

    Args:
      y_true: targets `[*B, *E]` of the mixture's batch and event shape. For a scalar event, `[*B, 1]` too; for an event
        shape of `(1,)`, `[*B]` too. Integers are cast.
      mixture: the output of an `MDNLayer`, or any other `tfd.Distribution`.
      intervals: whether each number of a target is a pair (low, high) in a last axis, so that targets are
        `[*B, *E, 2]`. Where both ends are equal, they are its value. Else it lies between them: (0, inf) is a target
        above 0, (-inf, inf) one of which nothing is known. Of vectors this needs independent coordinates.
      missing: "ignore" if a NaN in a target, or a pair of NaN, stands for a coordinate that was not observed: it is
        integrated out, in closed form for every covariance. "error" if there should be none.

    Returns:
      A tensor of the batch shape `[*B]`. 0 for the rows of which nothing is known, which the loss and the metric leave
      out. NaN for the rows where the mixture is NaN, or where the target has a NaN that does not stand for what is
      missing.

    Raises:
      TypeError: if `mixture` is not a distribution.
      ValueError: if the shapes do not fit, if there is no row, or if the lower end of an interval is above the upper.
      NotImplementedError: for intervals of correlated coordinates, and for missing ones of a kind of distribution that
        does not tell how they are correlated.

    Example:

    >>> mixture = tfmdn.MDNLayer(2)(np.zeros((3, 4)))
    >>> tfmdn.negative_log_likelihood(np.zeros((3, 1)), mixture).shape
    TensorShape([3])
    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((3, 1))), tfd.Normal(np.zeros((3, 1)), 1.0))
    >>> y = np.array([[0.0, 0.0], [0.0, np.inf], [-1.0, 1.0]])
    >>> tfmdn.negative_log_likelihood(y, standard_normal, intervals=True).numpy().round(3)
    array([0.919, 0.693, 0.382])
    """
    form = targets.TargetFormat(intervals, missing)
    if form.is_plain:
        return targets.score_known(lambda y: -mixture.log_prob(y), y_true, mixture)
    return form.score(lambda low, high: -incomplete.log_likelihood(mixture, low, high), y_true, mixture)
