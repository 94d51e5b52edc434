"""Mixtures in whose answers only components count that have a weight.

0 times what is not a number is none. So a component of weight 0 whose mean is infinite or unknown, as of a network that
diverged, would make that of the mixture unknown, and its gradients too. Here it is put in the place of another one.

Shapes in comments: B batch, K components.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics, tfp_internals
from tfmdn.distributions import rescaled, tensors

tfd = tfp.distributions
Mixture = TypeVar("Mixture", bound=tfd.MixtureSameFamily)

# What all components share, and what may be infinite.
SHARED = {"low", "high", "mirror_low", "mirror_high", "is_moved", "resolution", "origin", *rescaled.PARAMETERS[2:]}


def log_weights(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The logarithms of the weights `[*B, K]`. The gradient of a weight of 0 is 0, and not NaN."""
    return tf.math.log_softmax(tensors.logits(mixture))


def weights(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The weights `[*B, K]`."""
    return tf.nn.softmax(tensors.logits(mixture))


def with_weights(log_probs: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """The logarithms of probabilities or densities `[*S, *B, K]` plus those of weights, of which -inf is -inf."""
    least = float(np.log(np.finfo(log_weights.dtype.as_numpy_dtype).tiny))
    is_nothing = tf.math.is_nan(log_probs) & (log_weights < least)
    return tf.where(is_nothing, tf.constant(-np.inf, log_probs.dtype), log_probs + log_weights)


def in_densities(mixture: Mixture) -> Mixture:
    """The mixture as it counts where logarithms of weights are added.

    There a weight that only rounding made 0 counts far out, unless its component is no distribution.
    """
    if getattr(mixture, "is_settled", False):
        return mixture
    return _without(mixture, lambda: tf.math.is_inf(log_weights(mixture)) | _is_bad(mixture))


def settled(mixture: Mixture) -> Mixture:
    """The mixture `in_densities`, whose densities need not look again: in a graph each time takes many operations."""
    copy = keras_internals.masked(tfp_internals.copied(in_densities(mixture)), keras_internals.mask_of(mixture))
    copy.is_settled = True
    return copy


def in_log_prob(mixture: Mixture) -> Mixture:
    """The same where a density is all that is asked for: that of `Rescaled` ones minds it, and nets train on it."""
    is_rescaled = isinstance(tensors.under_independent(mixture.components_distribution), rescaled.Rescaled)
    return mixture if is_rescaled and not tf.executing_eagerly() else in_densities(mixture)


def in_sums(mixture: Mixture) -> Mixture:
    """The mixture of which sums with weights are: each component of weight 0 is like the one of the largest weight."""
    return _without(mixture)


def _without(mixture: Mixture, condition: Callable[[], tf.Tensor] | None = None) -> Mixture:
    """The mixture whose components of weight 0 are like others, those for which the condition holds."""
    components = mixture.components_distribution
    is_categorical = isinstance(mixture.mixture_distribution, tfd.Categorical)
    if not is_categorical or components.batch_shape.rank is None or components.batch_shape[-1] == 1:
        return mixture
    mixture = _with_read_logits(mixture)
    shares = weights(mixture)
    is_dead = shares == 0.0
    if tf.executing_eagerly() and not tf.reduce_any(is_dead):
        return mixture
    try:
        values, event_ndims = _values(components)
    except NotImplementedError:  # an unusual kind of component
        return mixture
    is_dead &= True if condition is None else condition()
    is_largest = shares == tf.reduce_max(shares, -1, keepdims=True)

    def replaced(name, value):
        count = event_ndims[name]
        is_dead_in, is_largest_in = (numerics.with_trailing_axes(part, count) for part in (is_dead, is_largest))
        lowest = tf.constant(-np.inf, value.dtype)
        largest = tf.reduce_max(tf.where(is_largest_in, value, lowest), -1 - count, keepdims=True)
        return tf.where(is_dead_in, tf.stop_gradient(largest), value)

    values = {name: replaced(name, value) for name, value in values.items()}
    copy = tfp_internals.copied(mixture, components_distribution=tensors.with_parameters(components, values))
    return keras_internals.masked(copy, keras_internals.mask_of(mixture))


def _with_read_logits(mixture: Mixture) -> Mixture:
    """The mixture, whose weights are read no more if that takes something, as it does of deferred tensors."""
    categorical = mixture.mixture_distribution
    if isinstance(categorical.probs if categorical.logits is None else categorical.logits, tf.Tensor):
        return mixture
    copy = mixture.copy(mixture_distribution=categorical.copy(logits=tensors.logits(mixture), probs=None))
    return keras_internals.masked(copy, keras_internals.mask_of(mixture))


def _values(components: tfd.Distribution) -> tuple[dict[str, tf.Tensor], dict[str, int]]:
    """What components differ in, `[*B, K, ...]`, and how many axes each has behind those."""
    inner = tensors.under_independent(components)
    if isinstance(inner, rescaled.Rescaled):
        zeros = tf.zeros_like(inner.loc)
        values = {name: getattr(inner, name) + zeros for name in rescaled.PARAMETERS}
    else:
        values = tensors.parameters(components)
    values = {name: value for name, value in values.items() if name not in SHARED}
    batch_rank = components.batch_shape.rank
    return values, {name: value.shape.rank - batch_rank for name, value in values.items()}


def _is_bad(mixture) -> tf.Tensor:
    """Which components have a parameter that is no number, `[*B, K]`."""
    values, event_ndims = _values(mixture.components_distribution)
    is_bad = [
        tf.reduce_any(~tf.math.is_finite(value), list(range(-event_ndims[name], 0))) for name, value in values.items()
    ]
    return tf.reduce_any(tf.stack(is_bad), 0)
