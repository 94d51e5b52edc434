"""What `adapt` methods read, batches of arrays and datasets, and how layers keep what they have learnt of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

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


class Reservoir:
    """Which rows make up a uniform random sample of all that pass by (algorithm R of Vitter 1985).

    Args:
      size: the largest number of rows in the sample.
      seed: not one that data may have been drawn with: the choice of rows would depend on their values.
    """

    def __init__(self, size: int, seed: int):
        self._size, self._rng, self.num_passed = size, np.random.default_rng(seed), 0

    def places(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Which of the next `count` rows come into the sample, and in which of its places, in this order.

        The first rows fill the places one by one. Others replace those that were there.
        """
        places = np.arange(self.num_passed, self.num_passed + count)
        self.num_passed += count
        is_late = places >= self._size
        places[is_late] = self._rng.integers(0, places[is_late] + 1)
        rows = np.flatnonzero(places < self._size)
        return rows, places[rows]


def sample_rows(batches: Iterable[np.ndarray], row_shape: tuple[int, ...]) -> np.ndarray:
    """A uniform random sample of at most `SAMPLE_SIZE` of the finite rows of batches `[n, *row_shape]`, in float64."""
    reservoir, sample = Reservoir(SAMPLE_SIZE, SAMPLING_SEED), np.empty((SAMPLE_SIZE, *row_shape))
    for rows in batches:
        rows = rows[np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))]
        kept, places = reservoir.places(len(rows))
        sample[places] = rows[kept]  # of those for the same place the last one stays
    return sample[: reservoir.num_passed]


class Extremes:
    """The smallest and the largest number of each column of rows that pass by."""

    def __init__(self, row_shape: tuple[int, ...]):
        self.lowest, self.highest = np.full(row_shape, np.inf), np.full(row_shape, -np.inf)

    def recorded(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
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


class AdaptedLayer(keras.layers.Layer):
    """A layer over the last axis whose state `adapt` learns from rows of features `[n, F]`.

    `call` computes in `variable_dtype`: before they are scaled, features may lie far beyond half precision.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def adapt(self, x: ArrayLike | tf.data.Dataset) -> None:
        """Learns the layer's state from data, before training.

        Args:
          x: features `[*B, F]` as an array, a tensor, or a `tf.data.Dataset` of batches of x or of tuples that
            start with x. Values that are not finite do not count.

        Raises:
          ValueError: if there are no rows, if the number of features is not that of the layer, or if a feature has no
            finite value.
        """
        rows = _rows(x)
        if not self.built:
            self.build((None, rows.shape[1]))
        features = self.input_spec.axes[-1]
        if rows.shape[1] != features:
            raise ValueError(
                f"{type(self).__name__} was built for {features} features. Received: x with {rows.shape[1]} features."
            )
        is_finite = np.isfinite(rows)
        if not is_finite.all():  # else there is no need for a copy
            rows = np.where(is_finite, rows, np.nan)
        empty = np.flatnonzero(~is_finite.any(0))
        if len(empty):
            raise ValueError(f"`adapt` needs a finite value of every feature. Received: none in columns {empty}.")
        self._learn(rows)

    def build(self, input_shape):
        self.input_spec = last_axis_spec(input_shape)
        self._add_state(input_shape[-1])

    def _add_state(self, features: int) -> None:
        raise NotImplementedError

    def _learn(self, rows: np.ndarray) -> None:
        """Assigns the state learnt of rows `[n, F]`, in which NaN stands for what is not finite."""
        raise NotImplementedError

    def _add_statistic(self, name: str, value: np.ndarray) -> keras.Variable:
        return add_statistic(self, name, value, self.variable_dtype)


def _rows(x) -> np.ndarray:
    """The features of an array, a tensor or a dataset, as rows `[n, F]` in float64."""
    if isinstance(x, tf.data.Dataset):
        parts = [_rows(batch) for batch in batches(x, part=0)]
        x = np.concatenate(parts) if parts else np.empty((0, 0))
    x = np.asarray(x, np.float64)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"`adapt` needs rows of features, [n, F]. Received: x of shape {x.shape}. "
            "A single feature needs an axis of its own, [n, 1]."
        )
    return x.reshape(-1, x.shape[-1])


def last_axis_spec(input_shape: tuple) -> keras.layers.InputSpec:
    """What a layer of state for each feature can be called on."""
    if input_shape[-1] is None:
        raise ValueError(f"The last axis needs a known size. Received: input_shape={input_shape}.")
    return keras.layers.InputSpec(min_ndim=1, axes={-1: input_shape[-1]})


def precision(variable_dtype: str) -> type[np.floating]:
    """The precision in which NumPy looks at data for weights of a dtype. It has no statistics in bfloat16."""
    return np.float64 if variable_dtype == "float64" else np.float32
