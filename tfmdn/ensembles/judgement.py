"""What members of an ensemble think of targets that they have not learnt from.

Shapes in comments: R rows, M members.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from tfmdn.ensembles import calibration


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The log-densities of held-out targets.

    Attributes:
      parts: maps a factor of all scales to the log-densities `[R, M]`: without the background and of it alone, or of
        all if there is none.
      rows: the numbers of the rows, `[R]`. (The steps of a sequence are rows of the same number.)
      members: which of the members have not learnt from a row and are judged by it, booleans `[R, M]`.
      weights: of the rows, `[R]`, 0 or more.
      background: the weight of the background while training, 0 if there is none.
      log_weights: the logarithms of the members' weights in the mixture, `[M]`.
    """

    parts: Callable[[float], list[np.ndarray]]
    rows: np.ndarray
    members: np.ndarray
    weights: np.ndarray
    background: float
    log_weights: np.ndarray

    def calibrated(self) -> tuple[float, float | None]:
        """The factor of the scales that suits all members together, and the weight of the background."""
        rows = self.members, self.weights
        if self.background:
            return calibration.scale_factor_and_background(self.parts, *rows, self.background, self.log_weights)
        return calibration.scale_factor(lambda factor: self.parts(factor)[0], *rows, self.log_weights), None

    def log_probs(self, factor: float, background_weight: float | None) -> np.ndarray:
        """The members' log-densities `[R, M]`."""
        if not self.background:
            return self.parts(factor)[0]
        without, alone = self.parts(factor)
        return np.logaddexp(math.log1p(-background_weight) + without, math.log(background_weight) + alone)

    def together(self, background_weight: float | None, factor: float | None = None) -> np.ndarray:
        """The log-density `[R]` of each row by the members together that have not learnt from it.

        Args:
          background_weight: of the background, if there is one.
          factor: of the scales, None for the one that suits them.
        """
        judged = functools.partial(calibration.together, members=self.members, log_weights=self.log_weights)
        log_total = judged(np.zeros(self.members.shape))  # of the weights of those who judge a row

        def log_probs(factor):
            return judged(self.log_probs(factor, background_weight)) - log_total

        return log_probs(calibration.most_likely(log_probs, self.weights) if factor is None else factor)


def crossed(by_first: Judgement, by_second: Judgement, first_half: np.ndarray) -> Judgement:
    """Two judgements of the same rows as one: that by the second for rows in the first half, and the other way round.

    Args:
      by_first: by members that the first half of their rows has stopped.
      by_second: by members that the second half has stopped.
      first_half: which of the n rows are in the first half of a member's, booleans `[n, M]`.
    """
    in_first = first_half[by_first.rows]

    def parts(factor):
        return [np.where(in_first, *pair) for pair in zip(by_second.parts(factor), by_first.parts(factor))]

    return dataclasses.replace(by_first, parts=parts)
