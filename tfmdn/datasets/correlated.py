"""Problems whose answers are strongly correlated: features and targets are drawn together from a Gaussian mixture.

Shapes in comments: n rows, K normals, F features, D targets.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.special
import scipy.stats

from tfmdn import validation


@dataclasses.dataclass(frozen=True)
class CorrelatedNormals:
    """x and y drawn together from a Gaussian mixture; predict y from x.

    p(y | x) is a mixture of normals whose covariances are the same for all x.

    Attributes:
      num_features: F.
      weights: of the normals, `[K]`.
      means: of x and y, `[K, F + D]`.
      covariances: of x and y, `[K, F + D, F + D]`.
    """

    num_features: int
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws n pairs: x `[n, F]` and y `[n, D]`, in float32.

        >>> x, y = tfmdn.datasets.correlated_normals(3).sample(1000, seed=0)
        >>> x.shape, y.shape
        ((1000, 4), (1000, 4))
        """
        n = validation.positive_integer("n", n)
        rng = np.random.default_rng(seed)
        normal = rng.choice(len(self.weights), n, p=self.weights)
        noise = rng.normal(size=(n, self.means.shape[1], 1))
        rows = self.means[normal] + (np.linalg.cholesky(self.covariances)[normal] @ noise)[..., 0]
        return tuple(np.split(rows.astype(np.float32), [self.num_features], axis=1))

    def log_prob(self, x, y) -> np.ndarray:
        """The exact log p(y | x) in nats: `[n]`.

        Args:
          x: `[n, F]`.
          y: `[n, D]`.
        """
        rows = np.concatenate([x, y], axis=1, dtype=np.float64)
        return self._log_density(rows) - self._log_density(rows[:, : self.num_features])

    def _log_density(self, rows: np.ndarray) -> np.ndarray:
        size = rows.shape[1]  # of the first coordinates
        terms = [
            np.log(weight) + scipy.stats.multivariate_normal(mean[:size], covariance[:size, :size]).logpdf(rows)
            for weight, mean, covariance in zip(self.weights, self.means, self.covariances)
        ]
        return scipy.special.logsumexp(terms, axis=0)


def correlated_normals(
    num_components: int = 4, num_features: int = 4, num_targets: int = 4, smallest_scale: float = 0.05, seed: int = 0
) -> CorrelatedNormals:
    """A Gaussian mixture of features and targets, with strong correlations.

    Args:
      num_components: the number of normals, whose centres are drawn from a standard normal. With one, y is a linear
        function of x plus noise.
      num_features: F.
      num_targets: D.
      smallest_scale: of the F + D scales along the axes of each normal, which go from 1 down to it in equal ratios. The
        axes are drawn at random.
      seed: what the normals are drawn with.
    """
    size = num_features + num_targets
    rng = np.random.default_rng([seed, size])  # not what a sample of the same seed is drawn with
    variances = np.geomspace(1.0, validation.positive_number("smallest_scale", smallest_scale), size) ** 2
    axes = [np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(num_components)]
    return CorrelatedNormals(
        num_features,
        weights=rng.dirichlet(np.full(num_components, 5.0)),
        means=rng.normal(size=(num_components, size)),
        covariances=np.stack([(one * variances) @ one.T for one in axes]),
    )
