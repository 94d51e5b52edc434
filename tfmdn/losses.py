"""Scores of a mixture: per-example functions, and thin `keras.losses.Loss` classes over them."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def negative_log_likelihood(y_true, mixture: tfd.Distribution) -> tf.Tensor:
    """-log p(y_true) of each example, in nats. Negative where the density is above 1, which is no error.

    Args:
      y_true: targets `[*B, *E]` of the mixture's batch and event shape. For a scalar event, `[*B, 1]` too; for an event
        shape of `(1,)`, `[*B]` too. Integers are cast.
      mixture: the output of an `MDNLayer`, or any other `tfd.Distribution`.

    Returns:
      A tensor of the batch shape `[*B]`. NaN for the rows where the target or the mixture is NaN.

    Raises:
      TypeError: if `mixture` is not a distribution.
      ValueError: if the shapes do not fit, or if there is no row.

    Example:

    >>> mixture = tfmdn.MDNLayer(2)(np.zeros((3, 4)))
    >>> tfmdn.negative_log_likelihood(np.zeros((3, 1)), mixture).shape
    TensorShape([3])
    """
    y_true = reconcile_target(y_true, mixture)
    # The gradient of a NaN target would turn every weight into NaN: it is cut off, the value is not.
    score = -mixture.log_prob(tf.where(tf.math.is_nan(y_true), tf.zeros_like(y_true), y_true))
    return tf.where(_has_nan(y_true, mixture), tf.cast(float("nan"), score.dtype), score)


def _has_nan(y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
    """Which targets `[*B, *E]` have a NaN in them: `[*B]`."""
    return tf.reduce_any(tf.math.is_nan(y_true), list(range(-mixture.event_shape.rank, 0)))


def reconcile_target(y_true, mixture: tfd.Distribution) -> tf.Tensor:
    """The targets as a tensor of exactly the mixture's shape and dtype.

    TFP broadcasts `(n, 1)` targets against n scalar distributions to n x n densities without a word: here a last axis
    of size 1 is removed or added, and any other difference is an error.
    """
    if not isinstance(mixture, tfd.Distribution):
        raise TypeError(
            "Expected the distribution that an MDNLayer outputs. Is it the last layer, and reached this unchanged? "
            f"Received: {type(mixture).__name__} of shape {getattr(mixture, 'shape', None)}."
        )
    y_true = tf.cast(tf.convert_to_tensor(y_true), mixture.dtype)
    received, expected = y_true.shape, mixture.batch_shape + mixture.event_shape
    if mixture.event_shape.rank == 0 and received.rank == expected.rank + 1 and received[-1] in (1, None):
        y_true = tf.squeeze(y_true, -1)
    elif mixture.event_shape == (1,) and received.rank == expected.rank - 1:
        y_true = y_true[..., tf.newaxis]
    if not y_true.shape.is_compatible_with(expected):
        raise ValueError(
            f"The targets do not fit the mixture. Expected: y_true of shape {expected}, which is batch shape "
            f"{mixture.batch_shape} and event shape {mixture.event_shape}. Received: y_true of shape {received}."
        )
    if 0 in y_true.shape:
        raise ValueError(f"Expected at least one row. Received: an empty batch, y_true of shape {received}.")
    return tf.ensure_shape(y_true, expected)


@keras.saving.register_keras_serializable(package="tfmdn")
class NegativeLogLikelihood(keras.losses.Loss):
    """The loss of mixture density networks: the mean of -log p(y | x), see `negative_log_likelihood`.

    Rows of weight 0 and masked steps do not count, whatever their targets are. A NaN in any other target is an error;
    where XLA compiles the training step, which cannot raise, the loss is NaN and the weights stay as they were
    for that row. A `sample_weight` of one number for each row also fits sequences.

    Args:
      reduction: how the examples' scores are reduced, as in `keras.losses.Loss`.
      name: name of the loss.
      dtype: dtype of the reduction. The density keeps its own.

    Example:

    >>> loss = tfmdn.NegativeLogLikelihood()
    >>> standard_normal = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), tfd.Normal([[0.0]], [[1.0]]))
    >>> round(float(loss([0.0], standard_normal)), 4)
    0.9189
    """

    def __init__(self, reduction="sum_over_batch_size", name="negative_log_likelihood", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if _is_placeholder(y_pred):
            # Under a tf.distribute strategy Keras first calls the loss on bare placeholders, to create its state.
            return super().__call__(y_true, tf.zeros(tf.shape(y_pred)[:1]))
        y_true = reconcile_target(y_true, y_pred)
        scores = negative_log_likelihood(y_true, y_pred)
        mask = getattr(y_pred, "_keras_mask", None)
        if sample_weight is not None:
            sample_weight = _like_scores(sample_weight, scores)
        counts = tf.ones(tf.shape(scores), tf.bool)
        for weight in (mask, sample_weight):
            if weight is not None:
                counts &= tf.cast(weight, tf.bool)
        with tf.control_dependencies(
            _nan_checks(_has_nan(y_true, y_pred) & counts, tf.math.is_nan(scores) & counts, counts)
        ):
            scores = tf.where(counts, scores, tf.zeros_like(scores))
        if mask is not None:
            scores._keras_mask = mask
        return super().__call__(y_true, scores, sample_weight)

    def call(self, y_true, y_pred):
        return y_pred  # already scores: __call__ needs the mixture itself, which Keras would cast to its own dtype


def _is_placeholder(tensor) -> bool:
    return not tf.executing_eagerly() and getattr(getattr(tensor, "op", None), "type", None) == "Placeholder"


def _like_scores(sample_weight, scores: tf.Tensor) -> tf.Tensor:
    """Weights with as many axes as the scores: one weight for each row of a batch of sequences counts at every step."""
    sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), scores.dtype)
    rank = scores.shape.rank
    if sample_weight.shape.rank == rank + 1 and sample_weight.shape[-1] == 1:
        return tf.squeeze(sample_weight, -1)
    missing = rank - sample_weight.shape.rank
    return tf.reshape(sample_weight, tf.concat([tf.shape(sample_weight), tf.ones([max(missing, 0)], tf.int32)], 0))


def _nan_checks(bad_targets: tf.Tensor, bad_scores: tf.Tensor, counts: tf.Tensor) -> list[tf.Operation]:
    return [
        *_require(
            ~tf.reduce_any(bad_targets),
            "`y_true` contains NaN. Remove those rows, or give them a sample_weight of 0.",
        ),
        *_require(
            # A replica of a tf.distribute strategy may have no rows at all.
            ~tf.reduce_any(counts) | tf.reduce_any(counts & ~bad_scores),
            "The density is NaN for every row of the batch: the inputs or the weights of the model are NaN.",
        ),
    ]


def _require(condition: tf.Tensor, message: str) -> list[tf.Operation]:
    """A ValueError at once where that is possible, and else operations that raise when the graph runs."""
    if not tf.executing_eagerly():
        return [tf.debugging.Assert(condition, [message])]
    if not bool(condition):
        raise ValueError(message)
    return []
