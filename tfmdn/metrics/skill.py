"""How much better a mixture is than a distribution that does not look at the inputs.

Shapes in comments: B batch, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import validation, versions
from tfmdn.distributions import gaussian_mixtures
from tfmdn.distributions.mixture import Mixture
from tfmdn.metrics.base import ScoreMetric
from tfmdn.reading import containers, weighted
from tfmdn.scores import likelihood, ranked

tfd = tfp.distributions

REFERENCE_SCORES = {"nll": likelihood.negative_log_likelihood, "crps": ranked.crps}
# Enough targets to fit a few components to, in seconds.
REFERENCE_SAMPLE_SIZE = 20_000


@versions.saved(name="metrics.SkillScore")
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
      dtype: dtype of the result.
      missing: whether NaN in a target stands for a coordinate that was not observed, "ignore", or is an error.

    Example:

    >>> y = np.random.default_rng(0).normal(size=500)
    >>> skill = tfmdn.metrics.SkillScore()
    >>> skill.adapt(y)
    >>> known = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((500, 1))), tfd.Normal(y[:, None], 0.1))
    >>> round(float(skill(y, known)), 1)
    2.8
    """

    direction = "up"
    target_options = ("missing",)

    def __init__(
        self,
        score: str = "nll",
        max_components: int = 10,
        reference: dict[str, Sequence] | None = None,
        name: str = "skill_score",
        dtype: str | None = None,
        *,
        missing: str = "error",
    ):
        super().__init__((2,), name, dtype, missing=missing)
        self.score = validation.one_of("score", score, REFERENCE_SCORES)
        self.max_components = validation.positive_integer("max_components", max_components)
        self.reference = reference

    def adapt(
        self,
        y: ArrayLike | tf.data.Dataset | keras.utils.PyDataset,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        """Fits the unconditional mixture: scikit-learn's GaussianMixture, of as many components as the BIC chooses.

        Args:
          y: training targets `[n]` or `[n, D]`, where D is the size of the model's event (1 for scalars); or a
            `tf.data.Dataset` or `PyDataset` of batches of y, of `(x, y)` or of `(x, y, sample_weight)`. Rows that are
            not finite, missing or masked do not count. Of more than 20,000, a random sample is used.
          sample_weight: weights of the rows `[n]`, of which only the ratios matter: each row is fitted to about as
            often as it weighs, and those of weight 0 do not count. None: all alike. A dataset has them in its elements.

        Raises:
          ImportError: if scikit-learn is not installed.
          TypeError: if the targets are not numbers, or a structure of several arrays.
          ValueError: if there are fewer than two finite rows that count, or if weights are not finite, 0 or more.
        """
        rows, weights = _rows(y, sample_weight)
        if len(rows) < 2:
            raise ValueError(
                f"`adapt` needs at least two rows of finite targets. Received: {len(rows)} of a weight above 0."
            )
        if weights is not None:
            rows = rows[weighted.by_weight(weights)]
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
        mixtures = self._reference_like(mixture), mixture
        return tf.stack([score(y_true, each, missing=self.missing) for each in mixtures], -1)  # [B, 2]

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


def _rows(y, sample_weight) -> tuple[np.ndarray, np.ndarray | None]:
    """The finite targets that count, as rows `[n, D]`, and their weights `[n]`; None if all are alike."""
    parts, all_weights = [np.empty((0, 1))], [np.empty(0)]
    for batch in containers.read(y, containers.Y, sample_weight=sample_weight):
        rows = batch.parts[0]
        rows = rows.reshape(len(rows), -1) if rows.ndim else rows.reshape(1, 1)
        weights = np.ones(len(rows)) if batch.sample_weight is None else batch.sample_weight
        weights = weighted.of_rows(weights, rows.shape[:1])
        counts = np.isfinite(rows).all(1) & (weights > 0.0)
        parts.append(rows[counts])
        all_weights.append(weights[counts])
    parts = [part for part in parts if len(part)] or parts[-1:]
    return np.concatenate(parts), weighted.settled(np.concatenate(all_weights))
