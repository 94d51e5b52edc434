"""The field's toy problems, with the exact density of the answer and the best NLL that any model can reach.

Each is an inverse problem: y is drawn uniformly from a box, x = forward(y) + noise is seen, and the task is y given x,
which has several answers. Shapes in comments: n rows, D coordinates, G points of a quadrature over y.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from tfmdn import validation

# Midpoint rules: dense enough for best_nll to be good to three decimals in each of the problems below.
QUADRATURE_POINTS = {1: (8001,), 2: (256, 128)}
GRID_POINTS = {1: 2001, 2: 301}
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
    """

    forward: Callable[[np.ndarray], np.ndarray]
    low: tuple[float, ...]
    high: tuple[float, ...]
    noise: str
    noise_scale: float

    def __post_init__(self):
        validation.one_of("noise", self.noise, ("normal", "uniform"))
        if self.noise_scale != 0.0:
            validation.positive_number("noise_scale", self.noise_scale)

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws n pairs: x `[n, D]` and y, `[n]` for D = 1 and else `[n, D]`, in float32.

        >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(1000, seed=0)
        >>> x.shape, y.shape
        ((1000, 1), (1000,))
        """
        n = validation.positive_integer("n", n)
        rng = np.random.default_rng(seed)
        y = rng.uniform(self.low, self.high, (n, len(self.low)))
        noise = rng.normal(size=y.shape) if self.noise == "normal" else rng.uniform(-1.0, 1.0, y.shape)
        x = self.forward(y) + self.noise_scale * noise
        return x.astype(np.float32), (y[:, 0] if len(self.low) == 1 else y).astype(np.float32)

    def log_prob(self, x, y) -> np.ndarray:
        """The exact log p(y | x) in nats, by quadrature over y in float64: `[n]`. -inf where y is impossible.

        Args:
          x: `[n, D]`; for D = 1 also `[n]`.
          y: `[n, D]`; for D = 1 also `[n]`.

        Raises:
          ValueError: if the problem has no noise. y given x then has no density.
        """
        self._require_noise()
        dimensions = len(self.low)
        x = np.asarray(x, np.float64).reshape(-1, dimensions)
        y = np.asarray(y, np.float64).reshape(-1, dimensions)
        possible = np.all((y >= np.float32(self.low)) & (y <= np.float32(self.high)), -1)
        with np.errstate(divide="ignore"):
            joint = np.log(self._noise_density(x - self.forward(y)).prod(-1))
            distinct, position = np.unique(x, axis=0, return_inverse=True)  # a density is often asked along y at one x
            evidence = np.concatenate([np.log(self._evidence(rows)) for rows in self._chunks(distinct)])
            evidence = evidence[position.ravel()]
        return np.where(possible, joint - self._log_volume - evidence, -np.inf)

    @functools.cached_property
    def best_nll(self) -> float:
        """The NLL of the true conditional in nats: its entropy, h(y | x) = h(y) + h(x | y) - h(x), by quadrature.

        >>> round(tfmdn.datasets.inverse_sinusoid().best_nll, 3)
        1.288
        """
        self._require_noise()
        scale = self.noise_scale
        noise_entropy = (
            math.log(2.0 * scale) if self.noise == "uniform" else 0.5 * math.log(2.0 * math.pi * math.e * scale**2)
        )
        return float(self._log_volume + len(self.low) * noise_entropy - self._entropy_of_x())

    def _require_noise(self) -> None:
        if self.noise_scale == 0.0:
            raise ValueError("Without noise y given x has no density. Received: noise_scale=0.")

    @property
    def _log_volume(self) -> float:
        return float(np.log(np.subtract(self.high, self.low)).sum())

    @functools.cached_property
    def _images(self) -> np.ndarray:
        """forward(y) at the midpoints of a regular grid over the box: `[G, D]`."""
        points = QUADRATURE_POINTS[len(self.low)]
        axes = [
            low + (np.arange(count) + 0.5) / count * (high - low)
            for low, high, count in zip(self.low, self.high, points)
        ]
        return self.forward(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(self.low)))

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

    def _entropy_of_x(self) -> float:
        # The noise of the coordinates is independent: p(x) on a grid is a product of one matrix [G, points] for each.
        margin = self.noise_scale * (1.0 if self.noise == "uniform" else 8.0)
        lowest, highest = self._images.min(0) - margin, self._images.max(0) + margin
        grids = [np.linspace(low, high, GRID_POINTS[len(self.low)]) for low, high in zip(lowest, highest)]
        cell = math.prod(grid[1] - grid[0] for grid in grids)
        density = 0.0
        for images in np.array_split(self._images, max(1, self._images.size * GRID_POINTS[len(self.low)] // CHUNK)):
            kernels = [self._noise_density(grid - image[:, np.newaxis]) for grid, image in zip(grids, images.T)]
            density = density + (kernels[0].sum(0) if len(kernels) == 1 else kernels[0].T @ kernels[1])
        density = density / len(self._images)
        return -float(np.sum(density * np.log(np.where(density > 0, density, 1.0)))) * cell


def inverse_sinusoid() -> InverseProblem:
    """Ha's inverse sinusoid (2015): x = 7 sin(0.75 y) + 0.5 y + N(0, 1), y ~ U(-10.5, 10.5). Up to five answers."""
    return InverseProblem(lambda y: 7.0 * np.sin(0.75 * y) + 0.5 * y, (-10.5,), (10.5,), "normal", 1.0)


def bishop_inverse(noise: str = "uniform", noise_scale: float = 0.1) -> InverseProblem:
    """Bishop's inverse problem (1994): x = t + 0.3 sin(2 pi t) + noise, t ~ U(0, 1). Up to three answers.

    Args:
      noise: "uniform", as in the paper, or "normal".
      noise_scale: the half width of uniform noise, the standard deviation of normal noise.
    """
    return InverseProblem(lambda t: t + 0.3 * np.sin(2.0 * np.pi * t), (0.0,), (1.0,), noise, noise_scale)


def robot_arm(noise_scale: float = 0.02, lengths: tuple[float, float] = (0.8, 0.2)) -> InverseProblem:
    """Bishop's two-joint robot arm (1994): the position of the end effector is given, the two joint angles are asked.

    x1 = L1 cos t1 - L2 cos(t1 + t2), x2 = L1 sin t1 - L2 sin(t1 + t2), t1 ~ U(0.3, 1.2), t2 ~ U(pi/2, 3 pi/2): elbow up
    or elbow down.

    Args:
      noise_scale: the standard deviation of the normal noise on both coordinates of the position; 0 for none.
      lengths: the lengths L1 and L2 of the two links.
    """
    long, short = lengths

    def forward(angles):
        first, both = angles[:, 0], angles.sum(-1)
        return np.stack([long * np.cos(first) - short * np.cos(both), long * np.sin(first) - short * np.sin(both)], -1)

    return InverseProblem(forward, (0.3, math.pi / 2), (1.2, 3 * math.pi / 2), "normal", noise_scale)
