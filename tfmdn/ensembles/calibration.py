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


def scale_factor(
    log_probs: Callable[[float], np.ndarray],
    members: np.ndarray,
    weights: np.ndarray,
    log_weights: np.ndarray | None = None,
) -> float:
    """The factor of all scales under which rows are most likely that the ensemble has not learnt from.

    With r members that have not learnt from a row, the factor that suits a mixture of r is measured, and the one that
    suits a single member. What suits all M of them follows. Let e be the mean squared error of a mean that all
    networks there could be agree on, v their variance around it, and a^2 the variance each predicts. The error of r of
    them together is e + v / r, and the variance that they predict, with the factor s, s^2 a^2 + v (1 - 1 / r). The
    two are equal for a squared factor that is linear in 1 / r, so that two points of the line tell the others.

    Members of weights w, which sum to 1, are as good as 1 / (w_1^2 + w_2^2 + ...) equal ones: r and M are such numbers,
    of the weights that those judged have among themselves, and of all.

    Args:
      log_probs: the members' log-densities of the targets, of scales multiplied by a factor: `[R, M]`.
      members: which of the members have not learnt from a row, booleans `[R, M]` with as many in each row.
      weights: of the rows, `[R]`, 0 or more.
      log_weights: the logarithms of the members' weights in the mixture, `[M]`. None: all alike.

    Returns:
      A number between 1/2 and 4.
    """
    shares = _shares(members, log_weights)

    def single_log_probs(factor):
        return (np.where(members, log_probs(factor), 0.0) * shares).sum(1)

    def joint_log_probs(factor):
        # Not of sum 1, which moves no maximum.
        return together(log_probs(factor), members, log_weights)

    several = most_likely(joint_log_probs, weights)
    # One over the numbers of members.
    judged = np.average(np.square(shares).sum(1), weights=weights)
    everyone = np.square(_shares(np.ones_like(members[:1]), log_weights)).sum()
    if judged <= everyone * (1.0 + 1e-9) or judged > 1.0 - 1e-9:
        return several
    single = most_likely(single_log_probs, weights)
    share = (1.0 - everyone) / (1.0 - judged)
    squared = single**2 + share * (several**2 - single**2)
    return float(np.clip(math.sqrt(max(squared, 0.0)), SMALLEST_FACTOR, LARGEST_FACTOR))


def scale_factor_and_background(
    log_probs: Callable,
    members: np.ndarray,
    weights: np.ndarray,
    start: float,
    log_weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """`scale_factor` and `background_weight`, each found where the other is.

    Args:
      log_probs: the members' log-densities of the targets, of scales multiplied by a factor: without the background
        `[R, M]`, and of the background alone `[R, M]`.
      members: which of the members have not learnt from a row, booleans `[R, M]` with as many in each row.
      weights: of the rows, `[R]`, 0 or more.
      start: the weight of the background without any rows.
      log_weights: the logarithms of the members' weights in the mixture, `[M]`. None: all alike.

    Returns:
      The factor and the weight.
    """

    def with_background(factor, weight):
        without, alone = log_probs(factor)
        return np.logaddexp(math.log1p(-weight) + without, math.log(weight) + alone)

    weight = start
    for _ in range(MAX_ROUNDS):
        earlier = weight
        factor = scale_factor(functools.partial(with_background, weight=weight), members, weights, log_weights)
        weight = background_weight(*log_probs(factor), members, weights, start, log_weights)
        if weight < HEAVIER * earlier:
            break
    return factor, weight


def background_weight(
    log_probs: np.ndarray,
    log_background: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray,
    start: float,
    log_weights: np.ndarray | None = None,
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
      log_weights: the logarithms of the members' weights in the mixture, `[M]`. None: all alike.

    Returns:
      A number between 0 and 1.
    """
    log_ratios = together(log_background, members, log_weights) - together(log_probs, members, log_weights)
    num_rows = effective_rows(weights)
    shares = weights * num_rows / weights.sum()
    total = num_rows + BACKGROUND_ROWS / start

    def excess(weight):
        """How many more rows than `weight` says are the background's: at the maximum 0, and nowhere else."""
        return shares @ scipy.special.expit(log_ratios + scipy.special.logit(weight)) + BACKGROUND_ROWS - weight * total

    # The maximum if no row is the background's, and if all are; a little beyond them no rounding hides the sign.
    fewest, most = BACKGROUND_ROWS / total, (num_rows + BACKGROUND_ROWS) / total
    return scipy.optimize.brentq(excess, 0.9 * fewest, 0.9 * most + 0.1, xtol=1e-6 * fewest)


def together(log_probs: np.ndarray, members: np.ndarray, log_weights: np.ndarray | None = None) -> np.ndarray:
    """The logarithms of sums of densities `[R, M]` of those members that count, with weights `[M]` or 1: `[R]`."""
    weighted = log_probs if log_weights is None else log_probs + log_weights
    return scipy.special.logsumexp(np.where(members, weighted, -np.inf), axis=1)


def _shares(members: np.ndarray, log_weights: np.ndarray | None) -> np.ndarray:
    """The weights `[R, M]` that those members have among themselves which count, 0 of others."""
    logits = np.where(members, 0.0 if log_weights is None else log_weights, -np.inf)
    return scipy.special.softmax(logits, axis=1)


def effective_rows(weights: np.ndarray) -> np.ndarray | float:
    """How many equal rows say as much as rows of such weights `[R, ...]` (Kish 1965): `[...]`."""
    return np.square(weights.sum(0)) / np.square(weights).sum(0)


def most_likely(log_probs: Callable[[float], np.ndarray], weights: np.ndarray) -> float:
    """The factor of the largest mean log-density, with a weak prior around 1."""
    num_rows = effective_rows(weights)

    def objective(log_factor):
        prior = 0.5 * (log_factor / PRIOR_SCALE) ** 2 / num_rows
        return prior - np.average(log_probs(math.exp(log_factor)), weights=weights)

    bounds = math.log(SMALLEST_FACTOR), math.log(LARGEST_FACTOR)
    found = scipy.optimize.minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 3e-3})
    return math.exp(found.x)
