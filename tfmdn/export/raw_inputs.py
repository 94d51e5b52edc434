"""What a model does with the columns of a table that it takes one by one: which are dates, and which are categories."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfmdn import keras_internals
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.export.operations import FLOATS
from tfmdn.export.signatures import HasModel, keras_model
from tfmdn.layers.features import Calendar, DateParsing, Imputation

# The value of a date that is missing among whole seconds: NumPy's NaT.
NO_DATE = np.iinfo(np.int64).min
UNKNOWN = -1
# Of one operation.
MOST_OUTPUTS = 100


@dataclasses.dataclass
class RawInput:
    """A column that a model takes.

    Attributes:
      name: the name of the input.
      dtype: what the model itself takes: "string", or a dtype of numbers.
      is_date: whether it is seconds since 1970, or text that is dates.
      categories: of text, those that the model knows, in the order of their codes; None of other columns.
    """

    name: str
    dtype: str
    is_date: bool = False
    categories: tuple[str, ...] | None = None

    @property
    def code_dtype(self) -> str:
        """What a model without text takes in its place: codes of categories, seconds of dates, or numbers."""
        own = "float32" if self.dtype in FLOATS else self.dtype
        return "int64" if self.is_date else "int32" if self.categories is not None else own

    def coded(self, column: np.ndarray) -> np.ndarray:
        """A column `[n]` of `dtype` as numbers of `code_dtype`."""
        if self.categories is not None:
            code_of = {text: code for code, text in enumerate(self.categories)}
            return np.array([code_of.get(text, UNKNOWN) for text in column], np.int32)
        if not self.is_date:
            return np.asarray(column, self.code_dtype)
        seconds = self.seconds(column)
        is_known = np.isfinite(seconds)
        return np.where(is_known, np.floor(np.where(is_known, seconds, 0.0)).astype(np.int64), NO_DATE)

    def seconds(self, column: np.ndarray) -> np.ndarray:
        """The dates of a column `[n]` of `dtype` in float64."""
        if self.dtype != "string":
            return np.asarray(column, np.float64)
        return DateParsing()(np.asarray(column, str)).numpy()

    def as_onnx_takes_it(self, column: np.ndarray) -> np.ndarray:
        """A column `[n]` of `dtype`: as it is, but of text that is dates seconds in float64."""
        return self.seconds(column) if self.is_date else column


def categories(model: keras.Model | HasModel) -> dict[str, tuple[str, ...]]:
    """Of the inputs of a model that are text the categories that it knows, in the order of their codes in LiteRT.

    Args:
      model: a Keras model that takes columns by name, or a fitted `MDNRegressor`.

    Example:

    >>> table = {"color": ["red", "green", "blue"] * 20, "size": np.arange(60.0)}
    >>> regressor = tfmdn.MDNRegressor(n_estimators=1, max_steps=10, trees=False).fit(table, np.sqrt(np.arange(60.0)))
    >>> tfmdn.export.categories(regressor)
    {'color': ('blue', 'green', 'red')}
    >>> regressor.model_inputs({"color": ["red", "violet"], "size": [1.0, 2.0]}, format="litert")["color"]
    array([ 2, -1], dtype=int32)
    """
    found = raw_inputs(keras_model(model))
    return {name: column.categories for name, column in found.items() if column.categories is not None}


def raw_inputs(model: keras.Model) -> dict[str, RawInput]:
    """The columns `[B]` that a functional model takes, as its `input` has them; none if it takes something else.

    Raises:
      ValueError: if there is text of which it makes something else than categories or dates.
    """
    inputs = getattr(model, "input", None) if keras_internals.is_functional(model) else None
    if not isinstance(inputs, Mapping) or any(len(tensor.shape) != 1 for tensor in inputs.values()):
        return {}
    found = {key: RawInput(tensor.name, tensor.dtype) for key, tensor in inputs.items()}
    keras_internals.run_through(model, {key: _Columns([raw]) for key, raw in found.items()}, _noted)
    unknown = [raw.name for raw in found.values() if raw.dtype == "string" and not raw.is_date and not raw.categories]
    if unknown:
        raise ValueError(
            "Text has no place in models of LiteRT and ONNX but as categories and as dates: make numbers of it before "
            f"the model. Received: a model that does something else with {unknown}."
        )
    return found


def given(model: keras.Model, raw: np.ndarray | Mapping[str, np.ndarray], is_coded: bool) -> Any:
    """What an exported model takes, of what the model itself does: of an array, or of columns by name.

    Args:
      model: the model.
      raw: what it takes.
      is_coded: whether columns are to be codes, as LiteRT has them, or else text and float64, as ONNX has them.
    """
    if isinstance(raw, np.ndarray):
        return raw.astype(np.float32)
    columns = raw_inputs(model)
    return {
        name: columns[name].coded(column) if is_coded else columns[name].as_onnx_takes_it(column)
        for name, column in raw.items()
    }


class _Columns:
    """Columns of a table on their way through a model; none if it is something else that passes."""

    def __init__(self, columns: Iterable[RawInput] = ()):
        self.columns = list(columns)


def _noted(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Notes what an operation does with columns, and returns those that it gives."""
    if isinstance(operation, keras.Model):
        is_searched = keras_internals.is_functional(operation) and not isinstance(operation, Ensemble)
        return keras_internals.run_through(operation, args[0], _noted) if is_searched else _Columns()
    given = [part.columns for part in keras.tree.flatten(args) if isinstance(part, _Columns)]
    own, kind = [column for columns in given for column in columns], type(operation).__name__
    if isinstance(operation, (Calendar, DateParsing)):
        for column in own:
            column.is_date = True
    elif isinstance(operation, keras.layers.StringLookup):
        for column in own:
            column.categories = tuple(map(str, operation.get_vocabulary(include_special_tokens=False)))
    if isinstance(operation, (DateParsing, Imputation)) or kind == "Stack":
        return _Columns(own)
    if kind == "Take" and len(given) == 1:
        return _Columns(own[int(place)] for place in args[1])
    if kind == "GetItem" and own and isinstance(args[1], Sequence) and isinstance(args[1][-1], int):
        return _Columns([own[args[1][-1]]])  # a file has lists in the place of tuples
    return [_Columns()] * MOST_OUTPUTS
