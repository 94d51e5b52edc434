"""Targets of tables as they come: numbers, some of which may be missing, or pairs between which they lie.

Shapes in comments: n rows, E event.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_array

from tfmdn.layers.units import Units
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import values as values_lib
from tfmdn.tabular.values import LARGEST

# Not a seed that data may have been drawn with.
FILLING_SEED = 0x6F62736572766564


def validated(y, intervals: bool, num_rows: int) -> np.ndarray:
    """Checked targets `(n,)` or `(n, d)`, or pairs of them in a last axis, in float64.

    Args:
      y: targets.
      intervals: whether they are pairs.
      num_rows: how many there should be.

    Raises:
      ValueError: if they are not such numbers.
    """
    _check_kind(y)
    may_be_missing = intervals or _some_are_missing(y)
    options = {"ensure_2d": False, "allow_nd": intervals, "ensure_min_samples": 0, "input_name": "y"}
    try:
        y = check_array(y, dtype=np.float64, ensure_all_finite=not may_be_missing, **options)
    except ValueError as error:
        places = np.argwhere(np.isinf(np.asarray(y, np.float64))) if "infinity" in str(error) else []
        if not len(places):
            raise
        raise ValueError(f"{error} Received: infinity in row {places[0][0]}.") from error
    if len(y) != num_rows:
        raise ValueError(f"`X` and `y` must have the same number of rows. Received: {num_rows} and {len(y)}.")
    if may_be_missing:
        _check_missing(y, intervals)
    check_magnitude("y", np.where(np.isfinite(y), y, 0.0))
    return y


def _check_kind(y) -> None:
    """Raises ValueError if targets are no numbers, or if one that is alone is missing."""
    values = np.asarray(y)
    if values.dtype.kind in "mM":
        raise ValueError(
            f"`y` must hold numbers. Received: {'dates' if values.dtype.kind == 'M' else 'durations'}. Seconds of "
            "pandas' durations are y.dt.total_seconds(), those of dates (y - y.min()).dt.total_seconds()."
        )
    if values.dtype.kind == "c":
        raise ValueError("Complex data not supported: `y` must hold numbers. Received: complex numbers.")
    is_missing = _are_missing(values)
    if values.dtype.kind in "OUS":
        for place, value in enumerate(values.ravel().tolist()):
            if not is_missing.flat[place] and not values_lib.is_number(value):
                row = place // (values.size // len(values))
                raise ValueError(f"`y` must hold numbers. Received: {value!r} in row {row}.")
    if is_missing.any() and (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise ValueError(
            f"Input y contains NaN: {is_missing.sum()} of {len(values)} targets are missing, the first in row "
            f"{int(np.argmax(is_missing))}. Leave out these rows, as by X[y.notna()], y[y.notna()] of pandas, or give "
            "them a sample_weight of 0."
        )


def _are_missing(values: np.ndarray) -> np.ndarray:
    """Which values are NaN, None, NaT or pandas' NA, of the shape of the values."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(values.shape, bool)
    kinds = {kind for kind in set(map(type, values.flat)) if values_lib.family_of(kind) == values_lib.NOTHING}
    are_missing = [type(value) in kinds or values_lib.is_nan(value) for value in values.flat]
    return np.reshape(are_missing, values.shape)


def _some_are_missing(y) -> bool:
    """Whether these are several outputs, of which some were not observed."""
    values = np.asarray(y)
    return values.ndim == 2 and values.shape[1] > 1 and bool(_are_missing(values).any())


def check_magnitude(name: str, values: np.ndarray) -> None:
    """Raises ValueError for numbers whose squares, which the scale is made of, are infinite."""
    largest = np.abs(values).max()
    if largest > LARGEST:
        raise ValueError(f"`{name}` must not have numbers beyond {LARGEST:g}. Received: {largest:g}. Change its units.")


def _check_missing(y: np.ndarray, intervals: bool) -> None:
    """Raises ValueError if what is missing of targets, or the ends of intervals, cannot be so."""
    if not intervals:
        if np.isinf(y).any():
            raise ValueError("Input y contains infinity. NaN stands for what was not observed.")
        return
    if y.ndim not in (2, 3) or y.shape[-1] != 2:
        raise ValueError(
            "With intervals=True each target is a pair (low, high): y must be of shape (n, 2), or (n, d, 2) for d "
            f"outputs. Received: y of shape {y.shape}."
        )
    low, high = y[..., 0], y[..., 1]
    is_wrong = (low > high) | (np.isinf(low) & (low == high)) | (np.isnan(low) != np.isnan(high))
    if is_wrong.any():
        row = np.flatnonzero(is_wrong.reshape(len(y), -1).any(1))[0]
        raise ValueError(
            "The lower end of an interval must be finite or -inf, the upper end finite or inf and not below it, and "
            f"both NaN if nothing is known. Received: {y[row].tolist()} in row {row}."
        )


def target_format(y: np.ndarray, intervals: bool) -> TargetFormat:
    """What is said of targets."""
    return TargetFormat(intervals, "ignore" if np.isnan(y).any() else "error")


def description(y: np.ndarray, form: TargetFormat) -> list[str]:
    """What a user may want to know of how many targets are known, a sentence for each fact."""
    if form.is_plain:
        return []
    low, high = form.ends(y)
    is_missing, is_interval = np.isnan(low), low < high
    facts = {
        "were not observed: they are integrated out": is_missing.mean(),
        "are known to lie in an interval": is_interval.mean(),
    }
    return [f"{share:.0%} of targets {fact}" for fact, share in facts.items() if share]


def known(y: np.ndarray, form: TargetFormat) -> np.ndarray:
    """What is known of targets as one number each `[n, *E]`, NaN where that is nothing.

    An interval is represented by its middle, or by its only finite end.
    """
    if form.is_plain:
        return y
    low, high = form.ends(y)
    middle = np.where(low == high, low, 0.5 * low + 0.5 * high)
    values = np.where(np.isinf(middle) | np.isnan(middle), np.where(np.isfinite(low), low, high), middle)
    return np.where(np.isfinite(values), values, np.nan)


def representative(y: np.ndarray, form: TargetFormat) -> np.ndarray:
    """Finite targets `[n, *E]` that are as the targets: for units, and for what components start with.

    An interval is represented by its middle, or by its only finite end, and what was not observed by another row's.

    Raises:
      ValueError: if nothing is known of an output.
    """
    if form.is_plain:
        return y
    values = known(y, form)
    rng = np.random.default_rng(FILLING_SEED)
    columns = values.reshape(len(values), -1).T
    for number, column in enumerate(columns):
        seen = column[~np.isnan(column)]
        if not len(seen):
            raise ValueError(f"`y` must have a known value of each output. Received: none of output {number}.")
        column[np.isnan(column)] = rng.choice(seen, np.isnan(column).sum())
    return columns.T.reshape(values.shape)


def in_standard_units(y: np.ndarray, form: TargetFormat, units: Units) -> np.ndarray:
    """The targets in standard units, see `Units.to_standard_units`."""
    if not form.intervals:
        return units.to_standard_units(y)
    return np.stack([_end_in_standard_units(end, units) for end in form.ends(y)], -1)


def _end_in_standard_units(end: np.ndarray, units: Units) -> np.ndarray:
    # Infinite ends stay where they are. So does what is 0 or less where all targets are positive: it is no limit.
    moves = np.isfinite(end) & ((not units.family.is_positive) | (end > 0.0))
    moved = units.to_standard_units(np.where(moves, end, units.family.restore(units.location)))
    return np.where(moves, moved, end)
