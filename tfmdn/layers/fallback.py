"""`MarginalFallback`: where a model has seen no data, it answers what is known there: the target's marginal.

Shapes in comments: B batch, N kept inputs, F features, K components, D coordinates of the target.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, validation, versions
from tfmdn.distributions import gaussian_mixtures, merging
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers import adaptation, families, kernels
from tfmdn.reading import containers, weighted

tfd = tfp.distributions

# By how much farther from the data w(x) may become 1, in standard deviations, for it to be small on the data.
LONGEST_WAY = 3.0
# In standard deviations. Farther inputs are as novel as can be, and their squares would overflow.
FARTHEST = 1e6
NO_WEIGHT = -1e30  # as a logit


@versions.saved()
class MarginalFallback(keras.layers.Layer):
    """Lets a model say that it does not know: off its training data it answers with the marginal of the target.

    A network extrapolates as it likes, and its density is as sharp where there was no data as where there was. This
    layer turns its mixture p(y | x) into `(1 - w(x)) p(y | x) + w(x) p(y)`. The weight is the probability, by Bayes'
    rule, that x does not belong to the data:

        w(x) = novelty * elsewhere(x) / (novelty * elsewhere(x) + (1 - novelty) * p(x))

    where p(x) is a kernel estimate of the density of the training inputs, as in Bishop (1994), "Novelty detection and
    neural network validation", and elsewhere(x) a normal density three times as broad as they are. Some bandwidths away
    from the data w(x) is 1. On inputs held out it is about `novelty` on average, or less: where the estimate is poor,
    as for many features or long tails, `adapt` lowers the odds until that is so, unless the way to w(x) = 1 became
    longer by more than three standard deviations. `Mixture.decompose` counts the marginal as a member more.
    The marginal has no limits: off the data a model with a `support` may answer with values outside of it. Limits with
    a probability of their own, and the grid of rounded targets, it keeps.

    Put it behind a model that is trained already, or train through it. Call `adapt` first; before, inputs and targets
    are taken to be standard normal. Images and the like need a representation in place of x.

    Args:
      novelty: the share of inputs that do not belong to the data, strictly between 0 and 1.
      num_points: the number of training inputs kept as centres of kernels, chosen at random: 5 or more.
      num_components: the largest number of components of p(y). The BIC chooses how many are used.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
      mixture: of batch shape `B` and components of a kind that `MDNLayer` makes.
      x: what tells known from unknown inputs, such as the model's inputs themselves: `[*B, F]`.

    Output shape:
      A `Mixture` of the same kind, batch and event shape, with `num_components` components more.

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(1000, seed=0)
    >>> fallback = tfmdn.MarginalFallback()
    >>> fallback.adapt(x, y)
    >>> fallback.novelty_of([[0.0], [30.0]]).numpy().round(2)
    array([0., 1.], dtype=float32)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8), tfmdn.MDNLayer(5)])
    >>> inputs = keras.Input((1,))
    >>> honest = keras.Model(inputs, fallback(model(inputs), inputs))
    >>> far = honest(np.array([[30.0]]))
    >>> bool(abs(far.mean()[0] - y.mean()) < 0.1), bool(abs(far.stddev()[0] - y.std()) < 0.1)
    (True, True)
    """

    longest_way = LONGEST_WAY

    def __init__(self, novelty: float = 1e-3, num_points: int = 1000, num_components: int = 10, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.novelty = validation.fraction("novelty", novelty)
        self.num_points = validation.positive_integer("num_points", num_points)
        if num_points < kernels.FOLDS:
            raise ValueError(f"`num_points` must be at least {kernels.FOLDS}. Received: num_points={num_points}.")
        self.num_components = validation.positive_integer("num_components", num_components)
        self.supports_masking = True

    def build(self, mixture_shape, x_shape):
        if len(x_shape) < 2 or x_shape[-1] is None:
            raise ValueError(f"`x` must be [*B, F], of a known size F. Received: x of shape {x_shape}.")
        self._add_state(x_shape[-1], math.prod(mixture_shape[len(x_shape) - 1 :]))

    def _add_state(self, features: int, size: int) -> None:
        self.location = self._add_statistic("location", np.zeros(features))
        self.scale = self._add_statistic("scale", np.ones(features))
        self.points = self._add_statistic("points", np.zeros((self.num_points, features)))
        self.point_logits = self._add_statistic("point_logits", np.zeros(self.num_points))
        self.bandwidth = self._add_statistic("bandwidth", np.ones(()))
        self.prior_log_odds = self._add_statistic("prior_log_odds", scipy.special.logit(self.novelty))
        self.marginal_logits = self._add_statistic("marginal_logits", np.zeros(self.num_components))
        self.marginal_mean = self._add_statistic("marginal_mean", np.zeros((self.num_components, size)))
        self.marginal_stddev = self._add_statistic("marginal_stddev", np.ones((self.num_components, size)))

    def _add_statistic(self, name: str, value: np.ndarray) -> keras.Variable:
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        return adaptation.add_statistic(self, name, value, dtype)

    def compute_output_spec(self, mixture, x):
        self._check_shapes(mixture.shape, x.shape)
        return keras.KerasTensor(mixture.shape, dtype=mixture.dtype)

    @numerics.with_infinities
    def call(self, mixture, x):
        if not isinstance(mixture, Mixture):
            raise TypeError(
                f"MarginalFallback needs a mixture, such as an MDNLayer's output. Received: {type(mixture).__name__}."
            )
        x = tf.convert_to_tensor(x, dtype_hint=self.location.dtype)
        self._check_shapes(mixture.shape, x.shape)
        return self._mixed(mixture, x)

    def _mixed(self, mixture: Mixture, x: tf.Tensor) -> Mixture:
        log_odds = tf.cast(self._log_odds(x), mixture.dtype)
        log_weights = [tf.math.log_sigmoid(-log_odds), tf.math.log_sigmoid(log_odds)]
        return merging.join([mixture, self._marginal_like(mixture)], log_weights)

    @property
    def num_features(self) -> int:
        """The number of features F of the inputs that it knows. It must have been adapted or called."""
        return self.points.shape[-1]

    def _check_shapes(self, mixture_shape, x_shape) -> None:
        features, size = self.points.shape[-1], self.marginal_mean.shape[-1]
        batch_rank = len(x_shape) - 1
        event_shape = mixture_shape[batch_rank:]
        fits = 1 <= batch_rank <= len(mixture_shape) <= batch_rank + 1 and math.prod(event_shape) == size
        if not fits or x_shape[-1] != features:
            raise ValueError(
                f"The layer knows inputs of {features} features and targets of {size} coordinates, and needs one row "
                f"of x for each of the mixture. Received: x of shape {x_shape}, and a mixture whose batch and event "
                f"shape is {mixture_shape}."
            )

    @numerics.with_infinities
    def novelty_of(self, x: ArrayLike) -> tf.Tensor:
        """The probability `[*B]` that inputs `[*B, F]` do not belong to the data.

        Raises:
          ValueError: if the layer has neither been adapted nor called, or if x has another number of features.
        """
        if not self.built:
            raise ValueError("`novelty_of` needs to know the training inputs. Call `adapt(x, y)` first.")
        x = tf.convert_to_tensor(x, dtype_hint=self.location.dtype)
        features = self.points.shape[-1]
        if x.shape.rank < 2 or x.shape[-1] != features:
            raise ValueError(f"The layer knows inputs [*B, {features}]. Received: x of shape {x.shape}.")
        return tf.sigmoid(self._log_odds(x))

    def _log_odds(self, x) -> tf.Tensor:
        """log w(x) - log (1 - w(x)): `[B]`."""
        z = self._standardized(x)  # [B, F]
        square_norms = tf.reduce_sum(tf.square(z), -1)
        exponents = -0.5 * self._square_distances(z) / tf.square(self.bandwidth)
        log_known = tf.reduce_logsumexp(tf.math.log_softmax(self.point_logits) + exponents, -1)
        log_elsewhere = -0.5 * square_norms / kernels.ELSEWHERE_SCALE**2
        # What is left of the constants of the two normal densities.
        log_volumes = z.shape[-1] * (tf.math.log(self.bandwidth) - math.log(kernels.ELSEWHERE_SCALE))
        return self.prior_log_odds + log_elsewhere - log_known + log_volumes

    def _square_distances(self, z: tf.Tensor) -> tf.Tensor:
        """Those of standardised inputs `[B, F]` to the kept ones: `[B, N]`."""
        points = tf.convert_to_tensor(self.points)
        return (
            tf.reduce_sum(tf.square(z), -1, keepdims=True)
            - 2.0 * tf.linalg.matmul(z, points, transpose_b=True)
            + tf.reduce_sum(tf.square(points), -1)
        )

    def _standardized(self, x) -> tf.Tensor:
        z = (tf.cast(x, self.location.dtype) - self.location) / self.scale
        return tf.clip_by_value(z, -FARTHEST, FARTHEST)

    def _marginal_like(self, mixture: Mixture) -> Mixture:
        """The marginal of the target, of components of the mixture's kind."""
        shape = [self.num_components, *mixture.event_shape]
        mean, stddev = (
            tf.reshape(tf.cast(moment, mixture.dtype), shape) for moment in (self.marginal_mean, self.marginal_stddev)
        )
        return mixture.copy(
            mixture_distribution=tfd.Categorical(logits=tf.cast(self.marginal_logits, mixture.dtype)),
            components_distribution=families.components_of_moments(mixture.components_distribution, mean, stddev),
            member_sizes=None,
        )

    def adapt(
        self,
        x: ArrayLike | tf.data.Dataset | keras.utils.PyDataset,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        """Learns where the data is, and the marginal of the target.

        The bandwidth of the kernels is the one under which held-out fifths of the kept inputs are the likeliest; the
        marginal is scikit-learn's GaussianMixture of the targets.

        Args:
          x: inputs `[*B, F]` as an array, a tensor or a frame of numbers; or a `tf.data.Dataset` or `PyDataset` of
            batches `(x, y)` or `(x, y, sample_weight)`, read once.
          y: targets `[*B, *E]`, or None for a dataset. Rows that are not finite, missing or masked do not count.
          sample_weight: weights of rows `[n]` or of steps `[*B]`, of which only the ratios matter, for the marginal and
            all that is learnt of the targets. All inputs of a weight above 0 are data alike. A dataset has them in its
            elements.

        Raises:
          ImportError: if scikit-learn is not installed.
          TypeError: if x or y are not numbers, or structures of several arrays.
          ValueError: if x and y do not belong together, if they are not of the layer's sizes, if there are fewer than
            5 finite rows that count, or if weights are not finite numbers, 0 or more.
        """
        if containers.is_dataset(x) == (y is not None):
            raise ValueError(
                "`adapt` needs x and y as arrays, or one dataset of batches (x, y) alone. "
                f"Received: x of type {type(x).__name__}, y of type {type(y).__name__}."
            )
        batches = map(_paired, containers.read_pairs(x, y, sample_weight))
        first = next(batches, None)
        if first is None:
            raise ValueError("`adapt` needs data. Received: an empty dataset.")
        features, size = first[2]
        sampled = ((rows, weights) for rows, weights, _ in itertools.chain([first], batches))
        rows, weights = adaptation.sample_rows(sampled, (features + size,))
        if len(rows) < kernels.FOLDS:
            raise ValueError(
                f"`adapt` needs at least {kernels.FOLDS} rows of finite inputs and targets, of a weight above 0. "
                f"Received: {len(rows)}."
            )
        if not self.built:
            self._add_state(features, size)
            self.built = True
        expected = self.points.shape[-1], self.marginal_mean.shape[-1]
        if (features, size) != expected:
            raise ValueError(
                f"The layer was built for {expected[0]} features and {expected[1]} coordinates of the target. "
                f"Received: {features} and {size}."
            )
        typical = slice(None) if weights is None else weighted.by_weight(weights)
        self._learn(rows[:, :features], rows[:, features:], typical)

    def _learn(self, inputs: np.ndarray, targets: np.ndarray, typical: np.ndarray | slice) -> None:
        """Learns of inputs `[n, F]` and targets `[n, D]`; `typical` are row numbers, each as often as it weighs."""
        self._learn_marginal(targets[typical])
        self._learn_inputs(inputs)

    def _learn_inputs(self, rows: np.ndarray) -> None:
        location, scale = adaptation.location_and_scale(adaptation.within_fences(rows), self.location.dtype)
        rng = np.random.default_rng(adaptation.SAMPLING_SEED)
        standard = np.clip((rows - location) / scale, -FARTHEST, FARTHEST)
        points = rng.permutation(standard)[: self.num_points]
        missing = self.num_points - len(points)
        self.location.assign(location)
        self.scale.assign(scale)
        self.points.assign(np.pad(points, [(0, missing), (0, 0)]))
        self.point_logits.assign(np.pad(np.zeros(len(points)), (0, missing), constant_values=NO_WEIGHT))
        bandwidth, log_odds = kernels.likeliest_bandwidth(points, self.novelty)
        # One outlier among the points is left to be one.
        shift = kernels.shift_to_mean(log_odds, self.novelty + 1.0 / len(points))
        self.bandwidth.assign(bandwidth)
        self.prior_log_odds.assign(
            scipy.special.logit(self.novelty) + max(shift, -0.5 * (self.longest_way / bandwidth) ** 2)
        )

    def _learn_marginal(self, rows: np.ndarray) -> None:
        log_weights, mean, stddev = gaussian_mixtures.fit(rows, self.num_components, "diag")
        missing = self.num_components - len(log_weights)
        # Those without weight repeat the last.
        self.marginal_logits.assign(np.pad(log_weights, (0, missing), constant_values=NO_WEIGHT))
        self.marginal_mean.assign(np.pad(mean, [(0, missing), (0, 0)], mode="edge"))
        self.marginal_stddev.assign(np.pad(stddev, [(0, missing), (0, 0)], mode="edge"))

    def get_config(self):
        return {
            **super().get_config(),
            "novelty": self.novelty,
            "num_points": self.num_points,
            "num_components": self.num_components,
        }


def _paired(batch: containers.Batch) -> tuple[np.ndarray, np.ndarray | None, tuple[int, int]]:
    """Inputs `[n, F]` beside targets `[n, D]`, their weights, and the sizes F and D."""
    x, y = batch.parts
    if x.ndim < 2 or y.shape[: x.ndim - 1] != x.shape[:-1]:
        raise ValueError(
            "`adapt` needs inputs [*B, F] and targets [*B, *E] of the same rows; a single feature needs an axis of its "
            f"own, [n, 1]. Received: x of shape {x.shape}, y of shape {y.shape}."
        )
    weights = weighted.of_rows(batch.sample_weight, x.shape[:-1])
    x = x.reshape(-1, x.shape[-1])
    y = y.reshape(len(x), -1)
    return np.hstack([x, y]), weights, (x.shape[1], y.shape[1])
