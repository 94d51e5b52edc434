"""The CRPS of components of any kind at any distance from the target and from limits, against quadrature."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import coarsened, reflected

tfd = tfp.distributions
INF = np.inf
WEIGHTS = np.array([0.35, 0.65])
# In scales: of a component from the target, or from a limit at 0.
DISTANCES = np.array([0.0, 0.5, 30.0, 41.0, 1e6])
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(20)
WIDTHS = np.concatenate([np.arange(-9.0, 9.5), [-40.0, 40.0]])


def normal_between(start, end):
    is_right = start > 0.0
    right = scipy.special.ndtr(-start) - scipy.special.ndtr(-end)
    return np.where(is_right, right, scipy.special.ndtr(end) - scipy.special.ndtr(start))


def reflected_tails(z, loc, scale, low, high):
    width = high - low
    start, end = (low - width, high + width) if np.isfinite(width) else (-INF, INF)
    inside = np.clip(z, low, high)

    def between(first, second):
        return normal_between((first - loc) / scale, (second - loc) / scale)

    below = between(2.0 * low - inside if low > -INF else -INF, inside)
    above = between(inside, 2.0 * high - inside if high < INF else INF)
    below += between(2.0 * high - inside, end) if high < INF else 0.0
    above += between(start, 2.0 * low - inside) if low > -INF else 0.0
    total = between(start, end)
    return np.where(z < low, 0.0, below / total), np.where(z < low, 1.0, np.where(z > high, 0.0, above / total))


def coarsened_tails(z, loc, scale, low, high, resolution=0.0):
    latent = np.floor(z / resolution + 1e-9) * resolution + 0.5 * resolution if resolution else z
    u = (latent - loc) / scale
    is_below, is_above = z < low, z >= high
    cdf = np.where(is_below, 0.0, np.where(is_above, 1.0, scipy.special.ndtr(u)))
    return cdf, np.where(is_below, 1.0, np.where(is_above, 0.0, scipy.special.ndtr(-u)))


def logistic_tails(z, loc, scale):
    return scipy.special.expit((z - loc) / scale), scipy.special.expit((loc - z) / scale)


# The kind of components, F and 1 - F, several (low, high, resolution) or none, and relative errors of float64, float32.
KINDS = {
    "logistic": (tfd.Logistic, logistic_tails, [()], 1e-7, 1e-5),
    "reflected": (reflected.ReflectedNormal, reflected_tails, [(0.0, INF), (0.0, 5e6), (-INF, 5.0)], 1e-7, 1e-5),
    "atoms": (coarsened.CoarsenedNormal, coarsened_tails, [(0.0, INF), (0.0, 4.0)], 1e-7, 1e-3),
    "a grid": (coarsened.CoarsenedNormal, coarsened_tails, [(0.0, 40.0, 1.0)], 2e-6, 1e-3),
}


def truth(tails, loc, scale, y, further):
    """The integral of F^2 below y and of (1 - F)^2 above it."""
    low, high, step = (*further, -INF, INF, 0.0)[:3] if not further else (*further, 0.0)[:3]
    edges = (loc + scale * WIDTHS[:, np.newaxis]).ravel()
    ends = [end for end in (low, high) if np.isfinite(end)]
    grid = np.arange(low, high + step, step) if step else []
    edges = np.concatenate([edges, *(2.0 * end - edges for end in ends), ends, [y], grid])
    edges = np.unique(np.clip(edges, low, high))
    centre, half = 0.5 * (edges[1:] + edges[:-1])[:, np.newaxis], 0.5 * np.diff(edges)[:, np.newaxis]
    parts = [tails(centre + half * NODES, *own, *further) for own in zip(loc, scale)]
    below, above = (sum(weight * part for weight, part in zip(WEIGHTS, side)) for side in zip(*parts))
    return np.sum(half * NODE_WEIGHTS * np.where(centre < y, below**2, above**2))


@pytest.mark.by_default("reflected", "atoms")
@pytest.mark.parametrize("name", KINDS)
def test_any_distance(name):
    kind, tails, cases, *tolerances = KINDS[name]
    y = 1.0 if name == "a grid" else 0.5
    signs = (1.0,) if name == "reflected" else (1.0, -1.0)
    centres = [sign * distance + origin for sign in signs for distance in DISTANCES for origin in (0.0, y)]
    rows = [(np.array([centre, 0.7]), np.array([1.0, 0.3]), case) for centre in centres for case in cases]
    rows = [row for row in rows if row[2][:1] != (-INF,) or row[0][0] <= 5.0]  # others are reflected to elsewhere

    def of_moved(loc, scale):
        return np.array([truth(tails, row[0] + [loc, 0.0], row[1] + [scale, 0.0], y, row[2]) for row in rows])

    expected = of_moved(0.0, 0.0)
    moves = np.array([of_moved(*move) for move in ((-1e-3, 0.0), (1e-3, 0.0), (0.0, -1e-3), (0.0, 1e-3))])
    slopes = (moves[1::2] - moves[::2]) / 2e-3
    # At a kink of the score, as where the centre is at a limit of two, it has two slopes.
    is_smooth = np.abs(moves[1::2] + moves[::2] - 2.0 * expected) < 1e-5 * np.maximum(expected, 1.0)
    assert is_smooth.mean() > 0.8
    # Of those with limits in float32 as well: each takes a trace.
    for dtype, tolerance in list(zip(("float64", "float32"), tolerances))[: 2 if name == "atoms" else 1]:
        loc, scale = (tf.constant(np.stack([row[index] for row in rows]), dtype) for index in (0, 1))
        further = np.array([row[2] for row in rows], dtype).T[..., np.newaxis]
        names = ("low", "high", "resolution")
        with tf.GradientTape() as tape:
            tape.watch([loc, scale])
            components = kind(loc, scale, **dict(zip(names, further)))
            logits = tf.constant(np.log(np.tile(WEIGHTS, (len(rows), 1))), dtype)
            received = tfmdn.crps(np.full(len(rows), y), tfmdn.Mixture(tfd.Categorical(logits=logits), components))
        np.testing.assert_allclose(received, expected, rtol=tolerance, err_msg=dtype)
        if dtype == "float32":  # a trace for the gradient takes longer than all else
            continue
        for gradient, slope, smooth in zip(tape.gradient(received, [loc, scale]), slopes, is_smooth):
            np.testing.assert_allclose(gradient[:, 0][smooth], slope[smooth], atol=2e-5)


def test_what_is_next_to_a_point_and_what_has_small_units():
    """All of the first lies at the limit, but for a last digit; the third is the second in other units."""
    factors = np.float32([1.0, 1.0, 1e-21])[:, np.newaxis]
    loc, scale = (
        np.float32([[-976.0, -900.0], [1.0, 0.2], [1.0, 0.2]]),
        np.float32([[1.5, 2.0], [0.5, 1.0], [0.5, 1.0]]),
    )
    low = np.float32([[137.7974], [-0.3], [-0.3]])
    components = coarsened.CoarsenedNormal(loc * factors, scale * factors, low * factors, np.float32(INF))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.float32(np.log(np.tile(WEIGHTS, (3, 1))))), components)
    y = np.float32([137.79742, 0.4, 0.4]) * factors[:, 0]
    at_point, expected, received = np.asarray(tfmdn.crps(y, mixture)) / factors[:, 0]
    np.testing.assert_allclose(at_point, y[0] - low[0, 0], rtol=1e-5)
    np.testing.assert_allclose(received, expected, rtol=1e-4)
