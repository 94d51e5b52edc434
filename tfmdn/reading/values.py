"""Values of arrays, frames, lists and tensors as numbers. What is no number is refused, and what is missing is NaN.

Shapes in comments: n rows.
"""

from __future__ import annotations

import datetime
import decimal
import numbers

import keras
import numpy as np
import tensorflow as tf

# What no number can be made of without a decision of the user's, and what to do about it.
ADVICE = {
    "dates": "Choose a unit and a start: (dates - dates.min()) / np.timedelta64(1, 'D') are days.",
    "durations": "Choose a unit: durations / np.timedelta64(1, 'D') are days.",
    "times of day": "Choose a unit, such as hours since midnight.",
    "complex numbers": "Give the real and the imaginary part as two columns.",
    "text": "Make numbers of it, as by values.astype(float), or of categories by keras.layers.StringLookup.",
    "rows of different lengths": "Pad them, and give what was padded a sample_weight of 0.",
}
KINDS = {"M": "dates", "m": "durations", "c": "complex numbers", "U": "text", "S": "text", "T": "text"}


def as_numbers(values, of: str, asker: str = "`adapt`") -> np.ndarray:
    """The values as an array of float64, NaN where they are missing or masked.

    Args:
      values: an array, a masked array, a tensor, a list of numbers, or a frame or a series of any kind of numbers.
      of: what they are, such as "targets", for messages.
      asker: who wants them.

    Raises:
      TypeError: if they are no numbers.
    """
    if hasattr(values, "iloc"):  # pandas
        if values.ndim == 1:
            return _of_series(values, of, asker)
        columns = [_of_series(values.iloc[:, number], of, asker) for number in range(values.shape[1])]
        return np.stack(columns, 1) if columns else np.empty(values.shape)
    if hasattr(values, "get_columns"):  # Polars
        return np.stack([as_numbers(column, of, asker) for column in values.get_columns()], 1)
    if hasattr(values, "itercolumns"):  # PyArrow
        return np.stack([as_numbers(column, of, asker) for column in values.itercolumns()], 1)
    if isinstance(values, (list, tuple)) and any(isinstance(part, np.ma.MaskedArray) for part in values):
        values = np.ma.array(values)
    if isinstance(values, np.ma.MaskedArray):
        is_masked = np.ma.getmaskarray(values)
        data = np.where(is_masked, None, values.data) if values.dtype == object else values.data
        return np.where(is_masked, np.nan, _of_array(data, of, asker))
    if isinstance(values, keras.KerasTensor) or (tf.is_tensor(values) and not hasattr(values, "numpy")):
        raise TypeError(_refusal(of, asker, "a symbolic tensor, which has no values yet", "Give it the data itself."))
    try:
        array = np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise _no_numbers("rows of different lengths", of, asker) from error
    return _of_array(array, of, asker)


def _of_series(series, of: str, asker: str) -> np.ndarray:
    dtype = series.dtype
    if not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "O") in "biuf":  # pandas' own, which have NA
        return series.to_numpy(np.float64, na_value=np.nan)
    kind = KINDS.get(getattr(dtype, "kind", "O"))
    if kind:
        raise _no_numbers(kind, of, asker, "" if series.name is None else f" in column {series.name!r}")
    try:
        return _of_array(np.asarray(series), of, asker)
    except TypeError as error:
        if series.name is None or "in column" in str(error):
            raise
        raise TypeError(str(error).replace("Received: ", f"Received, in column {series.name!r}: ", 1)) from error


def _of_array(array: np.ndarray, of: str, asker: str) -> np.ndarray:
    if array.dtype.kind in "biuf":
        return array.astype(np.float64, copy=False)
    if array.dtype.kind in KINDS:
        raise _no_numbers(KINDS[array.dtype.kind], of, asker)
    if array.dtype.kind == "O":
        return _of_objects(array, of, asker)
    if array.dtype.names is None and array.dtype.isbuiltin != 1:  # bfloat16 and the like
        return array.astype(np.float64)
    raise _no_numbers(f"values of dtype {array.dtype}", of, asker)


def _of_objects(array: np.ndarray, of: str, asker: str) -> np.ndarray:
    flat, kinds = array.ravel(), {}
    for value in flat:
        kinds.setdefault(type(value), value)
    families = {kind: _family(kind) for kind in kinds}
    for kind, family in families.items():
        if family not in ("numbers", "nothing"):
            raise _no_numbers(family, of, asker, f", such as {_shortened(kinds[kind])}")
    known = [np.nan if families[type(value)] == "nothing" else float(value) for value in flat]
    return np.array(known, np.float64).reshape(array.shape)


def _family(kind: type) -> str:
    """What values of a type are."""
    if issubclass(kind, (type(None), np.ma.core.MaskedConstant)) or kind.__name__ == "NAType":
        return "nothing"
    for family, kinds in (
        ("durations", (datetime.timedelta, np.timedelta64)),  # the latter is a number, too
        ("dates", (datetime.date, np.datetime64)),
        ("times of day", datetime.time),
        ("numbers", (numbers.Real, np.bool_, decimal.Decimal)),
        ("complex numbers", numbers.Complex),
        ("text", (str, bytes)),
        ("rows of different lengths", (list, tuple, np.ndarray, tf.Tensor)),
    ):
        if issubclass(kind, kinds):
            return family
    return "dates" if kind.__name__ in ("NaTType", "Period") else f"values of type {kind.__name__}"


def _shortened(value) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _no_numbers(received: str, of: str, asker: str, where: str = "") -> TypeError:
    return TypeError(_refusal(of, asker, received + where, ADVICE.get(received, "")))


def _refusal(of: str, asker: str, received: str, advice: str) -> str:
    return f"{asker} needs {of} that are numbers. Received: {received}. {advice}".strip()
