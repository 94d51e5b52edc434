"""How broad the components of an ensemble should be, and how likely what none of them expects.

One factor of all scales and the weight of the background, from rows that the ensemble has not learnt from.

Shapes in comments: R rows, M members.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import scipy.optimize
import scipy.special

# Rows that are used: one number is known to 1 % from so many.
MAX_ROWS = 3_000
# Not a seed that data may have been drawn with: the choice of rows would depend on their values.
SAMPLING_SEED = 0x63616C6962726174
# What no sound ensemble needs. A factor far below 1 would let components collapse onto single targets.
SMALLEST_FACTOR, LARGEST_FACTOR = 0.5, 4.0
# The standard deviation of the prior of the logarithm of the factor. It weighs about as much as two rows, and so only
# matters where there are few, or where the likelihood has no maximum since all rows are alike.
PRIOR_SCALE = 0.5
# How many rows count as the background's that were not seen.
BACKGROUND_ROWS = 0.5
# Where the background has to become a tenth heavier, the factor was found to make up for it, and is looked for again.
HEAVIER, MAX_ROUNDS = 1.1, 5


def judges(held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows to calibrate by, and the members that each row judges.

    Each row has the same number of judged members: the median of how many have not learnt from a row, over the rows
    that several have not learnt from.

    Args:
      held_out: which rows each member has not learnt from, booleans `[n, M]`.

    Returns:
      Row numbers `[R]` and booleans `[R, M]`.

    Raises:
      ValueError: if no row is left that two members, or the only one, have not learnt from.
    """
    num_members = held_out.shape[1]
    counts = held_out.sum(1)
    several = counts >= min(2, num_members)
    if not several.any():
        raise ValueError(
            f"`held_out` must have rows, of weights above 0, that at least {min(2, num_members)} of the {num_members} "
            f"members have not learnt from. Received: {held_out.any(1).sum()} rows that any has not learnt from."
        )
    size = int(np.median(counts[several]))
    rows = np.flatnonzero(counts >= size)
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(SAMPLING_SEED).choice(rows, MAX_ROWS, replace=False))
    members = held_out[rows]
    return rows, members & (members.cumsum(1) <= size)


def scale_factor(log_probs: Callable[[float], np.ndarray], members: np.ndarray, weights: np.ndarray) -> float:
    """The factor of all scales under which rows are most likely that the ensemble has not learnt from.

    With r members that have not learnt from a row, the factor that suits a mixture of r is measured, and the one that
    suits a single member. What suits all M of them follows. Let e be the mean squared error of a mean that all
    networks there could be agree on, v their variance around it, and a^2 the variance each predicts. The error of r of
    them together is e + v / r, and the variance that they predict, with the factor s, s^2 a^2 + v (1 - 1 / r). The
    two are equal for a squared factor that is linear in 1 / r, so that two points of the line tell the others.

    Args:
      log_probs: the members' log-densities of the targets, of scales multiplied by a factor: `[R, M]`.
      members: which of the members have not learnt from a row, booleans `[R, M]` with as many in each row.
      weights: of the rows, `[R]`, 0 or more.

    Returns:
      A number between 1/2 and 4.
    """
    num_members, size = members.shape[1], int(members[0].sum())

    def single_log_probs(factor):
        return (log_probs(factor) * members).sum(1) / size

    def joint_log_probs(factor):
        return together(log_probs(factor), members) - math.log(size)

    several = most_likely(joint_log_probs, weights)
    if size == num_members:
        return several
    single = most_likely(single_log_probs, weights)
    share = (1.0 - 1.0 / num_members) / (1.0 - 1.0 / size)
    squared = single**2 + share * (several**2 - single**2)
    return float(np.clip(math.sqrt(max(squared, 0.0)), SMALLEST_FACTOR, LARGEST_FACTOR))


def scale_factor_and_background(
    log_probs: Callable, members: np.ndarray, weights: np.ndarray, start: float
) -> tuple[float, float]:
    """`scale_factor` and `background_weight`, each found where the other is.

    Args:
      log_probs: the members' log-densities of the targets, of scales multiplied by a factor: without the background
        `[R, M]`, and of the background alone `[R, M]`.
      members: which of the members have not learnt from a row, booleans `[R, M]` with as many in each row.
      weights: of the rows, `[R]`, 0 or more.
      start: the weight of the background without any rows.

    Returns:
      The factor and the weight.
    """

    def with_background(factor, weight):
        without, alone = log_probs(factor)
        return np.logaddexp(math.log1p(-weight) + without, math.log(weight) + alone)

    weight = start
    for _ in range(MAX_ROUNDS):
        earlier = weight
        factor = scale_factor(functools.partial(with_background, weight=weight), members, weights)
        weight = background_weight(*log_probs(factor), members, weights, start)
        if weight < HEAVIER * earlier:
            break
    return factor, weight


def background_weight(
    log_probs: np.ndarray, log_background: np.ndarray, members: np.ndarray, weights: np.ndarray, start: float
) -> float:
    """The weight of the background under which rows are most likely that the ensemble has not learnt from.

    Half a row for the background, and as many rows against it as make `start` the weight where there are no others,
    are counted in. Of what no row has shown they leave half a row's share, as Krichevsky and Trofimov (1981) do.

    Args:
      log_probs: the members' log-densities of the targets without the background, `[R, M]`.
      log_background: those of the background alone, `[R, M]`.
      members: which of the members have not learnt from a row, booleans `[R, M]`.
      weights: of the rows, `[R]`, 0 or more.
      start: what the weight is without any rows.

    Returns:
      A number between 0 and 1.
    """
    log_ratios = together(log_background, members) - together(log_probs, members)
    num_rows = effective_rows(weights)
    shares = weights * num_rows / weights.sum()
    total = num_rows + BACKGROUND_ROWS / start

    def excess(weight):
        """How many more rows than `weight` says are the background's: at the maximum 0, and nowhere else."""
        return shares @ scipy.special.expit(log_ratios + scipy.special.logit(weight)) + BACKGROUND_ROWS - weight * total

    # The maximum if no row is the background's, and if all are; a little beyond them no rounding hides the sign.
    fewest, most = BACKGROUND_ROWS / total, (num_rows + BACKGROUND_ROWS) / total
    return scipy.optimize.brentq(excess, 0.9 * fewest, 0.9 * most + 0.1, xtol=1e-6 * fewest)


def together(log_probs: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of the densities `[R, M]` of those members that count."""
    return scipy.special.logsumexp(np.where(members, log_probs, -np.inf), axis=1)


def effective_rows(weights: np.ndarray) -> float:
    """How many equal rows say as much as rows of such weights `[R]` (Kish 1965)."""
    return weights.sum() ** 2 / np.square(weights).sum()


def most_likely(log_probs: Callable[[float], np.ndarray], weights: np.ndarray) -> float:
    """The factor of the largest mean log-density, with a weak prior around 1."""
    num_rows = effective_rows(weights)

    def objective(log_factor):
        prior = 0.5 * (log_factor / PRIOR_SCALE) ** 2 / num_rows
        return prior - np.average(log_probs(math.exp(log_factor)), weights=weights)

    bounds = math.log(SMALLEST_FACTOR), math.log(LARGEST_FACTOR)
    found = scipy.optimize.minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 3e-3})
    return math.exp(found.x)
