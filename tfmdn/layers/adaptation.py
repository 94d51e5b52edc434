"""What `adapt` methods read, batches of arrays and datasets, and how layers keep what they have learnt of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

# Enough for statistics to one percent.
SAMPLE_SIZE = 20_000
# Not a seed that data may have been drawn with: the choice of rows would depend on their values.
SAMPLING_SEED = 0x6D69787475726573


def batches(data, part: int) -> Iterator:
    """The batches of one part of the elements `(x, y, sample_weight)` of a dataset.

    Args:
      data: a `tf.data.Dataset`, whose elements may be that part alone; an array or a tensor is one batch.
      part: 0 for x, 1 for y.
    """
    if not isinstance(data, tf.data.Dataset):
        yield data
        return
    for element in data:
        yield element[part] if isinstance(element, tuple) else element


def sample_rows(batches: Iterable[np.ndarray], row_shape: tuple[int, ...]) -> np.ndarray:
    """A uniform random sample of at most `SAMPLE_SIZE` of the finite rows of batches `[n, *row_shape]`, in float64."""
    rng = np.random.default_rng(SAMPLING_SEED)
    sample, keys = np.empty((0, *row_shape)), np.empty(0)
    for rows in batches:
        rows = rows[np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))]
        sample, keys = np.concatenate([sample, rows]), np.concatenate([keys, rng.random(len(rows))])
        if len(keys) > SAMPLE_SIZE:  # the rows with the largest keys of all seen so far
            kept = np.argpartition(keys, -SAMPLE_SIZE)[-SAMPLE_SIZE:]
            sample, keys = sample[kept], keys[kept]
    return sample


class Extremes:
    """The smallest and the largest number of each column of rows that pass by."""

    def __init__(self, row_shape: tuple[int, ...]):
        self.lowest, self.highest = np.full(row_shape, np.inf), np.full(row_shape, -np.inf)

    def of(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The batches `[n, *row_shape]` themselves. Rows that are not finite do not count."""
        for rows in batches:
            finite = rows[np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))]
            self.lowest = np.minimum(self.lowest, finite.min(0, initial=np.inf))
            self.highest = np.maximum(self.highest, finite.max(0, initial=-np.inf))
            yield rows


def within_fences(rows: np.ndarray) -> np.ndarray:
    """The rows `[n, ...]` with each outlier moved to Tukey's outer fences. Normal data loses nothing by them."""
    first, third = np.percentile(rows, [25, 75], axis=0)
    fence = np.where(third > first, 3.0 * (third - first), np.inf)
    return np.clip(rows, first - fence, third + fence)


def location_and_scale(rows: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of `[n, ...]`; 1 where, in that dtype, nothing varies."""
    location, scale = rows.mean(0), rows.std(0)
    resolution = np.finfo(dtype).eps * np.abs(location)
    return location, np.where(scale > resolution, scale, 1.0)


def add_statistic(layer: keras.layers.Layer, name: str, value: np.ndarray, dtype: str) -> keras.Variable:
    """A variable of a layer for what `adapt` learns, which training leaves alone, with its value before `adapt`."""
    return layer.add_weight(
        name=name,
        shape=value.shape,
        dtype=dtype,
        initializer=lambda shape, dtype: tf.cast(value, dtype),
        trainable=False,
        autocast=False,
    )
