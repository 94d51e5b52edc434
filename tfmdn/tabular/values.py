"""What the values of one column are: numbers, dates or text, whatever they are kept as.

Shapes in comments: n rows.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import numbers
from collections.abc import Hashable
from typing import Any

import numpy as np

from tfmdn.tabular import dates
from tfmdn.tabular.targets import LARGEST

# What values may be. Each is a word for messages.
NUMBERS, DURATIONS, TIMES, DATES = "numbers", "durations", "times of day", "dates"
TEXT, CATEGORIES, NOTHING = "text", "categories that are no text", "nothing"
BYTES, COMPLEX = "bytes", "complex numbers"
MIDNIGHT = datetime.time()
ADVICE = {
    frozenset({NUMBERS, TEXT}): "In pandas, pandas.to_numeric(column, errors='coerce') makes text missing, "
    "column.astype(str) makes text of numbers.",
}


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


def of_column(name: Hashable, column: Any) -> Values:
    """The values of narwhals' Series or of an array `[n]`.

    Raises:
      ValueError: if they are not of one kind, or of none that is known.
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
        raise ValueError(_unknown(name, f"values of type {dtype}", "Make a column of each number or text in them."))
    if dtype in (nw.Categorical, nw.Enum):
        known = column.drop_nulls().head(1).to_list()
        text = _of_array(name, column.cast(nw.String).to_numpy(), zone=None, decodes=False)
        return text if not known or isinstance(known[0], str) else dataclasses.replace(text, of=CATEGORIES)
    zone = getattr(dtype, "time_zone", None)
    return _of_array(name, column.to_numpy(), zone and dates.zone_name(zone), decodes=False)


def _of_codes(categories, codes: np.ndarray) -> Values:
    if not (codes >= 0).any():
        return _nothing(len(codes))
    is_text = all(isinstance(category, str) for category in categories)
    # The code of what is missing is -1, the last.
    text = np.array([*map(text_of, categories), ""], dtype=object)
    return Values(TEXT if is_text else CATEGORIES, text[codes])


def _nothing(num_rows: int) -> Values:
    return Values(NOTHING, np.full(num_rows, np.nan))


def _of_array(name: Hashable, values: np.ndarray, zone: str | None, decodes: bool) -> Values:
    kind = values.dtype.kind
    if kind in "biuf":
        return _numbers(name, values)
    if kind in "Mm":
        return Values(DATES if kind == "M" else DURATIONS, dates.seconds(values), zone)
    if kind == "T":
        values = values.astype(object)
    elif kind in "US":
        # NumPy writes what is missing so when it makes text of it.
        values = np.where(np.isin(values, np.array(["nan", "None"], values.dtype)), None, values.astype(object))
    elif kind != "O":
        raise ValueError(_unknown(name, f"{COMPLEX}" if kind == "c" else f"values of type {values.dtype}", ""))
    return _of_objects(name, values, decodes)


def _numbers(name: Hashable, values: np.ndarray) -> Values:
    values = np.asarray(values, np.float64)
    row = _first(np.abs(values) > LARGEST)
    if row is not None:
        raise ValueError(_beyond(name, f"{values[row]:g}", row))
    return Values(NUMBERS, values)


def _beyond(name: Hashable, value: str, row: int) -> str:
    is_infinite = value.endswith("inf")
    problem = "infinity" if is_infinite else f"a number beyond {LARGEST:g}"
    advice = "NaN stands for what is missing." if is_infinite else "Change its units."
    return f"Input X contains {problem}. Received: {value} in column {name!r}, row {row}. {advice}"


def _of_objects(name: Hashable, values: np.ndarray, decodes: bool) -> Values:
    families = {kind: _family(kind) for kind in set(map(type, values))}
    found = set(families.values()) - {NOTHING}
    if len(found) > 1:  # of these only NaN, perhaps
        found = {families[type(value)] for value in values if families[type(value)] != NOTHING and not _is_nan(value)}
    if not found:
        return _nothing(len(values))
    if found == {BYTES} and decodes:
        return Values(TEXT, texts(values))
    # What cannot be read comes before what does not go together.
    of = next(iter(found - set(READERS) or found))
    if of not in READERS:
        row = _first([families[type(value)] == of for value in values])
        advice = {BYTES: "Decode them, as by column.str.decode('utf-8') in pandas.", COMPLEX: ""}
        more = advice.get(of, "Make a column of each number or text in them.")
        raise ValueError(_unknown(name, f"{of}, {_short(values[row])} in row {row}", more))
    if len(found) > 1:
        raise ValueError(_mixed(name, values, families))
    return READERS[of](name, values, families)


def _family(kind: type) -> str:
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


def _is_nan(value) -> bool:
    """Whether a value is NaN or NaT, of whatever type: nothing else differs from itself."""
    return isinstance(value, (numbers.Real, decimal.Decimal, np.datetime64, np.timedelta64)) and value != value


def _cleaned(values: np.ndarray, families: dict[type, str]) -> np.ndarray:
    """With None for all that is missing."""
    if not any(of == NOTHING and kind is not type(None) for kind, of in families.items()):
        return values
    return np.array([None if families[type(value)] == NOTHING else value for value in values] + [None], object)[:-1]


def _of_numbers(name, values, families) -> Values:
    try:
        return _numbers(name, _cleaned(values, families).astype(np.float64))
    except OverflowError:
        row = _first([isinstance(value, numbers.Real) and abs(value) > LARGEST for value in values])
        raise ValueError(_beyond(name, _short(values[row]), row)) from None


def _of_text(name, values, families) -> Values:
    return Values(TEXT, texts(values))


def _of_categories(name, values, families) -> Values:
    return Values(CATEGORIES, texts(values))


def _of_durations(name, values, families) -> Values:
    return Values(DURATIONS, np.array([_seconds_of_duration(value, families) for value in values]))


def _seconds_of_duration(value, families) -> float:
    if families[type(value)] == NOTHING or _is_nan(value):
        return np.nan
    if isinstance(value, np.timedelta64):
        return float(dates.seconds(np.array([value]))[0])
    return value.total_seconds()


def _of_times(name, values, families) -> Values:
    def seconds(time) -> float:
        return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6

    known = [families[type(value)] == TIMES for value in values]
    return Values(TIMES, np.array([seconds(value) if one else np.nan for value, one in zip(values, known)]))


def _of_dates(name, values, families) -> Values:
    values = [None if families[type(value)] != DATES else value for value in values]
    zones = collections.Counter(
        value.tzinfo and dates.zone_name(value.tzinfo) for value in values if isinstance(value, datetime.datetime)
    )
    zones[None] += sum(1 for value in values if value is not None) - sum(zones.values())
    zones = [zone for zone, count in zones.items() if count]
    if None in zones and len(zones) > 1:
        aware = _first([getattr(value, "tzinfo", None) is not None for value in values])
        raise ValueError(
            f"Column {name!r} mixes dates with a time zone and dates without. Received: {values[aware]!s} in row "
            f"{aware}. Give all of them a zone, or none."
        )
    if None not in zones:
        utc = datetime.timezone.utc
        values = [value and value.astimezone(utc).replace(tzinfo=None) for value in values]
    # Dates of several zones have UTC in common.
    zone = zones[0] if len(zones) == 1 else "UTC"
    return Values(DATES, dates.seconds(np.array(values, "M8[us]")), zone)


READERS = {
    NUMBERS: _of_numbers,
    TEXT: _of_text,
    CATEGORIES: _of_categories,
    DURATIONS: _of_durations,
    TIMES: _of_times,
    DATES: _of_dates,
}


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
    if _family(type(value)) == NOTHING or _is_nan(value):
        return ""
    is_integer = isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value // 1
    return str(int(value)) if is_integer else str(value)


def is_number(text: str) -> bool:
    """Whether text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first(are_wrong) -> int | None:
    """The number of the first row that is, or None."""
    are_wrong = np.asarray(are_wrong)
    return int(np.argmax(are_wrong)) if are_wrong.any() else None


def _mixed(name: Hashable, values: np.ndarray, families: dict[type, str]) -> str:
    kinds = [NOTHING if _is_nan(value) else families[type(value)] for value in values]
    counts = collections.Counter(kind for kind in kinds if kind != NOTHING)
    usual = counts.most_common(1)[0][0]
    row = _first([kind not in (usual, NOTHING) for kind in kinds])
    found = " and ".join(f"{kind} ({count} row{'s' * (count > 1)})" for kind, count in counts.most_common())
    advice = ADVICE.get(frozenset(counts), "Make them one kind, or columns of their own.")
    return f"Column {name!r} mixes {found}. Received: {_short(values[row])} in row {row}. {advice}"


def _unknown(name: Hashable, received: str, advice: str) -> str:
    expected = "numbers, text, categories, dates, times or durations"
    problem = "Complex data not supported. " if received.startswith(COMPLEX) else ""
    return f"{problem}Column {name!r} must hold {expected}. Received: {received}. {advice}".strip()


def _short(value) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
