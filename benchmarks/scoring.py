"""One scorer for every conditional density: what a method predicts, and how good it was.

A method predicts parameters (`NormalMixture`) or, where its density is no mixture of normals, a function and draws
(`Sampled`). Everything else is computed here, by NumPy and SciPy in float64, in the target's own units.
Shapes in comments: n rows, K components, D coordinates of the target, S draws.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.special

COVERAGE = 0.9
NUM_DRAWS = 1000
HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Prediction(Protocol):
    """The conditional densities of n rows."""

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """log p(y) in nats: `[n]` for y `[n, D]`."""

    def mean(self) -> np.ndarray:
        """`[n, D]`."""

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """P(Y <= y) of each coordinate by itself: `[n, D]`."""

    def crps(self, y: np.ndarray) -> np.ndarray:
        """The continuous ranked probability score of each coordinate by itself, in its units: `[n, D]`."""

    def in_units(self, location: np.ndarray, scale: np.ndarray) -> Prediction:
        """The density of location + scale * Y, each `[D]`."""


@dataclasses.dataclass(frozen=True)
class NormalMixture:
    """Mixtures of normal distributions.

    Attributes:
      log_weights: `[n, K]`.
      loc: `[n, K, D]`.
      scale_tril: lower triangular factors of the covariances, `[n, K, D, D]`.
    """

    log_weights: np.ndarray
    loc: np.ndarray
    scale_tril: np.ndarray

    @classmethod
    def of(cls, log_weights, loc, scale) -> NormalMixture:
        """From `[n, K]`, `[n, K, D]`, and standard deviations `[n, K, D]` or factors `[n, K, D, D]`."""
        log_weights, loc, scale = (np.asarray(array, np.float64) for array in (log_weights, loc, scale))
        if scale.ndim == loc.ndim:
            scale = scale[..., np.newaxis] * np.eye(loc.shape[-1])
        return cls(scipy.special.log_softmax(log_weights, -1), loc, scale)

    @property
    def weights(self) -> np.ndarray:
        """`[n, K, 1]`."""
        return np.exp(self.log_weights)[..., np.newaxis]

    @property
    def stddev(self) -> np.ndarray:
        """`[n, K, D]`."""
        return np.sqrt(np.square(self.scale_tril).sum(-1))

    def log_prob(self, y):
        difference = (y[:, np.newaxis] - self.loc)[..., np.newaxis]  # [n, K, D, 1]
        z = np.linalg.solve(self.scale_tril, difference)[..., 0]
        diagonal = np.diagonal(self.scale_tril, axis1=-2, axis2=-1)  # [n, K, D]
        log_probs = -(0.5 * np.square(z) + np.log(diagonal) + HALF_LOG_TWO_PI).sum(-1)
        return scipy.special.logsumexp(log_probs + self.log_weights, -1)

    def mean(self):
        return (self.weights * self.loc).sum(1)

    def cdf(self, y):
        return (self.weights * scipy.special.ndtr((y[:, np.newaxis] - self.loc) / self.stddev)).sum(1)

    def crps(self, y):
        # Grimit et al. (2006): E|X - y| - E|X - X'| / 2, pair by pair of components.
        weights, stddev = self.weights, self.stddev
        score = (weights * expected_distance(y[:, np.newaxis] - self.loc, stddev)).sum(1)
        for k in range(self.loc.shape[1]):
            spread = np.hypot(stddev, stddev[:, k : k + 1])
            distance = (weights * expected_distance(self.loc - self.loc[:, k : k + 1], spread)).sum(1)
            score -= 0.5 * weights[:, k] * distance
        return score

    def in_units(self, location, scale):
        return NormalMixture(self.log_weights, location + scale * self.loc, scale[:, np.newaxis] * self.scale_tril)


def expected_distance(difference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """E|difference + scale Z| of a standard normal Z."""
    z = difference / scale
    density = np.exp(-0.5 * np.square(z) - HALF_LOG_TWO_PI)
    return difference * scipy.special.erf(z / math.sqrt(2.0)) + 2.0 * scale * density


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Densities of any kind: mean, distribution function and CRPS are those of `NUM_DRAWS` draws a row.

    Attributes:
      density: maps y `[n, D]` to log p(y) `[n]`.
      draw: maps S to draws `[S, n, D]`.
    """

    density: Callable[[np.ndarray], np.ndarray]
    draw: Callable[[int], np.ndarray]

    @functools.cached_property
    def draws(self) -> np.ndarray:
        return np.sort(self.draw(NUM_DRAWS), 0).astype(np.float64)

    def log_prob(self, y):
        return self.density(y)

    def mean(self):
        return self.draws.mean(0)

    def cdf(self, y):
        return (self.draws <= y).mean(0)

    def crps(self, y):
        # The sum of |x_i - x_j| over pairs, from sorted draws; divided as an unbiased estimate.
        count = len(self.draws)
        ranks = 2.0 * np.arange(1, count + 1) - count - 1.0
        spread = np.tensordot(ranks, self.draws, 1) / (count * (count - 1))
        return np.abs(self.draws - y).mean(0) - spread

    def in_units(self, location, scale):
        return Sampled(
            lambda y: self.density((y - location) / scale) - np.log(scale).sum(),
            lambda count: location + scale * self.draw(count),
        )


def score(prediction: Prediction, y: np.ndarray) -> dict[str, float]:
    """The mean scores of the rows y `[n, D]`: NLL in nats, RMSE of the mean, coverage of the central interval, CRPS.

    The interval of a vector's coordinates and its CRPS are averaged over the coordinates.
    """
    tail = 0.5 * (1.0 - COVERAGE)
    cdf = prediction.cdf(y)
    return {
        "nll": nll(prediction, y),
        "rmse": float(np.sqrt(np.square(prediction.mean() - y).mean())),
        # y lies in the central interval exactly where its distribution function lies between the tails.
        "coverage": float(((cdf >= tail) & (cdf <= 1.0 - tail)).mean()),
        "crps": float(prediction.crps(y).mean()),
    }


def coarse_scores(estimator, data) -> dict[str, float]:
    """The scores of an `MDNRegressor` on the test rows of a `tasks.CoarseData`, and beside them those of the truth.

    Its NLL is in part that of probabilities. "inner" is the coverage on the rows whose target is not at an edge.
    """
    y = data.y_test[:, 0] if data.y_test.shape[1] == 1 else data.y_test
    nll = -float(estimator.score(data.x_test, y))
    scores = {"nll": nll, "excess": nll - data.limit}
    if data.interval is not None:
        inner = ~np.isin(y, data.edges)
        for name, interval in (
            ("", np.asarray(estimator.predict_interval(data.x_test, coverage=COVERAGE))),
            ("true_", data.interval),
        ):
            inside = (interval[:, 0] <= y) & (y <= interval[:, 1])
            scores |= {f"{name}coverage": float(inside.mean()), f"{name}inner": float(inside[inner].mean())}
    return scores


def nll(prediction: Prediction, y: np.ndarray) -> float:
    return -float(np.mean(prediction.log_prob(y)))
