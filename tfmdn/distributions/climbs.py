"""How a climb that becomes slower is brought to its end.

Shapes in comments: S samples, B batch, E event.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfmdn import numerics


def farther(
    heights: Callable[[tf.Tensor], tf.Tensor],
    y: tf.Tensor,
    first: tf.Tensor,
    second: tf.Tensor,
    narrowest: tf.Tensor,
    event_rank: int,
) -> tf.Tensor:
    """Where a climb leads to if it goes on as in its last two steps, as far as that is higher: `[S, *B, *E]`.

    The steps become shorter by a factor near 1 where components overlap, so that hundreds would be needed. What is left
    of them is added up as by Varadhan and Roland (2008, "Simple and globally convergent methods for accelerating the
    convergence of any EM algorithm"), up to the width of the narrowest component, lest a peak be passed over.

    Args:
      heights: of points `[S, *B, *E]`, `[S, *B]`.
      y: where the two steps began, `[S, *B, *E]`.
      first: where the first of them ended.
      second: where the second of them ended.
      narrowest: the width of the narrowest component, `[*B, *E]`.
      event_rank: how many axes E stands for.
    """
    axes = list(range(-event_rank, 0))
    tiny = tf.constant(np.finfo(y.dtype.as_numpy_dtype).tiny, y.dtype)
    step = first - y
    bend = (second - first) - step
    of_step, of_bend = (tf.reduce_sum(tf.square(way / narrowest), axes, keepdims=True) for way in (step, bend))
    ratio = tf.maximum(tf.sqrt(of_step / tf.maximum(of_bend, tiny)), 1.0)
    way = y + 2.0 * ratio * step + tf.square(ratio) * bend - second
    longest = tf.sqrt(tf.reduce_sum(tf.square(way / narrowest), axes, keepdims=True))
    end = second + way / tf.maximum(longest, 1.0)
    height, higher = tf.unstack(heights(tf.stack([second, end])), num=2)
    rounding = 8.0 * np.finfo(y.dtype.as_numpy_dtype).eps * (1.0 + tf.abs(height))
    return tf.where(numerics.with_trailing_axes(higher > height + rounding, event_rank), end, second)
