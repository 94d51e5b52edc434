"""Dates and times as positions in the cycles of the calendar.

Shapes in comments: B batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmdn import validation, versions
from tfmdn.layers import civil

# In days, the day itself in hours. Years and months as long as they are on average.
PERIODS = {"year": 365.2425, "month": 365.2425 / 12.0, "week": 7.0, "day": 24.0}
_DAY = 86_400
# Beyond, about 285 million years, float64 does not tell seconds apart.
_LIMIT = 2.0**53


@versions.saved()
class Calendar(keras.layers.Layer):
    """Where in the year, the month, the week or the day a time is, with its sine and cosine.

    The position is in days, in the day in hours, from 0 to the length of the cycle. That is 365.2425 for the year and a
    twelfth of it for the month: true lengths are stretched to their average, so that each cycle ends where the next
    begins. Weeks begin on Monday. The calendar is the Gregorian one, also before 1582, without leap seconds.

    Args:
      cycles: which of "year", "month", "week" and "day", in the order of the outputs.
      **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`. The dtype, that of the outputs, is
        float64 unless given.

    Input shape: `[*B]`, seconds since 1970-01-01 00:00 in float64: float32 tells only every 128th apart. What is NaN,
      infinite or beyond 2^53 gives NaN.
    Output shape: `[*B, 3 * len(cycles)]`: position, sine and cosine of the first cycle, then those of the next.

    Example:

    >>> times = np.array(["1970-01-01T18:00", "2024-02-29T00:00"], "datetime64[s]").astype(float)
    >>> tfmdn.features.Calendar(["week", "day"])(times).numpy().round(2).tolist()  # two Thursdays
    [[3.75, -0.22, -0.97, 18.0, -1.0, -0.0], [3.0, 0.43, -0.9, 0.0, 0.0, 1.0]]
    """

    def __init__(self, cycles: Sequence[str] = tuple(PERIODS), **kwargs: Any):
        super().__init__(autocast=False, **{"dtype": "float64", **kwargs})
        self.cycles = _checked_cycles(cycles)
        self.supports_masking = True

    def call(self, inputs):
        seconds = tf.cast(inputs, "float64")
        known = tf.abs(seconds) < _LIMIT
        whole = tf.floor(tf.where(known, seconds, 0.0))
        days = tf.cast(whole, "int64") // _DAY
        time = (tf.cast(tf.cast(whole, "int64") % _DAY, "float64") + (seconds - whole)) / _DAY
        outputs = []
        for cycle in self.cycles:
            start, end = civil.around(cycle, days)
            passed = (tf.cast(days - start, "float64") + time) / tf.cast(end - start, "float64")  # from 0 to 1
            passed = tf.where(known, passed, math.nan)
            angle = 2.0 * math.pi * passed
            outputs += [PERIODS[cycle] * passed, tf.sin(angle), tf.cos(angle)]
        return tf.cast(tf.stack(outputs, -1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 3 * len(self.cycles))

    def get_config(self):
        return {**super().get_config(), "cycles": list(self.cycles)}


def _checked_cycles(cycles) -> tuple[str, ...]:
    names = () if isinstance(cycles, str) else tuple(cycles)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`cycles` must be a list of different names out of {list(PERIODS)}. Received: {cycles!r}.")
    return tuple(validation.one_of("cycles", name, PERIODS) for name in names)
