"""Problems with several answers: y is drawn uniformly from a box, x = forward(y) + noise is seen, y is asked.

Shapes in comments: n rows, D coordinates, G points of a quadrature over y.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from tfmdn import validation

# Midpoint rules: dense enough for best_nll to be good to three decimals in each of the problems below.
QUADRATURE_POINTS = {1: (8001,), 2: (256, 128)}
GRID_POINTS = {1: 2001, 2: 301}
MARGINAL_POINTS = 16  # of a coordinate that is held fixed
CHUNK = 2**22  # numbers held at once


@dataclasses.dataclass(frozen=True)
class InverseProblem:
    """y ~ Uniform(low, high), x = forward(y) + noise; predict y from x.

    Attributes:
      forward: maps y `[n, D]` to the noiseless x `[n, D]`, one coordinate of noise each.
      low: the lower corner of the box of y, D numbers.
      high: the upper corner.
      noise: "normal" or "uniform".
      noise_scale: the standard deviation of normal noise, or the half width of uniform noise; 0 for none.
      missing: the probability with which a coordinate of y is not observed, whatever its value and the others'.
    """

    forward: Callable[[np.ndarray], np.ndarray]
    low: tuple[float, ...]
    high: tuple[float, ...]
    noise: str
    noise_scale: float
    missing: float = 0.0

    def __post_init__(self):
        validation.one_of("noise", self.noise, ("normal", "uniform"))
        if self.noise_scale != 0.0:
            validation.positive_number("noise_scale", self.noise_scale)
        validation.proportion("missing", self.missing)

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws n pairs: x `[n, D]` and y, `[n]` for D = 1 and else `[n, D]`, in float32; NaN where it is missing.

        >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(1000, seed=0)
        >>> x.shape, y.shape
        ((1000, 1), (1000,))
        """
        n = validation.positive_integer("n", n)
        rng = np.random.default_rng(seed)
        y = rng.uniform(self.low, self.high, (n, len(self.low)))
        noise = rng.normal(size=y.shape) if self.noise == "normal" else rng.uniform(-1.0, 1.0, y.shape)
        x = self.forward(y) + self.noise_scale * noise
        if self.missing:
            y = np.where(rng.uniform(size=y.shape) < self.missing, np.nan, y)
        return x.astype(np.float32), (y[:, 0] if len(self.low) == 1 else y).astype(np.float32)

    def log_prob(self, x, y) -> np.ndarray:
        """The exact log p(y | x) in nats, by quadrature over y in float64: `[n]`. -inf where y is impossible.

        Args:
          x: `[n, D]`; for D = 1 also `[n]`.
          y: `[n, D]`; for D = 1 also `[n]`. Coordinates that are NaN are integrated out.

        Raises:
          ValueError: if the problem has no noise. y given x then has no density.
        """
        self._require_noise()
        dimensions = len(self.low)
        x = np.asarray(x, np.float64).reshape(-1, dimensions)
        y = np.asarray(y, np.float64).reshape(-1, dimensions)
        observed = ~np.isnan(y)
        possible = np.all(~observed | ((y >= np.float32(self.low)) & (y <= np.float32(self.high))), -1)
        with np.errstate(divide="ignore"):
            distinct, position = np.unique(x, axis=0, return_inverse=True)  # a density is often asked along y at one x
            evidence = np.concatenate([np.log(self._evidence(rows)) for rows in self._chunks(distinct)])
            evidence = evidence[position.ravel()]
            joint = np.empty(len(x))
            for kept in np.unique(observed, axis=0):
                rows = np.all(observed == kept, -1)
                joint[rows] = self._log_joint(x[rows], y[rows], kept) if kept.any() else evidence[rows]
        return np.where(possible, joint - evidence, -np.inf)

    def _log_joint(self, x: np.ndarray, y: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """log p(x, y) of the coordinates `kept` `[D]` of y: `[n]`."""
        log_prior = -math.log(math.prod(np.subtract(self.high, self.low)[kept]))
        points = 1 if kept.all() else math.prod(np.array(QUADRATURE_POINTS[len(self.low)])[~kept])
        likelihood = [
            self._noise_density(x[rows, np.newaxis] - self._images_of(y[rows], kept)).prod(-1).mean(-1)
            for rows in np.array_split(np.arange(len(x)), max(1, x.size * points // CHUNK))
        ]
        return log_prior + np.log(np.concatenate(likelihood))

    @functools.cached_property
    def best_nll(self) -> float:
        """The NLL of the true conditional in nats: its entropy, h(y | x) = h(y) + h(x | y) - h(x), by quadrature.

        With missing coordinates, the mean over what is observed of the entropy of that part of y.

        >>> round(tfmdn.datasets.inverse_sinusoid().best_nll, 3)
        1.288
        >>> round(tfmdn.datasets.robot_arm(missing=0.3).best_nll, 3)
        -1.554
        """
        self._require_noise()
        entropy_of_x, total = self._entropy_of_x(self._images), 0.0
        for kept in itertools.product((False, True), repeat=len(self.low)):
            if any(kept):
                share = (1.0 - self.missing) ** sum(kept) * self.missing ** (len(kept) - sum(kept))
                if share:
                    total += share * (self._entropy_of(np.array(kept)) - entropy_of_x)
        return float(total)

    def _entropy_of(self, kept: np.ndarray) -> float:
        """h(x, y) = h(y) + h(x | y) of the coordinates `kept` `[D]` of y."""
        prior = math.log(math.prod(np.subtract(self.high, self.low)[kept]))
        if kept.all():
            scale = self.noise_scale
            noise = (
                math.log(2.0 * scale) if self.noise == "uniform" else 0.5 * math.log(2.0 * math.pi * math.e * scale**2)
            )
            return prior + len(kept) * noise
        points = self._grid([MARGINAL_POINTS if keep else 1 for keep in kept])
        return prior + float(
            np.mean([self._entropy_of_x(self._images_of(point[np.newaxis], kept)[0]) for point in points])
        )

    def _require_noise(self) -> None:
        if self.noise_scale == 0.0:
            raise ValueError("Without noise y given x has no density. Received: noise_scale=0.")

    def _grid(self, counts: Sequence[int]) -> np.ndarray:
        """The midpoints of a regular grid over the box: `[G, D]`."""
        axes = [
            low + (np.arange(count) + 0.5) / count * (high - low)
            for low, high, count in zip(self.low, self.high, counts)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(self.low))

    @functools.cached_property
    def _images(self) -> np.ndarray:
        """forward(y) over the box: `[G, D]`."""
        return self.forward(self._grid(QUADRATURE_POINTS[len(self.low)]))

    def _images_of(self, y: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """forward over a grid of the coordinates that are not `kept` `[D]`, beside those of y `[n, D]`: `[n, G, D]`."""
        points = QUADRATURE_POINTS[len(self.low)]
        grid = self._grid([1 if keep else count for keep, count in zip(kept, points)])
        whole = np.where(kept, y[:, np.newaxis], grid)
        return self.forward(whole.reshape(-1, len(kept))).reshape(whole.shape)

    def _noise_density(self, residual: np.ndarray) -> np.ndarray:
        scaled = residual / self.noise_scale
        if self.noise == "uniform":
            return np.where(np.abs(scaled) <= 1.0, 0.5 / self.noise_scale, 0.0)
        return np.exp(-0.5 * scaled**2) / (self.noise_scale * math.sqrt(2.0 * math.pi))

    def _chunks(self, x: np.ndarray):
        rows = max(1, CHUNK // self._images.size)
        return (x[start : start + rows] for start in range(0, len(x), rows))

    def _evidence(self, x: np.ndarray) -> np.ndarray:
        """p(x), the mean of p(x | y) over y: `[n]`."""
        return self._noise_density(x[:, np.newaxis] - self._images).prod(-1).mean(-1)

    def _entropy_of_x(self, images: np.ndarray) -> float:
        """The entropy of the noise around one of `images` `[G, D]`, each as likely as the others."""
        # The noise of the coordinates is independent: p(x) on a grid is a product of one matrix [G, points] for each.
        margin = self.noise_scale * (1.0 if self.noise == "uniform" else 8.0)
        lowest, highest = images.min(0) - margin, images.max(0) + margin
        grids = [np.linspace(low, high, GRID_POINTS[len(self.low)]) for low, high in zip(lowest, highest)]
        cell = math.prod(grid[1] - grid[0] for grid in grids)
        density = 0.0
        for part in np.array_split(images, max(1, images.size * GRID_POINTS[len(self.low)] // CHUNK)):
            kernels = [self._noise_density(grid - image[:, np.newaxis]) for grid, image in zip(grids, part.T)]
            density = density + (kernels[0].sum(0) if len(kernels) == 1 else kernels[0].T @ kernels[1])
        density = density / len(images)
        return -float(np.sum(density * np.log(np.where(density > 0, density, 1.0)))) * cell


# What maps y to x has a name, and not only where it is used: so problems can be pickled and compared.


def _sinusoid(y: np.ndarray) -> np.ndarray:
    return 7.0 * np.sin(0.75 * y) + 0.5 * y


def _rising_wave(t: np.ndarray) -> np.ndarray:
    return t + 0.3 * np.sin(2.0 * np.pi * t)


@dataclasses.dataclass(frozen=True)
class _Position:
    """Of the end of an arm of two links, `[n, 2]`, given the angles of its joints."""

    long: float
    short: float

    def __call__(self, angles: np.ndarray) -> np.ndarray:
        first, both = angles[:, 0], angles.sum(-1)
        arms = [(function(first), function(both)) for function in (np.cos, np.sin)]
        return np.stack([self.long * near - self.short * far for near, far in arms], -1)


def inverse_sinusoid() -> InverseProblem:
    """Ha's inverse sinusoid (2015): x = 7 sin(0.75 y) + 0.5 y + N(0, 1), y ~ U(-10.5, 10.5). Up to five answers."""
    return InverseProblem(_sinusoid, (-10.5,), (10.5,), "normal", 1.0)


def bishop_inverse(noise: str = "uniform", noise_scale: float = 0.1) -> InverseProblem:
    """Bishop's inverse problem (1994): x = t + 0.3 sin(2 pi t) + noise, t ~ U(0, 1). Up to three answers.

    Args:
      noise: "uniform", as in the paper, or "normal".
      noise_scale: the half width of uniform noise, the standard deviation of normal noise.
    """
    return InverseProblem(_rising_wave, (0.0,), (1.0,), noise, noise_scale)


def robot_arm(
    noise_scale: float = 0.02, lengths: tuple[float, float] = (0.8, 0.2), missing: float = 0.0
) -> InverseProblem:
    """Bishop's two-joint robot arm (1994): the position of the end effector is given, the two joint angles are asked.

    x1 = L1 cos t1 - L2 cos(t1 + t2), x2 = L1 sin t1 - L2 sin(t1 + t2), t1 ~ U(0.3, 1.2), t2 ~ U(pi/2, 3 pi/2): elbow up
    or elbow down.

    Args:
      noise_scale: the standard deviation of the normal noise on both coordinates of the position; 0 for none.
      lengths: the lengths L1 and L2 of the two links.
      missing: the probability with which an angle is not observed (NaN), each by itself.
    """
    return InverseProblem(
        _Position(*lengths), (0.3, math.pi / 2), (1.2, 3 * math.pi / 2), "normal", noise_scale, missing
    )
