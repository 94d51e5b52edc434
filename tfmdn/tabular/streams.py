"""Tables that do not fit in memory, as datasets of TensorFlow: the rows to learn from.

A training sees a limited number of rows, so that a random sample of so many is as good as all.

Shapes in comments: n rows, B rows of a batch, F features.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmdn.layers.adaptation import Reservoir
from tfmdn.tabular.progress import Progress

# How much memory the sample takes at most.
MOST_BYTES = 2**30
# As many rows as units, bins and the like are well known from, however short the training.
FEWEST_ROWS = 100_000
# Python's own part of a text.
BYTES_OF_TEXT = 60
# Not a seed that data may have been drawn with: the choice of rows would depend on their values.
SAMPLING_SEED = 0x73747265616D73
EXPECTED = (
    "A dataset must have elements (features, y) or (features, y, sample_weight): batches of rows, features [B, F] or "
    "by name in a dict [B], y [B] or [B, d], and weights [B]."
)


def sample(dataset: tf.data.Dataset, most_rows: int, progress: Progress) -> tuple:
    """A uniform random sample of a dataset's rows: all of them if they are few.

    Args:
      dataset: as `tfmdn.MDNRegressor.fit` takes it. It is read once.
      most_rows: the largest number of rows in the sample, at least `FEWEST_ROWS`; it takes no more than `MOST_BYTES`.
      progress: of the fit.

    Returns:
      Features `[n, F]`, or by name `[n]`; targets; and weights `[n]`, or None.

    Raises:
      ValueError: if there is no end, no row, or if elements have another structure.
    """
    _check(dataset)
    reservoir, columns = None, None
    for element in dataset:
        parts = tf.nest.map_structure(lambda part: part.numpy(), element)
        count = len(tf.nest.flatten(parts)[0])
        if any(len(part) != count for part in tf.nest.flatten(parts)):
            lengths = [len(part) for part in tf.nest.flatten(parts)]
            raise ValueError(f"{EXPECTED} Received: a batch with parts of {lengths} rows.")
        if len(parts) == 3 and not parts[2].all():  # rows that do not count may hold anything
            counted = parts[2] != 0
            parts = tf.nest.map_structure(lambda part, counted=counted: part[counted], parts)
            count = int(counted.sum())
        if not count:
            continue
        if reservoir is None:
            size = min(max(most_rows, FEWEST_ROWS), max(MOST_BYTES * count // _num_bytes(parts), 1))
            reservoir = Reservoir(size, SAMPLING_SEED)
            columns = _empty(size, parts)
        rows, places = reservoir.places(count)
        for column, part in zip(tf.nest.flatten(columns), tf.nest.flatten(parts)):
            column[places] = part[rows]  # of those for the same place the last one stays
        progress.show(f"reading: {reservoir.num_passed:,} rows", share=0.0, is_due=False)
    if reservoir is None:
        raise ValueError(f"{EXPECTED} Received: no rows that count.")
    if reservoir.num_passed > size:
        progress.say(f"{size:,} of {reservoir.num_passed:,} rows are learnt from, drawn at random")
    parts = tf.nest.map_structure(lambda column: _text(column[: reservoir.num_passed]), columns)
    return *parts, *[None] * (3 - len(parts))


def _check(dataset: tf.data.Dataset) -> None:
    """Raises ValueError for a dataset that cannot be read, before it is."""
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "A dataset must end. Received: one that repeats forever. Leave out its repeat(); make_csv_dataset needs "
            "num_epochs=1."
        )
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) in (2, 3)):
        raise ValueError(f"{EXPECTED} Received: elements of {spec}.")
    features, *others = spec
    ranks = {1} if isinstance(features, dict) else {2}
    for part, possible in ((features, ranks), *zip(others, ({1, 2, 3}, {1}))):
        for leaf in tf.nest.flatten(part):
            if not isinstance(leaf, tf.TensorSpec) or leaf.shape.rank not in possible | {None}:
                raise ValueError(f"{EXPECTED} Received: {leaf} of {spec}. Rows come in batches: dataset.batch(1_000).")


def _num_bytes(parts) -> int:
    """About how much memory the rows of a batch take, as numbers in float64 and as Python's text: more than 0."""
    columns = tf.nest.flatten(parts)
    texts = [text for column in columns if column.dtype == object for text in column.ravel()]
    return max(8 * sum(column.size for column in columns) + sum(len(text) + BYTES_OF_TEXT for text in texts), 1)


def _empty(size: int, parts):
    """Room for so many rows. It becomes memory as rows come."""
    return tf.nest.map_structure(lambda part: np.empty((size, *part.shape[1:]), part.dtype), parts)


def _text(column: np.ndarray) -> np.ndarray:
    """Text as Python's, where TensorFlow has bytes."""
    if column.dtype != object:
        return column
    texts = [text.decode(errors="replace") for text in column.ravel()]
    return np.array(texts, object).reshape(column.shape)
