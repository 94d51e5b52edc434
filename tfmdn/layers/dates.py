"""Dates and times that are written as text.

Shapes in comments: B batch.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from tfmdn import versions
from tfmdn.layers import civil

_MONTH, _DAY, _HOUR, _SIXTIETH = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])", r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_OFFSET = rf"(?:Z|[+-]{_HOUR}(?::?{_SIXTIETH})?)"
_TIME = rf"{_HOUR}:{_SIXTIETH}(?::{_SIXTIETH}(?:\.\d+)?)?{_OFFSET}?"
# What is a date and a time, for RE2 and Python alike: the day may still be one that its month has not.
ISO_DATE = rf"\d{{4}}(?:-{_MONTH}|(?:-{_MONTH}-{_DAY}|/{_MONTH}/{_DAY})(?:[T ]{_TIME})?)"
# Where year, month, day, hour and minute stand in it, if they do.
_PLACES = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16)]
_UP_TO_MINUTES = r"^.{1,16}"
_SECONDS_AND_OFFSET = r"^(?::([\d.]+))?(?:Z|([+-])(\d\d):?(\d\d)?)?$"


@versions.saved()
class DateParsing(keras.layers.Layer):
    """Dates and times in text, as ISO 8601 has them, as seconds since 1970-01-01 00:00.

    "2024-02-29" or "2024/02/29", alone or with a time of day such as "12:30", "12:30:15" or "12:30:15.25" behind a "T"
    or a blank, and then with "Z" or with what the clock is ahead of UTC, such as "+01:00": the seconds are those of UTC
    then. "2024-02" is the first day of that month. Any other text gives NaN, as do days that are none, "2023-02-29".

    XLA knows no text: the layer must stay outside of what it compiles.

    Args:
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`. The dtype is float64 unless given:
        float32 does not tell apart the seconds of a minute.

    Input and output shape: `[*B]`.

    Example:

    >>> texts = tf.constant(["1970-01-02", "1970-01-01 12:30+01:00", "1970-02-30", ""])
    >>> tfmdn.features.DateParsing()(texts).numpy().tolist()
    [86400.0, 41400.0, nan, nan]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(autocast=False, **{"dtype": "float64", **kwargs})
        self.supports_masking = True

    def call(self, inputs):
        known = tf.strings.regex_full_match(inputs, ISO_DATE)
        texts = tf.where(known, inputs, "1970-01-01")

        # Regular expressions are slow: one for each part would take four times as long.
        digits = tf.io.decode_raw(texts, "uint8", fixed_length=16)  # [B, 16], 0 where the text has ended
        digits = tf.maximum(tf.cast(digits, "int64") - ord("0"), 0)
        year, month, day, hour, minute = (_number(digits[..., start:end]) for start, end in _PLACES)
        rest = tf.strings.regex_replace(texts, _UP_TO_MINUTES, "", replace_global=False)

        def part(pattern: str) -> tf.Tensor:
            # A zero before or behind makes a number of what was left out.
            return tf.strings.to_number(
                tf.strings.regex_replace(rest, _SECONDS_AND_OFFSET, pattern, replace_global=False), "float64"
            )

        second, hours_ahead, minutes_ahead = part(r"0\1"), part(r"\2\3.0"), part(r"\2\4.0")
        first = civil.first_day(year, month)
        known &= day <= civil.first_day(year, month + 1) - first
        minutes = 60 * (24 * (first + tf.maximum(day, 1) - 1) + hour) + minute
        seconds = 60.0 * (tf.cast(minutes, "float64") - 60.0 * hours_ahead - minutes_ahead) + second
        return tf.cast(tf.where(known, seconds, math.nan), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def _number(digits: tf.Tensor) -> tf.Tensor:
    """The number that digits write, `[..., D] -> [...]`."""
    return tf.reduce_sum(digits * [10**power for power in reversed(range(digits.shape[-1]))], -1)
