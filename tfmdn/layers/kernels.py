"""A density of inputs made of kernels at those that are known, beside a broad one of inputs from elsewhere.

Shapes in comments: N points, F features.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.optimize
import scipy.special
import tensorflow_probability as tfp

tfd = tfp.distributions

# Inputs that are not of the data may lie anywhere about it: a normal of this many times its standard deviation.
ELSEWHERE_SCALE = 3.0
# The bandwidths among which cross-validation chooses, as factors of Scott's rule. Were they not bounded, inputs that
# repeat would make it 0.
BANDWIDTH_FACTORS = np.geomspace(0.1, 2.0, 12)
FOLDS = 5


def likeliest_bandwidth(points: np.ndarray, novelty: float) -> tuple[float, np.ndarray]:
    """The bandwidth of kernels at standardised points `[N, F]` under which held-out points are the likeliest.

    They may also come from elsewhere, with the probability `novelty`: otherwise a single outlier would need a bandwidth
    that reaches it.

    Returns:
      The bandwidth, and the log odds `[N]` that each of the held-out points does come from elsewhere.
    """
    from sklearn.model_selection import KFold
    from sklearn.neighbors import KernelDensity

    size, features = points.shape
    bandwidths = BANDWIDTH_FACTORS * size ** (-1.0 / (features + 4))
    elsewhere = tfd.MultivariateNormalDiag(np.zeros(features), np.full(features, ELSEWHERE_SCALE))
    log_elsewhere = math.log(novelty) + elsewhere.log_prob(points).numpy()
    log_known = np.empty((len(bandwidths), size))
    for kept, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(points):
        for index, bandwidth in enumerate(bandwidths):
            # One leaf: a deeper tree loses all digits of small densities.
            density = KernelDensity(bandwidth=bandwidth, leaf_size=size).fit(points[kept])
            log_known[index, held_out] = math.log1p(-novelty) + density.score_samples(points[held_out])
    best = np.argmax(np.logaddexp(log_known, log_elsewhere).sum(1))
    return bandwidths[best], log_elsewhere - log_known[best]


def shift_to_mean(log_odds: np.ndarray, mean: float) -> float:
    """What must be added to log odds `[N]` for the mean of their probabilities not to be above `mean`: 0 or less."""

    def excess(shift):
        return scipy.special.expit(log_odds + shift).mean() - mean

    return (
        0.0
        if excess(0.0) <= 0.0
        else scipy.optimize.brentq(excess, -log_odds.max() - 2.0 * abs(scipy.special.logit(mean)), 0.0)
    )
