"""Rows in memory as Keras takes them, and the batches that are made of them.

Shapes in comments: S batches of one size, B rows in each.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

MAX_ROWS = 2**31 - 1  # they are numbered with 32 bits


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of features, targets and weights.

    Attributes:
      x, y, sample_weight: structures of tensors with the same first axis; None where there is nothing.
      numbers: which of the rows of these tensors are meant.
    """

    x: object
    y: object
    sample_weight: object
    numbers: range

    @classmethod
    def of(cls, x, y=None, sample_weight=None, dtype: str | None = None) -> Rows:
        """Rows of arrays, tensors, DataFrames or structures of them, with floats cast to `dtype` or Keras' default."""
        dtype = dtype or keras.config.floatx()
        parts = {"x": x, "y": y, "sample_weight": _in_reach(sample_weight)}
        for name, part in parts.items():
            to_tensor = functools.partial(_to_tensor, name, dtype=dtype)
            part = keras.tree.map_structure(to_tensor, part, none_is_leaf=False)
            parts[name] = keras.tree.lists_to_tuples(part)  # which is what steps of models get from Keras
        sizes = {name: _numbers_of_rows(part) for name, part in parts.items()}
        (num_rows, *others) = set().union(*sizes.values()) or {0}
        if others or not 0 < num_rows <= MAX_ROWS:
            raise ValueError(
                "`x`, `y` and `sample_weight` must have the same number of rows, at least one. "
                f"Received: {sizes}. (More than {MAX_ROWS:,} need a tf.data.Dataset and model.fit.)"
            )
        if sample_weight is not None and keras.tree.is_nested(y):
            parts["sample_weight"] = _weights_of_each(parts["y"], parts["sample_weight"])
        return cls(**parts, numbers=range(num_rows))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def parts(self) -> tuple:
        """What there is: `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
        parts = (self.x, self.y, self.sample_weight)
        return parts[:1] if self.y is None else parts[:2] if self.sample_weight is None else parts

    def has_finite_x(self) -> bool:
        """Whether all numbers among the features are finite."""
        leaves = [leaf for leaf in keras.tree.flatten(self.x) if leaf is not None and leaf.dtype.is_floating]
        return all(bool(tf.reduce_all(tf.math.is_finite(leaf))) for leaf in leaves)

    def first_bad(self, places: np.ndarray) -> tuple[int, int] | None:
        """The first of some rows that holds a number which is not finite: where, and its number.

        Args:
          places: numbers of rows `[S, ...]`, of each batch those that it may be: the first.
        """
        if not places.shape[1]:
            return None
        numbers = places[:, 0]
        for leaf in keras.tree.flatten((self.y, self.x)):
            if leaf is not None and leaf.dtype.is_floating:
                is_bad = ~tf.math.is_finite(tf.gather(leaf, numbers)).numpy().reshape(len(numbers), -1).all(1)
                if is_bad.any():
                    return int(np.argmax(is_bad)), int(numbers[np.argmax(is_bad)])
        return None

    def split(self, fraction: float) -> tuple[Rows, Rows]:
        """The rows but for the last ones, and these, a fraction of all. The tensors are shared."""
        first = math.floor(len(self) * (1.0 - fraction))
        if first == 0 or first == len(self):
            raise ValueError(
                "`validation_split` must leave rows to learn from and to judge by. "
                f"Received: validation_split={fraction} of {len(self)} rows."
            )
        return (
            dataclasses.replace(self, numbers=self.numbers[:first]),
            dataclasses.replace(self, numbers=self.numbers[first:]),
        )

    def with_class_weight(self, class_weight: dict[int, float]) -> Rows:
        """The rows weighted by their class: the target itself, or the place of its largest element."""
        if self.y is None or keras.tree.is_nested(self.y) or self.sample_weight is not None:
            raise ValueError("`class_weight` needs one array of targets, and no `sample_weight` beside it.")
        labels = self.y.numpy()
        if labels.ndim > 1:
            labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
        classes, inverse = np.unique(np.round(labels).astype(int), return_inverse=True)
        weights = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], keras.config.floatx())
        return dataclasses.replace(self, sample_weight=tf.constant(weights[inverse]))


class Batches:
    """Rows in batches without end: one pass over the rows after the other.

    Args:
      rows: at least one row.
      batch_size: rows in a batch; all rows if there are fewer.
      seed: seed of the order of rows, which differs from pass to pass. None keeps the order that they have.
      drop_remainder: whether each pass leaves out the rows that do not fill a batch.
    """

    def __init__(self, rows: Rows, batch_size: int, seed: int | None = None, drop_remainder: bool = False):
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self._seed = seed
        self._num_full, remainder = divmod(len(rows), self.batch_size)
        self._num_partial = int(remainder > 0 and not drop_remainder)
        self._last_order = None, None

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return self._num_full + self._num_partial

    def spans(self, first: int, last: int) -> Iterator[tuple[tf.Tensor, int, int]]:
        """The batches from number `first` up to `last`, counted over all passes.

        Yields:
          The row numbers of batches of one size, `[S, B]`, and which of these are next: from, up to.
        """
        while first < last:
            number, start = divmod(first, len(self))
            full, partial = self._order(0 if self._seed is None else number)
            batches, start = (full, start) if start < self._num_full else (partial, 0)
            stop = min(start + last - first, batches.shape[0])
            yield batches, start, stop
            first += stop - start

    def _order(self, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The row numbers of a pass: of its full batches, `[S, B]`, and of the partial one, `[1, B]`."""
        if self._last_order[0] != number:
            order = np.arange(self.rows.numbers.start, self.rows.numbers.stop, dtype=np.int32)
            if self._seed is not None:
                np.random.default_rng([self._seed, number]).shuffle(order)
            full, partial = np.split(order, [self._num_full * self.batch_size])
            full = full.reshape(self._num_full, self.batch_size)
            self._last_order = number, (tf.constant(full), tf.constant(partial[np.newaxis]))
        return self._last_order[1]


def _in_reach(sample_weight):
    """Weights, all divided by one power of 2 if they are so large or small that nothing could be computed with them."""
    leaves = [part for part in keras.tree.flatten(sample_weight) if hasattr(part, "dtype")]
    leaves = [np.asarray(part) for part in leaves if tf.as_dtype(part.dtype).is_floating]
    largest = max([float(part.max(initial=0.0, where=np.isfinite(part))) for part in leaves], default=0.0)
    if not largest or 2.0**-60 <= largest <= 2.0**60:
        return sample_weight
    exponent = -int(np.frexp(largest)[1])
    return keras.tree.map_structure(lambda part: np.ldexp(part, exponent), sample_weight, none_is_leaf=False)


def _to_tensor(name: str, part, dtype: str) -> tf.Tensor:
    if isinstance(part, np.ma.MaskedArray):
        raise TypeError(
            f"`{name}` must be plain arrays. Received: a masked array, whose mask models do not see. What is masked "
            "does not count with sample_weight=~np.ma.getmaskarray(y), and y.data in its place."
        )
    if not (hasattr(part, "shape") and hasattr(part, "__array__")):
        raise TypeError(
            f"`{name}` must be rows in memory: an array, tensor or DataFrame, or a structure of them. "
            f"Received: {type(part).__name__}. Make arrays of lists of numbers with np.asarray. Datasets, generators, "
            "loaders, ragged and sparse tensors are for model.fit."
        )
    if hasattr(part, "iloc"):
        part = part.to_numpy() if part.ndim > 1 else part.to_numpy()[:, np.newaxis]  # Keras makes a column of a Series
    if not tf.is_tensor(part):
        part = np.asarray(part)
    if len(part.shape) == 0:
        raise ValueError(f"`{name}` must have a first axis of rows. Received: {part}.")
    if tf.as_dtype(part.dtype).is_floating:
        with np.errstate(over="ignore"):  # what is too large is infinite, which is said where it counts
            part = tf.cast(part, dtype) if tf.is_tensor(part) else part.astype(dtype, copy=False)
    try:
        return tf.convert_to_tensor(part)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must have elements of one type and rows of one shape. Received: an array of dtype {part.dtype}. "
            "Convert it with astype, pad rows of different lengths, or give model.fit a ragged tensor."
        ) from error


def _numbers_of_rows(part) -> set[int]:
    return {tensor.shape[0] for tensor in keras.tree.flatten(part) if tensor is not None}


def _weights_of_each(y, sample_weight):
    """Weights in the structure of the targets: the same for each of them if there is one array of weights."""
    if keras.tree.is_nested(sample_weight):
        keras.tree.assert_same_structure(y, sample_weight)
        return sample_weight
    if sample_weight.shape[1:].num_elements() != 1:
        raise ValueError(
            "With several targets, one array of weights must have one weight for each row. Received: sample_weight of "
            f"shape {sample_weight.shape}. Give a structure of weights like that of `y`."
        )
    return keras.tree.map_structure(lambda _: sample_weight, y)
