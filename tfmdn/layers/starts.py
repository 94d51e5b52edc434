"""Where the components of a mixture start, in units of the standardised target.

Shapes in comments: N rows, K components, D coordinates.
"""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.cluster import vq

LLOYD_ITERATIONS = 10


@dataclasses.dataclass(frozen=True)
class Start:
    """The components before training: centres `[K, D]`, scales `[K]` and weights `[K]`."""

    centres: np.ndarray
    scales: np.ndarray
    weights: np.ndarray

    def moved(self, mean: np.ndarray, stddev: np.ndarray) -> Start:
        """The start in units in which what is 0 and 1 now is `mean` and `stddev` from it, `[*E]` each."""
        scales = self.scales * math.exp(np.log(stddev).mean())
        return Start(mean.ravel() + stddev.ravel() * self.centres, scales, self.weights)


def spread(num_components: int, size: int) -> Start:
    """Centres spread evenly over a standard normal, with mean 0."""
    # A Hammersley set: evenly spaced in the first coordinate, of low discrepancy in all of them together.
    points = (np.arange(num_components)[:, np.newaxis] + 0.5) / num_components
    if size > 1:
        halton = tfp.mcmc.sample_halton_sequence(size - 1, num_components, randomized=False, dtype=tf.float64)
        points = np.concatenate([points, halton], 1)
    points = tfp.distributions.Normal(tf.constant(0.0, tf.float64), 1.0).quantile(points).numpy()
    centres = points - points.mean(0)
    return Start(centres, _covering_scales(centres), np.full(num_components, 1.0 / num_components))


def clusters(rows: np.ndarray, num_components: int, rng: np.random.Generator) -> Start:
    """Centres of clusters of the rows `[N, D]`: k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's iterations.

    Rows of fewer distinct values than components have no clusters: the start is then that of `spread`.
    """
    # In float32: the square of a smaller difference can underflow.
    if len(np.unique(rows.astype(np.float32), axis=0)) < num_components:
        return spread(num_components, rows.shape[1])
    with warnings.catch_warnings():
        # A centre that has lost all of its rows stays where it is.
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        centres, _ = vq.kmeans2(rows, num_components, LLOYD_ITERATIONS, minit="++", seed=rng)
    nearest, _ = vq.vq(rows, centres)
    sizes = np.bincount(nearest, minlength=num_components)
    # Halfway to equal weights: a component that starts with next to no weight gets next to no gradient.
    weights = 0.5 * sizes / len(rows) + 0.5 / num_components
    order = np.argsort(centres[:, 0], kind="stable")
    return Start(centres[order], _covering_scales(centres)[order], weights[order])


def _covering_scales(centres: np.ndarray) -> np.ndarray:
    """Each component as wide as the way to its nearest neighbour, at most 1.

    Wider ones overlap and compete for the same targets, narrower ones leave gaps.
    """
    distances = np.linalg.norm(centres[:, np.newaxis] - centres, axis=-1) + np.diag(np.full(len(centres), np.inf))
    return np.minimum(distances.min(1), 1.0)
