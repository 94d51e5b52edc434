"""Where the targets end: the limits that a user gives, and those that the targets show.

Shapes in comments: n rows, E event.
"""

from __future__ import annotations

import math

import numpy as np

# Near an end at which the density is as high as farther inside, the share of targets within a distance r grows as r;
# where it falls towards the end in a straight line, as r^2; in the tail of a normal, with a higher power. The power is
# estimated (Hill 1975) from 3 and from 10 times the outermost hundredth, and at least so many times 16: with 3, too,
# since 10 may reach across a gap. Where these are more than half of all targets, an end cannot be told from a tail.
OUTERMOST, FEWEST, COMPARED = 0.01, 16, (3, 10)
MIN_ROWS = 2 * FEWEST * COMPARED[-1]
# Halfway from an abrupt end to a straight line.
LARGEST_POWER = 1.5
# How far beyond the last target a limit is put, in mean distances of the outermost ones: another target lies farther
# out with a probability of exp(-3) / n.
MARGIN = 3.0
# What rounding a number to float32 changes, of its size.
ROUNDING = 2.0**-24


def limits(value, event_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper limit, each `[*E]`, that `support` names; infinite where there is none.

    Args:
      value: a pair of limits. Each is a number, None for no limit, or a list of these, one for each coordinate.
      event_shape: the shape of one target.

    Raises:
      ValueError: if it is not such a pair, or if an upper limit is not greater than the lower one.
    """
    expected = (
        "`support` must be a pair (low, high) of numbers, or of None for no limit, or of lists of these with one for "
        f"each coordinate of a target of shape {event_shape}"
    )
    try:
        low, high = (
            _limit(side, infinite, event_shape) for side, infinite in zip(value, (-math.inf, math.inf), strict=True)
        )
    except (TypeError, ValueError):
        raise ValueError(f"{expected}. Received: support={value!r}.") from None
    if not (low < high).all() or np.isposinf(low).any() or np.isneginf(high).any():
        raise ValueError(f"{expected}, with low less than high. Received: support={value!r}.")
    return low, high


def _limit(side, infinite: float, event_shape: tuple[int, ...]) -> np.ndarray:
    side = np.asarray(side, object)
    numbers = np.where(np.equal(side, None), infinite, side).astype(np.float64)
    return np.broadcast_to(numbers.reshape(()) if numbers.shape == (1,) else numbers, event_shape).copy()


def is_auto(value) -> bool:
    """Whether `support` asks for limits to be found."""
    return isinstance(value, str) and value == "auto"  # an array of limits would compare by its elements


def is_given(value) -> bool:
    """Whether `support` is a pair of limits: neither None nor "auto"."""
    return value is not None and not is_auto(value)


def plain(low: np.ndarray, high: np.ndarray) -> tuple:
    """The pair that `limits` makes these of, of Python's numbers, lists and None: what a config can hold."""
    return tuple(np.where(np.isfinite(side), side.astype(object), None).tolist() for side in (low, high))


def settled(support, event_shape: tuple[int, ...], background: float) -> str | tuple | None:
    """The `support` of a layer as a config can hold it.

    Raises:
      ValueError: if limits are to be found without a `background`, or if `limits` refuses those that are given.
    """
    if is_auto(support) and not background:
        raise ValueError(
            "support='auto' needs a `background`, since a target may lie beyond the limits that were found. "
            "Received: background=0.0. Use background=0.003."
        )
    return plain(*limits(support, event_shape)) if is_given(support) else support


def check_inside(lowest: np.ndarray, highest: np.ndarray, low: np.ndarray, high: np.ndarray, support) -> None:
    """Raises ValueError if the lowest or the highest of the targets `[*E]` lie outside of the limits `[*E]`.

    Targets in float32 may differ from their limit by rounding.
    """
    slack = ROUNDING * np.maximum(np.abs(lowest), np.abs(highest))
    if not ((lowest >= low - slack) & (highest <= high + slack)).all():
        raise ValueError(
            f"Targets must lie within `support`. Received: support={support!r}, and targets from {lowest.tolist()} to "
            f"{highest.tolist()}."
        )


def found_in(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The limits, each `[*E]`, at which finite targets `[n, *E]` end abruptly; infinite where they do not.

    Angles, shares, capped and censored quantities, and many that cannot be negative, have as many targets next to a
    limit as farther inside. The tails of others become thinner and thinner.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> low, high = tfmdn.layers.support.found_in(rng.exponential(size=1000))
    >>> bool(-0.01 < low < 0.0), float(high)
    (True, inf)
    """
    columns = y.reshape(len(y), -1).T.astype(np.float64)
    low = np.array([_lower_limit(column) for column in columns]).reshape(y.shape[1:])
    high = np.array([-_lower_limit(-column) for column in columns]).reshape(y.shape[1:])
    return low, high


def _lower_limit(y: np.ndarray) -> float:
    """-inf if the smallest of the targets `[n]` are the thin end of a tail."""
    if len(y) < MIN_ROWS or np.ptp(y) == 0.0:
        return -math.inf
    count = max(FEWEST, round(OUTERMOST * len(y)))
    smallest = np.sort(y)[: COMPARED[-1] * count + 1]
    reaches = smallest - smallest[0]
    # Half of the outermost are equal where values are capped, which is as abrupt as can be.
    is_capped = reaches[count // 2] == 0.0
    if not is_capped and any(_power(reaches[: times * count + 1]) > LARGEST_POWER for times in COMPARED):
        return -math.inf
    rounding = 1e-6 * np.ptp(y)
    return float(smallest[0] - MARGIN * reaches[count] / count - rounding)


def _power(reaches: np.ndarray) -> float:
    """The power of r with which the number of targets within r grows, from ascending distances `[k]` to the first."""
    gaps = np.diff(reaches)
    # Rounded targets that are equal lie up to half a step apart.
    distances = reaches[1:] + 0.5 * gaps[gaps > 0.0].min()
    mean = np.log(distances[-1] / distances).sum() / (len(distances) - 1)
    return 1.0 / mean if mean else math.inf
