"""How much each kind of members counts: stacking of predictive densities (Yao et al. 2018).

Shapes in comments: R rows, M members, C kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.special

from tfmdn.ensembles.calibration import effective_rows, scale_factor

# Rows of each kind that are counted in before the first is seen, and what is not worth its time in the end.
PRIOR_ROWS = 1.0
LEAST_WEIGHT = 0.05
# Of expectation and maximisation: each is a product of two small arrays.
MOST_ROUNDS, CLOSE = 2_000, 1e-6


def kind_weights(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weights of a mixture under which rows are most likely that no kind has learnt from.

    The logarithm of the likelihood is concave, so that expectation and maximisation finds its maximum. A row for each
    kind is counted in. Kinds of less than a twentieth are left out.

    Args:
      log_probs: the log-density of each row by each kind, `[R, C]`.
      weights: of the rows, `[R]`, 0 or more.

    Returns:
      `[C]`, with sum 1.
    """
    counts = weights * effective_rows(weights) / weights.sum()
    size = log_probs.shape[1]
    found = np.full(size, 1.0 / size)
    for _ in range(MOST_ROUNDS):
        earlier = found
        shares = scipy.special.softmax(log_probs + np.log(found), axis=1)
        found = (counts @ shares + PRIOR_ROWS) / (counts.sum() + size * PRIOR_ROWS)
        if np.abs(found - earlier).max() < CLOSE:
            break
    found = np.where(found < LEAST_WEIGHT, 0.0, found)
    return found / found.sum()


def common_factor(
    log_probs: Sequence[Callable[[float], np.ndarray]], shares: np.ndarray, members: np.ndarray, weights: np.ndarray
) -> float:
    """What the scales of all kinds are multiplied by, since kinds disagree of which each is as broad as it should be.

    A mixture of such distributions is too broad (Gneiting and Ranjan 2013). Members that have not learnt from the same
    rows, one of each kind, count as one member.

    Args:
      log_probs: of each kind, the log-densities of rows by its members, of scales multiplied by a factor: `[R, M]`.
      shares: the weights of the kinds, `[C]`, above 0.
      members: which of the members have not learnt from a row, booleans `[R, M]` with as many in each row.
      weights: of the rows, `[R]`, 0 or more.
    """

    def together(factor):
        by_kind = [np.log(share) + of_kind(factor) for share, of_kind in zip(shares, log_probs)]
        return scipy.special.logsumexp(by_kind, axis=0)

    return scale_factor(together, members, weights)
