"""The scores of `tfmdn.scores` as `keras.losses.Loss` classes.

Shapes in comments: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, numerics, validation, versions
from tfmdn.scores import energy, likelihood, ranked, weighting
from tfmdn.scores.targets import TargetFormat

tfd = tfp.distributions

__all__ = ["CRPS", "EnergyScore", "NegativeLogLikelihood", "PinballLoss"]


class ScoreLoss(keras.losses.Loss):
    """A loss that is the mean of a score of each example. A subclass says which in `scores`.

    Args:
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The density keeps its own.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
      missing: whether NaN stands for what was not observed, likewise.
    """

    # What `get_config` tells of how targets are given.
    target_options: tuple[str, ...] = ("intervals", "missing")

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.intervals, self.missing = intervals, missing
        self.target_format = TargetFormat(intervals, missing)

    def scores(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """The score of each example: `[*B]`. The targets come as `target_format` reconciles them."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.target_options}
        return {**super().get_config(), **options}

    @numerics.unconverted
    def __call__(
        self, y_true: ArrayLike, y_pred: tfd.Distribution, sample_weight: ArrayLike | None = None
    ) -> tf.Tensor:
        y_true = self.target_format.reconcile(y_true, y_pred)
        mask = keras_internals.mask_of(y_pred)
        if not self.target_format.is_plain:
            mask = weighting.target_weights(self.target_format, y_true, y_pred) != 0
        if sample_weight is not None and self.reduction == "mean_with_sample_weight":
            sample_weight = weighting.in_units_of_the_largest(sample_weight)
        weights = weighting.target_weights(self.target_format, y_true, y_pred, sample_weight)
        counts = weights != 0
        y_true = self.target_format.only(counts, y_true)
        scores = self.scores(y_true, y_pred)
        # The density of normal components is held above 0 however far away a target is, and so would be its score.
        is_infinite = self.target_format.is_infinite(y_true, y_pred)
        scores = tf.where(is_infinite, tf.constant(np.inf, scores.dtype), scores)
        is_nan = self.target_format.has_nan(y_true, y_pred)
        checks = _checks(is_nan & counts, scores, counts)
        if sample_weight is not None:
            is_wrong = ~((weights >= 0.0) & (weights < np.inf))
            checks += numerics.requirement_of_rows(is_wrong, weighting.EXPECTED)
            # Where nothing can raise, the loss is NaN, and nothing is learnt from the row.
            scores = tf.where(is_wrong, tf.constant(np.nan, scores.dtype), scores)
            sample_weight = weighting.like_scores(sample_weight, scores)
            sample_weight = tf.where(is_wrong, tf.ones_like(sample_weight), sample_weight)
        with tf.control_dependencies(checks):
            # By which gradients wait for the checks, too: nothing is learnt from a batch that is refused.
            one = tf.identity(tf.ones([], scores.dtype))
        scores = one * tf.where(counts, scores, tf.zeros_like(scores))
        return super().__call__(y_true, keras_internals.masked(scores, mask), sample_weight)

    def call(self, y_true, y_pred):
        return y_pred  # already scores: __call__ needs the mixture itself, which Keras would cast to its own dtype


@versions.saved()
class NegativeLogLikelihood(ScoreLoss):
    """The loss of mixture density networks: the mean of -log p(y | x), see `negative_log_likelihood`.

    Rows of weight 0 and masked steps do not count, whatever their targets are. In any other row NaN is an error, and so
    is an infinite score, such as the likelihood of a target where the mixture has no density, and a weight that is
    negative or not finite: nothing is learnt from that batch. Where XLA compiles the training step, which cannot raise,
    the loss is NaN or infinite, and the weights stay as they were for that row, unless it is its inputs that are NaN.
    A `sample_weight` of one number for each row also fits sequences. Rows of which nothing is known count in no mean.

    Args:
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The density keeps its own.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`: `(n, 2)` for scalars.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> loss = tfmdn.NegativeLogLikelihood()
    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(loss([0.0], standard_normal)), 4)
    0.9189
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "negative_log_likelihood",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(reduction, name, dtype, intervals=intervals, missing=missing)

    def scores(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return likelihood.negative_log_likelihood(y_true, mixture, intervals=self.intervals, missing=self.missing)


@versions.saved()
class CRPS(ScoreLoss):
    """The mean continuous ranked probability score, see `crps`: a loss in the units of the targets.

    It is more robust to outliers than the likelihood, and trains components of poor start more slowly. Masks, weights
    and NaN are treated as `NegativeLogLikelihood` treats them.

    Args:
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The scores keep the mixture's.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`: `(n, 2)` for scalars.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.CRPS()([0.0], standard_normal)), 4)
    0.2337
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "crps",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(reduction, name, dtype, intervals=intervals, missing=missing)

    def scores(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return ranked.crps(y_true, mixture, intervals=self.intervals, missing=self.missing)


@versions.saved()
class EnergyScore(ScoreLoss):
    """The mean energy score, see `energy_score`: a loss for vectors in the units of the targets.

    Masks, weights and NaN are treated as `NegativeLogLikelihood` treats them.

    Args:
      num_samples: number of draws of each component for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The scores keep the mixture's.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> loss = tfmdn.EnergyScore(num_samples=20, seed=0)
    >>> mixture = tfmdn.MDNLayer(3, event_shape=2)(np.zeros((4, 5)))
    >>> loss(np.zeros((4, 2)), mixture).shape
    TensorShape([])
    """

    target_options = ("missing",)

    def __init__(
        self,
        num_samples: int = 50,
        seed: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "energy_score",
        dtype: str | None = None,
        *,
        missing: str = "error",
    ) -> None:
        super().__init__(reduction, name, dtype, missing=missing)
        self.num_samples = validation.positive_integer("num_samples", num_samples)
        self.seed = seed

    def scores(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return energy.energy_score(y_true, mixture, self.num_samples, self.seed, missing=self.missing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}


@versions.saved()
class PinballLoss(ScoreLoss):
    """The mean pinball loss of the mixture's quantiles, see `pinball_loss`.

    Masks, weights and NaN are treated as `NegativeLogLikelihood` treats them.

    Args:
      levels: the probabilities of the quantiles, strictly between 0 and 1: one or several.
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The scores keep the mixture's.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> float(tfmdn.PinballLoss(levels=[0.5])([2.0], standard_normal))
    1.0
    """

    target_options = ("missing",)

    def __init__(
        self,
        levels: float | Sequence[float] = ranked.DECILES,
        reduction: str | None = "sum_over_batch_size",
        name: str = "pinball_loss",
        dtype: str | None = None,
        *,
        missing: str = "error",
    ) -> None:
        super().__init__(reduction, name, dtype, missing=missing)
        self.levels = ranked.checked_levels(levels)

    def scores(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return ranked.pinball_loss(y_true, mixture, self.levels, missing=self.missing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}


def _checks(bad_targets: tf.Tensor, scores: tf.Tensor, counts: tf.Tensor) -> list[tf.Operation]:
    return [
        *numerics.requirement_of_rows(
            bad_targets,
            "`y_true` contains NaN. Remove those rows, or give them a sample_weight of 0. If it stands for what was "
            "not observed, say missing='ignore'; the end that an interval lacks is -inf or inf.",
        ),
        *numerics.requirement_of_rows(
            counts & tf.math.is_nan(scores) & ~bad_targets,
            "The density of a target is NaN: the inputs of the model are NaN, or its weights are, as after a target "
            "that is very far from all others. Remove those rows, or give them a sample_weight of 0.",
        ),
        *numerics.requirement_of_rows(
            counts & tf.math.is_inf(scores),
            "The score of a target is infinite: the target is so itself, or lies outside of what the family of the "
            "mixture or its `support` allows. Remove those rows, or give them a sample_weight of 0.",
        ),
    ]
