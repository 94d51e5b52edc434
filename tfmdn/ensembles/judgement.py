"""What members of an ensemble think of targets that they have not learnt from.

Shapes in comments: R rows, M members.
"""

from __future__ import annotations

import dataclasses
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
    """

    parts: Callable[[float], list[np.ndarray]]
    rows: np.ndarray
    members: np.ndarray
    weights: np.ndarray
    background: float

    def calibrated(self) -> tuple[float, float | None]:
        """The factor of the scales that suits all members together, and the weight of the background."""
        if self.background:
            return calibration.scale_factor_and_background(self.parts, self.members, self.weights, self.background)
        return calibration.scale_factor(lambda factor: self.parts(factor)[0], self.members, self.weights), None

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
        log_size = math.log(self.members[0].sum())

        def log_probs(factor):
            return calibration.together(self.log_probs(factor, background_weight), self.members) - log_size

        return log_probs(calibration.most_likely(log_probs, self.weights) if factor is None else factor)
