"""The CRPS of mixtures of very many components, of limited ones, and for intervals, against SciPy and quadrature."""

import functools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import cells, coarsened, ranked_probability, reflected
from tfmdn.layers import families

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
    integral = cells.half_difference(tfd.Normal, ("loc", "scale"), arguments[0] > cells.MANY, False, tf.float64)
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


WEIGHTS = np.array([0.5, 0.3, 0.2])
INTERVALS = [(0.2, 0.2), (0.1, 0.4), (-INF, 0.3), (0.25, INF), (-5.0, 0.1), (0.3, 50.0), (-INF, INF)]
# Components of each kind of limits, side by side: loc, scale, low, high.
LIMITED = np.array(
    [
        [(0.3, 0.2, 0.0, INF), (0.02, 0.01, 0.0, INF), (1.0, 1.5, -INF, INF)],
        [(0.3, 0.2, 0.0, 1.0), (0.9, 3.0, 0.0, 1.0), (0.5, 0.01, 0.0, 1.0)],
        [(-0.3, 0.2, -INF, 0.0), (-0.1, 0.7, -INF, 0.0), (-1.0, 1.5, -INF, INF)],
        [(0.3, 0.2, 0.0, INF), (20.0, 0.1, 0.0, INF), (0.5, 0.1, 0.0, 1.0)],
    ]
)
# What is moved to limits, or rounded: loc, scale, low, high, is_moved, resolution, mirror_low, mirror_high.
NO_MIRRORS = (-INF, INF)
COARSENED = {
    "an atom": [(0.3, 0.5, 0.0, INF, 1, 0), (-1.0, 0.5, 0.0, INF, 1, 0), (0.2, 1.5, 0.0, INF, 0, 0)],
    "two atoms": [(0.3, 0.5, 0.0, 1.0, 1, 0), (0.9, 0.01, 0.0, 1.0, 1, 0), (5.0, 2.0, 0.0, 1.0, 1, 0)],
    "a grid": [(3.2, 0.3, -INF, INF, 1, 1), (2.7, 2.0, -INF, INF, 1, 1), (3.5, 1.0, -INF, INF, 1, 1)],
    "stars": [(3.2, 0.3, 1.0, 5.0, 1, 1), (4.7, 2.0, 1.0, 5.0, 1, 1), (3.5, 1.5, 1.0, 5.0, 0, 1)],
    "counts": [(20.2, 9.3, 0.0, INF, 1, 1), (2.7, 0.4, 0.0, INF, 1, 1), (20.0, 10.0, 0.0, INF, 0, 1)],
    "a fine grid": [(0.4, 0.3, 0.0, INF, 1, 0.01), (0.27, 0.04, 0.0, INF, 1, 0.01), (1.0, 0.5, 0.0, INF, 0, 0.01)],
    "a mirror": [(0.4, 0.3, *NO_MIRRORS, 1, 0.1, 0.0, INF), (0.2, 0.04, *NO_MIRRORS, 1, 0.1, 0.0, INF)],
    "two mirrors": [(0.4, 0.3, *NO_MIRRORS, 1, 0.1, 0.0, 1.0), (0.2, 0.04, *NO_MIRRORS, 1, 0.1, 0.0, 1.0)],
}
OF_COARSENED = [(0.0, 0.0), (1.0, 1.0), (3.0, 3.0), (0.5, 0.5), (-INF, 1.0), (1.0, 3.0), (1.0, INF)]


def cdf_of_limited(z, loc, scale, low, high):
    """The sum of the normal's own cumulative probability and of those of its reflections."""
    width = high - low

    def cdf(z):
        return scipy.special.ndtr((z - loc) / scale)

    bottom, top = (low - width, high + width) if np.isfinite(width) else (-INF, INF)
    inside = np.clip(z, low, high)
    below = cdf(inside) - cdf(2.0 * low - inside) + cdf(top) - cdf(2.0 * high - inside)
    return np.where(z >= high, 1.0, np.where(z < low, 0.0, below / (cdf(top) - cdf(bottom))))


def cdf_of_coarsened(z, loc, scale, low, high, is_moved, resolution, mirror_low, mirror_high):
    """The cumulative probability of the latent value up to which all is observed as z or less."""
    step = resolution or 1.0
    latent = np.floor(z / step + 1e-9) * step + 0.5 * step if resolution else z
    cdf = cdf_of_limited(latent, loc, scale, mirror_low, mirror_high)
    return np.where(z >= high, 1.0, np.where(z < low, 0.0, cdf)) if is_moved else cdf


def threshold_weighted(cdfs, intervals, jumps=()):
    """The integrals of F^2 below intervals, and of (1 - F)^2 above them, of a mixture."""
    ends = np.ravel(intervals)[np.isfinite(np.ravel(intervals))]
    grid = np.unique(np.concatenate([np.linspace(-60.0, 90.0, 30_001), np.linspace(-2.0, 3.0, 40_001), ends, jumps]))
    middle, width = 0.5 * (grid[1:] + grid[:-1]), np.diff(grid)
    probability = sum(weight * cdf(middle) for weight, cdf in zip(WEIGHTS, cdfs))
    below, above = width * probability**2, width * (1.0 - probability) ** 2
    return [np.sum(below[middle < low]) + np.sum(above[middle > high]) for low, high in intervals]


def received_of(kind, names, rows, intervals, dtype):
    """Scores `[rows, intervals]`, whose gradients in `loc` and `scale` are finite."""
    values = [tf.constant(np.repeat(value, len(intervals), 0), dtype) for value in np.moveaxis(rows, -1, 0)]
    low, high = (tf.constant(np.tile(ends, len(rows)), dtype) for ends in np.transpose(intervals))
    with tf.GradientTape() as tape:
        if dtype == "float64":  # a trace for the gradient takes longer than all else
            tape.watch(values)
        components = kind(**dict(zip(names, values)))
        received = ranked_probability.interval_crps(components, tf.constant(WEIGHTS, dtype), low, high, -1)
    if dtype == "float64":
        gradients = tape.gradient(received, values, unconnected_gradients="zero")
        assert all(np.isfinite(gradient).all() for gradient in gradients)  # those by steps and infinite limits, too
    return np.reshape(received, (len(rows), -1))


def test_intervals_of_components_with_limits():
    kind, names = reflected.ReflectedNormal, ("loc", "scale", "low", "high")
    cdfs = [[functools.partial(cdf_of_limited, **dict(zip(names, own))) for own in row] for row in LIMITED]
    expected = np.array([threshold_weighted(row, INTERVALS) for row in cdfs])
    for dtype, tolerance in (("float64", 2e-6), ("float32", 1e-5)):
        received = received_of(kind, names, LIMITED, INTERVALS, dtype)
        np.testing.assert_allclose(received, expected, rtol=tolerance, atol=tolerance)
    # Where both ends are equal it is the score of a value, here of the first of the intervals.
    components = kind(*np.moveaxis(LIMITED, -1, 0))
    exact = ranked_probability.crps(components, tf.constant(WEIGHTS), tf.fill([len(LIMITED)], np.float64(0.2)), -1)
    np.testing.assert_allclose(exact, expected[:, 0], rtol=1e-5)


def test_atoms_and_grids():
    kind, names = coarsened.CoarsenedNormal, [name for name in coarsened.PARAMETERS if name != "origin"]
    rows = [[(*own, *NO_MIRRORS)[: len(names)] for own in case] for case in COARSENED.values()]
    rows = np.array([[*row, (1.0, 0.5, *NO_MIRRORS, 1, row[0][5], *NO_MIRRORS)][:3] for row in rows])
    expected = []
    for row in rows:
        cdfs = [functools.partial(cdf_of_coarsened, **dict(zip(names, own))) for own in row]
        step, limits = row[0, 5], row[:, [2, 3, 6, 7]]
        jumps = [*limits[np.isfinite(limits)], *(np.arange(-60.0, 90.0, step) if step else [])]
        expected.append(threshold_weighted(cdfs, OF_COARSENED, jumps))
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-5)):
        received = received_of(kind, names, rows, OF_COARSENED, dtype)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=tolerance)


FAR_OR_NARROW = {
    # Narrow ones, and some of little weight that are far away; limits that leave a wide one hardly any room.
    "gamma": [([0.0, -14.0], {"loc": [5.6, 12.0], "scale": [0.0095, 0.1]}, 282.4)],
    "weibull": [([0.0, -5.0, -14.0], {"loc": [-7.9, 2.9, 11.6], "scale": [4.9e-5, 1.4e-5, 5.6e-4]}, 18.8)],
    "student_t": [([0.0, 0.0], {"loc": [-0.6, -0.2], "scale": [0.4, 0.2], "df": [2.5, 9343.0]}, 1e30)],
    "coarsened": [
        ([0.0, 0.0], {"loc": [0.0, 0.0], "scale": [0.26, 1.5e-5], "low": [0.0] * 2, "high": [5.4e-7] * 2}, 0.0)
    ],
}


@pytest.mark.parametrize("family", FAR_OR_NARROW)
def test_float32_has_its_digits(family):
    kind = coarsened.CoarsenedNormal if family == "coarsened" else families.FAMILIES[family].distribution
    for logits, values, y in FAR_OR_NARROW[family]:
        values |= {"is_moved": np.ones(2)} if family == "coarsened" else {}
        rounded = [np.float32(value) for value in values.values()]
        scores = []
        for dtype in ("float32", "float64"):
            components = kind(**{name: tf.constant([value], dtype) for name, value in zip(values, rounded)})
            mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.constant([np.float32(logits)], dtype)), components)
            scores.append(float(tfmdn.crps(tf.constant([np.float32(y)], dtype), mixture)[0]))
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)


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
