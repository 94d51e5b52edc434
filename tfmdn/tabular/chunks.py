"""The predictions for many rows, some at a time.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture

# Rows of one computation; fewer are filled up. Matrix products of one shape round alike, so that a row's prediction
# does not depend on how many are asked for with it.
FEW_ROWS, MANY_ROWS = 256, 4_096


def predicted(predict: Callable[[tf.Tensor], Mixture], X: np.ndarray) -> Iterator[Mixture]:
    """What a function says of rows `(n, F)`, some thousands at a time, so that memory does not grow with n."""
    size = FEW_ROWS if len(X) <= FEW_ROWS else MANY_ROWS
    for start in range(0, len(X), size):
        rows = X[start : start + size]
        yield predict(tf.constant(np.resize(rows, (size, X.shape[1]))))[: len(rows)]


def concatenated(mixtures: list[Mixture]) -> Mixture:
    """The mixtures of some rows after the others' along the first axis."""
    return mixtures[0] if len(mixtures) == 1 else tensors.concat(mixtures, axis=0)
