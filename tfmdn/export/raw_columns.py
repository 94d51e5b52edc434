"""What stands in the place of layers for a table's columns: of codes of categories, seconds of dates, and numbers.

Importing it adds the rules to those of `operations`.

Shapes in comments: B rows, N columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmdn.export.numbers import Numbers
from tfmdn.export.operations import Operation, like, rule
from tfmdn.export.raw_inputs import RawInput
from tfmdn.export.single_dates import Instant, SingleCalendar
from tfmdn.layers.features import Calendar, DateParsing, Imputation, MissingIndicator


@dataclasses.dataclass(frozen=True, eq=False)
class Raw:
    """Columns of a table in a model that is being built, NaN where a value is missing.

    Attributes:
      columns: of each the numbers `[B]`, or the date.
    """

    columns: Sequence[keras.KerasTensor | Instant]


def value_of(raw: RawInput, given: keras.KerasTensor) -> keras.KerasTensor | Instant:
    """What passes through the model of an input `[B]` of the column's `code_dtype`."""
    return Instant.of(given) if raw.is_date else given


@rule(DateParsing)
def _(operation: Operation, inputs: Instant, **_: Any) -> Instant:
    return inputs


@rule("Stack")
def _(operation: Operation, inputs: Sequence[Any], **_: Any) -> Any:
    if operation.original.axis == -1 and all(isinstance(value, Instant) or len(value.shape) == 1 for value in inputs):
        return Raw(inputs)
    return like(operation, inputs)


@rule("Take")
def _(operation: Operation, inputs: Any, indices: Any, **_: Any) -> Any:
    return (
        Raw([inputs.columns[place] for place in indices])
        if isinstance(inputs, Raw)
        else like(operation, inputs, indices)
    )


@rule(Imputation)
def _(operation: Operation, inputs: Any, **_: Any) -> Any:
    if not isinstance(inputs, Raw):
        return like(operation, inputs)
    tensors, offset, dates = [], np.zeros(len(inputs.columns)), {}
    for place, (column, median) in enumerate(zip(inputs.columns, operation.weight(operation.original.median))):
        if isinstance(column, Instant):
            dates[place], tensor = column.filled(float(median))
            offset[place] = median
        else:
            tensor = keras.ops.where(keras.ops.isnan(column), np.float32(median), column)
        tensors.append(tensor)
    return Numbers(keras.ops.stack(tensors, axis=-1), offset, dates)


@rule(MissingIndicator)
def _(operation: Operation, inputs: Any, **_: Any) -> Any:
    if not isinstance(inputs, Raw):
        return like(operation, inputs)
    chosen = [inputs.columns[index] for index in operation.original.indices]
    values = [column.seconds if isinstance(column, Instant) else column for column in chosen]
    return keras.ops.cast(keras.ops.isnan(keras.ops.stack(values, axis=-1)), "float32")


@rule(Calendar)
def _(operation: Operation, inputs: Any, **_: Any) -> keras.KerasTensor:
    return SingleCalendar(operation.original.cycles)(inputs.days, inputs.seconds)


@rule(keras.layers.StringLookup)
def _(operation: Operation, inputs: Any, **_: Any) -> Any:
    size = operation.original.vocabulary_size() - 1
    return Numbered(size)(inputs)


class Numbered(keras.layers.Layer):
    """The number that `StringLookup` has for a category, of its code: one more, and 0 for all that is unknown."""

    def __init__(self, size: int):
        super().__init__(dtype="float32", autocast=False)
        self.size = size

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, "float32")

    def call(self, inputs):
        is_known = (inputs >= 0) & (inputs < self.size)
        return tf.cast(tf.where(is_known, inputs + 1, tf.zeros_like(inputs)), tf.float32)
