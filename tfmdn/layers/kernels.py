"""A density of inputs made of kernels at those that are known, beside a broad one of inputs from elsewhere.

Shapes in comments: N points, F features, C centres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.optimize
import scipy.spatial
import scipy.special
import scipy.stats
import tensorflow_probability as tfp

tfd = tfp.distributions

# Inputs that are not of the data may lie anywhere about it: a normal of this many times its standard deviation.
ELSEWHERE_SCALE = 3.0
# The bandwidths among which cross-validation chooses, as factors of Scott's rule. Were they not bounded, inputs that
# repeat would make it 0.
BANDWIDTH_FACTORS = np.geomspace(0.1, 2.0, 12)
# Those of single features, in standard deviations.
WIDTHS = np.geomspace(0.05, 0.8, 5)
FOLDS = 5


def likeliest_bandwidth(points: np.ndarray, novelty: float) -> tuple[float, np.ndarray]:
    """The bandwidth of kernels at standardised points `[N, F]` under which held-out points are the likeliest.

    They may also come from elsewhere, with the probability `novelty`: otherwise a single outlier would need a bandwidth
    that reaches it.

    Returns:
      The bandwidth, and the log odds `[N]` that each of the held-out points does come from elsewhere.
    """
    size, features = points.shape
    bandwidths = BANDWIDTH_FACTORS * size ** (-1.0 / (features + 4))
    elsewhere = tfd.MultivariateNormalDiag(np.zeros(features), np.full(features, ELSEWHERE_SCALE))
    log_elsewhere = math.log(novelty) + elsewhere.log_prob(points).numpy()
    log_known = np.empty((len(bandwidths), size))
    for kept, held_out in _folds(size):
        square_distances = scipy.spatial.distance.cdist(points[held_out], points[kept], "sqeuclidean")
        log_known[:, held_out] = math.log1p(-novelty) + _log_density(square_distances, bandwidths, features)
    best = np.argmax(np.logaddexp(log_known, log_elsewhere).sum(1))
    return bandwidths[best], log_elsewhere - log_known[best]


def _folds(size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which points are kept, and which are held out."""
    places = np.random.default_rng(0).permutation(size)
    for held_out in np.array_split(places, FOLDS):
        yield np.setdiff1d(places, held_out), held_out


def _log_density(square_distances: np.ndarray, bandwidths: np.ndarray, features: int) -> np.ndarray:
    """The logarithm of the density `[bandwidths, n]` of inputs at such distances `[n, N]` from N kernels."""
    nearest = square_distances.min(-1, keepdims=True)
    farther, log_densities = square_distances - nearest, []
    for bandwidth in bandwidths:
        log_sum = np.log(np.exp(-0.5 / bandwidth**2 * farther).mean(-1)) - 0.5 * nearest[:, 0] / bandwidth**2
        log_densities.append(log_sum - features * math.log(bandwidth * math.sqrt(2.0 * math.pi)))
    return np.array(log_densities)


def likeliest_widths(points: np.ndarray, num_centers: int, novelty: float) -> tuple[np.ndarray, ...]:
    """Kernels at values of single features, each with the bandwidth under which held-out values are the likeliest.

    Args:
      points: standardised, `[N, F]`.
      num_centers: of how many values C of each feature.
      novelty: the share of points that come from elsewhere.

    Returns:
      The values `[C, F]` and the bandwidths `[F]`, and the log odds `[N]` that held-out points come from elsewhere, by
      the feature that says so the most.
    """
    log_elsewhere = scipy.stats.norm.logpdf(points, scale=ELSEWHERE_SCALE) + math.log(novelty)
    log_known = np.empty((len(WIDTHS), *points.shape))
    for kept, held_out in _folds(len(points)):
        centers = _quantiles(points[kept], num_centers)
        for feature in range(points.shape[1]):
            square_distances = np.square(points[held_out, feature, np.newaxis] - centers[:, feature])
            log_known[:, held_out, feature] = math.log1p(-novelty) + _log_density(square_distances, WIDTHS, 1)
    best = np.argmax(np.logaddexp(log_known, log_elsewhere).sum(1), 0)  # [F]
    log_known = np.take_along_axis(log_known, best[np.newaxis, np.newaxis], 0)[0]
    return _quantiles(points, num_centers), WIDTHS[best], (log_elsewhere - log_known).max(-1)


def _quantiles(points: np.ndarray, count: int) -> np.ndarray:
    """So many of the values of each feature, evenly spread over its rows: `[count, F]`."""
    return np.sort(points, 0)[((np.arange(count) + 0.5) / count * len(points)).astype(int)]


def shift_to_mean(log_odds: np.ndarray, mean: float) -> float:
    """What must be added to log odds `[N]` for the mean of their probabilities not to be above `mean`: 0 or less."""

    def excess(shift):
        return scipy.special.expit(log_odds + shift).mean() - mean

    return (
        0.0
        if excess(0.0) <= 0.0
        else scipy.optimize.brentq(excess, -log_odds.max() - 2.0 * abs(scipy.special.logit(mean)), 0.0)
    )
