"""What a `Mixture` answers of each coordinate by itself: cumulative probability, and quantiles.

Shapes in comments: S samples, B batch, K components, E event, Q probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, tfp_internals
from tfmdn.distributions import coarse, counted, kinds, quantiles, tensors, unit_tails
from tfmdn.distributions.batching import in_batches

tfd = tfp.distributions


class Cumulative:
    """A base class, before `tfd.MixtureSameFamily`, of a `Mixture`.

    For a vector event TFP's own are of all coordinates together, of shape `[*S, *B]`; these are `[*S, *B, *E]`.
    """

    @numerics.unconverted
    def cdf(self, value: ArrayLike, name: str = "cdf", batch_size: int | None = None, **kwargs: Any) -> tf.Tensor:
        """The probability of values up to `value`, of each coordinate by itself.

        Args:
          value: `[*S, *B, *E]`, or broadcastable with it.
          name: name of the operation.
          batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.
          **kwargs: passed on to TFP.

        Returns:
          Probabilities `[*S, *B, *E]`, not outside of [0, 1] by rounding either.
        """
        if batch_size is not None:
            return in_batches(lambda part, _, value: part.cdf(value, name, **kwargs), self, [value], batch_size)
        return super().cdf(value, name, **kwargs)

    @numerics.unconverted
    def prob_of(self, value: ArrayLike, name: str = "prob_of") -> tf.Tensor:
        """The probability of exactly `value`, of each coordinate by itself.

        It is 0 but for atoms: limits that have a probability of their own, and the values of a grid.

        Args:
          value: `[*S, *B, *E]`, or broadcastable with it.
          name: name of the operation.

        Returns:
          Probabilities `[*S, *B, *E]`.

        Example:

        >>> rain = tfmdn.Mixture(
        ...     tfd.Categorical(logits=[0.0]), tfmdn.distributions.CoarsenedNormal([0.5], [1.0], low=0.0)
        ... )
        >>> rain.prob_of([0.0, 1.0]).numpy().round(3)
        array([0.309, 0.   ], dtype=float32)
        """
        with tfp_internals.name_scope(self, name):
            value = tf.convert_to_tensor(value, dtype_hint=self.dtype)
            components, event_rank = counted.in_sums(self).components_distribution, self.event_shape.rank
            marginals, weights = tensors.marginals(components), counted.weights(self)
            probabilities = kinds.probability_of(marginals, tensors.beside_components(self, value))
            weights = numerics.with_trailing_axes(weights, event_rank)
            return numerics.as_probability(tf.reduce_sum(weights * probabilities, -1 - event_rank))

    def _log_cdf(self, y):
        return self._log_of_marginals("log_cdf", y, -np.inf, 0.0)

    def _log_survival_function(self, y):
        return self._log_of_marginals("log_survival_function", y, 0.0, -np.inf)

    def _survival_function(self, y):
        return tf.exp(self._log_survival_function(y))

    def _log_of_marginals(self, method, y, lowest, highest):
        marginals = tensors.marginals(counted.in_densities(self).components_distribution)
        event_rank = self.event_shape.rank
        log_weights = numerics.with_trailing_axes(counted.log_weights(self), event_rank)
        is_infinite, sign = tf.math.is_inf(y), tf.sign(y)
        y = tf.where(is_infinite, tf.zeros_like(y), y)  # at infinity not even gradients are in question
        marginals, y = unit_tails.standardized(marginals, tensors.beside_components(self, y))
        log_probs = getattr(marginals, method)(y)
        # Weights sum to 1 but for rounding.
        found = numerics.as_log_probability(numerics.log_sum_exp(log_weights + log_probs, -1 - event_rank))
        end = tf.cast(tf.where(sign < 0.0, lowest, highest), found.dtype)
        return tf.where(is_infinite & ~tf.math.is_nan(found), end, found)

    @numerics.unconverted
    def interval_log_prob(
        self, low: ArrayLike, high: ArrayLike, name: str = "interval_log_prob", batch_size: int | None = None
    ) -> tf.Tensor:
        """The log of the probability that the target lies between two values, `low <= y <= high` in each coordinate.

        It is the log likelihood of a target of which no more is known (Heitjan and Rubin 1991): of a rounded or a
        censored one. It is exact in both tails, and of intervals as narrow as the dtype can tell.

        Args:
          low: the lower ends `[*S, *B, *E]`, or broadcastable with it. -inf for what lies anywhere up to `high`.
          high: the upper ends, greater than `low`. inf for what lies anywhere from `low` on.
          name: name of the operation.
          batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.

        Returns:
          Log probabilities `[*S, *B]`, 0 or less. NaN where an end or the mixture is NaN. Where XLA compiles the graph,
          which cannot raise, it is NaN too where `high` is not greater than `low`.

        Raises:
          ValueError: if `high` is not greater than `low`: the probability of a single value is 0, and `log_prob` is its
            density.
          NotImplementedError: for vectors of correlated coordinates.

        Example:

        >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.Normal([0.0], [1.0]))
        >>> standard_normal.interval_log_prob(low=[-1.0, 10.0], high=[1.0, np.inf]).numpy().round(3)
        array([ -0.382, -53.231], dtype=float32)
        """
        low, high = (tf.convert_to_tensor(end, dtype_hint=self.dtype) for end in (low, high))
        if batch_size is not None:
            return in_batches(
                lambda part, _, low, high: part.interval_log_prob(low, high, name), self, [low, high], batch_size
            )
        with tfp_internals.name_scope(self, name), tf.control_dependencies(coarse.checks(low, high)):
            low, high = (tensors.beside_components(self, tf.identity(end)) for end in (low, high))
            components = counted.in_densities(self).components_distribution
            log_probs = counted.with_weights(coarse.joint_log_prob(components, low, high), counted.log_weights(self))
            return numerics.as_log_probability(numerics.log_sum_exp(log_probs, -1))  # of [S, B, K]

    @numerics.unconverted
    def quantile(
        self, value: ArrayLike, name: str = "quantile", batch_size: int | None = None, **kwargs: Any
    ) -> tf.Tensor:
        """The inverse of `cdf`: the y below which the probability is `value`, of each coordinate by itself.

        Exact to float32's last digits wherever the density is not 0, and differentiable in `value` and in all
        parameters. Needs components of finite variance, with independent or jointly normal coordinates.

        Args:
          value: probabilities in [0, 1]. A number, a list or a one-dimensional NumPy array of Q levels gives every
            level for every row of the batch: shape `[*B, *E]` or `[Q, *B, *E]`. A tensor, or an array with more axes,
            is taken element by element, as TFP does, so that `quantile(cdf(y))` is y: its shape must broadcast with
            `[*B, *E]`.
          name: name of the operation.
          batch_size: the number of rows of the first batch axis to compute at a time, which bounds the memory.
          **kwargs: passed on to TFP.

        Returns:
          Quantiles. -inf (0 for positive components, the limit where there is one) at 0, inf at 1 likewise, NaN
          outside [0, 1]. Eight rounding errors of the dtype outside of it are the nearer end.

        Raises:
          ValueError: if the shape of a tensor does not broadcast.
        """
        if not tf.is_tensor(value) and np.ndim(value) <= 1:
            return self._quantile_levels(value, name, batch_size, **kwargs)
        value = tf.convert_to_tensor(value)
        try:
            tf.broadcast_static_shape(value.shape, self.shape)
        except ValueError:
            raise ValueError(
                f"The shape of `value` must broadcast with {self.shape}, the shape of one quantile in every row. "
                f"Received: a tensor of shape {value.shape}. For levels of all rows pass a list or a NumPy array."
            ) from None
        if batch_size is not None:
            return in_batches(
                lambda part, _, value: tfd.MixtureSameFamily.quantile(part, value, name=name, **kwargs),
                self,
                [value],
                batch_size,
            )
        return super().quantile(value, name=name, **kwargs)

    def _quantile_levels(self, levels, name="quantile", batch_size: int | None = None, **kwargs) -> tf.Tensor:
        """Each of the `levels` `[Q]` for every row and coordinate: `[Q, *B, *E]`."""
        # In float64: 1 - 1e-8 would be 1 in float32.
        levels = tf.cast(levels if tf.is_tensor(levels) else np.float64(levels), tf.float64)
        if batch_size is not None:
            return in_batches(lambda part, _: part._quantile_levels(levels, name, None, **kwargs), self, [], batch_size)
        return super().quantile(numerics.with_trailing_axes(levels, self.shape.rank), name=name, **kwargs)

    def _quantile(self, value):
        marginals = tensors.marginals(counted.in_sums(self).components_distribution)
        event_rank = self.event_shape.rank
        logits = numerics.with_trailing_axes(counted.log_weights(self), event_rank)
        value = quantiles.without_rounding(value, self.dtype)
        return quantiles.mixture_quantile(marginals, logits, value, -1 - event_rank)
