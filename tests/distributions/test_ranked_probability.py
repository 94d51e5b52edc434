"""The CRPS of mixtures of very many components, of limited ones, and for intervals, against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import cells, ranked_probability, reflected

tfd = tfp.distributions
INF = np.inf


def mixtures(num_components, spread, log_scale, num_rows=20):
    """Weights, centres and standard deviations `[num_rows, num_components]`."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(num_components, 0.3), num_rows)
    loc = rng.normal(size=(num_rows, 1)) + spread * rng.normal(size=weights.shape)
    return [tf.constant(value) for value in (weights, loc, np.exp(rng.normal(size=weights.shape) * 0.7 + log_scale))]


@pytest.mark.parametrize(
    ("arguments", "tolerance", "of_gradient"),
    # What the default regressor predicts, and narrow components all over the place.
    [((130, 0.3, -1.5), 3e-6, 1e-3), ((130, 1.0, -4.0), 1e-4, 0.05), ((10, 1.0, -6.0), 1e-6, 1e-2)],
)
def test_quadrature_is_right_for_hard_mixtures(arguments, tolerance, of_gradient):
    """Compared with the closed form, which only normal components have."""
    weights, loc, scale = mixtures(*arguments)
    integral = cells.half_difference(tfd.Normal, ("loc", "scale"), arguments[0], False)
    results = []
    for function in (
        lambda: integral(weights, [loc, scale], []),
        lambda: ranked_probability.half_difference(tfd.Normal(loc, scale), weights, -1),
    ):
        with tf.GradientTape() as tape:
            tape.watch([weights, loc])
            value = function()
        results.append([value.numpy(), *(gradient.numpy() for gradient in tape.gradient(value, [weights, loc]))])
    received, expected = results
    np.testing.assert_allclose(received[0], expected[0], rtol=tolerance)
    # Weights add up to 1: what is the same for all is no difference.
    received[1], expected[1] = (value[1] - np.sum(weights * value[1], -1, keepdims=True) for value in results)
    for own, truth in zip(received[1:], expected[1:]):
        assert np.linalg.norm(own - truth) < of_gradient * np.linalg.norm(truth)


# Components of each kind of limits, side by side: loc, scale, low, high.
LIMITED = np.array(
    [
        [(0.3, 0.2, 0.0, INF), (0.02, 0.01, 0.0, INF), (1.0, 1.5, -INF, INF)],
        [(0.3, 0.2, 0.0, 1.0), (0.9, 3.0, 0.0, 1.0), (0.5, 0.01, 0.0, 1.0)],
        [(-0.3, 0.2, -INF, 0.0), (-0.1, 0.7, -INF, 0.0), (-1.0, 1.5, -INF, INF)],
        [(0.3, 0.2, 0.0, INF), (20.0, 0.1, 0.0, INF), (0.5, 0.1, 0.0, 1.0)],
    ]
)
WEIGHTS = np.array([0.5, 0.3, 0.2])
INTERVALS = [(0.2, 0.2), (0.1, 0.4), (-INF, 0.3), (0.25, INF), (-5.0, 0.1), (0.3, 50.0), (-INF, INF)]


def cdf_of_limited(row, z):
    """The sum of the normal's own cumulative probability and of those of its reflections."""
    total = np.zeros_like(z)
    for weight, (loc, scale, low, high) in zip(WEIGHTS, LIMITED[row]):
        cdf, width = scipy.stats.norm(loc, scale).cdf, high - low
        bottom, top = (low - width, high + width) if np.isfinite(width) else (-INF, INF)
        inside = np.clip(z, low, high)
        below = cdf(inside) - cdf(2.0 * low - inside) + cdf(top) - cdf(2.0 * high - inside)
        total += weight * np.where(z >= high, 1.0, np.where(z < low, 0.0, below / (cdf(top) - cdf(bottom))))
    return total


def threshold_weighted(row, low, high):
    """The integral of F^2 below an interval, and of (1 - F)^2 above it."""
    grid = np.unique(np.concatenate([np.linspace(-60.0, 60.0, 12_001), np.linspace(-1.0, 2.0, 30_001)]))
    below = np.append(grid[grid < low], low) if np.isfinite(low) else np.zeros(0)
    above = np.append(high, grid[grid > high]) if np.isfinite(high) else np.zeros(0)
    of_below, of_above = cdf_of_limited(row, below) ** 2, (1.0 - cdf_of_limited(row, above)) ** 2
    return sum(scipy.integrate.simpson(y, x=x) for y, x in ((of_below, below), (of_above, above)) if len(x))


def test_intervals_of_components_with_limits():
    rows, count = len(LIMITED), len(INTERVALS)
    expected = np.array([[threshold_weighted(row, *interval) for interval in INTERVALS] for row in range(rows)])
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-5)):
        values = [tf.constant(np.repeat(value, count, 0), dtype) for value in np.moveaxis(LIMITED, -1, 0)]
        weights = tf.constant(WEIGHTS, dtype)
        low, high = (tf.constant(np.tile(ends, rows), dtype) for ends in np.transpose(INTERVALS))
        with tf.GradientTape() as tape:
            tape.watch(values)
            components = reflected.ReflectedNormal(*values)
            received = ranked_probability.interval_crps(components, weights, low, high, -1)
        np.testing.assert_allclose(np.reshape(received, (rows, count)), expected, rtol=tolerance, atol=tolerance)
        assert all(np.isfinite(gradient).all() for gradient in tape.gradient(received, values[:2]))
        # Where both ends are equal it is the score of a value, here of the first of the intervals.
        exact = ranked_probability.crps(components, weights, tf.fill([rows * count], low[0]), -1)
        np.testing.assert_allclose(exact[::count], expected[:, 0], rtol=10 * tolerance)


def test_far_from_a_limit_it_is_the_normal():
    """More than 40 standard deviations from the target it was negative, with a gradient of a wrong sign."""
    loc = tf.constant([[4.4], [5.0], [8.0], [20.0]], tf.float64)
    kinds = {
        "limited": lambda: reflected.ReflectedNormal(loc, np.full((4, 1), 0.1), np.float64(0.0), np.float64(INF)),
        "unlimited": lambda: tfd.Normal(loc, np.float64(0.1)),
    }
    results = []
    for build in kinds.values():
        with tf.GradientTape() as tape:
            tape.watch(loc)
            score = tfmdn.crps(np.full(4, 0.5), tfmdn.Mixture(tfd.Categorical(logits=np.zeros((4, 1))), build()))
        results.append((score.numpy(), tape.gradient(score, loc).numpy()))
    for received, expected in zip(*results):
        np.testing.assert_allclose(received, expected, rtol=1e-6)
