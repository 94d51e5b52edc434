"""Batches of what `model.fit` takes, and what is refused.

Shapes in comments: B batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmdn.reading import values, weighted

# The parts of the elements `(x, y, sample_weight)` of datasets.
X, Y = 0, 1
OF = ("features", "targets")


class Batch(NamedTuple):
    """Rows that came together.

    Attributes:
      parts: numbers `[*B, ...]` of each part that was asked for.
      sample_weight: numbers `[*B]` or of some of these axes; None where there are none.
    """

    parts: tuple[np.ndarray, ...]
    sample_weight: np.ndarray | None


def is_dataset(data) -> bool:
    """Whether data comes in batches `(x, y, sample_weight)`, as `model.fit` takes it."""
    is_loader = type(data).__module__.startswith("torch.utils.data") and hasattr(data, "__iter__")
    return isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)) or is_loader


def read(data, *wanted: int, sample_weight=None) -> Iterator[Batch]:
    """The batches of data: of a dataset all of them, of anything else that as one.

    Args:
      data: a `tf.data.Dataset`, a `keras.utils.PyDataset` or a loader of PyTorch, of elements `(x, y, sample_weight)`,
        of which the later ones may be left out; of one part that alone, too. Or that part as an array, a tensor, a
        frame or a list.
      *wanted: which parts, of `X` and `Y`.
      sample_weight: the weights of what is no dataset, or None.

    Raises:
      TypeError: if it is none of these, or if a part is a structure of several.
      ValueError: if a dataset has no end, or no such part; or if weights are not numbers, 0 or more.
    """
    if not is_dataset(data):
        (part,) = wanted
        _require_one(data, OF[part])
        yield Batch((values.as_numbers(data, OF[part]),), _checked(sample_weight))
        return
    if sample_weight is not None:
        raise ValueError(
            "`adapt` of a dataset finds the weights in its elements, (x, y, sample_weight). Received: a dataset, and "
            "`sample_weight` beside it."
        )
    for element in _elements(data):
        parts = element if isinstance(element, tuple) else (element,)
        if len(parts) <= max(wanted) and (len(wanted) > 1 or isinstance(element, tuple)):
            raise ValueError(
                f"`adapt` needs a dataset of batches of {' and '.join(OF[part] for part in wanted)}: of tuples (x, y) "
                f"or (x, y, sample_weight). Received: elements of {_described(element)}."
            )
        chosen = [parts[part] if isinstance(element, tuple) else element for part in wanted]
        for part, value in zip(wanted, chosen):
            _require_one(value, OF[part], inside=True)
        own = parts[2] if len(parts) == 3 else None
        if isinstance(own, (Mapping, list, tuple)):
            raise TypeError(
                "`adapt` needs one array of weights. Received: a structure of them. Map the dataset to what is meant, "
                "as by dataset.map(lambda x, y, weights: (x, y, weights['name']))."
            )
        yield Batch(tuple(values.as_numbers(value, OF[part]) for part, value in zip(wanted, chosen)), _checked(own))


def read_pairs(x, y, sample_weight=None) -> Iterator[Batch]:
    """The batches of x and y together: as `read`, of a dataset if y is None, or of two arrays."""
    if y is None:
        yield from read(x, X, Y, sample_weight=sample_weight)
        return
    if is_dataset(x) or is_dataset(y):
        raise TypeError(
            "`adapt` needs x and y as arrays here. Received: a dataset. Make arrays of it, as by "
            "np.concatenate(list(dataset.map(lambda x, y: x)))."
        )
    _require_one(x, OF[X])
    _require_one(y, OF[Y])
    yield Batch((values.as_numbers(x, OF[X]), values.as_numbers(y, OF[Y])), _checked(sample_weight))


def _checked(sample_weight) -> np.ndarray | None:
    return None if sample_weight is None else weighted.checked(values.as_numbers(sample_weight, "weights"))


def _elements(data) -> Iterator:
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`adapt` reads a dataset to its end. Received: one that repeats forever. Give it the dataset before "
                "its repeat(), or dataset.take(1_000)."
            )
        return iter(data)
    if not isinstance(data, keras.utils.PyDataset):
        return (tuple(batch) if isinstance(batch, list) else batch for batch in data)
    if data.num_batches is None:
        raise ValueError("`adapt` reads a dataset to its end. Received: a PyDataset without a length.")
    return (data[number] for number in range(data.num_batches))


def _require_one(data, of: str, inside: bool = False) -> None:
    """Raises TypeError for structures of several arrays, and for what is no array.

    Args:
      data: what is to be numbers.
      of: what they are.
      inside: whether they are part of a dataset's element.
    """
    expected = f"`adapt` needs {of} as one array, or a dataset of batches. Received: "
    if isinstance(data, Mapping):
        name = next(iter(data), "name")
        advice = f"`adapt` data[{name!r}], or the one that is meant."
        if inside:
            x, y = ("x[{!r}]", "y") if of == OF[X] else ("x", "y[{!r}]")
            advice = f"Choose what is meant, as by dataset.map(lambda x, y: ({x}, {y})).".format(name)
        if inside and of == OF[X]:
            advice = f"Stack the columns, or choose one, as by dataset.map(lambda x, y: (x[{name!r}][:, None], y))."
        raise TypeError(f"{expected}a dictionary of {list(data)}. {advice}")
    is_structure = isinstance(data, tuple) or (inside and isinstance(data, list))
    if is_structure and any(getattr(part, "ndim", 0) for part in data):
        advice = "Choose what is meant, as by dataset.map." if inside else f"Give it the {of} alone."
        raise TypeError(f"{expected}a {type(data).__name__} of {len(data)} arrays. {advice}")
    if isinstance(data, tf.RaggedTensor):
        advice = "Pad it by its to_tensor(), with a sample_weight of 0 for what was padded, or take its flat_values."
        raise TypeError(f"{expected}a ragged tensor. {advice}")
    if isinstance(data, (tf.SparseTensor, tf.IndexedSlices)):
        raise TypeError(f"{expected}a sparse tensor. Make a dense one of it by tf.sparse.to_dense.")
    if hasattr(data, "tocsr"):
        raise TypeError(f"{expected}a sparse matrix. Make a dense one of it by its toarray().")
    if hasattr(data, "__next__"):
        advice = "It would be empty for the training. Make arrays of it, or tf.data.Dataset.from_generator(...)."
        raise TypeError(f"{expected}a generator or an iterator. {advice}")
    is_array = hasattr(data, "__array__") or hasattr(data, "shape") or isinstance(data, (tuple, list))
    if data is None or (hasattr(data, "__iter__") and not is_array and not isinstance(data, (str, bytes))):
        raise TypeError(f"{expected}{type(data).__name__}.")


def _described(element) -> str:
    return f"a tuple of {len(element)}" if isinstance(element, tuple) else f"{type(element).__name__}"
