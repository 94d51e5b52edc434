"""Made-up tables whose targets are as real ones are: zeros, caps, ties, counts, whole numbers, one common value.

Each has four features, x ~ N(0, 1), and a known distribution of y given x, of which it draws and whose log-likelihood
it knows: of a value with probability of its own the log of that, else of the density. Shapes in comments: n rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.special
import scipy.stats

NUM_FEATURES = 4
NUM_DRAWS = 1000
# From rows x `[n, 4]` to SciPy's distributions of n targets, or to n probabilities.
Distribution = Callable[[np.ndarray], scipy.stats.rv_continuous]
Probability = Callable[[np.ndarray], np.ndarray]


class Table(Protocol):
    @property
    def edges(self) -> tuple[float, ...]:
        """The values at an end of the targets' range that have probability of their own."""

    def draw(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One y for each row: `[n]`."""

    def log_prob(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """`[n]`."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A continuous `latent` value, rounded to a grid of `step` (0: not), and moved to `low` and `high` from beyond."""

    latent: Distribution
    low: float = -math.inf
    high: float = math.inf
    step: float = 0.0

    @property
    def edges(self):
        return tuple(end for end in (self.low, self.high) if math.isfinite(end))

    def draw(self, x, rng):
        y = self.latent(x).rvs(len(x), random_state=rng)
        return np.clip(self.step * np.round(y / self.step) if self.step else y, self.low, self.high)

    def log_prob(self, x, y):
        latent, half = self.latent(x), 0.5 * self.step
        low, high = np.where(y <= self.low, -np.inf, y - half), np.where(y >= self.high, np.inf, y + half)
        with np.errstate(divide="ignore"):
            seen = np.log(np.maximum(latent.cdf(high) - latent.cdf(low), latent.sf(low) - latent.sf(high)))
        return np.where(low < high, seen, latent.logpdf(y))


@dataclasses.dataclass(frozen=True)
class Counts:
    """SciPy's discrete distributions."""

    distribution: Distribution
    edges: tuple[float, ...] = ()

    def draw(self, x, rng):
        return np.float64(self.distribution(x).rvs(len(x), random_state=rng))

    def log_prob(self, x, y):
        return self.distribution(x).logpmf(y)


@dataclasses.dataclass(frozen=True)
class Inflated:
    """One `value` with a `probability`, else what `rest` draws."""

    value: float
    probability: Probability
    rest: Seen
    edges: tuple[float, ...] = ()

    def draw(self, x, rng):
        is_value = rng.uniform(size=len(x)) < self.probability(x)
        return np.where(is_value, self.value, self.rest.draw(x, rng))

    def log_prob(self, x, y):
        probability = self.probability(x)
        rest = np.log1p(-probability) + self.rest.log_prob(x, y)
        if self.rest.step:
            return np.where(y == self.value, np.logaddexp(np.log(probability), rest), rest)
        return np.where(y == self.value, np.log(probability), rest)


def normal(mean: Callable[[np.ndarray], np.ndarray], scale: float) -> Distribution:
    return lambda x: scipy.stats.norm(mean(x), scale)


def log_normal(median: Callable[[np.ndarray], np.ndarray], spread: float, shift: float = 0.0) -> Distribution:
    return lambda x: scipy.stats.lognorm(spread, loc=shift, scale=median(x))


TABLES: dict[str, Table] = {
    # No rain on most days.
    "rain": Seen(normal(lambda x: 2.0 * x[:, 0] + x[:, 1] - 0.5, 1.0), low=0.0),
    # Until an event, in a study that ends with week 52. ceil(t) is t + 0.5, rounded.
    "weeks": Seen(
        lambda x: scipy.stats.weibull_min(1.3, loc=0.5, scale=60.0 * np.exp(0.4 * x[:, 0])), high=52.0, step=1.0
    ),
    "stars": Seen(normal(lambda x: 3.0 + x[:, 0], 0.7), 1.0, 5.0, 1.0),
    # None for most, and none below a deductible.
    "claims": Inflated(
        0.0,
        lambda x: scipy.special.expit(1.2 - x[:, 0]),
        Seen(log_normal(lambda x: 400.0 * np.exp(0.5 * x[:, 1]), 0.8, shift=100.0)),
        edges=(0.0,),
    ),
    "visits": Counts(
        lambda x: scipy.stats.nbinom(0.8, 0.8 / (0.8 + np.exp(-0.3 + 0.6 * x[:, 0] + 0.3 * x[:, 1]))), edges=(0.0,)
    ),
    "percent": Seen(normal(lambda x: 60.0 + 25.0 * x[:, 0], 30.0), 0.0, 100.0),
    "ages": Seen(normal(lambda x: 45.0 + 10.0 * x[:, 0], 9.0), step=1.0),
    # In whole euros, with a cap.
    "prices": Seen(log_normal(lambda x: 80.0 * np.exp(0.5 * x[:, 0]), 0.5), high=300.0, step=1.0),
    # On time for a third, and early or late for the others.
    "delays": Inflated(
        0.0,
        lambda x: scipy.special.expit(-0.7 - 0.5 * x[:, 1]),
        Seen(log_normal(lambda x: 15.0 * np.exp(0.4 * x[:, 0]), 0.7, shift=-10.0)),
    ),
    # Forty a week for half of all, in whole hours.
    "hours": Inflated(
        40.0, lambda x: scipy.special.expit(0.5 * x[:, 1]), Seen(normal(lambda x: 38.0 + 5.0 * x[:, 0], 9.0), step=1.0)
    ),
    # Whole numbers over three orders of magnitude.
    "citations": Seen(log_normal(lambda x: 8.0 * np.exp(0.8 * x[:, 0]), 1.2), step=1.0),
    # Whole numbers so dense that nothing is lost by taking them for continuous.
    "passengers": Seen(normal(lambda x: 500.0 + 150.0 * x[:, 0], 60.0), step=1.0),
}


def sample(name: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a table: x `[n, 4]` and y `[n]`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, NUM_FEATURES))
    return x, TABLES[name].draw(x, rng)


def interval(name: str, x: np.ndarray, coverage: float) -> np.ndarray:
    """The true central intervals of rows x `[n, 4]`, by draws: `[n, 2]`."""
    draws = TABLES[name].draw(np.repeat(x, NUM_DRAWS, 0), np.random.default_rng(0)).reshape(len(x), NUM_DRAWS)
    tail = 0.5 * (1.0 - coverage)
    return np.quantile(draws, [tail, 1.0 - tail], axis=1, method="inverted_cdf").T
