"""Argument checks with one wording: what was expected, what was received, what to do."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Sequence

import numpy as np


def positive_integer(name: str, value) -> int:
    """Returns `value` as an int, or says that it must be a positive integer."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}.")
    return int(value)


def nonnegative_integer(name: str, value) -> int:
    """Returns `value` as an int, or says that it must be an integer, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(f"`{name}` must be an integer, 0 or greater. Received: {name}={value!r}.")
    return int(value)


def positive_number(name: str, value) -> float:
    """Returns `value` as a float, or says that it must be a finite number above 0."""
    return _number(name, value, lambda number: 0 < number < float("inf"), "be a finite number greater than 0")


def nonnegative_number(name: str, value) -> float:
    """Returns `value` as a float, or says that it must be a finite number, 0 or more."""
    return _number(name, value, lambda number: 0 <= number < float("inf"), "be a finite number, 0 or greater")


def proportion(name: str, value) -> float:
    """Returns `value` as a float, or says that it must be a number from 0 up to but not including 1."""
    return _number(name, value, lambda number: 0 <= number < 1, "be at least 0 and less than 1")


def fraction(name: str, value) -> float:
    """Returns `value` as a float, or says that it must lie strictly between 0 and 1."""
    return _number(name, value, lambda number: 0 < number < 1, "lie between 0 and 1")


def index(name: str, value, size: int) -> int:
    """Returns `value` as an index below `size`, counted from the end if negative, or says that it must be one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not -size <= value < size:
        raise ValueError(f"`{name}` must be an integer from {-size} to {size - 1}. Received: {name}={value!r}.")
    return int(value) % size


def _number(name: str, value, is_allowed: Callable[[float], bool], expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not is_allowed(value):
        raise ValueError(f"`{name}` must {expected}. Received: {name}={value!r}.")
    return float(value)


def boolean(name: str, value) -> bool:
    """Returns `value`, or says that it must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}.")
    return bool(value)


def one_of(name: str, value, allowed: Collection[str]) -> str:
    """Returns `value`, or lists the values that `name` can take."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}.")
    return value


def is_auto(name: str, value, expected: str) -> bool:
    """Returns whether `value` is "auto". Any other text is refused: `name` must be what `expected` says."""
    if isinstance(value, str) and value != "auto":
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}.")
    return isinstance(value, str)


def event_shape(value) -> tuple[int, ...]:
    """Returns the shape of one target as a tuple: `()` for a scalar, `(n,)` for a vector of n.

    An integer n is short for `(n,)`.
    """
    expected = "`event_shape` must be () for a scalar target, or a positive integer n or (n,) for a vector of n values."
    sizes = (value,) if isinstance(value, numbers.Integral) else value
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) > 1:
        raise ValueError(f"{expected} Received: event_shape={value!r}.")
    if any(isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1 for size in sizes):
        raise ValueError(f"{expected} Received: event_shape={value!r}.")
    return tuple(int(size) for size in sizes)


def row_weights(sample_weight, num_rows: int) -> np.ndarray:
    """Returns the weights of rows as floats `[n]`, 1 for None, or says that there must be one of 0 or more for each.

    Weights of an extreme scale are brought to one at which they can be summed up, and squared: it does not matter.
    """
    weights = np.ones(num_rows)
    if sample_weight is not None:
        weights = np.ma.filled(np.ma.asarray(sample_weight).astype(np.float64), np.nan)
    if weights.shape != (num_rows,) or not ((weights >= 0) & np.isfinite(weights)).all():
        raise ValueError(
            f"`sample_weight` must be a finite number for each of the {num_rows} rows, 0 or more. "
            f"Received: shape {weights.shape}, from {weights.min(initial=np.inf)} to {weights.max(initial=-np.inf)}."
        )
    largest = weights.max(initial=0.0)
    if largest and not 2.0**-100 <= largest <= 2.0**100:
        weights = np.ldexp(weights, -np.frexp(largest)[1])
    return weights
