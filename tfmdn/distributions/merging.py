"""Several mixtures as one.

Shapes in comments: M mixtures, B batch, K components, E event.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import keras_internals, numerics
from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture

tfd = tfp.distributions


@numerics.unconverted
def merge(mixtures: Sequence[tfd.MixtureSameFamily], weights: ArrayLike | None = None) -> Mixture:
    """The mixture of mixtures: one `Mixture` of all their components, which remembers whose they are.

    Its density is the weighted mean of their densities, which is what an ensemble predicts. `decompose()` splits its
    variance.

    Args:
      mixtures: mixtures of the same kind of components and the same event shape; their batch shapes broadcast, their
        numbers of components may differ.
      weights: the weight of each mixture, 0 or more. They are divided by their sum. None means equal weights.

    Returns:
      A `Mixture` that stands for the same tensor as the first of the mixtures, where one is needed. Of masked mixtures
      those steps count that count in all.

    Raises:
      ValueError: if there is no mixture, if they are not of one kind, or if the weights do not fit.
      TypeError: if `mixtures` is not a list of mixtures.

    Example:

    >>> narrow = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.Normal([0.0], [1.0]))
    >>> wide = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.Normal([4.0], [2.0]))
    >>> merged = tfmdn.merge([narrow, wide])
    >>> [round(float(part), 4) for part in merged.decompose()]  # (1 + 4) / 2, and the variance of 0 and 4
    [2.5, 4.0]
    >>> float(merged.variance())
    6.5
    """
    if isinstance(mixtures, tfd.Distribution):
        raise TypeError(f"`merge` needs a list of mixtures. Received: {type(mixtures).__name__}.")
    mixtures = list(mixtures)
    _check_one_kind(mixtures)
    return join(mixtures, _log_weights(weights, len(mixtures)))


def join(mixtures: Sequence[tfd.MixtureSameFamily], log_weights: Sequence) -> Mixture:
    """The mixture of mixtures of one kind, with normalised weights of their own for each row of the batch.

    Args:
      mixtures: of batch shapes that broadcast to `B`.
      log_weights: for each mixture a number, or a tensor that broadcasts to `[*B]`.
    """
    joined = tensors.concat([_weighted(*pair) for pair in zip(mixtures, log_weights)], axis=-1)
    return _with_members(joined, tuple(itertools.chain.from_iterable(map(_member_sizes, mixtures))))


def _weighted(mixture: tfd.MixtureSameFamily, log_weight) -> tfd.MixtureSameFamily:
    """The same mixture with normalised logits, to which the logarithm of its weight is added."""
    values = tensors.read(mixture)
    log_weight = tf.cast(log_weight, mixture.dtype)[..., tf.newaxis]
    return tensors.rebuild(mixture, {**values, "logits": tf.math.log_softmax(values["logits"]) + log_weight})


def join_first_axes(mixtures: Sequence[Mixture], log_weights: Sequence[tf.Tensor]) -> Mixture:
    """The mixture of the mixtures along the first axes of several batches: as `join` of all of them.

    Args:
      mixtures: of one kind, of batch shapes `[M, *B]`, with M known for each.
      log_weights: the logarithms of their weights, for each a tensor `[M]`; the weights of all add up to 1.
    """
    _check_one_kind(mixtures)
    sizes = [mixture.batch_shape[0] * _member_sizes(mixture) for mixture in mixtures]
    joined = [_side_by_side(*pair) for pair in zip(mixtures, log_weights)]
    whole = joined[0] if len(joined) == 1 else tensors.concat(joined, axis=-1)
    return _with_members(whole, tuple(itertools.chain.from_iterable(sizes)))


def _side_by_side(mixture: Mixture, log_weights: tf.Tensor) -> Mixture:
    """The components of mixtures of batch shape `[M, *B]` as those of mixtures `[*B]`, by the mixtures' weights."""
    size, rank = mixture.batch_shape[0], mixture.batch_shape.rank

    def side_by_side(value):  # [M, *B, K, ...] to [*B, M K, ...]
        value = tf.transpose(value, [*range(1, rank), 0, *range(rank, value.shape.rank)])
        num_components, *trailing = value.shape[rank:]
        return tf.reshape(value, tf.concat([tf.shape(value)[: rank - 1], [size * num_components, *trailing]], 0))

    values = tensors.read(mixture)
    steps = values.pop("mask", None)
    log_weights = tf.reshape(tf.cast(log_weights, mixture.dtype), [size] + [1] * rank)
    values["logits"] = tf.math.log_softmax(values["logits"]) + log_weights
    values = {name: side_by_side(value) for name, value in values.items()}
    if steps is not None:
        values["mask"] = tf.reduce_all(steps, 0)
    return tensors.rebuild(mixture, values)


def _with_members(mixture: tfd.MixtureSameFamily, member_sizes: tuple[int, ...]) -> Mixture:
    """The same mixture as a `Mixture` that remembers whose its components are."""
    merged = Mixture(
        mixture.mixture_distribution,
        mixture.components_distribution,
        convert_to_tensor=mixture.parameters.get("convert_to_tensor", "mean"),
        member_sizes=member_sizes,
    )
    return keras_internals.masked(merged, keras_internals.mask_of(mixture))


def _check_one_kind(mixtures: list) -> None:
    if not mixtures:
        raise ValueError("`mixtures` must hold at least one mixture. Received: an empty list.")
    kinds = [_kind(mixture) for mixture in mixtures]
    if len(set(kinds)) > 1:
        received = " and ".join(sorted({str(kind) for kind in kinds}))
        raise ValueError(
            f"`merge` needs mixtures of the same kind of components, event shape and dtype. Received: {received}."
        )


def _kind(mixture) -> tuple:
    if not isinstance(mixture, tfd.MixtureSameFamily):
        raise TypeError(f"`merge` needs mixtures, such as an MDNLayer's output. Received: {type(mixture).__name__}.")
    components = mixture.components_distribution
    inner = tensors.plain(components)
    outer = components if isinstance(components, tfd.Independent) else inner
    return type(outer).__name__, type(inner).__name__, tuple(mixture.event_shape), mixture.dtype.name


def _log_weights(weights, count: int) -> np.ndarray:
    weights = np.full(count, 1.0) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (count,) or not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"`weights` must be one number for each of the {count} mixtures, 0 or more and not all 0. "
            f"Received: weights={weights.tolist()}."
        )
    with np.errstate(divide="ignore"):  # a weight of 0 has the logit -inf
        return np.log(weights / weights.sum())


def _member_sizes(mixture) -> tuple[int, ...]:
    return getattr(mixture, "member_sizes", None) or (mixture.mixture_distribution.logits_parameter().shape[-1],)
