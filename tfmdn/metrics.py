"""Scores and calibration as streaming `keras.metrics.Metric`s.

What they keep are sums and counts, so that the result does not depend on the batch size or the number of replicas. Each
takes the targets and the `Mixture`, in `model.compile(metrics=[...])` or by hand, and counts neither masked steps nor
rows whose `sample_weight` is 0.

Shapes in comments: B batch, K components, E event, N bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, numerics, scores, validation
from tfmdn.distributions import gaussian_mixtures
from tfmdn.distributions.mixture import Mixture

tfd = tfp.distributions

__all__ = [
    "CRPS",
    "CalibrationError",
    "EnergyScore",
    "IntervalCoverage",
    "IntervalWidth",
    "NegativeLogLikelihood",
    "PinballLoss",
    "SkillScore",
]

REFERENCE_SCORES = {"nll": scores.negative_log_likelihood, "crps": scores.crps}
# Enough targets to fit a few components to, in seconds.
REFERENCE_SAMPLE_SIZE = 20_000


class ScoreMetric(keras.metrics.Metric):
    """A metric made of sums over examples. A subclass says of what in `statistics`, and makes the result of the sums.

    Args:
      shape: the shape of what is summed.
      name: name of the metric.
      dtype: dtype of the sums.

    Attributes:
      direction: "down" if less is better, "up" if more is, None if neither; for callbacks with `mode="auto"`.
    """

    direction: str | None = None

    def __init__(self, shape: tuple[int, ...] = (), name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        if self.direction is not None:
            keras_internals.set_direction(self, self.direction)
        self.total = self.add_variable(shape, "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        """What is summed, of each example: `[*B, *shape]`."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: targets, the mixture and, if given, one weight for each row or for each example."""
        if keras_internals.is_placeholder(y_pred):
            return
        y_true = scores.reconcile_target(y_true, y_pred)
        values = tf.cast(self.statistics(y_true, y_pred), self.dtype)
        rank = y_pred.batch_shape.rank
        weights = scores.example_weights(
            y_pred, sample_weight, tf.reduce_sum(values, list(range(rank, values.shape.rank)))
        )
        self.count.assign_add(tf.reduce_sum(weights))
        weights = numerics.with_trailing_axes(weights, values.shape.rank - rank)
        # A row that does not count may hold a NaN, of which 0 times is NaN too.
        values = tf.where(weights != 0, weights * values, tf.zeros_like(values))
        self.total.assign_add(tf.reduce_sum(values, list(range(rank))))

    def mean(self) -> tf.Tensor:
        """The weighted mean of the statistics so far, 0 before the first."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count))

    def result(self) -> tf.Tensor:
        return self.mean()


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.NegativeLogLikelihood")
class NegativeLogLikelihood(ScoreMetric):
    """The mean of -log p(y | x) in nats, see `tfmdn.negative_log_likelihood`. Less is better; it can be negative.

    Unlike a loss' running mean it stays right where rows have weights or batches differ in size.

    Args:
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.NegativeLogLikelihood()([0.0], standard_normal)), 4)
    0.9189
    """

    direction = "down"

    def __init__(self, name: str = "negative_log_likelihood", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return scores.negative_log_likelihood(y_true, mixture)


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.CRPS")
class CRPS(ScoreMetric):
    """The mean continuous ranked probability score in the units of the targets, see `tfmdn.crps`. Less is better.

    Args:
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.CRPS()([0.0], standard_normal)), 4)
    0.2337
    """

    direction = "down"

    def __init__(self, name: str = "crps", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return scores.crps(y_true, mixture)


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.EnergyScore")
class EnergyScore(ScoreMetric):
    """The mean energy score, see `tfmdn.energy_score`. Less is better.

    It is estimated from draws: over batches of another size it is another estimate of the same number.

    Args:
      num_samples: number of draws of each component for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> mixture = tfmdn.MDNLayer(3, event_shape=2)(np.zeros((4, 5)))
    >>> tfmdn.metrics.EnergyScore()(np.zeros((4, 2)), mixture).shape
    TensorShape([])
    """

    direction = "down"

    def __init__(
        self, num_samples: int = 50, seed: int | None = None, name: str = "energy_score", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_samples = validation.positive_integer("num_samples", num_samples)
        self.seed = seed

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return scores.energy_score(y_true, mixture, self.num_samples, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.PinballLoss")
class PinballLoss(ScoreMetric):
    """The mean pinball loss of the mixture's quantiles, see `tfmdn.pinball_loss`. Less is better.

    Args:
      levels: the probabilities of the quantiles, strictly between 0 and 1: one or several.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> float(tfmdn.metrics.PinballLoss(levels=0.5)([2.0], standard_normal))
    1.0
    """

    direction = "down"

    def __init__(
        self, levels: float | Sequence[float] = scores.DECILES, name: str = "pinball_loss", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.levels = scores.checked_levels(levels)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        return scores.pinball_loss(y_true, mixture, self.levels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.IntervalCoverage")
class IntervalCoverage(ScoreMetric):
    """The share of targets inside the central interval of probability `coverage`. It should be equal to `coverage`.

    Of a vector, each coordinate has an interval of its own, and the result is their mean share.

    Args:
      coverage: the probability of the interval, strictly between 0 and 1. 0.9 is the interval from the 5 % to the
        95 % quantile.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((4, 1))), tfd.Normal(np.zeros((4, 1)), 1.0))
    >>> float(tfmdn.metrics.IntervalCoverage(0.9)([-2.0, -1.0, 0.0, 1.6], standard_normal))
    0.75
    """

    def __init__(self, coverage: float = 0.9, name: str = "interval_coverage", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.coverage = validation.fraction("coverage", coverage)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        probability = scores.probability_integral_transform(y_true, mixture)  # [B, E]
        # Between the quantiles: the same as the probability between their levels, without a search for the quantiles.
        is_inside = tf.cast(tf.abs(probability - 0.5) <= 0.5 * self.coverage, probability.dtype)
        is_inside = tf.where(tf.math.is_nan(probability), probability, is_inside)
        return scores.mean_over_event(is_inside, mixture)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coverage": self.coverage}


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.IntervalWidth")
class IntervalWidth(ScoreMetric):
    """The mean width of the central interval of probability `coverage`, in the units of the targets.

    Of two models whose `IntervalCoverage` is right, the one with the narrower intervals knows more. Of a vector it is
    the mean width over the coordinates.

    Args:
      coverage: the probability of the interval, strictly between 0 and 1.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.IntervalWidth(0.9)([0.0], standard_normal)), 4)
    3.2897
    """

    direction = "down"

    def __init__(self, coverage: float = 0.9, name: str = "interval_width", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.coverage = validation.fraction("coverage", coverage)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        low, high = tf.unstack(mixture.interval(self.coverage), axis=-1)
        return scores.mean_over_event(high - low, mixture)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coverage": self.coverage}


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.CalibrationError")
class CalibrationError(ScoreMetric):
    """How far predicted probabilities are from observed frequencies, as a root mean square over levels. 0 is perfect.

    The probability integral transform of the targets is counted in bins of equal width. At the edge p of each two bins
    a share F(p) of the targets lies below the predicted quantile of level p; the result is the root of the mean of
    (F(p) - p)^2 over these edges, the calibration error of Kuleshov et al. (2018) with equal weights. 0.05 means that
    quantiles are off by 5 percentage points. n targets of a perfect model give about 0.4 / sqrt(n). Coordinates of a
    vector count like targets of their own.

    Args:
      num_bins: number of bins, at least 2.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((3, 1))), tfd.Normal(np.zeros((3, 1)), 1.0))
    >>> float(tfmdn.metrics.CalibrationError(num_bins=2)([1.0, 2.0, 3.0], mixture))
    0.5
    """

    direction = "down"

    def __init__(self, num_bins: int = 20, name: str = "calibration_error", dtype: str | None = None) -> None:
        if validation.positive_integer("num_bins", num_bins) < 2:
            raise ValueError(f"`num_bins` must be at least 2. Received: num_bins={num_bins!r}.")
        super().__init__(shape=(num_bins,), name=name, dtype=dtype)
        self.num_bins = num_bins

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        probability = scores.probability_integral_transform(y_true, mixture)  # [B, E]
        index = tf.cast(tf.clip_by_value(probability * self.num_bins, 0.0, self.num_bins - 1.0), tf.int32)
        in_bin = tf.one_hot(index, self.num_bins, dtype=probability.dtype)  # [B, E, N]
        # A probability of NaN has no bin: it makes all of them NaN.
        in_bin += tf.where(tf.math.is_nan(probability), probability, tf.zeros_like(probability))[..., tf.newaxis]
        return tf.reduce_mean(in_bin, -2) if mixture.event_shape.rank else in_bin

    def result(self) -> tf.Tensor:
        edges = tf.range(1, self.num_bins, dtype=self.dtype) / self.num_bins
        observed = tf.cumsum(self.mean())[:-1]
        error = tf.sqrt(tf.reduce_mean(tf.square(observed - edges)))
        return tf.where(tf.convert_to_tensor(self.count) == 0, tf.zeros_like(error), error)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins}


@keras.saving.register_keras_serializable(package="tfmdn", name="metrics.SkillScore")
class SkillScore(ScoreMetric):
    """How much better the mixture is than a distribution of the target that does not look at the inputs.

    A negative log-likelihood has no natural zero: its value changes by log c when the targets are multiplied by c, and
    "my loss is negative" says nothing but that densities are above 1. This is the number to look at instead. With
    score="nll" it is the mean log-likelihood minus that of the unconditional mixture, the nats of information that
    the inputs give for each row. It does not depend on the units of the targets:

    - above 0: the model has learned that much from the inputs. Each 0.69 halves the range of likely targets.
    - 0: the model is worth as much as a density estimate of the targets alone.
    - below 0: the inputs make it worse than no model. It is overfitted, not yet trained, or the rows differ from those
      given to `adapt`.

    With score="crps" it is 1 - CRPS / CRPS of the unconditional mixture: 1 is perfect, 0 and below mean the same.

    `adapt` needs scikit-learn. It comes before the first use in a model; the reference is saved with the metric.

    Args:
      score: "nll" or "crps".
      max_components: the most components that the unconditional mixture can have.
      reference: the unconditional mixture, which `adapt` finds: a dictionary of `logits` `[K]`, `loc` `[K, D]` and
        `scale_tril` `[K, D, D]`.
      name: name of the metric.
      dtype: dtype of the sums.

    Example:

    >>> y = np.random.default_rng(0).normal(size=500)
    >>> skill = tfmdn.metrics.SkillScore()
    >>> skill.adapt(y)
    >>> known = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((500, 1))), tfd.Normal(y[:, None], 0.1))
    >>> round(float(skill(y, known)), 1)
    2.8
    """

    direction = "up"

    def __init__(
        self,
        score: str = "nll",
        max_components: int = 10,
        reference: dict[str, Sequence] | None = None,
        name="skill_score",
        dtype=None,
    ):
        super().__init__(shape=(2,), name=name, dtype=dtype)
        self.score = validation.one_of("score", score, REFERENCE_SCORES)
        self.max_components = validation.positive_integer("max_components", max_components)
        self.reference = reference

    def adapt(self, y: ArrayLike) -> None:
        """Fits the unconditional mixture: scikit-learn's GaussianMixture, of as many components as the BIC chooses.

        Args:
          y: training targets `[n]` or `[n, D]`, where D is the size of the model's event (1 for scalars). Rows that are
            not finite do not count. Of more than 20,000, a random sample is used.

        Raises:
          ImportError: if scikit-learn is not installed.
          ValueError: if there are fewer than two finite rows.
        """
        rows = np.asarray(y, np.float64)
        rows = rows.reshape(len(rows), -1)
        rows = rows[np.isfinite(rows).all(1)]
        if len(rows) < 2:
            raise ValueError(f"`adapt` needs at least two rows of finite targets. Received: {len(rows)}.")
        if len(rows) > REFERENCE_SAMPLE_SIZE:
            rows = np.random.default_rng(0).choice(rows, REFERENCE_SAMPLE_SIZE, replace=False)
        log_weights, means, factors = gaussian_mixtures.fit(rows, self.max_components)
        # Lists: a config can hold them.
        self.reference = {"logits": log_weights.tolist(), "loc": means.tolist(), "scale_tril": factors.tolist()}

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        if self.reference is None:
            raise ValueError(
                "`SkillScore` has no unconditional mixture yet. Call `adapt(y)` with training targets first."
            )
        score = REFERENCE_SCORES[self.score]
        return tf.stack([score(y_true, self._reference_like(mixture)), score(y_true, mixture)], -1)  # [B, 2]

    def _reference_like(self, mixture: tfd.Distribution) -> Mixture:
        """The unconditional mixture, the same for each row of the batch."""
        logits, loc, scale_tril = (
            tf.constant(self.reference[name], mixture.dtype) for name in ("logits", "loc", "scale_tril")
        )
        size = loc.shape[-1]
        if size != (mixture.event_shape.num_elements() or 1):
            raise ValueError(
                f"The unconditional mixture is not of the model's targets. Expected: `adapt(y)` with y of shape [n, D] "
                f"for the event shape {mixture.event_shape}. Received: D={size}."
            )
        if mixture.event_shape.rank == 0:
            components = tfd.Normal(loc[:, 0], scale_tril[:, 0, 0])
        else:
            components = tfd.MultivariateNormalTriL(loc, scale_tril)
        logits = tf.broadcast_to(logits, tf.concat([mixture.batch_shape_tensor(), tf.shape(logits)], 0))
        return Mixture(tfd.Categorical(logits=logits), components)

    def result(self) -> tf.Tensor:
        reference, model = tf.unstack(self.mean())
        return reference - model if self.score == "nll" else 1.0 - tf.math.divide_no_nan(model, reference)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "score": self.score,
            "max_components": self.max_components,
            "reference": self.reference,
        }
