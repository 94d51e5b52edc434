"""What makes a mixture an array for NumPy, a number for Python where it is one, and a sequence of its rows."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# NumPy's functions that write into their first argument.
WRITERS = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}


class NumPyLike:
    """A base class, before `tfd.MixtureSameFamily`, of mixtures that are arrays where NumPy, pandas or Python need one.

    In a graph, where there are no arrays, it says so.
    """

    def numpy(self) -> np.ndarray:
        """The tensor that the mixture stands for, as a NumPy array (eagerly only)."""
        tensor = tf.convert_to_tensor(self)
        if not hasattr(tensor, "numpy"):
            raise NotImplementedError(
                "In a graph a mixture has no numbers yet that NumPy, float() or bool() could read; functions of "
                f"TensorFlow and Keras take it. Received: {self}."
            )
        return tensor.numpy()

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"A mixture is no array: to make one of it is to copy. Received: copy=False, of {self}.")
        return np.asarray(self.numpy(), dtype=dtype)

    def __array_function__(self, function, types, args, kwargs) -> Any:
        """NumPy's functions of the array, also those that are methods of other meaning here, such as `np.mean`."""
        out = kwargs.get("out")
        written = [*(out if isinstance(out, tuple) else (out,)), *(args[:1] if function in WRITERS else ())]
        if any(isinstance(value, NumPyLike) for value in written):
            raise TypeError(f"A mixture is no array to write into. Received: np.{function.__name__} of {self}.")
        return function(*map(_as_array, args), **{name: _as_array(value) for name, value in kwargs.items()})

    def _number(self) -> np.ndarray:
        if self.shape.rank != 0:
            raise TypeError(
                f"Only a mixture that stands for one number is a number, such as mixture[0]. Received: {self}."
            )
        return self.numpy()

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def __bool__(self) -> bool:
        """That of the number; of several there is none, as of an array."""
        return bool(self._number())

    def _compared(self, other: Any, compare) -> Any:
        """With numbers as a tensor, and with what is none, such as another distribution, whether it is the same."""
        is_number = isinstance(other, (numbers.Number, np.ndarray, np.generic, list, tuple, tf.Variable))
        if not is_number and (isinstance(other, tfd.Distribution) or not tf.is_tensor(other)):
            return NotImplemented
        return compare(tf.convert_to_tensor(self), tf.cast(other, self.dtype))

    def __eq__(self, other: Any) -> Any:
        return self._compared(other, tf.equal)

    def __ne__(self, other: Any) -> Any:
        return self._compared(other, tf.not_equal)

    __hash__ = object.__hash__

    def __len__(self) -> int:
        """The number of rows: the size of the first axis of the batch."""
        if self.batch_shape.rank == 0:
            raise TypeError(f"A single distribution has no rows. Received: {self}.")
        if self.batch_shape.rank is None or self.batch_shape[0] is None:
            raise TypeError(f"In this graph the number of rows is not known; tf.shape(mixture) is. Received: {self}.")
        return self.batch_shape[0]

    def __iter__(self) -> Iterator[tfd.Distribution]:
        """The distributions of one row after the other."""
        return (self[row] for row in range(len(self)))


def _as_array(value: Any) -> Any:
    """The value with arrays in the place of mixtures, also in lists."""
    if isinstance(value, NumPyLike):
        return np.asarray(value)
    return type(value)(map(_as_array, value)) if type(value) in (list, tuple) else value
