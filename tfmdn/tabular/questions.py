"""What is asked of many rows, as functions of a mixture and of tensors: each becomes a part of the networks' graph.

Shapes in comments: n rows, E event, Q levels.
"""

from __future__ import annotations

import tensorflow as tf

from tfmdn.distributions import roots
from tfmdn.distributions.mixture import Mixture


def mean(mixture: Mixture) -> list[tf.Tensor]:
    """`[n, *E]`."""
    return [mixture.mean()]


def mean_and_stddev(mixture: Mixture) -> list[tf.Tensor]:
    """Two of `[n, *E]`."""
    return [mixture.mean(), mixture.stddev()]


def quantiles(mixture: Mixture, levels: tf.Tensor) -> list[tf.Tensor]:
    """Those of levels `[Q]`: `[n, *E, Q]`."""
    with roots.shared_graphs():
        return [tf.experimental.numpy.moveaxis(mixture._quantile_levels(levels), 0, -1)]
