"""The scores of `tfmdn.scores` as metrics: their weighted means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import validation, versions
from tfmdn.metrics.base import ScoreMetric
from tfmdn.scores import energy, likelihood, ranked

tfd = tfp.distributions


@versions.saved(name="metrics.NegativeLogLikelihood")
class NegativeLogLikelihood(ScoreMetric):
    """The mean of -log p(y | x) in nats, see `tfmdn.negative_log_likelihood`. Less is better; it can be negative.

    Unlike a loss' running mean it stays right where rows have weights or batches differ in size.

    Args:
      name: name of the metric.
      dtype: dtype of the result.
      intervals: whether targets are pairs (low, high), as in `tfmdn.negative_log_likelihood`.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.NegativeLogLikelihood()([0.0], standard_normal)), 4)
    0.9189
    """

    direction = "down"

    def __init__(
        self,
        name: str = "negative_log_likelihood",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype, intervals=intervals, missing=missing)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return likelihood.negative_log_likelihood(y_true, mixture, intervals=self.intervals, missing=self.missing)


@versions.saved(name="metrics.CRPS")
class CRPS(ScoreMetric):
    """The mean continuous ranked probability score in the units of the targets, see `tfmdn.crps`. Less is better.

    Args:
      name: name of the metric.
      dtype: dtype of the result.
      intervals: whether targets are pairs (low, high), as in `tfmdn.negative_log_likelihood`.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.CRPS()([0.0], standard_normal)), 4)
    0.2337
    """

    direction = "down"

    def __init__(
        self, name: str = "crps", dtype: str | None = None, *, intervals: bool = False, missing: str = "error"
    ) -> None:
        super().__init__(name=name, dtype=dtype, intervals=intervals, missing=missing)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return ranked.crps(y_true, mixture, intervals=self.intervals, missing=self.missing)


@versions.saved(name="metrics.EnergyScore")
class EnergyScore(ScoreMetric):
    """The mean energy score, see `tfmdn.energy_score`. Less is better.

    It is estimated from draws: over batches of another size it is another estimate of the same number.

    Args:
      num_samples: number of draws of each component for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      name: name of the metric.
      dtype: dtype of the result.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> mixture = tfmdn.MDNLayer(3, event_shape=2)(np.zeros((4, 5)))
    >>> tfmdn.metrics.EnergyScore()(np.zeros((4, 2)), mixture).shape
    TensorShape([])
    """

    direction = "down"
    target_options = ("missing",)

    def __init__(
        self,
        num_samples: int = 50,
        seed: int | None = None,
        name: str = "energy_score",
        dtype: str | None = None,
        *,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype, missing=missing)
        self.num_samples = validation.positive_integer("num_samples", num_samples)
        self.seed = seed

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return energy.energy_score(y_true, mixture, self.num_samples, self.seed, missing=self.missing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}


@versions.saved(name="metrics.PinballLoss")
class PinballLoss(ScoreMetric):
    """The mean pinball loss of the mixture's quantiles, see `tfmdn.pinball_loss`. Less is better.

    Args:
      levels: the probabilities of the quantiles, strictly between 0 and 1: one or several.
      name: name of the metric.
      dtype: dtype of the result.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> float(tfmdn.metrics.PinballLoss(levels=0.5)([2.0], standard_normal))
    1.0
    """

    direction = "down"
    target_options = ("missing",)

    def __init__(
        self,
        levels: float | Sequence[float] = ranked.DECILES,
        name: str = "pinball_loss",
        dtype: str | None = None,
        *,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype, missing=missing)
        self.levels = ranked.checked_levels(levels)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return ranked.pinball_loss(y_true, mixture, self.levels, missing=self.missing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}
