"""`Mixture`: a `tfd.MixtureSameFamily` that Keras accepts as a tensor, and that answers more questions.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics, tfp_internals, validation
from tfmdn.distributions import (
    autocast,
    copies,
    counted,
    covariances,
    cumulative,
    densities,
    draws,
    gaussian_mixtures,
    kinds,
    queries,
    random_numbers,
    tensor_like,
    tensors,
    von_mises,
)
from tfmdn.distributions import modes as modes_lib
from tfmdn.distributions.batching import in_batches
from tfmdn.distributions.type_specs import registered

tfd = tfp.distributions


@registered
class Mixture(
    tensor_like.TensorLike,
    queries.Queries,
    cumulative.Cumulative,
    tfp_internals.WithKeptShape,
    tfp_internals.Checked,
    tfp_internals.WithInfinities,
    tfd.MixtureSameFamily,
):
    """A mixture distribution that TensorFlow, Keras and NumPy also take as a tensor.

    It is a `tfd.MixtureSameFamily`, but for `cdf` and its kin, which are of each coordinate of a vector by itself.
    Wherever numbers are needed instead of a distribution (a metric such as "mae", `model.predict`, a layer,
    `np.asarray`), it stands for its mean, or for what `convert_to_tensor` names. An `MDNLayer` outputs one; by hand it
    is made like its base class.

    Args:
      mixture_distribution: a `tfd.Categorical` over the K components, of batch shape `B` or broadcastable with it.
      components_distribution: a distribution of batch shape `[*B, K]` and event shape `E`.
      reparameterize: whether the gradients of samples with respect to all parameters are right, the weights'
        included, by implicit reparameterization (slower; `E` must then have independent coordinates).
      validate_args: whether parameters are checked at run time.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.
      convert_to_tensor: what stands for the distribution where a tensor is needed: "mean", "mode", "sample", or a
        function of the mixture, registered with `keras.saving.register_keras_serializable`.
      member_sizes: of a mixture of mixtures, as `tfmdn.merge` makes them, the number of components of each. None means
        one mixture.

    Example:

    >>> mixture = tfmdn.Mixture(
    ...     tfd.Categorical(probs=[0.25, 0.75]), tfd.Normal(loc=[-1.0, 1.0], scale=[0.1, 0.2])
    ... )
    >>> float(mixture.mean())
    0.5
    >>> float(mixture + 1)
    1.5
    >>> mixture.quantile([0.05, 0.5, 0.95]).numpy().round(3)
    array([-1.084,  0.914,  1.3  ], dtype=float32)
    >>> mixture.sample(3, seed=1).shape
    TensorShape([3])
    """

    def __init__(
        self,
        mixture_distribution: tfd.Distribution,
        components_distribution: tfd.Distribution,
        reparameterize: bool = False,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "Mixture",
        convert_to_tensor: str | Callable[[Mixture], tf.Tensor] = "mean",
        member_sizes: tuple[int, ...] | None = None,
    ):
        convert_to_tensor = tensor_like.conversion_name(convert_to_tensor)
        member_sizes = None if member_sizes is None else tuple(member_sizes)
        parameters = dict(locals())
        self._convert_to_tensor = convert_to_tensor
        self.member_sizes = member_sizes
        super().__init__(
            mixture_distribution,
            components_distribution,
            reparameterize=reparameterize,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            name=name,
        )
        tfp_internals.set_parameters(self, parameters)

    @classmethod
    def from_sklearn(cls, gaussian_mixture: Any) -> Mixture:
        """The same mixture as a fitted `sklearn.mixture.GaussianMixture`, in float64.

        Of a `BayesianGaussianMixture` it is the one of the expected weights and means that its `sample` draws from.
        `tf.cast(mixture, tf.float32)` changes the dtype.

        Args:
          gaussian_mixture: a mixture of any `covariance_type`, fitted to rows of D features.

        Returns:
          A mixture of batch shape `()` and event shape `(D,)`.

        Raises:
          TypeError: if it is not such a mixture.
          ValueError: if it is not fitted.
        """
        logits, components = gaussian_mixtures.logits_and_components(gaussian_mixture)
        return cls(tfd.Categorical(logits=logits), components)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # TFP asks a subclass with an __init__ of its own to say that the inherited properties are also its own.
        return super()._parameter_properties(dtype, num_classes)

    def __reduce__(self):
        return copies.masked_again, (copies.Made.of(self), keras_internals.mask_of(self))

    # Density

    def _per_mixture_component_log_prob(self, y):
        mixture = counted.in_log_prob(self)
        log_probs = densities.log_prob(mixture.components_distribution, tensors.beside_components(self, y))
        return counted.with_weights(log_probs, counted.log_weights(mixture))  # [S, B, K]

    def _log_prob(self, y):
        log_probs = self._per_mixture_component_log_prob(y)
        sum_of = numerics.log_sum_exp if densities.can_be_none(self.components_distribution) else tf.reduce_logsumexp
        log_prob = sum_of(log_probs, -1)
        is_probability = kinds.has_probability(self.components_distribution, tensors.beside_components(self, y))
        if is_probability is None:
            return log_prob
        return tf.where(tf.reduce_all(is_probability, -1), numerics.as_log_probability(log_prob), log_prob)

    # Draws

    @numerics.unconverted
    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | tf.Tensor | None = None,
        name: str = "sample",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Draws of shape `[*sample_shape, *B, *E]`.

        Args:
          sample_shape: an integer or a shape.
          seed: an integer, for which the draws are the same at each call, and but for rounding in a function that XLA
            compiles (of gamma and von Mises components XLA has draws of its own); a stateless seed of TensorFlow, a
            tensor of two int32; or None for new draws at each call.
          name: name of the operation.
          batch_size: draws for this many rows of the first batch axis at a time, and needs no more memory than that
            beside the draws, which are others than without it.
          **kwargs: passed on to TFP.
        """
        seed = numerics.stateless_seed(seed)
        if batch_size is not None:
            seed = random_numbers.sanitized(seed)
            return in_batches(
                lambda part, first: part.sample(sample_shape, random_numbers.fold_in(seed, first), name, **kwargs),
                self,
                [],
                batch_size,
            )
        return super().sample(sample_shape, seed=seed, name=name, **kwargs)

    def _sample_n(self, n, seed=None):
        """Chooses a component for each draw first, and draws from that one alone: 1/K of the base class's work."""
        components = self.components_distribution
        if not isinstance(self.mixture_distribution, tfd.Categorical):
            return super()._sample_n(n, seed)
        try:
            values = tensors.parameters(components)  # [B, K, ...]
        except NotImplementedError:  # an unusual kind of component, or a rank that only the run will tell
            return super()._sample_n(n, seed)
        component_seed, index_seed = random_numbers.split(seed, salt="Mixture")
        probs = self.mixture_distribution.probs_parameter()  # [B, K]
        # Not batch_shape_tensor(), which would read all parameters again.
        components_shape = tf.shape(next(iter(values.values())))[: components.batch_shape.rank - 1]
        batch_shape = tf.broadcast_dynamic_shape(tf.shape(probs)[:-1], components_shape)
        index = _draw_index(n, probs, batch_shape, index_seed)  # [S, B]
        # Weights of NaN make draws as well, and of parameters of NaN rejection samplers make no end.
        is_known = ~tf.reduce_any(tf.math.is_nan(probs), -1)
        for name, value in values.items():
            is_nan = tf.math.is_nan(value)
            values[name] = tf.where(is_nan, tf.ones_like(value), value)
            is_nan = tf.reduce_any(is_nan, list(range(components.batch_shape.rank, value.shape.rank)))  # [B, K]
            is_known &= ~tf.reduce_any(is_nan & (probs > 0.0), -1)
        drawn = draws.of(tensors.take(components, values, batch_shape, index), [], component_seed)  # [S, B, E]
        if drawn.dtype.is_floating:  # else there is no NaN
            drawn = tf.where(numerics.with_trailing_axes(is_known, self.event_shape.rank), drawn, np.nan)
        mixture = counted.in_densities(self) if self.parameters["reparameterize"] else self
        return tfp_internals.with_gradients_of_parameters(mixture, drawn, components.event_shape_tensor())

    # Summaries

    @numerics.unconverted
    def mode(self, name: str = "mode", batch_size: int | None = None, **kwargs: Any) -> tf.Tensor:
        """The point of highest density, `[*B, *E]`. No gradient.

        On a grid it is the most probable value. A limit with a probability of its own counts as high as a density that
        has this probability within a hundredth of the mixture's standard deviation on either side: it is the mode if
        that is higher than any peak.

        Args:
          name: name of the operation.
          batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.
          **kwargs: passed on to TFP.
        """
        if batch_size is not None:
            return in_batches(lambda part, _: part.mode(name, **kwargs), self, [], batch_size)
        return super().mode(name, **kwargs)

    def _mode(self):
        """The point of highest density, found by fixed-point iteration from every component's centre. No gradient."""
        return modes_lib.highest_density_point(counted.in_densities(self))

    def _mean(self):
        mixture = counted.in_sums(self)
        if kinds.period(self.components_distribution) is not None:
            return von_mises.mean(mixture)
        event_rank = self.event_shape.rank
        weights = numerics.with_trailing_axes(mixture.mixture_distribution.probs_parameter(), event_rank)
        return tf.reduce_sum(weights * mixture.components_distribution.mean(), -1 - event_rank)

    def _variance(self):
        if kinds.period(self.components_distribution) is not None:
            return von_mises.variance(counted.in_sums(self))
        return tf.square(self._stddev())

    def _stddev(self):
        if kinds.period(self.components_distribution) is not None:
            return super()._stddev()
        return covariances.stddev(counted.in_sums(self))

    def _covariance(self):
        kinds.check_not_periodic("covariance", self.components_distribution)
        mixture = counted.in_sums(self)
        covariance = covariances.of_mixture(mixture) if self.event_shape.rank == 1 else None
        return super(Mixture, mixture)._covariance() if covariance is None else covariance

    @numerics.unconverted
    def entropy(self, num_samples: int = 1000, seed: int | tf.Tensor | None = None, name: str = "entropy") -> tf.Tensor:
        """Differential entropy in nats `[*B]`, estimated from draws: the mean of -log_prob over `num_samples` of them.

        Where values have probabilities it is that of discrete distributions, which is 0 or more; of atoms amid a
        density the sum of both kinds of terms, the entropy relative to length and to a count of the atoms.

        The standard error is about 0.7 / sqrt(num_samples) nats for one normal component, and somewhat more for
        mixtures of very different ones.
        """
        num_samples = validation.positive_integer("num_samples", num_samples)
        with tfp_internals.name_scope(self, name):
            return -tf.reduce_mean(self.log_prob(self.sample(num_samples, seed=seed)), 0)


def _draw_index(n, probs: tf.Tensor, batch_shape: tf.Tensor, seed) -> tf.Tensor:
    """Component numbers `[n, *B]` drawn by their weights: how many cumulative weights lie below a uniform draw."""
    num_components = tf.shape(probs)[-1]
    probs = tf.broadcast_to(probs, tf.concat([batch_shape, [num_components]], 0))
    cumulative = tf.cumsum(tf.reshape(probs, [-1, num_components]), axis=-1)  # [prod(B), K]
    # Divided by the sum as rounded, the last is exactly 1: no draw lies beyond, none falls on a weight of 0.
    cumulative /= cumulative[:, -1:]
    uniform = random_numbers.uniform([tf.shape(cumulative)[0], n], seed, probs.dtype)
    index = tf.searchsorted(cumulative, uniform, side="right")  # [prod(B), n]
    index = tf.minimum(index, num_components - 1)  # weights of NaN would point beyond the last, into the next row
    return tf.reshape(tf.transpose(index), tf.concat([[n], batch_shape], 0))


# TensorFlow looks for the class itself, and does not take a base class for it.
tf.experimental.dispatch_for_api(tf.expand_dims, {"input": Mixture})(tensor_like.expand_dims)
tf.experimental.dispatch_for_api(tf.cast, {"x": Mixture})(tensor_like.cast)
# Under a strategy Keras would call losses on placeholders that have no `log_prob`.
keras_internals.build_losses_on_distributions()
autocast.keep_densities(Mixture)
