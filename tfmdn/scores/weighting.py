"""How much each score counts."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.scores.targets import TargetFormat

tfd = tfp.distributions


def example_weights(mixture: tfd.Distribution, sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """How much each of the scores `[*B]` counts: its `sample_weight`, and 0 where Keras has masked the mixture."""
    weights = tf.ones_like(scores)
    mask = keras_internals.mask_of(mixture)
    if mask is not None:
        weights *= tf.cast(mask, weights.dtype)
    return weights if sample_weight is None else weights * like_scores(sample_weight, scores)


def target_weights(
    form: TargetFormat, y: tf.Tensor, mixture: tfd.Distribution, sample_weight=None, dtype: str | None = None
) -> tf.Tensor:
    """How much each of the reconciled targets counts, `[*B]`: as `example_weights`, and 0 if it says nothing."""
    dtype = dtype or mixture.dtype
    if form.is_plain:
        return example_weights(
            mixture, sample_weight, tf.ones_like(y[..., 0] if mixture.event_shape.rank else y, dtype)
        )
    weights = tf.cast(form.says_anything(y, mixture), dtype)
    return weights * example_weights(mixture, sample_weight, weights)


def like_scores(sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """Weights with as many axes as the scores: one weight for each row of a batch of sequences counts at every step."""
    sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), scores.dtype)
    rank = scores.shape.rank
    if sample_weight.shape.rank == rank + 1 and sample_weight.shape[-1] == 1:
        return tf.squeeze(sample_weight, -1)
    return numerics.with_trailing_axes(sample_weight, max(rank - sample_weight.shape.rank, 0))
