"""Dates in single precision: as days and what is left in seconds, of which each has few digits.

Shapes in comments: B rows.
"""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf

from tfmdn.layers import civil
from tfmdn.layers.calendar import PERIODS

DAY = 86_400
# So many days are 2,000 years: from there no date is negative, of which runtimes have quotients of two kinds.
BEFORE = 730_485


@dataclasses.dataclass(frozen=True, eq=False)
class Instant:
    """A date in a model that is being built.

    Attributes:
      days: since 1970, `[B]` in int32.
      seconds: from the beginning of the day `[B]` in float32, NaN where there is no date.
    """

    days: keras.KerasTensor
    seconds: keras.KerasTensor

    @classmethod
    def of(cls, seconds: keras.KerasTensor) -> Instant:
        """That of whole seconds since 1970 `[B]` in int64."""
        return cls(*Parts()(seconds))

    def filled(self, value: float) -> tuple[Instant, keras.KerasTensor]:
        """The same with a date, in seconds, where there is none; and the seconds `[B]` since that date."""
        days, seconds, distance = Filled(value)(self.days, self.seconds)
        return Instant(days, seconds), distance


class Parts(keras.layers.Layer):
    """Days in int32, and seconds in float32 that are NaN before the year -30, where NumPy's NaT is."""

    def __init__(self):
        super().__init__(dtype="float32", autocast=False)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, "int32"), keras.KerasTensor(inputs.shape, "float32")

    def call(self, inputs):
        is_known = inputs >= -BEFORE * DAY
        inputs = tf.where(is_known, inputs, tf.zeros_like(inputs)) + BEFORE * DAY
        seconds = inputs % DAY
        # LiteRT has no quotients of int64. Of whole days float32 is off by less than a tenth.
        days = tf.round(tf.cast(inputs - seconds, tf.float32) / DAY)
        return tf.cast(days, tf.int32) - BEFORE, tf.where(is_known, tf.cast(seconds, tf.float32), math.nan)


class Filled(keras.layers.Layer):
    """A date in the place of what is missing, and the distance to it in seconds."""

    def __init__(self, value: float):
        super().__init__(dtype="float32", autocast=False)
        self.days = math.floor(value / DAY)
        self.seconds = value - self.days * DAY

    def compute_output_spec(self, days, seconds):
        return tuple(keras.KerasTensor(days.shape, dtype) for dtype in ("int32", "float32", "float32"))

    def call(self, days, seconds):
        is_missing = tf.math.is_nan(seconds)
        days = tf.where(is_missing, self.days, days)
        seconds = tf.where(is_missing, tf.constant(self.seconds, tf.float32), seconds)
        distance = tf.cast(days - self.days, tf.float32) * DAY + (seconds - self.seconds)
        return days, seconds, distance


class SingleCalendar(keras.layers.Layer):
    """What `Calendar` makes of a date, `[B, 3 C]` for C cycles."""

    def __init__(self, cycles: tuple[str, ...]):
        super().__init__(dtype="float32", autocast=False)
        self.cycles = cycles

    def compute_output_spec(self, days, seconds):
        return keras.KerasTensor((*days.shape, 3 * len(self.cycles)), "float32")

    def call(self, days, seconds):
        outputs = []
        for cycle in self.cycles:
            start, end = civil.around(cycle, days)
            passed = tf.cast(days - start, tf.float32) + seconds / DAY
            passed /= tf.cast(end - start, tf.float32)
            angle = 2.0 * math.pi * passed
            outputs += [PERIODS[cycle] * passed, tf.sin(angle), tf.cos(angle)]
        return tf.stack(outputs, -1)
