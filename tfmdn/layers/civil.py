"""The civil calendar: years and months of days since 1970-01-01, and back, in whole numbers.

The Gregorian calendar, also before 1582. In between, years begin in March, so that a leap day is their last (Howard
Hinnant, "chrono-Compatible Low-Level Date Algorithms"). All tensors are of int64, or of int32 for fewer years.
"""

from __future__ import annotations

import tensorflow as tf

# From 1 March of the year 0 to 1970-01-01, and in 400 years, 100, 4 and 1 of them.
_EPOCH = 719_468
_DAYS_OF_400, _DAYS_OF_100, _DAYS_OF_4, _DAYS_OF_1 = 146_097, 36_524, 1_461, 365


def year_and_month(days: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The year, and its month from 1 to 12, of days since 1970-01-01."""
    days += _EPOCH
    centuries_4, day = days // _DAYS_OF_400, days % _DAYS_OF_400
    # Without the leap days so far every year has 365 days.
    year = (day - day // (_DAYS_OF_4 - 1) + day // _DAYS_OF_100 - day // (_DAYS_OF_400 - 1)) // _DAYS_OF_1
    day -= _DAYS_OF_1 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # from March; five months have 153 days
    is_next = tf.cast(month >= 10, days.dtype)
    return 400 * centuries_4 + year + is_next, month + 3 - 12 * is_next


def first_day(year: tf.Tensor, month: tf.Tensor | int) -> tf.Tensor:
    """The first day of a month, in days since 1970-01-01. Month 13 is January of the next year."""
    months = 12 * year + month - 3
    year, month = months // 12, months % 12  # from March
    return _DAYS_OF_1 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 - _EPOCH


def around(cycle: str, days: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first days of the year, month, week or day around days since 1970-01-01, and of the next one."""
    if cycle == "day":
        return days, days + 1
    if cycle == "week":
        monday = days - (days + 3) % 7  # 1970-01-01 was a Thursday
        return monday, monday + 7
    year, month = year_and_month(days)
    if cycle == "month":
        return first_day(year, month), first_day(year, month + 1)
    return first_day(year, 1), first_day(year + 1, 1)
