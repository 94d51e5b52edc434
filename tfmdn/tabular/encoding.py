"""From raw columns to what networks learn from: a Keras model, whose outputs are the features.

Shapes in comments: n rows, N columns, F features.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmdn.layers.features import DateParsing
from tfmdn.tabular import encoded_categories, encoded_numbers, inputs
from tfmdn.tabular.columns import Column
from tfmdn.tabular.inputs import Inputs
from tfmdn.tabular.layout import Layout

NAME = "encoding"

# Rows that are encoded at once.
CHUNK = 100_000
# To trace an encoding takes as long as a hundred calls of a few rows.
CALLS_BEFORE_TRACING = 2


@dataclasses.dataclass(frozen=True)
class Encoding:
    """What was learned of a table's columns.

    Attributes:
      model: from raw columns to features `[n, F]` in float64, None if the table has nothing to encode.
      layout: which of the features are what.
      findings: what was found of the columns, a sentence for each fact.
    """

    model: keras.Model | None
    layout: Layout
    findings: tuple[str, ...] = ()


def learned(columns: Sequence[Column] | None, raw: Inputs) -> Encoding:
    """The encoding of a table.

    Args:
      columns: what is known of its columns, None if it is a matrix of numbers.
      raw: the table.

    Raises:
      ValueError: if no column says anything.
    """
    if columns is None:
        return _of_matrix(raw) if np.isnan(raw).any() else Encoding(None, Layout(raw.shape[1]))
    given = {
        column.input: keras.Input((), dtype="string" if _is_text(column) else "float64", name=column.input)
        for column in columns
    }
    numbers, indicators, findings = _of_numbers([column for column in columns if _is_number(column)], given, raw)
    found = [
        encoded_categories.encoded(repr(column.name), given[column.input], raw[column.input])
        for column in columns
        if not _is_number(column)
    ]
    reasons = [reason for reason in found if isinstance(reason, str)]
    categories = [category for category in found if not isinstance(category, str)]
    return _encoding(given, numbers, indicators, categories, [*findings, *reasons])


def _of_matrix(values: np.ndarray) -> Encoding:
    """The encoding of a matrix of numbers, some of which are NaN."""
    given = keras.Input(values.shape[1:], dtype="float64", name="x")
    numbers, indicators, findings = encoded_numbers.encoded(range(values.shape[1]), [], given, values)
    return _encoding(given, numbers, indicators, [], findings)


def _of_numbers(columns: Sequence[Column], given: dict[str, keras.KerasTensor], raw: dict[str, np.ndarray]) -> tuple:
    """What `encoded_numbers.encoded` makes of columns of numbers and dates."""
    if not columns:
        return [], [], []
    parse = DateParsing()
    tensors, values = (
        [parse(of[column.input]) if column.kind == "date_text" else of[column.input] for column in columns]
        for of in (given, raw)
    )
    dates = [number for number, column in enumerate(columns) if column.kind != "number"]
    names = [repr(column.name) for column in columns]
    return encoded_numbers.encoded(names, dates, keras.ops.stack(tensors, axis=-1), np.stack(values, axis=-1))


def _is_text(column: Column) -> bool:
    return column.kind in ("category", "date_text")


def _is_number(column: Column) -> bool:
    return column.kind != "category"


def _encoding(given, numbers, indicators, categories, findings) -> Encoding:
    """The encoding whose features are these tensors, in this order."""
    indicated = [column for column in categories if column.is_indicated]
    embedded = [column for column in categories if not column.is_indicated]
    parts = [*numbers, *indicators, *(column.numbers for column in indicated + embedded)]
    if not parts:
        raise ValueError(f"`X` must have a column that says something. Received none: {'. '.join(findings)}.")
    layout = Layout(
        numbers=sum(part.shape[-1] for part in numbers),
        indicators=sum(part.shape[-1] for part in indicators),
        indicated=tuple(column.size for column in indicated),
        embedded=tuple(column.size for column in embedded),
    )
    outputs = parts[0] if len(parts) == 1 else keras.layers.Concatenate(dtype="float64")(parts)
    return Encoding(keras.Model(given, outputs, name=NAME), layout, tuple(findings))


def features(model: keras.Model | None, raw: Inputs, may_trace: bool = False) -> np.ndarray:
    """The features `[n, F]` of a table, some rows at a time; the table itself if there is no model.

    Args:
      model: from raw columns to features, or None.
      raw: the table.
      may_trace: whether the model may become a graph, as it does where it is called again and again.
    """
    if model is None:
        return raw
    call = _called(model, raw) if may_trace else model

    def of_rows(rows: slice) -> np.ndarray:
        return call(keras.tree.map_structure(tf.constant, inputs.rows_of(raw, rows))).numpy()

    num_rows = inputs.num_rows(raw)
    first = of_rows(slice(0, CHUNK))
    if num_rows <= CHUNK:
        return first
    table = np.empty((num_rows, first.shape[1]))
    for start in range(0, num_rows, CHUNK):
        table[start : start + CHUNK] = of_rows(slice(start, start + CHUNK)) if start else first
    return table


# How often models were called before they became graphs, and these.
_num_calls, _graphs = weakref.WeakKeyDictionary(), weakref.WeakKeyDictionary()


def _called(model: keras.Model, raw: Inputs) -> Callable:
    """The model, or its graph from the time on from which one is worth it."""
    if model in _graphs:
        return _graphs[model]
    _num_calls[model] = _num_calls.get(model, 0) + 1
    if _num_calls[model] <= CALLS_BEFORE_TRACING:
        return model
    own = weakref.proxy(model)  # a graph that held the model would keep it here
    specs = keras.tree.map_structure(
        lambda column: tf.TensorSpec([None, *column.shape[1:]], tf.constant(column[:1]).dtype), raw
    )
    _graphs[model] = tf.function(lambda columns: own(columns), input_signature=[specs], autograph=False)
    return _graphs[model]
