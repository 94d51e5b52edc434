"""The columns of a table as they were when a model was fitted, and tables read by them ever after.

Shapes in comments: n rows.
"""

from __future__ import annotations

import dataclasses
import json
import keyword
import re
import unicodedata
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfmdn.export import endpoints, saved_model
from tfmdn.tabular import dates, labels, series, tables
from tfmdn.tabular import values as values_lib
from tfmdn.tabular.values import Values

MIN_FITTED_ROWS = 2
# What the signatures of exported models have for arguments of their own, and what is no name.
RESERVED = {"self", "x", *saved_model.ARGUMENTS, *endpoints.ARGUMENTS, *map(str.lower, keyword.kwlist)}
# The kind of column that values make.
KINDS = {
    values_lib.NUMBERS: "number",
    values_lib.DURATIONS: "number",
    values_lib.TIMES: "number",
    values_lib.NOTHING: "number",
    values_lib.DATES: "date",
    values_lib.TEXT: "category",
    values_lib.CATEGORIES: "category",
}
ADVICE = {
    values_lib.NUMBERS: "In pandas, pandas.to_numeric(column, errors='coerce') reads them, and makes text missing.",
    values_lib.DATES: "In pandas, pandas.to_datetime(column) reads them.",
    values_lib.TEXT: "In pandas, column.astype(str) makes text.",
    values_lib.CATEGORIES: "In pandas, column.astype(str) makes text, which is read.",
    values_lib.DURATIONS: "In pandas, pandas.to_timedelta(column) reads them.",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      name: its name in the table; "column_3" in arrays and lists.
      kind: "number", "category", "date", or "date_text": text of which every known value is an ISO date.
      input: the name of the model's input, fit for signatures.
      of: what its values were, as the names in `values` say. Of `NOTHING`, anything is read as missing.
      zone: the time zone of dates, None of dates without one.
    """

    name: Hashable
    kind: str
    input: str
    of: str
    zone: str | None = None


class Columns(Sequence[Column]):
    """What a table's columns are, and how further tables are read.

    A raw column is float64 `[n]`, NaN where missing: numbers, 0 and 1 for booleans, seconds for durations and times of
    day, and of dates the seconds from 1970 by the clock of the zone that was fitted. Or it is an array of objects that
    are text `[n]`, "" where missing: text, categories, and text that is dates. It must not be changed: it may be the
    user's own.

    Args:
      columns: the columns.
      is_named: whether they are found by their names. If not, by their places.
    """

    def __init__(self, columns: Iterable[Column], is_named: bool = True):
        self._columns, self._is_named = tuple(columns), is_named

    def __getitem__(self, place):
        return self._columns[place]

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns)

    def to_config(self) -> dict:
        """What JSON can hold, and `from_config` takes."""
        columns = [{**dataclasses.asdict(column), "name": labels.plain_name(column.name)} for column in self]
        return {"columns": columns, "is_named": self._is_named}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Columns:
        """The columns that `to_config` wrote."""
        columns = [Column(**{**column, "name": labels.name_of(column["name"])}) for column in config["columns"]]
        return cls(columns, config["is_named"])

    @classmethod
    def learned(cls, X: Any) -> tuple[Columns, dict[str, np.ndarray]]:
        """The columns of a table that a model is fitted to, and their raw values by the names of inputs.

        Args:
          X: a table of n rows, of pandas, Polars, PyArrow or another library that narwhals knows; a mapping of names to
            one-dimensional arrays; a structured array; or an array, or a list of lists, of numbers and text.

        Raises:
          TypeError: if the rows of X are not in memory, or a column holds what no model takes.
          ValueError: if X is no table, or a column holds things of several kinds, or numbers that are too large.
        """
        table = tables.table_of(X)
        table.check_size(MIN_FITTED_ROWS)
        columns, raw = [], {}
        for name, own_input, values in zip(table.names, input_names(table.names), _values_of(table)):
            if table.has_numerals:
                values = _numbers_of(name, values) or values
            column = _column(name, own_input, values)
            columns.append(column)
            raw[own_input] = _raw(column, values)
        return cls(columns, table.is_named), raw

    def read(self, X: Any) -> dict[str, np.ndarray]:
        """The raw values of another table, by the names of inputs.

        Its columns may be in any order, and kept in any way, if they are named, and tell the same. Those of an array
        are taken by their places. Dates of another zone are told by the clock of the one that was fitted; dates with a
        zone and dates without do not stand for each other. What is missing throughout fits any column.

        Raises:
          TypeError: if the rows of X are not in memory, or a column holds what no model takes.
          ValueError: if columns are missing, or others are there, or hold other things than when the model was fitted.
        """
        table = tables.table_of(X)
        if table.columns:
            table.check_size(1)
        places = self._places(table)
        found = tables.Table(
            [table.names[place] for place in places],
            [table.columns[place] for place in places],
            has_numerals=table.has_numerals,
        )
        raw = {}
        for column, values in zip(self, _values_of(found)):
            if table.has_numerals and column.of == values_lib.NUMBERS:
                values = _numbers_of(column.name, values) or values
            raw[column.input] = _raw(column, values)
        return raw

    def _places(self, table: tables.Table) -> list[int]:
        """Where in a table each column is."""
        expected, received = [_key(column.name) for column in self], [_key(name) for name in table.names]
        if table.is_named and (self._is_named or set(received) == set(expected)):
            if set(received) != set(expected):
                raise ValueError(_other_names([column.name for column in self], table.names))
            return [received.index(key) for key in expected]
        if len(table.columns) != len(self):
            raise ValueError(
                f"X has {len(table.columns)} features, but MDNRegressor is expecting {len(self)} features as input."
            )
        names = table.names if table.is_named else [column.name for column in self] if self._is_named else []
        if names and all(isinstance(name, str) for name in names):
            has, was = ("has", "without") if table.is_named else ("does not have valid", "with")
            warnings.warn(
                f"X {has} feature names, but MDNRegressor was fitted {was} feature names. Its columns are taken by "
                "their places.",
                UserWarning,
                stacklevel=2,
            )
        return list(range(len(self)))


def input_names(names: Sequence[Hashable]) -> list[str]:
    """Names of inputs for columns: of letters, digits and _, and not those of the signatures' own arguments.

    Columns whose names are so keep them. No two are alike in capitals, which TensorFlow does not tell apart everywhere.
    """
    found: dict[int, str] = {}
    taken = set(RESERVED)
    # Those that can keep their names come first.
    for place in sorted(range(len(names)), key=lambda place: _fit_name(names[place], place) != names[place]):
        name = _fit_name(names[place], place)
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        found[place] = name
    return [found[place] for place in range(len(names))]


def _fit_name(name: Hashable, place: int) -> str:
    text = "_".join(map(str, name)) if isinstance(name, tuple) else str(name)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-zA-Z0-9_]+", "_", text).strip("_")
    return text if text[:1].isalpha() else f"column_{text or place}"


def _key(name: Hashable) -> str:
    """What a name is found by: the same before and after it was written to a file."""
    return json.dumps(labels.plain_name(name))


def _values_of(table: tables.Table) -> Iterator[Values]:
    for name, column in zip(table.names, table.columns):
        yield series.of_column(name, column)


def _numbers_of(name: Hashable, values: Values) -> Values | None:
    """The numbers that text is, None if it is other text."""
    if not values.is_text or not all(values_lib.is_number(text) for text in values.values if text):
        return None
    return series.of_column(name, np.array([float(text) if text else np.nan for text in values.values]))


def _column(name: Hashable, own_input: str, values: Values) -> Column:
    of = values_lib.NOTHING if values.are_missing() else values.of
    kind = KINDS[of]
    if of == values_lib.TEXT and dates.first_not_iso(dict.fromkeys(values.values)) is None:
        kind = "date_text"
    return Column(name, kind, own_input, of, values.zone if kind == "date" else None)


def _raw(column: Column, values: Values) -> np.ndarray:
    """Values `[n]` as the column has them."""
    is_number = column.kind in ("number", "date")
    if column.of == values_lib.NOTHING or (values.is_text == is_number and values.are_missing()):
        return np.full(len(values.values), np.nan if is_number else "", dtype=float if is_number else object)
    if column.of == values_lib.CATEGORIES and values.of == values_lib.NUMBERS:
        values = Values(values_lib.CATEGORIES, values_lib.texts(values.values))
    if values.of != column.of and not (values.is_text and not is_number) and not values.are_missing():
        advice = ADVICE.get(column.of, "") if values.is_text or not is_number else ""
        raise ValueError(
            f"Column {column.name!r} held {column.of} when the model was fitted. Received: {values.of}, "
            f"{values.first()}. {advice}".strip()
        )
    if column.kind == "date_text":
        return _iso(column, values)
    return _wall_clock(column, values) if column.kind == "date" else values.values


def _iso(column: Column, values: Values) -> np.ndarray:
    wrong = dates.first_not_iso(dict.fromkeys(values.values))
    if wrong is not None:
        row = int(np.argmax(values.values == wrong))
        raise ValueError(
            f"Column {column.name!r} held dates as text when the model was fitted, such as 2024-01-31 or "
            f"2024-01-31T12:00:00. Received: {wrong!r} in row {row}."
        )
    return values.values


def _wall_clock(column: Column, values: Values) -> np.ndarray:
    if (values.zone is None) != (column.zone is None) and not values.are_missing():
        fitted, received = (f"time zone {zone!r}" if zone else "no time zone" for zone in (column.zone, values.zone))
        advice = ".dt.tz_localize(None)" if column.zone is None else f".dt.tz_localize({column.zone!r})"
        raise ValueError(
            f"Column {column.name!r} held dates with {fitted} when the model was fitted. Received: dates with "
            f"{received}. Make them alike, in pandas by column{advice}."
        )
    return values.values if column.zone is None else dates.wall_clock(values.values, column.zone)


def _other_names(expected: Sequence[Hashable], received: Sequence[Hashable]) -> str:
    """What scikit-learn says of names that differ, and the names."""
    known, given = {_key(name) for name in expected}, {_key(name) for name in received}
    unseen = [name for name in received if _key(name) not in known]
    missing = [name for name in expected if _key(name) not in given]
    message = "The feature names should match those that were passed during fit.\n"
    if unseen:
        message += f"Feature names unseen at fit time: {tables.listed(unseen)}.\n"
    if missing:
        message += f"Feature names seen at fit time, yet now missing: {tables.listed(missing)}.\n"
    return message + f"Expected: {tables.listed(list(expected))}."
