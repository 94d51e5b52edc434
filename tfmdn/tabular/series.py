"""Columns of NumPy and of tables that narwhals knows.

Shapes in comments: n rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any

import numpy as np

from tfmdn.tabular import dates
from tfmdn.tabular.objects import of_objects
from tfmdn.tabular.values import (
    CATEGORIES,
    COMPLEX,
    DATES,
    DURATIONS,
    TEXT,
    UNPACK,
    Values,
    not_allowed,
    nothing,
    of_numbers,
    text_of,
    texts,
)


def of_column(name: Hashable, column: Any) -> Values:
    """The values of narwhals' Series or of an array `[n]`.

    Raises:
      TypeError: if some are of a type that no model takes.
      ValueError: if they are of several kinds, or beyond what numbers may be.
    """
    if isinstance(column, np.ndarray):
        return _of_array(name, column, zone=None, decodes=True)
    import narwhals as nw

    native, dtype = column.to_native(), column.dtype
    kind = type(getattr(native, "dtype", None)).__name__
    if kind == "CategoricalDtype":  # of pandas: other than text, too
        return _of_codes(native.cat.categories, native.cat.codes.to_numpy())
    if kind == "PeriodDtype":
        native = native.dt.to_timestamp()
        return _of_array(name, native.to_numpy(), zone=None, decodes=False)
    if kind == "IntervalDtype":
        return Values(CATEGORIES, texts(native.to_numpy()))
    if dtype.is_nested():
        raise not_allowed(name, str(dtype), f"values of type {dtype}", UNPACK)
    if dtype in (nw.Categorical, nw.Enum):
        known = column.drop_nulls().head(1).to_list()
        text = _of_array(name, column.cast(nw.String).to_numpy(), zone=None, decodes=False)
        return text if not known or isinstance(known[0], str) else dataclasses.replace(text, of=CATEGORIES)
    zone = getattr(dtype, "time_zone", None)
    return _of_array(name, column.to_numpy(), zone and dates.zone_name(zone), decodes=False)


def _of_codes(categories, codes: np.ndarray) -> Values:
    if not (codes >= 0).any():
        return nothing(len(codes))
    is_text = all(isinstance(category, str) for category in categories)
    # The code of what is missing is -1, the last.
    text = np.array([*map(text_of, categories), ""], dtype=object)
    return Values(TEXT if is_text else CATEGORIES, text[codes])


def _of_array(name: Hashable, values: np.ndarray, zone: str | None, decodes: bool) -> Values:
    kind = values.dtype.kind
    if kind in "biuf":
        return of_numbers(name, values)
    if kind in "Mm":
        return Values(DATES if kind == "M" else DURATIONS, dates.seconds(values), zone)
    if kind == "T":
        values = values.astype(object)
    elif kind in "US":
        # NumPy writes what is missing so when it makes text of it.
        is_missing = np.isin(values, np.array(["nan", "None"], kind))
        values = np.where(is_missing, None, values.astype(object))
    elif kind != "O":
        of = COMPLEX if kind == "c" else f"values of type {values.dtype}"
        raise not_allowed(name, of, of, UNPACK)
    return of_objects(name, values, decodes)
