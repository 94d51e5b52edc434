"""What stands behind the networks for rows that are unlike those of the table.

Shapes in comments: n rows, F features, E event.
"""

from __future__ import annotations

import numpy as np

from tfmdn import validation
from tfmdn.layers.extrapolation import Extrapolation
from tfmdn.layers.kernels import FOLDS
from tfmdn.reading import weighted
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import targets
from tfmdn.tabular.layout import Layout

# Of so many rows it learns.
MAX_ROWS = 2_000
SEED = 0x66616C6C


def checked(fallback: bool | float) -> float | None:
    """The share of rows that are unlike the others, None for no fallback."""
    if isinstance(fallback, (bool, np.bool_)):
        return 1e-3 if fallback else None
    return validation.fraction("fallback", fallback)


def learned(
    novelty: float | None, x: np.ndarray, layout: Layout, y: np.ndarray, form: TargetFormat, weights: np.ndarray
) -> Extrapolation | None:
    """A fallback for rows like these; None if none is asked for, or if there is nothing to learn it from.

    It looks at numbers alone: categories that are not known have an answer of the networks' own, and those that are
    have no distance. Of predictions of trees it sees nothing.

    Args:
      novelty: what `checked` returned.
      x: features `[n, F]`, of which the first are numbers.
      layout: which of these are what, without trees.
      y: targets `[n, *E]`, or as `form` says.
      form: what is said of them.
      weights: of the rows, `[n]`.
    """
    if novelty is None or not layout.numbers:
        return None
    rows = np.random.default_rng(SEED).permutation(weighted.by_weight(weights))[:MAX_ROWS]
    if len(rows) < FOLDS:
        return None
    fallback = Extrapolation(novelty, dtype="float64", name="fallback")
    fallback.adapt(x[rows, : layout.numbers], targets.representative(y, form)[rows])
    return fallback
