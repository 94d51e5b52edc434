"""The peaks of a mixture's density, which are climbed to.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import ascents, coarse_modes, compiled, counted, kinds, tensor_like

tfd = tfp.distributions
tnp = tf.experimental.numpy

# Where to look for a dip between two points, in parts of their distance: peaks can be far narrower than that.
WAY_TO_A_PEAK = 0.5 * 0.25 ** np.arange(12)


class Modes(NamedTuple):
    """Peaks of a density from the highest down: `points` `[M, *B, *E]`, `log_prob` `[M, *B]`.

    Where a row has fewer than M peaks, the points end with NaN and their log density with -inf.
    """

    points: tf.Tensor
    log_prob: tf.Tensor


def highest_density_point(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The y `[*B, *E]` of highest density, as far as a climb from some component's centre leads to it."""
    return _highest(mixture) if ascents.has_jumps(mixture) else compiled.by_graph(_highest, mixture)


def _highest(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    wide = _wide(mixture)
    points = ascents.tops(wide)
    heights, _ = _known_heights(wide, points)
    is_known = numerics.with_trailing_axes(tf.reduce_max(heights, 0) > -np.inf, mixture.event_shape.rank)
    highest = tf.where(is_known, numerics.choose(points, tf.argmax(heights, 0)), np.nan)
    return tf.stop_gradient(tf.cast(highest, mixture.dtype))


def modes(mixture: tfd.MixtureSameFamily, max_modes: int) -> Modes:
    """The highest `max_modes` peaks of the density, of those that climbs from the components' centres lead to.

    Two climbs have reached the same peak if the density does not dip on the way from the lower to the higher end.
    """
    if ascents.has_jumps(mixture):  # whose graph takes longer to trace than it saves
        return _modes(mixture, max_modes)
    return compiled.by_graph(_modes, mixture, max_modes, axis=1)


def _modes(mixture: tfd.MixtureSameFamily, max_modes: int) -> Modes:
    dtype, mixture = mixture.dtype, _wide(mixture)
    points = ascents.tops(mixture)  # [K, B, E]
    heights, is_bad = _known_heights(mixture, points)  # [K, B]
    rounding = 32.0 * np.finfo(mixture.dtype.as_numpy_dtype).eps * (1.0 + tf.abs(heights))

    def take_highest(index, remaining, peaks, log_probs):
        best = tf.argmax(remaining, 0)
        height = tf.reduce_max(remaining, 0)  # [B]
        peak = numerics.choose(points, best)  # [B, E]
        way = kinds.difference(mixture.components_distribution, peak, points)
        if has_jumps:
            between = [points + part * way for part in WAY_TO_A_PEAK]
            between = tf.stack([*between, coarse_modes.neighbour(mixture, points, way)])  # of many operations each
            is_apart = tf.reduce_any(ascents.heights(mixture, between) < heights - rounding, 0)
        else:
            is_apart = _dips(mixture, points, way, heights - rounding)
        remaining = tf.where(is_apart, remaining, -np.inf)
        is_peak = numerics.with_trailing_axes(height > -np.inf, mixture.event_shape.rank)
        peaks = tf.tensor_scatter_nd_update(peaks, [[index]], [tf.where(is_peak, peak, np.nan)])
        log_prob = tf.where(height > -np.inf, mixture.log_prob(peak), -np.inf) if has_jumps else height
        log_prob = tf.where(~is_bad, log_prob, np.nan)
        return index + 1, remaining, peaks, tf.tensor_scatter_nd_update(log_probs, [[index]], [log_prob])

    has_jumps = ascents.has_jumps(mixture)
    batch_shape = tf.shape(heights)[1:]
    no_peaks = tf.fill(tf.concat([[max_modes], tf.shape(points)[1:]], 0), tf.constant(np.nan, mixture.dtype))
    no_log_probs = tf.fill(tf.concat([[max_modes], batch_shape], 0), tf.constant(-np.inf, mixture.dtype))
    _, _, peaks, log_probs = tf.while_loop(
        lambda index, remaining, *_: (index < max_modes) & tf.reduce_any(remaining > -np.inf),
        take_highest,
        (0, heights, no_peaks, no_log_probs),
    )
    return Modes(*(tf.stop_gradient(tf.cast(values, dtype)) for values in (peaks, log_probs)))


def _dips(mixture: tfd.MixtureSameFamily, points: tf.Tensor, way: tf.Tensor, heights: tf.Tensor) -> tf.Tensor:
    """Whether the density is below `heights` `[P, *B]` anywhere on the way from points `[P, *B, *E]`, `[P, *B]`."""
    parts = tf.constant(WAY_TO_A_PEAK, points.dtype)

    def step(number, is_apart):
        is_lower = ascents.heights(mixture, points + parts[number] * way) < heights
        return number + 1, tf.ensure_shape(is_apart | is_lower, heights.shape)

    # A loop, whose body is traced once.
    start = 0, tf.zeros_like(heights, tf.bool)
    return tf.while_loop(lambda number, _: number < len(WAY_TO_A_PEAK), step, start)[1]


def _known_heights(mixture: tfd.MixtureSameFamily, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How high points `[P, *B, *E]` are, -inf where that is NaN, `[P, *B]`; and whether all are, `[*B]`."""
    heights = ascents.heights(mixture, points)
    is_known = ~tf.math.is_nan(heights)
    return tf.where(is_known, heights, -np.inf), ~tf.reduce_any(is_known, 0)


def _wide(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """The mixture in float64, in which it can be told how much higher a step leads; in its own if that is unknown."""
    with contextlib.suppress(NotImplementedError):
        mixture = tensor_like.cast(mixture, tf.float64)
    return counted.settled(mixture)
