"""`Extrapolation`: off the data a model answers less surely, in part as a linear regression would.

Shapes in comments: B batch, N rows, F features, C centres, D coordinates of the target.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import versions
from tfmdn.distributions import merging, reflected, reflected_joint, tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers import adaptation, families, kernels
from tfmdn.layers.fallback import FARTHEST, MarginalFallback

tfd = tfp.distributions

# Of each feature so many values stand for all of them.
NUM_CENTERS = 64
# Kinds whose mean and standard deviation may be any.
LINEAR_KINDS = (
    tfd.Normal,
    tfd.Laplace,
    tfd.Logistic,
    tfd.StudentT,
    tfd.MultivariateNormalDiag,
    tfd.MultivariateNormalTriL,
    reflected.ReflectedNormal,
    reflected_joint.ReflectedMultivariateNormal,
)
# How much of what a model says stays near the data, and how much of the rest is what the linear regression says.
KEPT = 0.5
LINEAR = 0.8
# In standard deviations, how far beyond the ends of the data little of either is left.
REACH = 5.0
# The penalty of the slopes, in rows: features that repeat each other have no slopes of their own.
RIDGE = 1.0


@versions.saved()
class Extrapolation(MarginalFallback):
    """A `MarginalFallback` for tables, whose rows are novel as soon as one of their features is.

    A row may be among the others in all features together, and yet be where one of them never was: in a gap, or beyond
    an end. So x is novel, too, by the densities of single features, of which the least counts, by the same rule and
    with odds of their own.

    There a model is often right, and often wrong and sure of itself. So near the data, however novel x is, half of what
    the model says is kept. Of the rest, 80 % is what a linear regression says, and the others are the marginal of the
    target. The regression is Bayesian: the farther x is from the mean of the data, the less sure it is. Components that
    have no linear regression (positive ones, angles, single values that have a probability) leave its part to the
    marginal. Farther away the marginal takes the place of both: z standard deviations beyond the end of a feature leave
    exp(-z² / 50) of either.

    Rows of the data itself are novel in `novelty` of all cases, or less, for which `adapt` lowers the odds as far as it
    takes.

    Args:
      novelty: the share of inputs that do not belong to the data, strictly between 0 and 1.
      num_points: as of `MarginalFallback`.
      num_components: likewise.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(300, 2))
    >>> x[:, 0] += np.sign(x[:, 0])  # a gap from -1 to 1
    >>> fallback = tfmdn.layers.Extrapolation()
    >>> fallback.adapt(x, x[:, 1] + 0.1 * rng.normal(size=len(x)))
    >>> fallback.novelty_of([[1.5, 0.0], [0.0, 0.0]]).numpy().round(1)
    array([0., 1.], dtype=float32)
    """

    longest_way = math.inf

    def __init__(self, novelty: float = 1e-3, num_points: int = 500, num_components: int = 3, **kwargs: Any):
        super().__init__(novelty, num_points, num_components, **kwargs)

    def _add_state(self, features: int, size: int) -> None:
        super()._add_state(features, size)
        self.centers = self._add_statistic("centers", np.zeros((NUM_CENTERS, features)))
        self.widths = self._add_statistic("widths", np.ones(features))
        self.lowest = self._add_statistic("lowest", np.full(features, -3.0))
        self.highest = self._add_statistic("highest", np.full(features, 3.0))
        self.feature_log_odds = self._add_statistic("feature_log_odds", scipy.special.logit(self.novelty))
        self.coefficients = self._add_statistic("coefficients", np.zeros((features + 1, size)))
        self.leverage_factor = self._add_statistic("leverage_factor", np.zeros((features + 1, features + 1)))
        self.residual = self._add_statistic("residual", np.ones(size))

    def _mixed(self, mixture: Mixture, x: tf.Tensor) -> Mixture:
        z = self._standardized(x)
        log_odds = tf.cast(self._log_odds(x), mixture.dtype)
        beyond = tf.reduce_max(tf.nn.relu(tf.maximum(z - self.highest, self.lowest - z)), -1)
        log_near = -0.5 * tf.square(tf.cast(beyond, mixture.dtype) / REACH)
        log_novel = tf.math.log_sigmoid(log_odds)
        log_kept = tf.reduce_logsumexp([tf.math.log_sigmoid(-log_odds), math.log(KEPT) + log_near + log_novel], 0)
        log_rest = log_novel + tf.math.log(1.0 - KEPT * tf.exp(log_near))
        mixtures, log_weights = [mixture, self._marginal_like(mixture)], [log_kept, log_rest]
        if isinstance(tensors.under_independent(mixture.components_distribution), LINEAR_KINDS):
            mixtures.append(self._linear_like(mixture, z))
            log_weights[1] += tf.math.log(1.0 - LINEAR * tf.exp(log_near))
            log_weights.append(log_rest + math.log(LINEAR) + log_near)
        return merging.join(mixtures, log_weights)

    def _log_odds(self, x) -> tf.Tensor:
        return tf.maximum(super()._log_odds(x), self._feature_log_odds(self._standardized(x)))

    def _feature_log_odds(self, z: tf.Tensor) -> tf.Tensor:
        """Those of the feature that is the least likely: `[B]`."""
        centers, widths = tf.convert_to_tensor(self.centers), tf.convert_to_tensor(self.widths)
        distances = (z[..., tf.newaxis, :] - centers) / widths  # [B, C, F]
        log_known = tf.reduce_logsumexp(-0.5 * tf.square(distances), -2) - math.log(NUM_CENTERS) - tf.math.log(widths)
        log_elsewhere = -0.5 * tf.square(z / kernels.ELSEWHERE_SCALE) - math.log(kernels.ELSEWHERE_SCALE)
        return self.feature_log_odds + tf.reduce_max(log_elsewhere - log_known, -1)

    def _linear_like(self, mixture: Mixture, z: tf.Tensor) -> Mixture:
        """What the linear regression says, as a component of the mixture's kind for each row."""
        design = tf.concat([tf.ones_like(z[..., :1]), z], -1)  # [B, F + 1]
        leverage = tf.reduce_sum(tf.square(tf.linalg.matmul(design, self.leverage_factor)), -1, keepdims=True)
        mean, stddev = (
            tf.cast(moment, mixture.dtype)
            for moment in (tf.linalg.matmul(design, self.coefficients), self.residual * tf.sqrt(1.0 + leverage))
        )
        shape = tf.concat([tf.shape(mean)[:-1], [1, *mixture.event_shape]], 0)
        mean, stddev = tf.reshape(mean, shape), tf.reshape(stddev, shape)
        return mixture.copy(
            mixture_distribution=tfd.Categorical(
                logits=tf.zeros(shape[: mean.shape.rank - len(mixture.event_shape)], mixture.dtype)
            ),
            components_distribution=families.components_of_moments(mixture.components_distribution, mean, stddev),
            member_sizes=None,
        )

    def _learn(self, inputs: np.ndarray, targets: np.ndarray, typical: np.ndarray | slice) -> None:
        super()._learn(inputs, targets, typical)
        z = np.clip((inputs - self.location.numpy()) / self.scale.numpy(), -FARTHEST, FARTHEST)
        rows = np.random.default_rng(adaptation.SAMPLING_SEED).permutation(len(z))[: self.num_points]
        centers, widths, log_odds = kernels.likeliest_widths(z[rows], NUM_CENTERS, self.novelty)
        shift = kernels.shift_to_mean(log_odds, self.novelty + 1.0 / len(rows))
        self.centers.assign(centers)
        self.widths.assign(widths)
        self.feature_log_odds.assign(scipy.special.logit(self.novelty) + shift)
        self.lowest.assign(z.min(0))
        self.highest.assign(z.max(0))
        self._learn_regression(z[typical], targets[typical])

    def _learn_regression(self, z: np.ndarray, targets: np.ndarray) -> None:
        design = np.hstack([np.ones((len(z), 1)), z])
        penalty = np.diag([0.0] + [RIDGE] * z.shape[1])
        factor = np.linalg.inv(np.linalg.cholesky(design.T @ design + penalty)).T
        fitted = design @ factor  # [N, F + 1], of which the squares add up to the leverage
        coefficients = factor @ (fitted.T @ targets)
        # What each row is off by if it is left out.
        left_out = (targets - design @ coefficients) / np.maximum(1.0 - np.square(fitted).sum(-1, keepdims=True), 0.1)
        spread = np.sqrt(np.square(left_out).mean(0))
        self.coefficients.assign(coefficients)
        self.leverage_factor.assign(factor)
        self.residual.assign(np.where(spread > 0.0, spread, 1e-3))
