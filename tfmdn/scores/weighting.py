"""How much each score counts."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.scores.targets import TargetFormat

tfd = tfp.distributions

EXPECTED = "`sample_weight` must be finite numbers, 0 or more."


def example_weights(mixture: tfd.Distribution, sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """How much each of the scores `[*B]` counts: its `sample_weight`, and 0 where Keras has masked the mixture."""
    weights = tf.ones_like(scores)
    if sample_weight is not None:
        weights *= like_scores(sample_weight, scores)
    mask = keras_internals.mask_of(mixture)
    return weights if mask is None else tf.where(mask, weights, tf.zeros_like(weights))


def target_weights(
    form: TargetFormat, y: tf.Tensor, mixture: tfd.Distribution, sample_weight=None, dtype: str | None = None
) -> tf.Tensor:
    """How much each of the reconciled targets counts, `[*B]`: as `example_weights`, and 0 if it says nothing."""
    dtype = dtype or mixture.dtype
    if form.is_plain:
        return example_weights(
            mixture, sample_weight, tf.ones_like(y[..., 0] if mixture.event_shape.rank else y, dtype)
        )
    says_anything = form.says_anything(y, mixture)
    weights = tf.cast(says_anything, dtype)
    return tf.where(says_anything, example_weights(mixture, sample_weight, weights), tf.zeros_like(weights))


def in_units_of_the_largest(sample_weight) -> tf.Tensor:
    """Weights of which only the ratios matter, at a scale where they can be summed up."""
    sample_weight = tf.convert_to_tensor(sample_weight)
    if not sample_weight.dtype.is_floating:
        return sample_weight
    largest = tf.reduce_max(sample_weight)
    return sample_weight / tf.where(largest > 0.0, largest, tf.ones_like(largest))


def like_scores(sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """Weights with as many axes as the scores: one weight for each row of a batch of sequences counts at every step."""
    sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), scores.dtype)
    rank = scores.shape.rank
    if sample_weight.shape.rank == rank + 1 and sample_weight.shape[-1] == 1:
        return tf.squeeze(sample_weight, -1)
    return numerics.with_trailing_axes(sample_weight, max(rank - sample_weight.shape.rank, 0))
