"""Columns of Python's objects, as pandas and lists have them.

Shapes in comments: n rows.
"""

from __future__ import annotations

import collections
import datetime
import numbers
from collections.abc import Hashable

import numpy as np

from tfmdn.tabular import dates
from tfmdn.tabular.values import (
    BYTES,
    CATEGORIES,
    DATES,
    DURATIONS,
    LARGEST,
    NOTHING,
    NUMBERS,
    TEXT,
    TIMES,
    UNPACK,
    Values,
    beyond,
    family_of,
    first_row,
    is_nan,
    not_allowed,
    nothing,
    of_numbers,
    shortened,
    texts,
)

ADVICE = {
    frozenset({NUMBERS, TEXT}): "In pandas, pandas.to_numeric(column, errors='coerce') makes text missing, "
    "column.astype(str) makes text of numbers.",
}


def of_objects(name: Hashable, values: np.ndarray, decodes: bool) -> Values:
    """The values of objects `[n]`.

    Args:
      name: the name of their column.
      values: the objects.
      decodes: whether bytes are text. If not, they are an error.

    Raises:
      TypeError: if some are of a type that no model takes.
      ValueError: if they are of several kinds.
    """
    families = {kind: family_of(kind) for kind in set(map(type, values))}
    found = set(families.values()) - {NOTHING}
    if len(found) > 1:  # of these only NaN, perhaps
        found = {families[type(value)] for value in values if families[type(value)] != NOTHING and not is_nan(value)}
    if not found:
        return nothing(len(values))
    if found == {BYTES} and decodes:
        return Values(TEXT, texts(values))
    # What no model takes comes before what does not go together.
    for of in found - set(READERS):
        row = first_row([families[type(value)] == of for value in values])
        advice = "Decode them, as by column.str.decode('utf-8') in pandas." if of == BYTES else UNPACK
        raise not_allowed(name, of, f"{of}, {shortened(values[row])} in row {row}", advice)
    if len(found) > 1:
        raise ValueError(_mixed(name, values, families))
    return READERS[found.pop()](name, values, families)


def _cleaned(values: np.ndarray, families: dict[type, str]) -> np.ndarray:
    """With None for all that is missing."""
    if not any(of == NOTHING and kind is not type(None) for kind, of in families.items()):
        return values
    return np.array([None if families[type(value)] == NOTHING else value for value in values] + [None], object)[:-1]


def _of_numbers(name, values, families) -> Values:
    try:
        return of_numbers(name, _cleaned(values, families).astype(np.float64))
    except OverflowError:
        row = first_row([isinstance(value, numbers.Real) and abs(value) > LARGEST for value in values])
        raise ValueError(beyond(name, shortened(values[row]), row)) from None


def _of_text(name, values, families) -> Values:
    return Values(TEXT, texts(values))


def _of_categories(name, values, families) -> Values:
    return Values(CATEGORIES, texts(values))


def _of_durations(name, values, families) -> Values:
    return Values(DURATIONS, np.array([_seconds_of_duration(value, families) for value in values]))


def _seconds_of_duration(value, families) -> float:
    if families[type(value)] == NOTHING or is_nan(value):
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
        aware = first_row([getattr(value, "tzinfo", None) is not None for value in values])
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


def _mixed(name: Hashable, values: np.ndarray, families: dict[type, str]) -> str:
    kinds = [NOTHING if is_nan(value) else families[type(value)] for value in values]
    counts = collections.Counter(kind for kind in kinds if kind != NOTHING)
    usual = counts.most_common(1)[0][0]
    row = first_row([kind not in (usual, NOTHING) for kind in kinds])
    found = " and ".join(f"{kind} ({count} row{'s' * (count > 1)})" for kind, count in counts.most_common())
    advice = ADVICE.get(frozenset(counts), "Make them one kind, or columns of their own.")
    return f"Column {name!r} mixes {found}. Received: {shortened(values[row])} in row {row}. {advice}"
