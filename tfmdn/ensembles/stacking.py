"""How much each kind of members counts: stacking of predictive densities (Yao et al. 2018).

Shapes in comments: R rows, M members, C kinds.
"""

from __future__ import annotations

import numpy as np
import scipy.special

from tfmdn.ensembles.calibration import effective_rows

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
