"""The predictions for many rows, some at a time.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture

# Rows of one computation at most, and what their number is a multiple of: the last ones are filled up. Products of
# such matrices round alike, so that a row's prediction does not depend on how many are asked for with it, but for the
# rounding errors of a fallback.
MANY_ROWS, MULTIPLE = 4_096, 4
# TensorFlow keeps memory for each size of matrices that it has met. There are so many sizes between a power of two and
# the next: at most an eighth of the rows are there to fill up.
SIZES = 8


def predicted(predict: Callable[[tf.Tensor], Mixture], X: np.ndarray) -> Iterator[Mixture]:
    """What a function says of rows `(n, F)`, some thousands at a time, so that memory does not grow with n."""
    for rows, size in _chunks(X):
        mixture = predict(rows)
        yield mixture if size == len(rows) else tensors.map(_first(size), mixture, axis=0)


def answered(answer: Callable[[tf.Tensor], list[tf.Tensor]], X: np.ndarray) -> list[np.ndarray]:
    """The same of a function that returns tensors `[n, ...]`, put together."""
    parts = [[tensor.numpy()[:size] for tensor in answer(rows)] for rows, size in _chunks(X)]
    return parts[0] if len(parts) == 1 else list(map(np.concatenate, zip(*parts)))


def _chunks(X: np.ndarray) -> Iterator[tuple[tf.Tensor, int]]:
    """Rows to compute, and how many of them are not there to fill up."""
    for start in range(0, len(X), MANY_ROWS):
        rows = X[start : start + MANY_ROWS]
        step = max(MULTIPLE, 2 ** (len(rows) - 1).bit_length() // (2 * SIZES))
        yield tf.constant(np.resize(rows, (len(rows) + -len(rows) % step, X.shape[1]))), len(rows)


def _first(size: int) -> Callable:
    return lambda value, axis: tf.gather(value, tf.range(size), axis=axis)


def concatenated(mixtures: list[Mixture]) -> Mixture:
    """The mixtures of some rows after the others' along the first axis."""
    return mixtures[0] if len(mixtures) == 1 else tensors.concat(mixtures, axis=0)
