"""Which rows count how much, and which members are judged by them.

Shapes in comments: n rows, M members, P parts.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import ArrayLike

# Rows in one of the parts that members are judged by: enough to compare, and little work beside the training.
MAX_HELD_OUT = 2_500
# Fewer rows do not tell how broad predictions should be.
MIN_CALIBRATED = 40
# Of rows that can be calibrated by. Fewer ones, which are not, are in half as many.
NUM_PARTS = 20
# Members that have parts of their own. The next ones start with other parts.
IN_ONE_ROUND = 10
# Two of so few would be too much for a member to go without.
FEW_PARTS = 5


def group_numbers(groups: ArrayLike, num_rows: int) -> np.ndarray:
    """Labels of rows that belong together, such as names, as numbers from 0: `[n]`.

    Raises:
      ValueError: if there is not a label for each row, or one alone for all.
    """
    labels = np.asarray(groups)
    expected = f"`groups` must be a label for each of the {num_rows} rows: numbers or text, of at least 2 groups."
    if labels.shape != (num_rows,):
        raise ValueError(f"{expected} Received: shape {labels.shape}.")
    if labels.dtype == object:  # which cannot always be sorted
        found = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        numbers = np.array([found[label] for label in labels])
        missing = sum(label is None or label != label for label in labels)
    else:
        numbers = np.unique(labels, return_inverse=True)[1]
        missing = int((labels != labels).sum())
    if missing:
        raise ValueError(f"{expected} Received: {missing} labels that are missing. Give each such row one of its own.")
    return numbers


def parts(num_rows: int, rng: np.random.Generator, groups: np.ndarray | None = None) -> np.ndarray:
    """The part that each row is in, `[n]`: numbers from 0, of 20 parts of about as many rows.

    There are at most 10 if there are too few rows to calibrate by, and as many as there are groups if these are fewer.
    The rows of a group are in one part. Parts that are more than twice as large as they should be, since a group is,
    come last.

    Args:
      num_rows: the number of rows n.
      rng: what the parts follow from.
      groups: of the rows, integers `[n]`. None: each row by itself.

    Raises:
      ValueError: if there is only one group.
    """
    count = NUM_PARTS if num_rows >= MIN_CALIBRATED else min(IN_ONE_ROUND, num_rows)
    part = np.empty(num_rows, int)
    if groups is None:
        for number, rows in enumerate(np.array_split(rng.permutation(num_rows), count)):
            part[rows] = number
        return part
    labels, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(labels) < 2:
        raise ValueError("`groups` must be of at least 2 groups, in rows that count. Received: one group.")
    # The largest group first, each to the part that has the fewest rows so far.
    count = min(count, len(labels))
    loads = [(0, number) for number in range(count)]
    part_of_group = np.empty(len(labels), int)
    shuffled = rng.permutation(len(labels))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        load, number = heapq.heappop(loads)
        part_of_group[group] = number
        heapq.heappush(loads, (load + sizes[group], number))
    loads = np.bincount(part_of_group, sizes, count)
    shuffled = rng.permutation(count)
    order = shuffled[np.argsort(_is_too_large(loads)[shuffled], kind="stable")]
    return np.argsort(order)[part_of_group][groups]


def _is_too_large(loads: np.ndarray) -> np.ndarray:
    """Which parts, of so many rows, hold more than twice their share: at most half of them."""
    return loads > 2.0 * loads.sum() / len(loads)


def folds(
    num_rows: int, num_members: int, rng: np.random.Generator, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows each member is judged by: a tenth, each half of it with the next member.

    Of a half, at most `MAX_HELD_OUT` rows. Only rows that two members have not learnt from tell how broad a mixture of
    members should be. Too few rows to tell that are shared out without overlap. If there are at most five groups, each
    member is judged by one of them, and two or more by the same. No member is judged by a group of more than twice a
    part's share of the rows.

    The first ten members are judged by the first of the `parts`, of the same random numbers.

    Returns:
      Booleans `[n, M]`, and which of these rows are in the first half of those that judge a member.
    """
    held_out, first_half = np.zeros((2, num_rows, num_members), bool)
    for first in range(0, num_members, IN_ONE_ROUND):
        members = range(first, min(first + IN_ONE_ROUND, num_members))
        part = parts(num_rows, rng, groups)
        loads = np.bincount(part)
        by_few = num_rows >= MIN_CALIBRATED and len(loads) <= FEW_PARTS
        in_pairs = num_rows >= MIN_CALIBRATED and not by_few
        most = max(1, len(members) // 2) if by_few else max(2, len(members))
        judging = min((~_is_too_large(loads)).sum(), most)
        rows = [_sampled(np.flatnonzero(part == number), rng) for number in range(judging)]
        for member in members:
            own, following = (rows[(number - first) % judging] for number in (member, member + 1))
            held_out[own, member] = True
            first_half[own if in_pairs else own[::2], member] = True
            if in_pairs:
                held_out[following, member] = True
    return held_out, first_half


def _sampled(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= MAX_HELD_OUT else rng.choice(rows, MAX_HELD_OUT, replace=False)
