"""What `adapt` methods look at of the rows that they read, and how layers keep what they have learnt of these.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import numerics, processes, tensorflow_internals
from tfmdn.reading import containers, weighted

# Enough for statistics to one percent.
SAMPLE_SIZE = 20_000
# Not a seed that data may have been drawn with: the choice of rows would depend on their values.
SAMPLING_SEED = 0x6D69787475726573


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


# Rows `[n, ...]`, and how much each counts, `[n]`; None if all are alike.
WeightedRows = tuple[np.ndarray, np.ndarray | None]


def that_count(rows: np.ndarray, weights: np.ndarray | None) -> WeightedRows:
    """The finite rows of a weight above 0."""
    counts = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if weights is None:
        return rows[counts], None
    counts &= weights > 0.0
    return rows[counts], weights[counts]


def sample_rows(batches: Iterable[WeightedRows], row_shape: tuple[int, ...]) -> WeightedRows:
    """A random sample of at most `SAMPLE_SIZE` of the rows that count in batches `[n, *row_shape]`, in float64.

    It is uniform where there are no weights. Rows that weigh more are in it more often, and go on weighing more.

    Raises:
      ValueError: if some batches have weights, and others do not.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return np.empty((0, *row_shape)), None
    batches = itertools.chain([first], batches)
    if first[1] is not None:
        return _weighted_sample(batches, row_shape)
    reservoir, sample = Reservoir(SAMPLE_SIZE, SAMPLING_SEED), np.empty((SAMPLE_SIZE, *row_shape))
    for rows, weights in batches:
        _require_alike(weights is None)
        rows, _ = that_count(rows, None)
        kept, places = reservoir.places(len(rows))
        sample[places] = rows[kept]  # of those for the same place the last one stays
    return sample[: reservoir.num_passed], None


def _weighted_sample(batches: Iterable[WeightedRows], row_shape: tuple[int, ...]) -> WeightedRows:
    sample = weighted.PrioritySample(SAMPLE_SIZE, SAMPLING_SEED)
    sample.add(np.empty((0, *row_shape)), np.empty(0))
    for rows, weights in batches:
        _require_alike(weights is not None)
        sample.add(*that_count(rows, weights))
    return sample.result()


def _require_alike(is_as_the_first: bool) -> None:
    if not is_as_the_first:
        raise ValueError(
            "`adapt` needs a dataset whose elements all have a sample_weight, or none. Received: some with one, and "
            "some without."
        )


class Extremes:
    """The smallest and the largest number of each column of rows that pass by."""

    def __init__(self, row_shape: tuple[int, ...]):
        self.lowest, self.highest = np.full(row_shape, np.inf), np.full(row_shape, -np.inf)

    def recorded(self, batches: Iterable[WeightedRows]) -> Iterator[WeightedRows]:
        """The batches `[n, *row_shape]` themselves. Rows that are not finite, or have no weight, do not count."""
        for rows, weights in batches:
            counted, _ = that_count(rows, weights)
            self.lowest = np.minimum(self.lowest, counted.min(0, initial=np.inf))
            self.highest = np.maximum(self.highest, counted.max(0, initial=-np.inf))
            yield rows, weights


def within_fences(rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The rows `[n, ...]` with each outlier moved to Tukey's outer fences. Normal data loses nothing by them."""
    first, third = weighted.quantiles(rows, [0.25, 0.75], weights)
    fence = np.where(third > first, 3.0 * (third - first), np.inf)
    return np.clip(rows, first - fence, third + fence)


def location_and_scale(
    rows: np.ndarray, dtype: str, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of `[n, ...]`; 1 where, in that dtype, nothing varies."""
    location, scale = (rows.mean(0), rows.std(0)) if weights is None else weighted.moments(rows, weights)
    resolution = np.finfo(dtype).eps * np.abs(location)
    return location, np.where(scale > resolution, scale, 1.0)


def add_statistic(layer: keras.layers.Layer, name: str, value: np.ndarray, dtype: str) -> keras.Variable:
    """A variable of a layer for what `adapt` learns, which training leaves alone, with its value before `adapt`."""
    with keras.name_scope(layer.name, caller=layer), tensorflow_internals.meant_infinities():
        return Statistic(
            initializer=lambda shape, dtype: tf.cast(value, dtype),
            shape=value.shape,
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )


class Statistic(keras.Variable):
    """A variable that may hold infinities, as for a limit that there is not."""

    @numerics.with_infinities
    def numpy(self):
        return super().numpy()

    @numerics.with_infinities
    def __array__(self, dtype=None):
        return super().__array__(dtype)

    @numerics.with_infinities
    def assign(self, value):
        return super().assign(value)


class AdaptedLayer(keras.layers.Layer):
    """A layer over the last axis whose state `adapt` learns from rows of features `[n, F]`.

    `call` computes in `variable_dtype`: before they are scaled, features may lie far beyond half precision.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def adapt(
        self, x: ArrayLike | tf.data.Dataset | keras.utils.PyDataset, sample_weight: ArrayLike | None = None
    ) -> None:
        """Learns the layer's state from data, before training.

        Args:
          x: features `[*B, F]` as an array, a tensor or a frame of numbers; or a `tf.data.Dataset` or `PyDataset` of
            batches of x, `(x, y)` or `(x, y, sample_weight)`. Values that are not finite, missing or masked do not
            count.
          sample_weight: weights of rows `[n]` or of steps `[*B]`, of which only the ratios matter: means, shares and
            quantiles are of rows that count so much, and what has a weight of 0 does not count. None: all alike. A
            dataset has them in its elements.

        Raises:
          TypeError: if x is not of numbers, or a structure of several arrays.
          ValueError: if there are no rows that count, if the number of features is not that of the layer, if a feature
            has no finite value, or if weights are not finite numbers, 0 or more.
        """
        processes.require_usable_tensorflow()
        rows, weights = _rows(x, sample_weight)
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
        self._learn(rows, weights)

    def build(self, input_shape):
        processes.require_usable_tensorflow()
        self.input_spec = last_axis_spec(input_shape)
        self._add_state(input_shape[-1])

    def _add_state(self, features: int) -> None:
        raise NotImplementedError

    def _learn(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        """Assigns the state learnt of rows `[n, F]`, in which NaN stands for what is not finite, and their weights."""
        raise NotImplementedError

    def _add_statistic(self, name: str, value: np.ndarray) -> keras.Variable:
        return add_statistic(self, name, value, self.variable_dtype)


def _rows(x, sample_weight) -> WeightedRows:
    """The features of data of any kind that count, as rows `[n, F]` in float64, and their weights."""
    parts, all_weights = [], []
    for batch in containers.read(x, containers.X, sample_weight=sample_weight):
        (rows,) = batch.parts
        if rows.ndim < 2 or (rows.size == 0 and not containers.is_dataset(x)):
            raise ValueError(
                f"`adapt` needs rows of features, [n, F]. Received: x of shape {rows.shape}. "
                "A single feature needs an axis of its own, [n, 1]."
            )
        _require_alike(not all_weights or (all_weights[0] is None) == (batch.sample_weight is None))
        weights = weighted.of_rows(batch.sample_weight, rows.shape[:-1])
        rows = rows.reshape(-1, rows.shape[-1])
        parts.append(rows if weights is None else rows[weights > 0.0])
        all_weights.append(weights if weights is None else weights[weights > 0.0])
    rows = parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, 0)), *parts][bool(parts) :])
    if not len(rows):
        kind = "of a weight above 0, " if parts and all_weights[0] is not None else ""
        raise ValueError(f"`adapt` needs rows of features {kind}[n, F]. Received: none.")
    weights = None if all_weights[0] is None else np.concatenate(all_weights)
    return rows, weighted.settled(weights)


def last_axis_spec(input_shape: tuple) -> keras.layers.InputSpec:
    """What a layer of state for each feature can be called on."""
    if input_shape[-1] is None:
        raise ValueError(f"The last axis needs a known size. Received: input_shape={input_shape}.")
    return keras.layers.InputSpec(min_ndim=1, axes={-1: input_shape[-1]})


def precision(variable_dtype: str) -> type[np.floating]:
    """The precision in which NumPy looks at data for weights of a dtype. It has no statistics in bfloat16."""
    return np.float64 if variable_dtype == "float64" else np.float32
