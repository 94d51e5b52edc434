"""How coarsely targets are observed: which limits have a probability of their own, and to what targets are rounded.

Both are given by a user, or found in the targets.

Shapes in comments: n rows, E event.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmdn.layers import support as support_lib

# An end has a probability of its own if at least so many rows are equal to it, and of all rows such a share that is so
# many times that of the commonest value between the ends: where all are rounded, each value is common.
FEWEST_EQUAL, SHARES_AND_TIMES = 5, ((0.04, 2.0), (0.02, 3.0))
# On a grid an end is a limit if it is not much rarer than what comes next: tails become thinner by and by.
FEWEST_AT_END, LEAST_RATIO = 5, 0.1
# The finest grid, in standard deviations of the targets, that is taken for one. On a finer one a component of the
# regressor's smallest scale, a hundredth, is wider than the cells: rounding can neither help nor mislead.
FINEST = 0.02
# A grid that few rows lie on may be there by chance.
MIN_ROWS = 20
# How far from a value of the grid a target may lie, in steps: decimals in float32 do.
SLACK = 0.01


@dataclasses.dataclass(frozen=True)
class Coarseness:
    """What is observed of targets, each number `[*E]`.

    Attributes:
      low: the lower limit, -inf for none.
      high: the upper limit, inf for none.
      low_is_atom: whether what lies below the lower limit is observed as that limit.
      high_is_atom: whether what lies above the upper limit is observed as that limit.
      resolution: the step of the grid to which targets are rounded, 0 for none.
      origin: one of the values of the grid.
    """

    low: np.ndarray
    high: np.ndarray
    low_is_atom: np.ndarray
    high_is_atom: np.ndarray
    resolution: np.ndarray
    origin: np.ndarray

    @property
    def is_coarse(self) -> bool:
        """Whether any target has a probability, and not a density."""
        return bool(self.low_is_atom.any() or self.high_is_atom.any() or (self.resolution > 0.0).any())

    def description(self, y: np.ndarray) -> list[str]:
        """What a user may want to know that was found, of targets `[n, *E]`: a sentence for each fact."""
        facts = []
        for index in np.ndindex(self.low.shape):
            column = y[(slice(None), *index)]
            where = f" of output {index[0]}" if index else ""
            if self.resolution[index] > 0.0:
                step = f"{self.resolution[index]:g}"
                facts.append(f"Targets{where} are rounded to multiples of {step}: each value gets a probability")
                continue
            for limit, is_atom in ((self.low, self.low_is_atom), (self.high, self.high_is_atom)):
                if is_atom[index] and np.isfinite(limit[index]):
                    share = _equals(column, limit[index]).mean()
                    facts.append(
                        f"{share:.0%} of targets{where} equal {limit[index]:g}: they get a probability of their own"
                    )
        return facts


def settled_atoms(atoms, event_shape: tuple[int, ...]) -> str | tuple | None:
    """The `atoms` of a layer as a config can hold them: None, "auto", or a pair of booleans or of lists of them.

    Raises:
      ValueError: if they are something else.
    """
    if atoms is None or support_lib.is_auto(atoms):
        return atoms
    try:
        low, high = (atoms, atoms) if isinstance(atoms, (bool, np.bool_)) else atoms
        sides = tuple(np.broadcast_to(_booleans(side), event_shape) for side in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            "`atoms` must be True, False, a pair (low, high) of these, or of lists with one for each coordinate of a "
            f"target of shape {event_shape}, 'auto' or None. Received: atoms={atoms!r}."
        ) from None
    return tuple(side.tolist() for side in sides) if np.any(sides) else None


def _booleans(side) -> np.ndarray:
    side = np.asarray(side)
    if side.dtype != bool:
        raise ValueError
    return side


def settled_resolution(resolution, event_shape: tuple[int, ...]) -> str | float | list | None:
    """The `resolution` of a layer as a config can hold it: None, "auto", a number, or a list with one or None for each.

    Raises:
      ValueError: if it is something else.
    """
    if resolution is None or support_lib.is_auto(resolution):
        return resolution
    try:
        settled = steps(resolution, event_shape)
    except (TypeError, ValueError):
        settled = np.array(-1.0)
    if not (np.isfinite(settled) & (settled >= 0.0)).all():
        raise ValueError(
            "`resolution` must be a finite number greater than 0, None, 'auto', or a list with a number or None for "
            f"each coordinate of a target of shape {event_shape}. Received: resolution={resolution!r}."
        )
    return np.where(settled > 0.0, settled.astype(object), None).tolist() if settled.any() else None


def steps(resolution, event_shape: tuple[int, ...]) -> np.ndarray:
    """The steps `[*E]` that a `resolution` names, 0 for none."""
    given = np.asarray(resolution, object)
    if any(isinstance(step, (bool, np.bool_)) or (step is not None and not step > 0.0) for step in given.flat):
        raise ValueError
    given = np.where(np.equal(given, None), 0.0, given).astype(np.float64)
    return np.broadcast_to(given.reshape(()) if given.shape == (1,) else given, event_shape)


def found_in(
    y: np.ndarray, lowest: np.ndarray, highest: np.ndarray, support=None, atoms=None, resolution=None
) -> Coarseness:
    """How coarsely targets are observed, as far as it is given; what is "auto" is found in them.

    Args:
      y: finite targets `[n, *E]`, or a sample of them.
      lowest: the smallest of all targets, `[*E]`.
      highest: the largest of all targets, `[*E]`.
      support: as `MDNLayer` has it.
      atoms: as `MDNLayer` has it.
      resolution: as `MDNLayer` has it.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> rain = np.maximum(rng.normal(size=1000), 0.0)
    >>> found = tfmdn.layers.coarseness.found_in(rain, rain.min(), rain.max(), "auto", "auto", "auto")
    >>> float(found.low), bool(found.low_is_atom), bool(found.high_is_atom), float(found.resolution)
    (0.0, True, False, 0.0)
    """
    event_shape = y.shape[1:]
    columns = y.reshape(len(y), -1).T.astype(np.float64)
    ends = np.stack([np.broadcast_to(end, event_shape).ravel() for end in (lowest, highest)])
    if support_lib.is_auto(resolution):
        grid_steps = np.array([_step(column) for column in columns])
    else:
        grid_steps = steps(resolution, event_shape).ravel()
    limits = np.full((2, len(columns)), [[-np.inf], [np.inf]])
    if support_lib.is_given(support):
        limits = np.stack(support_lib.limits(support, event_shape)).reshape(2, -1)
    are_atoms = np.zeros((2, len(columns)), bool)
    if atoms is not None and not support_lib.is_auto(atoms):
        are_atoms = np.stack([np.broadcast_to(side, event_shape).ravel() for side in atoms])
    for number, column in enumerate(columns):
        for side, sign in enumerate((1.0, -1.0)):
            place = side, number
            limit, is_atom = _end(
                sign * column,
                sign * ends[place],
                sign * limits[place] if support_lib.is_given(support) else None,
                is_sought=support_lib.is_auto(support),
                is_atom=None if support_lib.is_auto(atoms) else bool(are_atoms[place]),
                step=grid_steps[number],
            )
            limits[place], are_atoms[place] = sign * limit, is_atom
    origins = np.array([_origin(column, step) for column, step in zip(columns, grid_steps)])
    parts = (*limits, *are_atoms, grid_steps, origins)
    return Coarseness(*(part.reshape(event_shape) for part in parts))


def _end(y, lowest, given, is_sought: bool, is_atom: bool | None, step: float) -> tuple[float, bool]:
    """The lower limit of targets `[n]`, and whether it is an atom.

    Args:
      y: targets.
      lowest: the smallest of more targets than these.
      given: the limit that is given, or None.
      is_sought: whether a limit is looked for.
      is_atom: whether a limit is an atom, or None if the targets are to say.
      step: the step of the grid, 0 for none.
    """
    if given is not None:
        return given, np.isfinite(given) and bool(step > 0.0 or (is_common(y, given) if is_atom is None else is_atom))
    if not is_sought:
        return -np.inf, False
    if step > 0.0:
        return (lowest, True) if _is_hard_end(y, lowest, step) else (-np.inf, False)
    if is_atom is not False and is_common(y, lowest):
        return lowest, True
    limit = float(support_lib.found_in(y)[0])
    if np.isfinite(limit) and is_atom:
        return lowest, True
    return min(limit, lowest), False


def is_common(y: np.ndarray, value: float) -> bool:
    """Whether so many of targets `[n]` equal one of their ends that it has a probability of its own."""
    values, counts = np.unique(y, return_counts=True)
    here = _equals(values, value)
    inner = ~here & (values > values[0]) & (values < values[-1])  # the other end may be an atom too
    count, others = counts[here].sum(), counts[inner].max(initial=0)
    stands_out = any(count >= max(share * len(y), times * others) for share, times in SHARES_AND_TIMES)
    return count >= FEWEST_EQUAL and stands_out and not here.all()


def _equals(y: np.ndarray, value: float) -> np.ndarray:
    """Which of targets `[n]` equal a value but for rounding. Next to each other numbers far from 0 are not equal."""
    with np.errstate(over="ignore"):
        rounding = np.minimum(1e-6 * np.abs(value), 1e-5 * np.ptp(y))
        is_single = np.array_equal(y, y.astype(np.float32))  # in which the value may be another number
        return (np.abs(y - value) <= rounding) | (is_single & (y == np.float32(value)))


def _is_hard_end(y: np.ndarray, lowest: float, step: float) -> bool:
    counts = np.bincount(np.round((y - lowest) / step).astype(int).clip(0, 3), minlength=3)[:3]
    return counts[0] >= max(FEWEST_AT_END, LEAST_RATIO * counts[1:].max())


def _step(y: np.ndarray) -> float:
    """The largest step of which all differences of targets `[n]` are multiples, 0 if it is too fine to matter."""
    values = np.unique(y)
    spread = y.std()
    if len(y) < MIN_ROWS or len(values) < 2 or len(values) > np.ptp(values) / (FINEST * spread) + 1.5:
        return 0.0
    differences = np.diff(values)
    # Of a grid of float32 numbers the smallest difference has rounding errors, the range has the least.
    step = differences.min()
    for divisor in range(1, 11):
        candidate = step / divisor
        if candidate < FINEST * spread:
            return 0.0
        count = np.round(np.ptp(values) / candidate)
        candidate = np.ptp(values) / count
        index = (values - values[0]) / candidate
        if (np.abs(index - np.round(index)) <= SLACK).all():
            return _decimal(candidate)
    return 0.0


def _decimal(step: float) -> float:
    """The step as a short decimal number, if it is one but for rounding errors."""
    rounded = float(f"{step:.6g}")
    return rounded if abs(rounded - step) <= 1e-5 * step else step


def _origin(y: np.ndarray, step: float) -> float:
    """A value of the grid in the midst of targets `[n]`: a multiple of the step if the targets are multiples."""
    if not step:
        return 0.0
    middle, first = np.median(y), y.min()
    is_multiple = abs(first / step - np.round(first / step)) <= SLACK
    start = np.round(first / step) * step if is_multiple else first
    return float(start + np.round((middle - start) / step) * step)
