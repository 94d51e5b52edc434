"""Scores of a mixture, example by example.

Each is proper: on average over the targets no prediction scores lower than their true distribution. Lower is better.

Shapes in comments: S samples, B batch, K components, E event, Q levels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, numerics, validation
from tfmdn.distributions import deviations, kinds, tensors
from tfmdn.distributions.batching import in_batches

tfd = tfp.distributions

__all__ = ["crps", "energy_score", "negative_log_likelihood", "pinball_loss", "probability_integral_transform"]

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


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
    return _score_known(lambda y: -mixture.log_prob(y), y_true, mixture)


@numerics.unconverted
def crps(y_true: ArrayLike, mixture: tfd.MixtureSameFamily, batch_size: int | None = None) -> tf.Tensor:
    """The continuous ranked probability score, in the units of the targets: E|X - y| - E|X - X'| / 2.

    X and X' are independent draws of the mixture. For a prediction of no width it is the absolute error. Unlike the
    likelihood it is bounded for narrow components, and an outlier counts by its distance alone. For normal components
    it is the closed form of Grimit et al. (2006), which takes K x K terms; see `deviations.absolute_difference`.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a mixture of components of any family of `MDNLayer`. Of angles it is the score of Grimit et al. (2006),
        with distances along the circle.
      batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.

    Returns:
      A tensor of the batch shape `[*B]`. For a vector event it is the mean of the scores of the coordinates, each by
      itself: correlations do not count. `energy_score` takes them in. NaN for the rows where the target or the mixture
      is NaN.

    Raises:
      TypeError: if `mixture` is not a mixture.
      ValueError: if the shapes do not fit, or if there is no row.
      NotImplementedError: if the score of this kind of component is not known.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> tfmdn.crps([0.0], standard_normal).numpy().round(4)
    array([0.2337], dtype=float32)
    """
    _require_mixture(mixture)
    if batch_size is not None:
        y_true = reconcile_target(y_true, mixture)
        return in_batches(lambda part, _, y: crps(y, part), mixture, [y_true], batch_size, event_rank=0)
    return _score_known(lambda y: mean_over_event(_crps_of_coordinates(y, mixture), mixture), y_true, mixture)


def _crps_of_coordinates(y: tf.Tensor, mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    axis = _component_axis(mixture)
    marginals = tensors.marginals(mixture.components_distribution)
    weights = numerics.with_trailing_axes(_weights(mixture), -1 - axis)  # [B, K, E]
    to_target = deviations.absolute_deviation(marginals, tf.expand_dims(y, axis))  # [B, K, E]
    # Each pair of components once: [.., K (K + 1) / 2, E].
    first, second = np.triu_indices(mixture.components_distribution.batch_shape[-1])
    times = numerics.with_trailing_axes(tf.constant(np.where(first == second, 1.0, 2.0), y.dtype), -1 - axis)
    pair_weights = times * tf.gather(weights, first, axis=axis) * tf.gather(weights, second, axis=axis)
    between = deviations.absolute_difference(
        *(tensors.map(functools.partial(tf.gather, indices=pair), marginals, axis=axis) for pair in (first, second))
    )
    return tf.reduce_sum(weights * to_target, axis) - 0.5 * tf.reduce_sum(pair_weights * between, axis)


@numerics.unconverted
def energy_score(
    y_true: ArrayLike, mixture: tfd.MixtureSameFamily, num_samples: int = 50, seed: int | None = None
) -> tf.Tensor:
    """The energy score E||X - y|| - E||X - X'|| / 2, which is the CRPS of vectors as a whole, from draws.

    An unbiased estimate (Gneiting and Raftery 2007). Every component is drawn from and counts by its weight, so that
    the gradient reaches the weights too.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a mixture of any components that can be drawn from.
      num_samples: number of draws of each component. The memory is that of num_samples x K targets for each row.
      seed: an integer or a stateless seed, as in `Mixture.sample`; None for new draws at each call.

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
    _require_mixture(mixture)
    validation.positive_integer("num_samples", num_samples)
    return _score_known(lambda y: _energy_score(y, mixture, num_samples, seed), y_true, mixture)


def _energy_score(y: tf.Tensor, mixture: tfd.MixtureSameFamily, num_samples: int, seed) -> tf.Tensor:
    axis = _component_axis(mixture)
    seed = numerics.stateless_seed(seed)
    component_seed, mixture_seed = tfp.random.split_seed(seed, salt="energy_score")
    weights = _weights(mixture)  # [B, K]
    draws = mixture.components_distribution.sample(num_samples, seed=component_seed)  # [S, B, K, E]
    others = tf.stop_gradient(mixture.sample(num_samples, seed=mixture_seed))  # [S, B, E]

    def mean_distance(points):  # of X from them: [B]
        # [S, B, K, E]
        difference = kinds.difference(mixture.components_distribution, draws, tf.expand_dims(points, axis))
        return tf.reduce_mean(tf.reduce_sum(weights * numerics.norm(difference, -1 - axis), -1), 0)

    spread = mean_distance(others)
    # Half of the gradient of E||X - X'|| comes through X, and as much through X', which is a constant here.
    return mean_distance(y) - spread + 0.5 * tf.stop_gradient(spread)


@numerics.unconverted
def pinball_loss(y_true: ArrayLike, mixture: tfd.Distribution, levels: float | Sequence[float] = DECILES) -> tf.Tensor:
    """The pinball (quantile) loss of the mixture's quantiles, in the units of the targets.

    A target above the quantile of level p costs p times the distance, one below it 1 - p times the distance. Its mean
    over all levels is half of the CRPS.

    Args:
      y_true: targets, as in `negative_log_likelihood`.
      mixture: a `Mixture`.
      levels: the probabilities of the quantiles, strictly between 0 and 1: one or several.

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
        return mean_over_event(tf.reduce_mean(tf.maximum(shaped * error, (shaped - 1.0) * error), 0), mixture)

    return _score_known(score, y_true, mixture)


def checked_levels(levels) -> list[float]:
    """The probabilities of quantiles as a list, each checked to lie strictly between 0 and 1."""
    values = np.ravel(levels).tolist()
    if not values:
        raise ValueError("`levels` must have at least one level. Received: levels=[].")
    return [validation.fraction("levels", value) for value in values]


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
    y_true = reconcile_target(y_true, mixture)
    return tf.where(tf.math.is_nan(y_true), y_true, mixture.cdf(y_true))


def _score_known(score: Callable[[tf.Tensor], tf.Tensor], y_true, mixture: tfd.Distribution) -> tf.Tensor:
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


def _component_axis(mixture: tfd.Distribution) -> int:
    """The axis of K in a tensor `[..., K, *E]`."""
    return -1 - mixture.event_shape.rank


def _weights(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The weights `[*B, K]` of the components, in the dtype of the mixture."""
    return tf.cast(mixture.mixture_distribution.probs_parameter(), mixture.dtype)


def _require_mixture(mixture) -> None:
    if isinstance(mixture, tfd.Distribution) and not isinstance(mixture, tfd.MixtureSameFamily):
        raise TypeError(
            "This score is made of a mixture's components. Expected: a `tfmdn.Mixture` or a tfd.MixtureSameFamily. "
            f"Received: {type(mixture).__name__}."
        )


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


def example_weights(mixture: tfd.Distribution, sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """How much each of the scores `[*B]` counts: its `sample_weight`, and 0 where Keras has masked the mixture."""
    weights = tf.ones_like(scores)
    mask = keras_internals.mask_of(mixture)
    if mask is not None:
        weights *= tf.cast(mask, weights.dtype)
    return weights if sample_weight is None else weights * like_scores(sample_weight, scores)


def like_scores(sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """Weights with as many axes as the scores: one weight for each row of a batch of sequences counts at every step."""
    sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), scores.dtype)
    rank = scores.shape.rank
    if sample_weight.shape.rank == rank + 1 and sample_weight.shape[-1] == 1:
        return tf.squeeze(sample_weight, -1)
    return numerics.with_trailing_axes(sample_weight, max(rank - sample_weight.shape.rank, 0))
