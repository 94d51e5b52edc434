"""The energy score: the continuous ranked probability score of vectors as a whole.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, validation
from tfmdn.distributions import counted, draws, kinds, random_numbers
from tfmdn.scores import components, saved, targets

tfd = tfp.distributions


@saved.by_name
def energy_score(
    y_true: ArrayLike,
    mixture: tfd.MixtureSameFamily,
    num_samples: int = 50,
    seed: int | None = None,
    *,
    missing: str = "error",
) -> tf.Tensor:
    """The energy score E||X - y|| - E||X - X'|| / 2, which is the CRPS of vectors as a whole, from draws.

    An unbiased estimate (Gneiting and Raftery 2007). Every component is drawn from and counts by its weight, so that
    the gradient reaches the weights too.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a mixture of any components that can be drawn from.
      num_samples: number of draws of each component. The memory is that of num_samples x K targets for each row.
      seed: an integer or a stateless seed, as in `Mixture.sample`; None for new draws at each call.
      missing: "ignore" if NaN stands for a coordinate that was not observed: the score is that of the others.

    Returns:
      A tensor of the batch shape `[*B]`, in the units of the targets, with an error that falls like
      1 / sqrt(num_samples). NaN for the rows where the target or the mixture is NaN.

    Raises:
      TypeError: if `mixture` is not a mixture.
      ValueError: if the shapes do not fit, if there is no row, or if `num_samples` is not a positive integer.

    Example:

    >>> mixture = tfmdn.MDNLayer(3, event_shape=2)(np.zeros((4, 5)))
    >>> tfmdn.energy_score(np.zeros((4, 2)), mixture, seed=0).shape
    TensorShape([4])
    """
    components.require_mixture(mixture)
    validation.positive_integer("num_samples", num_samples)
    form = targets.TargetFormat(missing=missing)
    if form.is_plain:
        return targets.score_known(lambda y: _energy_score(y, mixture, num_samples, seed), y_true, mixture)

    def of_known(y, _):
        is_known = ~tf.math.is_nan(y)
        return _energy_score(tf.where(is_known, y, tf.zeros_like(y)), mixture, num_samples, seed, is_known)

    return form.score(of_known, y_true, mixture)


def _energy_score(
    y: tf.Tensor, mixture: tfd.MixtureSameFamily, num_samples: int, seed, is_known: tf.Tensor | None = None
) -> tf.Tensor:
    """The score of the coordinates of y `[*B, *E]` that are known, or of all."""
    axis = components.axis_of(mixture)
    seed = numerics.stateless_seed(seed)
    component_seed, mixture_seed = random_numbers.split(seed, salt="energy_score")
    mixture = counted.in_sums(mixture)
    weights = components.weights_of(mixture)  # [B, K]
    drawn = draws.of(mixture.components_distribution, [num_samples], component_seed)  # [S, B, K, E]
    others = tf.stop_gradient(mixture.sample(num_samples, seed=mixture_seed))  # [S, B, E]

    def mean_distance(points):  # of X from them: [B]
        # [S, B, K, E]
        difference = kinds.difference(mixture.components_distribution, drawn, tf.expand_dims(points, axis))
        if is_known is not None:
            difference = tf.where(tf.expand_dims(is_known, axis), difference, tf.zeros_like(difference))
        # Divided before they are summed, which distances near the largest number of the dtype would not survive.
        distance = tf.reduce_sum(weights * numerics.norm(difference, -1 - axis), -1)  # [S, B]
        return tf.reduce_sum(distance / num_samples, 0)

    spread = mean_distance(others)
    # Half of the gradient of E||X - X'|| comes through X, and as much through X', which is a constant here.
    return mean_distance(y) - spread + 0.5 * tf.stop_gradient(spread)
