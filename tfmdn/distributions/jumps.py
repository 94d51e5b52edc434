"""Where the cumulative probability of a mixture jumps: at limits and on a grid, which all of its components share.

Shapes in comments: B batch, K components, E event.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import kinds
from tfmdn.distributions.grids import Grid

tfd = tfp.distributions


def atoms(marginals: tfd.Distribution, like: tf.Tensor, axis: int) -> list[tf.Tensor]:
    """The values amid a density that can have a probability of their own, infinite where there are none: `[*B, *E]`.

    Args:
      marginals: univariate components.
      like: a tensor that broadcasts with them to `[*B, K, *E]`.
      axis: the axis of K.
    """
    return [_shared(atom, like, axis) for atom in kinds.atoms(marginals)]


def grid(marginals: tfd.Distribution, like: tf.Tensor, axis: int) -> Grid | None:
    """The grid to which all are rounded, of numbers `[*B, *E]`, or None; see `atoms`."""
    grid = kinds.grid(marginals)
    return None if grid is None else Grid(*(_shared(number, like, axis) for number in (grid.step, grid.origin)))


def _shared(values: tf.Tensor, like: tf.Tensor, axis: int) -> tf.Tensor:
    """What is the same for all components, `[*B, K, *E]` or broadcastable with it, of each row: `[*B, *E]`."""
    return tf.reduce_max(values + tf.zeros_like(like, values.dtype), axis)
