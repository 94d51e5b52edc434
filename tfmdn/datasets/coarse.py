"""Problems whose targets are seen coarsely: cut off at a limit, rounded to a grid, or censored.

What is seen says that the true value lies in a set, a point or an interval. Its likelihood is the density at the point
or the probability of the interval (Heitjan and Rubin 1991), and the best NLL that of the true distribution.
Shapes in comments: n rows, G points of a quadrature over x, V values on the grid.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from scipy import special

from tfmdn import validation

QUADRATURE_POINTS = 2001  # midpoints over x: good to six decimals
FAR = 10.0  # standard deviations beyond which a normal distribution has nothing


@dataclasses.dataclass(frozen=True)
class CoarseNormal:
    """y is what can be seen of x + N(0, noise_scale**2), where x ~ Uniform(-3, 3).

    Attributes:
      noise_scale: the standard deviation around the line.
      low: what lies below is seen as this limit, which thereby has a probability of its own; -inf for no limit.
      step: what is seen is rounded to multiples of this, of which `low` must be one; 0 for no rounding.
    """

    noise_scale: float = 1.0
    low: float = -math.inf
    step: float = 0.0

    def __post_init__(self):
        validation.positive_number("noise_scale", self.noise_scale)
        validation.nonnegative_number("step", self.step)
        if self.step and math.isfinite(self.low) and not self._on_grid(np.array(self.low)):
            raise ValueError(f"`low` must be a multiple of `step`. Received: low={self.low}, step={self.step}.")

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws n pairs: x `[n, 1]` and y `[n]`, in float32.

        >>> x, y = tfmdn.datasets.tobit().sample(1000, seed=0)
        >>> float(y.min()), round(float((y == 0.0).mean()), 1)
        (0.0, 0.5)
        """
        n = validation.positive_integer("n", n)
        rng = np.random.default_rng(seed)
        x = rng.uniform(-3.0, 3.0, (n, 1)).astype(np.float32)
        y = x[:, 0] + self.noise_scale * rng.normal(size=n)
        if self.step:
            y = self.step * np.round(y / self.step)
        return x, np.maximum(y, self.low).astype(np.float32)

    def log_prob(self, x, y) -> np.ndarray:
        """The exact log-likelihood of y given x in nats: `[n]`. -inf where y is impossible.

        It is the log of a probability at the limit and on the grid, and of a density elsewhere.

        Args:
          x: `[n, 1]` or `[n]`.
          y: `[n]` or `[n, 1]`.
        """
        mean, y = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
        z = (y - mean) / self.noise_scale
        half = 0.5 * self.step / self.noise_scale
        below = np.where(np.float32(y) <= np.float32(self.low), -np.inf, z - half)
        interval = below < z + half
        seen = log_normal_probability(below, np.where(interval, z + half, np.inf))
        exact = -0.5 * np.square(z) - 0.5 * math.log(2.0 * math.pi) - math.log(self.noise_scale)
        possible = self._on_grid(y) & (np.float32(y) >= np.float32(self.low))
        return np.where(possible, np.where(interval, seen, exact), -np.inf)

    def _on_grid(self, y: np.ndarray) -> np.ndarray:
        if not self.step:
            return np.ones_like(y, bool)
        return np.abs(y - self.step * np.round(y / self.step)) <= 1e-6 * (np.abs(y) + self.step)

    @functools.cached_property
    def best_nll(self) -> float:
        """The NLL of the true distribution in nats, the mean over x of its entropy at x, by quadrature over x.

        On a grid it is a sum over the grid's values, else that of a normal distribution cut at a = (low - x) / scale,
        in closed form: -Phi(a) log Phi(a) + (1 - Phi(a)) (log(scale sqrt(2 pi)) + 1/2) + a phi(a) / 2.

        >>> round(tfmdn.datasets.tobit().best_nll, 4), round(tfmdn.datasets.rounded_normal().best_nll, 4)
        (0.8595, 2.1224)
        """
        x = 6.0 * (np.arange(QUADRATURE_POINTS) + 0.5) / QUADRATURE_POINTS - 3.0
        if self.step:
            reach = 3.0 + FAR * self.noise_scale
            values = self.step * np.arange(-math.ceil(reach / self.step), math.ceil(reach / self.step) + 1)
            if math.isfinite(self.low):
                values = np.append(self.low, values[values > self.low + 0.5 * self.step])
            log_probs = np.stack([self.log_prob(x, np.full_like(x, value)) for value in values])  # [V, G]
            return float(special.entr(np.exp(log_probs)).sum(0).mean())
        z = (self.low - x) / self.noise_scale
        at_limit, above = special.ndtr(z), special.ndtr(-z)
        slope = np.where(np.isfinite(z), z, 0.0) * np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
        level = math.log(self.noise_scale * math.sqrt(2.0 * math.pi)) + 0.5
        return float(np.mean(special.entr(at_limit) + above * level + 0.5 * slope))


def log_normal_probability(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log(Phi(high) - Phi(low)), computed in the tail on whose side the interval lies."""
    turned = low > 0.0
    low, high = np.where(turned, -high, low), np.where(turned, -low, high)
    above, below = special.log_ndtr(high), special.log_ndtr(low)
    return above + np.log1p(-np.exp(below - above))


@dataclasses.dataclass(frozen=True)
class CensoredWeibull:
    """The time to an event, T ~ Weibull(shape, scale exp(x / 2)), x ~ Uniform(-2, 2), or a time that T exceeds.

    At a time C, given x independent of T, one stops looking, and knows of the later ones that T > C. C is a Weibull
    time of the same shape, so that the same part of the rows is censored at each x (Koziol and Green 1976).

    Attributes:
      shape: 1 for a constant hazard, above 1 for one that grows.
      censored: the probability that T > C.
    """

    shape: float = 1.5
    censored: float = 0.3

    def __post_init__(self):
        validation.positive_number("shape", self.shape)
        validation.proportion("censored", self.censored)

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws n pairs: x `[n, 1]` and y `[n, 2]`, in float32. y is (T, T), or (C, inf) where T is censored.

        >>> x, y = tfmdn.datasets.censored_weibull().sample(1000, seed=0)
        >>> print(y[:3].round(2))
        [[0.02  inf]
         [0.66 0.66]
         [0.23 0.23]]
        """
        n = validation.positive_integer("n", n)
        rng = np.random.default_rng(seed)
        x = rng.uniform(-2.0, 2.0, (n, 1)).astype(np.float32)
        # The hazards add up: the first of both is a Weibull time too, and which of them it is does not depend on it.
        first = rng.exponential(1.0 - self.censored, n) ** (1.0 / self.shape) * np.exp(0.5 * x[:, 0])
        is_censored = rng.uniform(size=n) < self.censored
        return x, np.stack([first, np.where(is_censored, np.inf, first)], -1).astype(np.float32)

    def log_prob(self, x, y) -> np.ndarray:
        """The exact log-likelihood of the intervals y given x in nats: `[n]`. -inf where y is impossible.

        Args:
          x: `[n, 1]` or `[n]`.
          y: `[n, 2]`, the ends of an interval that T lies in. The density counts where they are equal, else the
            probability. -inf or 0 and inf stand for no bound.
        """
        x, y = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64)
        low, high = np.maximum(y, 0.0).T * np.exp(-0.5 * x)
        interval = low < high
        with np.errstate(divide="ignore"):
            slope = (self.shape - 1.0) * np.log(low) if self.shape != 1.0 else 0.0
            exact = math.log(self.shape) - 0.5 * x + slope - low**self.shape
            seen = -(low**self.shape) + np.log(
                -np.expm1(low**self.shape - np.where(interval, high, np.inf) ** self.shape)
            )
        return np.where(interval, seen, np.where((low == high) & (y[:, 1] >= 0.0), exact, -np.inf))

    @functools.cached_property
    def best_nll(self) -> float:
        """The NLL of the true distribution of T on what is seen of it, in nats, in closed form.

        With p = 1 - censored the first of both times, in units of the scale and to the power of the shape, is
        exponential of mean p, and the mean of its logarithm is log(p) - gamma (Euler's constant): the NLL is
        p (1 - log(shape) - (1 - 1 / shape) (log(p) - gamma)), as the mean of log(scale) is 0.

        >>> round(tfmdn.datasets.censored_weibull().best_nll, 4)
        0.6341
        """
        seen = 1.0 - self.censored
        return seen * (1.0 - math.log(self.shape) - (1.0 - 1.0 / self.shape) * (math.log(seen) - np.euler_gamma))


def tobit(low: float = 0.0) -> CoarseNormal:
    """Tobin's model (1958): y = max(low, x + N(0, 1)), x ~ U(-3, 3). Half of the rows lie at the limit.

    Args:
      low: the limit.
    """
    return CoarseNormal(low=low)


def rounded_normal(step: float = 0.5) -> CoarseNormal:
    """y = x + N(0, 1), rounded to multiples of `step`, x ~ U(-3, 3).

    Args:
      step: the distance of the values, in standard deviations.
    """
    return CoarseNormal(step=step)


def censored_weibull(shape: float = 1.5, censored: float = 0.3) -> CensoredWeibull:
    """T ~ Weibull(shape, exp(x / 2)), x ~ U(-2, 2), of which some rows only tell a time that T exceeds.

    Args:
      shape: the shape of the Weibull distribution, 1 for an exponential one.
      censored: the part of the rows that is censored.
    """
    return CensoredWeibull(shape, censored)
