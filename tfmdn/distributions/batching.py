"""Questions to a mixture of very many rows, a batch of rows at a time.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfmdn import numerics, validation
from tfmdn.distributions import tensors


def in_batches(
    function: Callable, mixture, values: Sequence, batch_size: int, event_rank: int | None = None
) -> tf.Tensor:
    """`function(mixture, first_row, *values)`, computed for `batch_size` rows of the first batch axis at a time.

    Beside the result it holds what one batch takes, and no more.

    Args:
      function: of a mixture, the number of its first row, and values of as many rows. Its result has them as axes too.
      mixture: a `tfd.MixtureSameFamily` with a batch axis.
      values: tensors that broadcast to `[S, *B, *E]`.
      batch_size: a positive integer.
      event_rank: the number of the result's axes behind those of the batch; the mixture's own by default.

    Raises:
      ValueError: if the mixture has no batch axis, or `batch_size` is no positive integer.
    """
    batch_size = validation.positive_integer("batch_size", batch_size)
    batch_rank = mixture.batch_shape.rank
    event_rank = mixture.event_shape.rank if event_rank is None else event_rank
    if not batch_rank:
        raise ValueError(
            f"`batch_size` needs a mixture with a batch axis. Received: batch shape {mixture.batch_shape}."
        )
    if mixture.batch_shape[0]:
        batch_size = min(batch_size, mixture.batch_shape[0])
    mixture = tensors.map(tf.identity, mixture)  # what must be computed for it, once and not for each batch
    num_rows = mixture.batch_shape_tensor()[0]
    values = [tf.convert_to_tensor(value, mixture.dtype) for value in values]

    def value_rows(value, rows):
        """Those rows of a value, unless it is the same for all."""
        axis = -batch_rank - mixture.event_shape.rank
        is_same = value.shape.rank < -axis or (value.shape[axis] == 1 and mixture.batch_shape[0] != 1)
        return value if is_same else tf.gather(value, rows, axis=axis)

    def compute_batch(start):
        # The last batch is filled up with copies of the last row, so that all have one shape.
        rows = tf.minimum(start + tf.range(batch_size), num_rows - 1)
        part = tensors.map(functools.partial(tf.gather, indices=rows), mixture, axis=0)
        result = function(part, start, *(value_rows(value, rows) for value in values))
        return tf.experimental.numpy.moveaxis(result, -batch_rank - event_rank, 0)  # [batch_size, S, ...]

    def compute_all():
        starts = tf.range(0, num_rows, batch_size)
        results = tf.map_fn(compute_batch, starts, fn_output_signature=mixture.dtype, parallel_iterations=1)
        results = tf.reshape(results, tf.concat([[-1], tf.shape(results)[2:]], 0))[:num_rows]
        return tf.experimental.numpy.moveaxis(results, 0, -batch_rank - event_rank)

    # A partial of its own: TensorFlow would count the traces of all calls together, and warn of too many.
    return tf.function(functools.partial(compute_all), autograph=False)()


def in_blocks(function: Callable, size: int, count: int, *rows) -> list[tf.Tensor]:
    """`function(*rows)`, computed for blocks of rows, one after the other.

    Args:
      function: of tensors of as many rows, to a list of tensors of the same dtype and rows.
      size: the number of rows of a block.
      count: the length of the list.
      *rows: tensors, or lists of tensors, whose first axis is that of the rows.
    """
    first = tf.nest.flatten(rows)[0]
    num_rows = tf.shape(first)[0]
    size = tf.minimum(size, num_rows)
    num_blocks = (num_rows + size - 1) // size
    # The last block is filled up with copies of the last row.
    numbers = tf.minimum(tf.range(num_blocks * size), num_rows - 1)

    def split(value):
        return tf.reshape(tf.gather(value, numbers), tf.concat([[num_blocks, size], tf.shape(value)[1:]], 0))

    def joined(value):
        return tf.reshape(value, tf.concat([[num_blocks * size], tf.shape(value)[2:]], 0))[:num_rows]

    signature = [first.dtype] * count
    blocks = tf.nest.map_structure(split, rows)
    # A gradient is traced outside of the function whose gradient it is, and with AutoGraph if it is not told.
    on_block = numerics.unconverted(lambda block: function(*block))
    results = tf.map_fn(on_block, blocks, fn_output_signature=signature, parallel_iterations=1)
    return [joined(result) for result in results]
