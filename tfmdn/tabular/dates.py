"""Dates, times and durations as seconds, by the clock on the wall, and text that is dates.

Shapes in comments: n rows.
"""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo
from collections.abc import Iterable

import numpy as np

from tfmdn.layers import dates as layers_dates

DAY = 86_400.0
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# What Python's calendar ends at, a day before either end: beyond, a zone's clock stays as it is there.
FIRST, LAST = -62_135_510_400.0, 253_402_214_400.0
SECONDS = {"W": 604_800, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
PARTS_OF_A_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
FIXED_OFFSET = re.compile(r"(?:UTC)?([+-])(\d\d):?(\d\d)")
ISO_DATE = re.compile(layers_dates.ISO_DATE, re.ASCII)


def seconds(values: np.ndarray) -> np.ndarray:
    """NumPy's dates, since 1970, or its durations `[n]` in seconds, NaN for NaT."""
    unit, count = np.datetime_data(values.dtype)
    if unit in ("Y", "M"):
        return seconds(values.astype(f"{values.dtype.kind}8[D]"))
    if unit == "generic":  # nothing but NaT
        return np.full(len(values), np.nan)
    numbers = values.view(np.int64).astype(np.float64)
    numbers = numbers * (count * SECONDS[unit]) if unit in SECONDS else numbers * count / PARTS_OF_A_SECOND[unit]
    numbers[np.isnat(values)] = np.nan
    return numbers


def zone_name(zone: datetime.tzinfo | str) -> str:
    """The name by which `zone_of` finds a zone."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or str(zone)
    offset = FIXED_OFFSET.fullmatch(name)
    return f"{offset[1]}{offset[2]}:{offset[3]}" if offset else name


def zone_of(name: str) -> datetime.tzinfo:
    """The zone of a name, such as "Europe/Berlin", "UTC" or "+02:00".

    Raises:
      ValueError: if Python knows no such zone.
    """
    offset = FIXED_OFFSET.fullmatch(name)
    if offset:
        hours, minutes = int(f"{offset[1]}{offset[2]}"), int(f"{offset[1]}{offset[3]}")
        return datetime.timezone(datetime.timedelta(hours=hours, minutes=minutes))
    try:
        return datetime.timezone.utc if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"Expected dates in a time zone that Python knows. Received: {name!r}. Convert them to 'UTC', or install "
            "the package tzdata."
        ) from None


def wall_clock(utc: np.ndarray, zone: str) -> np.ndarray:
    """What clocks in a zone show, in seconds since 1970, at times `[n]` in seconds since 1970 in UTC."""
    tzinfo = zone_of(zone)
    known = ~np.isnan(utc)
    times = utc[known]
    # A clock is asked twice a day, and at each time only on days on which it was changed.
    days, place = np.unique(np.floor(times / DAY), return_inverse=True)
    at_start, at_end = _offsets(days * DAY, tzinfo), _offsets((days + 1) * DAY, tzinfo)
    offsets = at_start[place]
    changes = (at_start != at_end)[place]
    offsets[changes] = _offsets(times[changes], tzinfo)
    result = np.full(len(utc), np.nan)
    result[known] = times + offsets
    return result


def _offsets(times: np.ndarray, zone: datetime.tzinfo) -> np.ndarray:
    moments = (EPOCH + datetime.timedelta(seconds=time) for time in np.clip(times, FIRST, LAST).tolist())
    return np.array([moment.astimezone(zone).utcoffset().total_seconds() for moment in moments], np.float64)


def first_not_iso(texts: Iterable[str]) -> str | None:
    """The first of texts that is no ISO date, with or without a time, and not "" either. None, if there is none."""
    return next((text for text in texts if text and not _is_iso(text)), None)


def _is_iso(text: str) -> bool:
    """Whether `tfmdn.features.DateParsing` knows the date."""
    if not ISO_DATE.fullmatch(text):
        return False
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10] or 1)
    return day <= 28 or day <= calendar.monthrange(year or 400, month)[1]  # Python has no year 0
