"""What the methods of real_peers.py answer, and how it is scored.

Shapes in comments: n rows, L levels.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import pandas as pd
import scipy.stats
from scoring import NormalMixture

# Of the quantiles that some methods predict one by one. The outermost are the ends of 90 % intervals.
LEVELS = np.arange(1, 20) / 20
# Of the integral over all levels where there is no closed form.
FINE = (np.arange(200) + 0.5) / 200


class Answer(Protocol):
    """The distributions of n rows. `log_prob` and `crps` are None for methods that predict quantiles alone."""

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """`[n, L]`."""

    def log_prob(self, y: np.ndarray) -> np.ndarray | None: ...

    def crps(self, y: np.ndarray) -> np.ndarray | None: ...


@dataclasses.dataclass(frozen=True)
class Normals:
    """Normal distributions of means and standard deviations `[n]`."""

    loc: np.ndarray
    scale: np.ndarray

    @property
    def _mixture(self) -> NormalMixture:
        return NormalMixture.of(np.zeros((len(self.loc), 1)), self.loc[:, None, None], self.scale[:, None, None])

    def quantiles(self, levels):
        return scipy.stats.norm.ppf(levels, self.loc[:, None], self.scale[:, None])

    def log_prob(self, y):
        return self._mixture.log_prob(y[:, None])

    def crps(self, y):
        return self._mixture.crps(y[:, None])[:, 0]


@dataclasses.dataclass(frozen=True)
class Quantiles:
    """Quantiles at `LEVELS`, `[n, 19]`: between two of them on a straight line, and beyond the outermost as these."""

    values: np.ndarray

    def quantiles(self, levels):
        values = np.sort(self.values, 1)  # those that cross are put in order
        return np.stack([np.interp(levels, LEVELS, row) for row in values])

    def log_prob(self, y):
        return None

    def crps(self, y):
        return None


@dataclasses.dataclass(frozen=True)
class Mixtures:
    """What a fitted `tfmdn.MDNRegressor` says of the rows of a frame."""

    regressor: object
    frame: pd.DataFrame

    def quantiles(self, levels):
        return np.asarray(self.regressor.predict_quantiles(self.frame, levels))

    def log_prob(self, y):
        import tfmdn
        from tfmdn.distributions import tensors

        mixture = self.regressor.predict_dist(self.frame)
        log_prob = -tfmdn.negative_log_likelihood(y, mixture).numpy()
        # Where targets lie on a grid this is the probability of a value of it. Others predict densities.
        step = getattr(tensors.plain(mixture.components_distribution), "resolution", None)
        return log_prob if step is None else log_prob - np.log(np.max(step))

    def crps(self, y):
        import tfmdn

        return tfmdn.crps(y, self.regressor.predict_dist(self.frame), batch_size=2_000).numpy()


def scores_of(answer: Answer, y: np.ndarray) -> dict[str, float]:
    """The mean scores of an answer for targets `[n]`."""
    levels = answer.quantiles(LEVELS)
    low, high = levels[:, 0], levels[:, -1]
    exact, log_prob = answer.crps(y), answer.log_prob(y)
    scores = {
        "crps": pinball(answer.quantiles(FINE), FINE, y) if exact is None else float(exact.mean()),
        "crps_levels": pinball(levels, LEVELS, y),
        "coverage": float(((low <= y) & (y <= high)).mean()),
        "width": float((high - low).mean()),
        "mae": float(np.abs(answer.quantiles(np.array([0.5]))[:, 0] - y).mean()),
    }
    return scores if log_prob is None else scores | {"nll": -float(log_prob.mean())}


def pinball(quantiles: np.ndarray, levels: np.ndarray, y: np.ndarray) -> float:
    """Twice the mean pinball loss of quantiles `[n, L]` at levels `[L]`: the CRPS, as the levels fill (0, 1)."""
    error = y[:, np.newaxis] - quantiles
    return float(2.0 * np.maximum(levels * error, (levels - 1.0) * error).mean())
