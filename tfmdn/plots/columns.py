"""One feature of some rows: numbers, dates or texts, as they stand on an axis.

Shapes in comments: n rows, m values.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re

import numpy as np

STEPS, MOST_CATEGORIES = 200, 30
LONGEST_TEXT = 20
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")
MISSING, OTHER = "missing", "other"
# Seconds in the units that durations are shown in.
UNITS = {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0}


@dataclasses.dataclass(frozen=True)
class Column:
    """The values of a feature.

    Attributes:
      values: `[n]`: float64, NaN where one is missing; datetime64, NaT where one is missing; or texts, as objects.
      categories: the different texts, in the order of the axis; none of numbers and dates.
      unit: the unit of numbers that were durations, else "".
      is_dense: whether numbers between those of the rows make sense.
    """

    values: np.ndarray
    categories: tuple[str, ...] = ()
    unit: str = ""
    is_dense: bool = False

    @property
    def is_known(self) -> np.ndarray:
        """Where there is something to show, `[n]`. That a text is missing can be shown."""
        kind = self.values.dtype.kind
        return np.isfinite(self.values) if kind in "fM" else np.ones(len(self.values), bool)

    def known(self) -> np.ndarray:
        """The rows with something to show.

        Raises:
          ValueError: if there is none.
        """
        rows = np.flatnonzero(self.is_known)
        if not len(rows):
            raise ValueError("The feature on the axis must be known of at least one row. Received: all are missing.")
        return rows

    def typical(self) -> int:
        """The row of the middle number or date, or of the most frequent text."""
        if self.categories:
            return int(np.flatnonzero(self.values == self._by_frequency()[0])[0])
        order = np.argsort(self.values, kind="stable")
        return int(order[max(0, np.isfinite(self.values).sum() - 1) // 2])

    def steps(self) -> tuple[np.ndarray | None, np.ndarray]:
        """What an axis goes through.

        Returns:
          Numbers `[m]` from the least to the greatest in even steps, or None if they are those of rows; and the rows,
          `[m]`, in order: of different numbers or dates at most 200, of texts the 30 most frequent.

        Raises:
          ValueError: if nothing is known of the feature.
        """
        if self.categories:
            shown = set(self._by_frequency()[:MOST_CATEGORIES])
            firsts = [np.flatnonzero(self.values == name)[0] for name in self.categories if name in shown]
            return None, np.asarray(firsts)
        known = self.known()
        distinct, firsts = np.unique(self.values[known], return_index=True)
        is_whole = not self.is_dense or bool(np.all(distinct == np.round(distinct)))
        if not is_whole and len(distinct) > 1:
            return np.linspace(distinct[0], distinct[-1], STEPS), np.zeros(STEPS, int)
        if len(distinct) > STEPS:
            numbers = distinct.astype("int64" if distinct.dtype.kind == "M" else "float64")
            wanted = np.linspace(numbers[0], numbers[-1], STEPS)
            firsts = firsts[np.unique(np.abs(numbers[:, np.newaxis] - wanted).argmin(0))]
        return None, known[firsts]

    def fitted(self) -> Column:
        """The same for an axis that has room for the most frequent texts only: the others are called so."""
        if len(self.categories) <= MOST_CATEGORIES:
            return self
        shown = self._by_frequency()[:MOST_CATEGORIES]
        values = np.where(np.isin(self.values, shown), self.values, OTHER)
        categories = tuple(name for name in self.categories if name in set(shown) - {OTHER})
        return dataclasses.replace(self, values=values, categories=(*categories, OTHER))

    def texts(self) -> list[str]:
        """The values as one writes them."""
        if self.categories:
            return [shortened(text) for text in self.values]
        if self.values.dtype.kind == "M":
            texts = self.values.astype("datetime64[s]").astype(str)
            return [f"{text[:10]} {text[11:].removesuffix('00:00:00')}".rstrip() for text in texts]
        return [f"{value:.4g} {self.unit}".rstrip() for value in self.values]

    def _by_frequency(self) -> list[str]:
        names, counts = np.unique(self.values, return_counts=True)
        return names[np.argsort(-counts, kind="stable")].tolist()


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def of_array(values: np.ndarray) -> Column:
    """The column of an array `[n]` of any kind of values."""
    kind = values.dtype.kind
    if kind == "b":
        return _of_texts(values.tolist())
    if kind in "fiu":
        return Column(values.astype(np.float64), is_dense=kind == "f")
    if kind == "M":
        return Column(values)
    if kind == "m":
        return _of_seconds(values / np.timedelta64(1, "us") / 1e6)
    return _of_objects(values.tolist())


def of_series(series) -> Column:
    """The column of narwhals' series."""
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_numeric():
        return Column(np.asarray(series.cast(nw.Float64).to_numpy(), np.float64), is_dense=dtype.is_float())
    if dtype == nw.Date:
        series = series.cast(nw.Datetime("us"))
    if dtype in (nw.Date, nw.Datetime):
        wall_clock = series.dt.replace_time_zone(None)
        return Column(np.asarray(wall_clock.to_numpy(), "datetime64[us]"))
    if dtype == nw.Duration:
        return of_array(np.asarray(series.to_numpy(), "timedelta64[us]"))
    if dtype == nw.Enum:
        return _of_texts(series.to_list(), list(dtype.categories))
    return _of_objects(series.to_list())


def _of_objects(values: list) -> Column:
    """The column of Python's objects: dates, times and numbers if all of them are, ISO dates as well, else texts."""
    known = [value for value in values if not _is_missing(value)]
    if known and all(isinstance(value, datetime.date) for value in known):
        clocks = [getattr(value, "replace", None) if isinstance(value, datetime.datetime) else None for value in values]
        naive = [clock(tzinfo=None) if clock else value for clock, value in zip(clocks, values)]
        return Column(np.array([np.datetime64("NaT") if _is_missing(v) else v for v in naive], "datetime64[us]"))
    if known and all(isinstance(value, datetime.time) for value in known):
        return _of_seconds(np.array([_seconds(value) for value in values], np.float64))
    if known and all(isinstance(value, datetime.timedelta) for value in known):
        return _of_seconds(np.array([np.nan if _is_missing(v) else v.total_seconds() for v in values], np.float64))
    if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return Column(np.array([np.nan if _is_missing(value) else value for value in values], np.float64))
    if known and all(isinstance(value, str) and ISO_DATE.fullmatch(value) for value in known):
        with contextlib.suppress(ValueError):  # of days that no month has
            return Column(np.array(["NaT" if _is_missing(value) else value for value in values], "datetime64[us]"))
    return _of_texts(values)


def _of_texts(values: list, order: list | None = None) -> Column:
    texts = np.array([MISSING if _is_missing(value) else str(value) for value in values], object)
    there = set(texts.tolist())
    ordered = [str(name) for name in order or sorted(there - {MISSING}) if str(name) in there]
    return Column(texts, tuple(dict.fromkeys([*ordered, *sorted(there - set(ordered))])))


def _of_seconds(seconds: np.ndarray) -> Column:
    largest = np.nanmax(np.abs(seconds), initial=0.0)
    unit = next((unit for unit, size in UNITS.items() if largest >= 2.0 * size), "seconds")
    return Column(seconds / UNITS[unit], unit=unit)


def _seconds(time) -> float:
    """A time of the day in seconds since midnight."""
    if _is_missing(time):
        return np.nan
    return 3600.0 * time.hour + 60.0 * time.minute + time.second + 1e-6 * time.microsecond


def _is_missing(value) -> bool:
    return value is None or bool(np.isscalar(value) and value != value) or type(value).__name__ in ("NaTType", "NAType")
