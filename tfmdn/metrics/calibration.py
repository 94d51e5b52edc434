"""Metrics of whether predicted probabilities are those observed, and of how narrow predictions are.

Shapes in comments: B batch, E event, N bins.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import validation, versions
from tfmdn.metrics.base import ScoreMetric
from tfmdn.scores import calibration, targets
from tfmdn.scores.transform import probabilities

tfd = tfp.distributions


@versions.saved(name="metrics.IntervalCoverage")
class IntervalCoverage(ScoreMetric):
    """The share of targets inside the central interval of probability `coverage`. It should be equal to `coverage`.

    Of a vector, each coordinate has an interval of its own, and the result is their mean share. A target that is only
    known to lie between two values counts in part: by how likely it is, after the prediction, to be inside.

    Args:
      coverage: the probability of the interval, strictly between 0 and 1. 0.9 is the interval from the 5 % to the
        95 % quantile.
      name: name of the metric.
      dtype: dtype of the result.
      intervals: whether targets are pairs (low, high), as in `tfmdn.negative_log_likelihood`.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((4, 1))), tfd.Normal(np.zeros((4, 1)), 1.0))
    >>> float(tfmdn.metrics.IntervalCoverage(0.9)([-2.0, -1.0, 0.0, 1.6], standard_normal))
    0.75
    """

    def __init__(
        self,
        coverage: float = 0.9,
        name: str = "interval_coverage",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype, intervals=intervals, missing=missing)
        self.coverage = validation.fraction("coverage", coverage)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        below, up_to = probabilities(y_true, mixture, self.target_format)  # [B, E]
        low, high = self.target_format.ends(y_true)
        is_interval = low < high if self.intervals else None
        is_inside = calibration.share_inside(
            below, up_to, self.coverage, mixture, lambda: mixture.interval(self.coverage), is_interval
        )
        return targets.mean_over_event(is_inside, mixture, self.target_format.known(y_true))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coverage": self.coverage}


@versions.saved(name="metrics.IntervalWidth")
class IntervalWidth(ScoreMetric):
    """The mean width of the central interval of probability `coverage`, in the units of the targets.

    Of two models whose `IntervalCoverage` is right, the one with the narrower intervals knows more. Of a vector it is
    the mean width over the coordinates.

    Args:
      coverage: the probability of the interval, strictly between 0 and 1.
      name: name of the metric.
      dtype: dtype of the result.
      intervals: whether targets are pairs (low, high), as in `tfmdn.negative_log_likelihood`.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(tfmdn.metrics.IntervalWidth(0.9)([0.0], standard_normal)), 4)
    3.2897
    """

    direction = "down"

    def __init__(
        self,
        coverage: float = 0.9,
        name: str = "interval_width",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        super().__init__(name=name, dtype=dtype, intervals=intervals, missing=missing)
        self.coverage = validation.fraction("coverage", coverage)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        low, high = tf.unstack(mixture.interval(self.coverage), axis=-1)
        return targets.mean_over_event(high - low, mixture)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coverage": self.coverage}


@versions.saved(name="metrics.CalibrationError")
class CalibrationError(ScoreMetric):
    """How far predicted probabilities are from observed frequencies, as a root mean square over levels. 0 is perfect.

    The probability integral transform of the targets is counted in bins of equal width. At the edge p of each two bins
    a share F(p) of the targets lies below the predicted quantile of level p; the result is the root of the mean of
    (F(p) - p)^2 over these edges, the calibration error of Kuleshov et al. (2018) with equal weights. 0.05 means that
    quantiles are off by 5 percentage points. n targets of a perfect model give about 0.4 / sqrt(n). Coordinates of a
    vector count like targets of their own. A target that has a probability of its own, as limits and rounded values may
    have, or that is only known to lie in an interval, is spread over the bins that this probability spans (Czado,
    Gneiting and Held 2009).

    Args:
      num_bins: number of bins, at least 2.
      name: name of the metric.
      dtype: dtype of the result.
      intervals: whether targets are pairs (low, high), as in `tfmdn.negative_log_likelihood`.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((3, 1))), tfd.Normal(np.zeros((3, 1)), 1.0))
    >>> float(tfmdn.metrics.CalibrationError(num_bins=2)([1.0, 2.0, 3.0], mixture))
    0.5
    """

    direction = "down"

    def __init__(
        self,
        num_bins: int = 20,
        name: str = "calibration_error",
        dtype: str | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> None:
        if validation.positive_integer("num_bins", num_bins) < 2:
            raise ValueError(f"`num_bins` must be at least 2. Received: num_bins={num_bins!r}.")
        super().__init__((num_bins,), name, dtype, intervals=intervals, missing=missing)
        self.num_bins = num_bins

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        below, up_to = probabilities(y_true, mixture, self.target_format)  # [B, E]
        in_bin = calibration.shares_of_bins(below, up_to, self.num_bins)  # [N, B, E]
        in_bin = targets.mean_over_event(in_bin, mixture, self.target_format.known(y_true))  # [N, B]
        return tf.transpose(in_bin, [*range(1, in_bin.shape.rank), 0])

    def result(self) -> tf.Tensor:
        error = calibration.error_of_bins(self.mean())
        return tf.where(self.is_empty, tf.zeros_like(error), error)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins}
