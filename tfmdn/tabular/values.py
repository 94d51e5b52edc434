"""What the values of one column are, and what is said of those that no model can take.

Shapes in comments: n rows.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import numbers
from collections.abc import Hashable, Sequence

import numpy as np

# Squares of larger numbers, which scales are made of, are infinite.
LARGEST = 1e100
# What values may be. Each is a word for messages.
NUMBERS, DURATIONS, TIMES, DATES = "numbers", "durations", "times of day", "dates"
TEXT, CATEGORIES, NOTHING = "text", "categories that are no text", "nothing"
BYTES, COMPLEX = "bytes", "complex numbers"
UNPACK = "Make a column of each string or number in them."
# Characters of a value in messages.
SHOWN = 60


@dataclasses.dataclass(frozen=True)
class Values:
    """The values of a column.

    Attributes:
      of: what they are, `NUMBERS`, `DURATIONS` and `TIMES` in seconds, `DATES`, `TEXT`, `CATEGORIES` or `NOTHING`.
      values: float64 `[n]`, NaN where missing, or objects that are text `[n]`, "" where missing. Not to be changed:
        they may be the user's own. Dates are seconds since 1970, with a zone in UTC.
      zone: the zone of dates.
    """

    of: str
    values: np.ndarray
    zone: str | None = None

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object

    def are_missing(self) -> bool:
        """Whether no value is known."""
        return not any(self.values) if self.is_text else bool(np.isnan(self.values).all())

    def first(self) -> str:
        """The first known value and its row, for messages: of text one that is no number, if there is any."""
        if self.is_text:
            row = next((row for row, text in enumerate(self.values) if text and not is_number(text)), None)
            row = int(np.argmax(self.values != "")) if row is None else row
        else:
            row = int(np.argmax(~np.isnan(self.values)))
        value = self.values[row]
        if self.of == DATES:
            value = str(np.datetime64(int(value), "s"))
        return f"{value!r} in row {row}" if isinstance(value, str) else f"{value:g} in row {row}"


def of_numbers(name: Hashable, values: np.ndarray) -> Values:
    """Numbers `[n]`, not beyond what a model can take.

    Raises:
      ValueError: if they are.
    """
    values = np.asarray(values, np.float64)
    row = first_row(np.abs(values) > LARGEST)
    if row is not None:
        raise ValueError(beyond(name, f"{values[row]:g}", row))
    return Values(NUMBERS, values)


def beyond(name: Hashable, value: str, row: int) -> str:
    """What is said of a number that is too large."""
    is_infinite = value.endswith("inf")
    problem = "infinity" if is_infinite else f"a number beyond {LARGEST:g}"
    advice = "NaN stands for what is missing." if is_infinite else "Change its units."
    return f"Input X contains {problem}. Received: {value} in column {name!r}, row {row}. {advice}"


def nothing(num_rows: int) -> Values:
    """Rows of which none has a value."""
    return Values(NOTHING, np.full(num_rows, np.nan))


def family_of(kind: type) -> str:
    """What values of a type are."""
    if issubclass(kind, (type(None), np.ma.core.MaskedConstant)) or kind.__name__ in ("NAType", "NaTType"):
        return NOTHING
    for of, kinds in (
        (TEXT, str),
        (BYTES, bytes),
        (DURATIONS, (datetime.timedelta, np.timedelta64)),  # the latter is a number, too
        (NUMBERS, (numbers.Real, np.bool_, decimal.Decimal)),
        (COMPLEX, numbers.Complex),
        (DATES, (datetime.date, np.datetime64)),
        (TIMES, datetime.time),
    ):
        if issubclass(kind, kinds):
            return of
    return CATEGORIES if kind.__name__ == "Interval" else f"values of type {kind.__name__}"


def is_nan(value) -> bool:
    """Whether a value is NaN or NaT, of whatever type: nothing else differs from itself."""
    return isinstance(value, (numbers.Real, decimal.Decimal, np.datetime64, np.timedelta64)) and value != value


def texts(values: np.ndarray) -> np.ndarray:
    """Text of values `[n]`, "" for what is missing. Equal text is one object, to take little memory."""
    values = values.tolist()  # each NaN one object, which it is found by
    text = {value: text_of(value) for value in set(values)}
    return np.fromiter(map(text.__getitem__, values), dtype=object, count=len(values))


def text_of(value) -> str:
    """The text of a category, the same for 1 and 1.0."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if family_of(type(value)) == NOTHING or is_nan(value):
        return ""
    # Truth is 1, as it is where it is a number.
    is_integer = isinstance(value, (numbers.Real, np.bool_)) and value == value // 1
    return str(int(value)) if is_integer else str(value)


def is_number(value) -> bool:
    """Whether a value is a number, or text that is one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def first_row(are_wrong: Sequence[bool] | np.ndarray) -> int | None:
    """The number of the first row that is, or None."""
    are_wrong = np.asarray(are_wrong)
    return int(np.argmax(are_wrong)) if are_wrong.any() else None


def not_allowed(name: Hashable, of: str, received: str, advice: str) -> Exception:
    """The error for values that no model takes, in the words that scikit-learn's tests look for."""
    if of == COMPLEX:
        return ValueError(f"Complex data not supported. Received: {received}, in column {name!r}.")
    return TypeError(
        f"Column {name!r} as an argument must be a string, a number, a date, a time or a duration in each row. "
        f"Received: {received}. {advice}"
    )


def shortened(value) -> str:
    """A value for a message."""
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 3]}..."
