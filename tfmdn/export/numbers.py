"""Numbers in single precision that keep the digits in which they differ.

Shapes in comments: B batch, C columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmdn.export.single_dates import Instant


@dataclasses.dataclass(frozen=True, eq=False)
class Numbers:
    """Columns of numbers in a model that is being built: those of a tensor, and one more number for each column.

    Attributes:
      tensor: `[*B, C]` in float32.
      offset: what is to be added to each column, `[C]` in float64.
      dates: those columns that are dates, by their places.
    """

    tensor: keras.KerasTensor
    offset: np.ndarray
    dates: Mapping[int, Instant] = dataclasses.field(default_factory=dict)
    _moved: dict[bytes, keras.KerasTensor] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, value: Numbers | keras.KerasTensor) -> Numbers:
        """The value itself, or the numbers that a tensor holds."""
        if isinstance(value, cls):
            return value
        if value.dtype != "float32":
            value = keras.ops.cast(value, "float32")
        return cls(value, np.zeros(value.shape[-1]))

    @classmethod
    def beside(cls, parts: Sequence[Numbers]) -> Numbers:
        """The columns of several, one after the other."""
        tensors = [part.tensor for part in parts]
        return cls(keras.ops.concatenate(tensors, axis=-1), np.concatenate([part.offset for part in parts]))

    def __getitem__(self, key) -> Numbers | Instant | keras.KerasTensor:
        """As of a tensor; of a column that is a date the date."""
        if isinstance(key, tuple) and self.dates and not isinstance(key[-1], slice) and key[-1] in self.dates:
            return self.dates[key[-1]]
        if isinstance(key, tuple) and isinstance(key[-1], slice):
            return Numbers(self.tensor[key], self.offset[key[-1]])
        return self.plain()[key]

    def plain(self) -> keras.KerasTensor:
        """The numbers as a tensor, as far as single precision holds them."""
        return self.relative_to(np.zeros_like(self.offset))

    def relative_to(self, origin: np.ndarray) -> keras.KerasTensor:
        """What they are above an origin of each column `[C]`."""
        distance = np.asarray(origin, np.float64) - self.offset
        if not distance.any():
            return self.tensor
        key = distance.tobytes()
        if key not in self._moved:
            self._moved[key] = Difference(distance)(self.tensor)
        return self._moved[key]


class Difference(keras.layers.Layer):
    """Subtracts float64 numbers `[C]` from those of single precision `[*B, C]`: the larger part of each first.

    Where the difference is small, the larger part is subtracted without any rounding. The minus between the two keeps
    TensorFlow's optimisation, which tf2onnx runs, from subtracting their sum, which is rounded.
    """

    def __init__(self, origin: np.ndarray):
        super().__init__(dtype="float32")
        large = origin.astype(np.float32)
        self.parts = [part for part in (large, (origin - large).astype(np.float32)) if part.any()]

    def call(self, inputs):
        for part in self.parts:
            inputs = -(tf.constant(part) - inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape
