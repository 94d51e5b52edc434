"""Normal components with limits, against SciPy, quadrature and simulation."""

import itertools

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import two_replicas

import tfmdn
from tfmdn.distributions import cells, deviations, ranked_probability, reflected, reflected_joint, tensors

tfd = tfp.distributions
INF = np.inf

# loc, scale, low, high
SCALARS = {
    "no limits": (0.3, 0.5, -INF, INF),
    "at a limit": (0.0, 1.0, 0.0, INF),
    "upper limit": (0.8, 0.6, -INF, 1.0),
    "narrow": (0.5, 0.01, 0.0, 1.0),
    "two limits": (0.3, 0.4, 0.0, 1.0),
    "as wide as the interval": (4.0, 8.0, -1.0, 7.0),
    "eight times as wide": (0.7, 8.0, 0.0, 1.0),
    "much wider": (0.7, 1e4, 0.0, 1.0),
    "beyond a limit": (-0.2, 0.1, 0.0, INF),
    "beyond two limits": (2.3, 0.3, 0.0, 1.0),
}
every_scalar = pytest.mark.parametrize("parameters", SCALARS.values(), ids=SCALARS)


class Truth:
    """What SciPy says of a normal that is cut off one width beyond its limits, and folded at them."""

    def __init__(self, loc, scale, low, high):
        self.low, self.high = low, high
        start, end = -INF, INF
        if np.isfinite(high - low):
            width = high - low
            phase = (loc - low) % (2.0 * width)
            loc, scale = low + min(phase, 2.0 * width - phase), min(scale, 8.0 * width)
            start, end = low - width, high + width
        elif np.isfinite(low):
            loc = low + abs(loc - low)
        elif np.isfinite(high):
            loc = high - abs(loc - high)
        self.scale = scale
        self.normal = scipy.stats.truncnorm((start - loc) / scale, (end - loc) / scale, loc, scale)
        self.start, self.end = max(low, loc - 12.0 * scale), min(high, loc + 12.0 * scale)
        self.bends = [loc + k * scale for k in (-4, -1, 0, 1, 4) if self.start < loc + k * scale < self.end]

    def pdf(self, y):
        images = [y, *(2.0 * limit - y for limit in (self.low, self.high) if np.isfinite(limit))]
        return sum(self.normal.pdf(image) for image in images)

    def integral(self, function, start=None, end=None):
        start, end = self.start if start is None else start, self.end if end is None else end
        edges = [start, *(bend for bend in self.bends if start < bend < end), end]
        parts = (scipy.integrate.quad(function, *pair, epsabs=1e-13) for pair in itertools.pairwise(edges))
        return sum(value for value, _ in parts)

    @property
    def mean(self):
        return self.integral(lambda y: y * self.pdf(y))

    @property
    def points(self):
        return np.linspace(self.start, self.end, 9)


def reflected_normal(parameters, dtype="float64"):
    return reflected.ReflectedNormal(*(np.array(value, dtype) for value in parameters))


# One coordinate


@pytest.mark.covering(1)
@every_scalar
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_density_and_distribution_function(parameters, dtype, tolerance):
    truth, distribution = Truth(*parameters), reflected_normal(parameters, dtype)
    y = truth.points.astype(dtype)
    density = truth.pdf(np.float64(y))
    np.testing.assert_allclose(distribution.prob(y), density, rtol=10.0 * tolerance, atol=tolerance * density.max())
    cdf = np.array([truth.integral(truth.pdf, end=point) for point in np.float64(y)])
    np.testing.assert_allclose(distribution.cdf(y), cdf, atol=max(tolerance, 1e-8))
    np.testing.assert_allclose(distribution.survival_function(y), 1.0 - cdf, atol=max(tolerance, 1e-8))
    # But for the first point, from which the quadrature begins.
    np.testing.assert_allclose(distribution.log_cdf(y)[1:], np.log(cdf[1:]), rtol=1e-6, atol=1e-7)


@pytest.mark.covering(1)
@every_scalar
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-8), ("float32", 1e-4)])
def test_moments(parameters, dtype, tolerance):
    truth, distribution = Truth(*parameters), reflected_normal(parameters, dtype)
    mean = truth.mean
    variance = truth.integral(lambda y: (y - mean) ** 2 * truth.pdf(y))
    assert float(distribution.mean()) == pytest.approx(mean, abs=tolerance * np.sqrt(variance))
    assert float(distribution.variance()) == pytest.approx(variance, rel=tolerance)
    assert float(distribution.stddev()) == pytest.approx(np.sqrt(variance), rel=tolerance)
    excess = [truth.integral(lambda y, point=point: (y - point) * truth.pdf(y), start=point) for point in truth.points]
    received = deviations.absolute_deviation(distribution, truth.points.astype(dtype)) + mean - truth.points
    np.testing.assert_allclose(0.5 * received, excess, atol=tolerance * np.sqrt(variance))


@every_scalar
def test_draws(parameters):
    distribution = reflected_normal(parameters)
    draws = distribution.sample(20_000, seed=[3, 4]).numpy()
    assert draws.min() >= parameters[2]
    assert draws.max() <= parameters[3]
    assert scipy.stats.kstest(draws, lambda y: distribution.cdf(y).numpy()).pvalue > 1e-3


@every_scalar
def test_the_mode_is_where_the_density_is_highest(parameters):
    truth, distribution = Truth(*parameters), reflected_normal(parameters)
    grid = np.linspace(truth.start, truth.end, 100_001)
    assert float(distribution.prob(distribution.mode())) >= truth.pdf(grid).max() * (1.0 - 1e-5)


@every_scalar
def test_nothing_lies_outside_and_nan_stays_nan(parameters):
    distribution = reflected_normal(parameters)
    _, _, low, high = parameters
    for outside, cdf in ((low - 1.0, 0.0), (high + 1.0, 1.0)):
        if np.isfinite(outside):
            assert float(distribution.log_prob(outside)) == -INF
            assert float(distribution.cdf(outside)) == pytest.approx(cdf, abs=1e-15)
            log_survival = float(distribution.log_survival_function(outside))
            assert log_survival == (-INF if cdf else pytest.approx(0.0, abs=1e-12))
    assert np.isnan(distribution.log_prob(np.nan))
    assert np.isnan(distribution.cdf(np.nan))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loc", [-1e30, 0.5, 1e30])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e30])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.0, INF), (-INF, 1.0), (-INF, INF)])
def test_gradients_are_finite(dtype, loc, scale, limits):
    loc, scale = (tf.constant(value, dtype) for value in (loc, scale))
    y = tf.constant([0.0, 0.25, 1.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch([loc, scale, y])
        distribution = reflected.ReflectedNormal(loc, scale, *(tf.constant(limit, dtype) for limit in limits))
        value = tf.reduce_sum(distribution.log_prob(y)) + tf.reduce_sum(distribution.cdf(y))
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(value, [loc, scale, y]))


@every_scalar
def test_draws_are_differentiable(parameters):
    """The derivative of the mean of draws is that of the mean."""
    loc, scale, low, high = (tf.constant(value, tf.float64) for value in parameters)
    gradients = []
    for statistic in (lambda d: tf.reduce_mean(d.sample(20_000, seed=[1, 2])), lambda d: d.mean()):
        with tf.GradientTape() as tape:
            tape.watch([loc, scale])
            value = statistic(reflected.ReflectedNormal(loc, scale, low, high))
        gradients.append(tape.gradient(value, [loc, scale]))
    np.testing.assert_allclose(*gradients, atol=0.03)


# Two coordinates

PAIRS = {
    "a corner": ([0.1, 0.3], [0.0, 0.0], [1.0, 2.0]),
    "one limit": ([0.1, 0.3], [0.0, -INF], [INF, INF]),
    "an upper limit": ([0.25, 2.9], [-INF, 0.0], [0.3, 3.0]),
    "beyond the limits": ([-0.1, 2.3], [0.0, 0.0], [1.0, 2.0]),
    "no limits": ([0.1, 0.3], [-INF, -INF], [INF, INF]),
}
FACTOR = [[0.1, 0.0], [0.15, 0.2]]
every_pair = pytest.mark.parametrize("parameters", PAIRS.values(), ids=PAIRS)


def pair(parameters, dtype="float64"):
    loc, low, high = (np.array(value, dtype) for value in parameters)
    return reflected_joint.ReflectedMultivariateNormal(loc, np.array(FACTOR, dtype), low, high)


def grid_of(parameters, count=500):
    """Cell midpoints `[count, count, 2]` that cover where the density is, and the area of a cell."""
    loc, low, high = map(np.array, parameters)
    ends = np.maximum(low, loc - 2.5), np.minimum(high, loc + 2.5)
    axes = [a + (np.arange(count) + 0.5) / count * (b - a) for a, b in zip(*ends)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1), np.prod(ends[1] - ends[0]) / count**2


@every_pair
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_joint_density_is_a_sum_of_reflections(parameters, dtype, tolerance):
    loc, low, high = map(np.array, parameters)
    normal = scipy.stats.multivariate_normal(loc, np.array(FACTOR) @ np.transpose(FACTOR))
    y = np.random.default_rng(0).uniform(np.maximum(low, loc - 0.5), np.minimum(high, loc + 0.5), (40, 2)).astype(dtype)
    images = []
    for column, start, end in zip(y.T, low, high):
        if np.isfinite(end - start):
            shifts = 2.0 * (end - start) * np.arange(-2, 3)
            images.append([image + shift for image in (column, 2.0 * start - column) for shift in shifts])
        else:
            images.append([column, *(2.0 * limit - column for limit in (start, end) if np.isfinite(limit))])
    expected = sum(normal.pdf(np.stack(image, -1)) for image in itertools.product(*images))
    received = pair(parameters, dtype).prob(y)
    np.testing.assert_allclose(received, expected, rtol=tolerance, atol=1e-5 if low[0] == 0 else tolerance)


@every_pair
def test_joint_moments(parameters):
    distribution = pair(parameters)
    grid, cell = grid_of(parameters)
    mass = cell * distribution.prob(grid).numpy()
    assert mass.sum() == pytest.approx(1.0, abs=1e-4)
    mean = np.einsum("ij,ijk->k", mass, grid)
    covariance = np.einsum("ij,ijk,ijl->kl", mass, grid - mean, grid - mean)
    np.testing.assert_allclose(distribution.mean(), mean, atol=2e-4)
    np.testing.assert_allclose(distribution.covariance(), covariance, atol=2e-4)
    np.testing.assert_allclose(distribution.variance(), np.diag(covariance), atol=2e-4)
    draws = distribution.sample(100_000, seed=[5, 6]).numpy()
    np.testing.assert_allclose(draws.mean(0), mean, atol=3e-3)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=3e-3)
    for axis in range(2):
        cdf = distribution.marginals()[axis].cdf
        assert scipy.stats.kstest(draws[:10_000, axis], lambda y, cdf=cdf: cdf(y).numpy()).pvalue > 1e-3


def test_wide_correlated_components_are_held():
    distribution = reflected_joint.ReflectedMultivariateNormal(
        [0.5, 0.5], 10.0 * np.float32(FACTOR), [0.0, 0.0], [1.0, 1.0]
    )
    grid, cell = grid_of(([0.5, 0.5], [0.0, 0.0], [1.0, 1.0]), 200)
    assert float(cell * tf.reduce_sum(distribution.prob(np.float32(grid)))) == pytest.approx(1.0, abs=3e-4)


def test_limits_of_another_shape_than_the_centre():
    low = np.stack([np.linspace(-1.0, 0.0, 5), np.full(5, -INF)], -1)
    many = reflected_joint.ReflectedMultivariateNormal(np.float64([0.1, 0.3]), np.array(FACTOR), low, np.full(2, 3.0))
    for row in range(5):
        one = reflected_joint.ReflectedMultivariateNormal(
            np.float64([0.1, 0.3]), np.array(FACTOR), low[row], np.full(2, 3.0)
        )
        assert float(many.log_prob(np.float64([0.2, 0.4]))[row]) == pytest.approx(float(one.log_prob([0.2, 0.4])))


def test_far_tails_without_limits():
    unlimited, normal = reflected.ReflectedNormal(0.0, 1.0, -INF, INF), tfd.Normal(0.0, 1.0)
    assert float(unlimited.log_cdf(-15.0)) == float(normal.log_cdf(-15.0))
    assert float(unlimited.log_survival_function(15.0)) == float(normal.log_survival_function(15.0))


def test_far_targets_have_finite_gradients():
    factor = 1e-6 * tf.eye(2)
    with tf.GradientTape() as tape:
        tape.watch(factor)
        log_prob = reflected_joint.ReflectedMultivariateNormal([0.0, 0.0], factor, [-INF] * 2, [INF] * 2).log_prob(
            [1e30, 0.0]
        )
    assert np.isfinite(log_prob)
    assert np.isfinite(tape.gradient(log_prob, factor)).all()


def test_arguments_are_checked_if_asked_to():
    with pytest.raises(tf.errors.InvalidArgumentError, match="`low` must be less than `high`"):
        reflected.ReflectedNormal(0.0, 1.0, 1.0, 0.0, validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Scales must be positive"):
        reflected.ReflectedNormal(0.0, -1.0, 0.0, 1.0, validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Scales must be positive"):
        reflected_joint.ReflectedMultivariateNormal([0.0], [[-1.0]], [0.0], [1.0], validate_args=True)


# Mixtures of them

# covariance, event_shape, support
LAYERS = [
    ("diag", (), (0.0, 1.0)),
    ("diag", (), (0.0, None)),
    ("diag", (2,), (None, [1.0, None])),
    ("spherical", (2,), (0.0, 1.0)),
    ("full", (2,), ([0.0, None], 1.0)),
    ("full", (3,), (0.0, 1.0)),
]
every_layer = pytest.mark.parametrize("case", LAYERS, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")


def mixture_of(case, batch_shape=(4,), num_components=3, **kwargs):
    covariance, event_shape, support = case
    layer = tfmdn.MDNLayer(
        num_components, event_shape, covariance=covariance, support=support, kernel_initializer="he_normal", **kwargs
    )
    features = np.random.default_rng(1).normal(size=(*batch_shape, 6)).astype("float32")
    layer.adapt(np.random.default_rng(2).uniform(size=(300, *event_shape)))
    return layer(0.5 * features)


def by_hand(case, mixture, y):
    """The density of y `[n, *E]` under each row of a mixture, from the components' own, one by one: `[n, B]`."""
    values = {key: np.float64(value) for key, value in tensors.parameters(mixture.components_distribution).items()}
    weights = scipy.special.softmax(np.float64(mixture.mixture_distribution.logits), -1)
    density = np.zeros((len(y), len(weights)))
    for row, k in np.ndindex(weights.shape):
        own = {key: value[row, k] for key, value in values.items()}
        if case[0] == "full":
            part = reflected_joint.ReflectedMultivariateNormal(
                *(own[key] for key in ("loc", "scale_tril", "low", "high"))
            )
            part = part.prob(y).numpy()
        else:
            parts = [
                Truth(*numbers).pdf(column)
                for numbers, column in zip(
                    np.stack([np.atleast_1d(own[key]) for key in ("loc", "scale", "low", "high")], -1),
                    y.reshape(len(y), -1).T,
                )
            ]
            part = np.prod(parts, 0)
        density[:, row] += weights[row, k] * part
    return density


@every_layer
def test_mixtures_are_made_of_their_components(case):
    mixture = mixture_of(case)
    y = np.random.default_rng(3).uniform(0.01, 0.99, (20, *case[1]))
    expected = by_hand(case, mixture, y)
    np.testing.assert_allclose(mixture.prob(np.float32(y)[:, np.newaxis]), expected, rtol=2e-3, atol=1e-4)


@pytest.mark.covering(1)
@every_layer
def test_answers_agree_with_draws(case):
    mixture = mixture_of(case)
    draws = mixture.sample(40_000, seed=1).numpy().astype("float64")
    low, high = (np.array(side, float) for side in np.broadcast_arrays(*tfmdn.layers.support.limits(case[2], case[1])))
    assert (draws >= low - 1e-6).all()
    assert (draws <= high + 1e-6).all()
    stddev = draws.std(0)
    np.testing.assert_allclose(mixture.mean(), draws.mean(0), atol=0.03 * stddev.max())
    np.testing.assert_allclose(mixture.stddev(), stddev, rtol=0.03)
    levels = [0.05, 0.5, 0.95]
    quantiles = mixture.quantile(levels)
    expected = np.broadcast_to(np.reshape(levels, [3] + [1] * (draws.ndim - 1)), quantiles.shape)
    np.testing.assert_allclose(mixture.cdf(quantiles), expected, atol=1e-5)
    received = np.moveaxis([(draws <= quantile).mean(0) for quantile in quantiles.numpy()], 0, -1)
    np.testing.assert_allclose(received, np.broadcast_to(levels, received.shape), atol=0.02)
    if case[1]:
        centred = draws - draws.mean(0)
        covariance = np.einsum("sbi,sbj->bij", centred, centred) / len(draws)
        np.testing.assert_allclose(mixture.covariance(), covariance, atol=0.03 * stddev.max() ** 2)
    ends = mixture.quantile([0.0, 1.0]).numpy()
    np.testing.assert_allclose(ends, np.stack([np.broadcast_to(end, ends.shape[1:]) for end in (low, high)]))


@pytest.mark.by_default("('diag', (), (0.0, 1.0))", "('full', (2,), ([0.0, None], 1.0))")
@pytest.mark.parametrize("case", LAYERS[:5], ids=str)
def test_modes_are_not_below_any_draw(case):
    mixture = mixture_of(case)
    draws = mixture.sample(4_000, seed=2)
    highest = tf.reduce_max(mixture.log_prob(draws), 0)
    mode = mixture.mode()
    assert np.all(mixture.log_prob(mode) >= highest - 1e-2)
    np.testing.assert_allclose(mixture.modes(1).points[0], mode, atol=1e-5)


@pytest.mark.parametrize("case", LAYERS[2:], ids=str)
def test_marginals_and_conditionals_are_ratios_of_integrals(case):
    mixture = mixture_of(case)
    size = case[1][0]
    rng = np.random.default_rng(5)
    y = rng.uniform(0.05, 0.95, (4, size)).astype("float32")
    reverse = list(range(size))[::-1]
    np.testing.assert_allclose(
        mixture.marginal(reverse).log_prob(y[:, ::-1]), mixture.log_prob(y), rtol=1e-3, atol=1e-3
    )
    conditional = mixture.condition(0, y[:, 0])
    expected = mixture.log_prob(y) - mixture.marginal(0).log_prob(y[:, 0])
    np.testing.assert_allclose(conditional.log_prob(y[:, 1:]), expected, rtol=1e-3, atol=2e-3)


def test_conditional_of_merged_mixtures_and_outside_of_the_limits():
    mixture = mixture_of(LAYERS[5])
    values = np.full((4, 1), 0.4, "float32")
    conditional = tfmdn.merge([mixture, mixture]).condition([0], values)
    aleatoric, epistemic = conditional.decompose()
    assert conditional.member_sizes == (9, 9)
    np.testing.assert_allclose(epistemic, np.zeros((4, 2)), atol=1e-6)
    np.testing.assert_allclose(aleatoric, mixture.condition([0], values).variance(), rtol=1e-4)
    unlimited = mixture_of(LAYERS[3], background=0.01)  # which has limits too
    for limited in (mixture, unlimited):
        assert np.isnan(limited.condition(0, 1.2).log_prob(tf.fill(limited.event_shape[0] - 1, 0.5))).all()


@pytest.mark.exhaustive
def test_conditional_in_a_graph_of_unknown_batch_size():
    layer = tfmdn.MDNLayer(3, 2, covariance="full", support=(0.0, 1.0), kernel_initializer="he_normal")
    x, values = np.random.default_rng(1).normal(size=(4, 6)).astype("float32"), np.full(4, 0.4, "float32")
    expected = layer(x).condition(0, values).mean(), layer(x).mode()

    @tf.function(input_signature=[tf.TensorSpec([None, 6]), tf.TensorSpec([None])])
    def ask(x, values):
        return layer(x).condition(0, values).mean(), layer(x).mode()

    for received, value in zip(ask(x, values), expected):
        np.testing.assert_allclose(received, value, atol=1e-4)


def test_conditional_beyond_limits_that_were_found_is_the_background():
    layer = tfmdn.MDNLayer(3, 2, covariance="full", support="auto", background=0.01)
    layer.adapt(np.random.default_rng(2).uniform(size=(500, 2)))
    mixture, y = layer(np.zeros((1, 3))), np.float32([[1.2, 0.2], [1.2, 0.5], [1.2, 1.5]])
    expected = mixture.log_prob(y) - mixture.marginal(0).log_prob(y[:, 0])
    np.testing.assert_allclose(mixture.condition(0, y[:, 0]).log_prob(y[:, 1:]), expected, atol=1e-4)


def test_the_same_question_is_traced_once():
    mixture, y = mixture_of(LAYERS[0]), np.full(4, 0.3, "float32")
    tfmdn.crps(y, mixture)
    names, times = ("loc", "scale", "low", "high"), cells.TIMES[tf.float32]
    integral = cells.half_difference(reflected.ReflectedNormal, names, False, False, tf.float64, times)
    count = integral.experimental_get_tracing_count()
    assert count > 0
    for _ in range(3):
        tfmdn.crps(y, mixture)
    assert integral.experimental_get_tracing_count() == count


@pytest.mark.parametrize("case", LAYERS[:2], ids=str)
def test_scalar_scores_and_regions(case):
    mixture = mixture_of(case)
    y = np.array([0.01, 0.3, 0.6, 0.95], "float32")
    grid = np.linspace(0.0, 1.0 if case[2][1] else 6.0, 60_001)
    grid = np.sort(np.concatenate([grid, y, np.float64(y) - 1e-9]))  # what is integrated jumps at y
    cdf = mixture.cdf(np.float32(grid)[:, np.newaxis]).numpy().astype("float64")
    expected = scipy.integrate.trapezoid((cdf - (grid[:, np.newaxis] >= y)) ** 2, grid, axis=0)
    np.testing.assert_allclose(tfmdn.crps(y, mixture), expected, atol=1e-5)
    region = mixture.highest_density_region(0.8).numpy()
    inside = np.nansum(mixture.cdf(region[..., 1]) - mixture.cdf(region[..., 0]), 0)
    np.testing.assert_allclose(inside, 0.8, atol=2e-3)


@pytest.mark.covering(1)
@pytest.mark.parametrize("scale", [0.02, 0.5, 3.0])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.0, INF), (-INF, INF)])
def test_the_distance_of_two_draws(scale, limits):
    """E|X - X'| / 2 of a mixture is the integral of F (1 - F)."""
    first, second = (
        reflected_normal((loc, own, *limits)) for loc, own in ((0.3, scale), (0.6, 0.1))
    )  # fmt: skip
    start, end = max(limits[0], -40.0 * scale - 4), min(limits[1], 40.0 * scale + 4)
    grid = np.unique(np.concatenate([np.linspace(start, end, 200_001), np.linspace(0.0, 1.0, 50_001)]))
    cdf = 0.25 * first.cdf(grid).numpy() + 0.75 * second.cdf(grid).numpy()
    expected = scipy.integrate.simpson(cdf * (1 - cdf), x=grid)
    both = tensors.map(lambda *values: tf.stack(values), first, second)
    received = ranked_probability.half_difference(both, tf.constant([0.25, 0.75], tf.float64), -1)
    assert float(received) == pytest.approx(expected, rel=1e-6)


@every_layer
def test_merged_and_tempered(case):
    mixture = mixture_of(case)
    merged = tfmdn.merge([mixture, mixture.temper(scale_temperature=2.0)], weights=[0.25, 0.75])
    y = np.random.default_rng(6).uniform(0.1, 0.9, (4, *case[1])).astype("float32")
    expected = 0.25 * mixture.prob(y) + 0.75 * mixture.temper(scale_temperature=2.0).prob(y)
    np.testing.assert_allclose(merged.prob(y), expected, rtol=1e-4)
    aleatoric, epistemic = merged.decompose()
    np.testing.assert_allclose(aleatoric + epistemic, merged.variance(), rtol=1e-4)


# In models


@pytest.mark.usefixtures("quick_graphs")
@pytest.mark.by_default("('diag', (), (0.0, 1.0))-False")
@pytest.mark.parametrize(("case", "jit_compile"), [(LAYERS[0], False), (LAYERS[2], True), (LAYERS[4], False)], ids=str)
def test_models_train_are_saved_and_exported(case, jit_compile, tmp_path):
    covariance, event_shape, support = case
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.uniform(size=(64, *event_shape)).astype("float32")
    head = tfmdn.MDNLayer(3, event_shape, covariance=covariance, support=support, background=0.01)
    head.adapt(y)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), head])
    model.compile(keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood(), jit_compile=jit_compile)
    losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    expected = model(x).log_prob(y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x).log_prob(y), expected, rtol=1e-4, atol=1e-5)
    tfmdn.export_saved_model(model, tmp_path / "exported")
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    received = exported.signatures["log_prob"](x=tf.constant(x), y=tf.constant(y))["log_prob"]
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)
    assert {"low", "high"} <= set(exported.signatures["serving_default"].structured_outputs)


@pytest.mark.by_default("2")
@pytest.mark.parametrize("num_components", [1, 2, 8])
def test_components_as_wide_as_the_interval_keep_learning(num_components):
    """Held at their widest they must neither drift away nor be stuck."""
    y = np.random.default_rng(0).uniform(size=(512, 2)).astype("float32")
    head = tfmdn.MDNLayer(num_components, 2, covariance="full", support=(0.0, 1.0))
    head.adapt(y)
    model = keras.Sequential([keras.Input((1,)), head])
    model.compile(keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, np.zeros((512, 1), "float32"), y, batch_size=128, epochs=100, verbose=0)
    learnt = model.evaluate(np.zeros((512, 1)), y, batch_size=512, verbose=0)
    assert learnt < {1: 0.25, 2: 0.12, 8: 0.02}[num_components]  # the truth: 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", [LAYERS[0], LAYERS[4]], ids=str)
def test_ensembles(case):
    covariance, event_shape, support = case
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.uniform(size=(64, *event_shape)).astype("float32")

    def network():
        head = tfmdn.MDNLayer(3, event_shape, covariance=covariance, support=support)
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), head])

    networks = [network() for _ in range(2)]
    ensemble = tfmdn.Ensemble(networks)
    expected = tfmdn.merge([network(x) for network in networks]).log_prob(y)
    np.testing.assert_allclose(ensemble(x).log_prob(y), expected, rtol=1e-4, atol=1e-5)
    ensemble.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    assert np.isfinite(ensemble.fit(x, y, epochs=2, verbose=0).history["loss"]).all()
    assert np.isfinite(ensemble.calibrate(x, y))


@pytest.mark.exhaustive
def test_two_replicas():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(32, 3)).astype("float32"), rng.uniform(size=32).astype("float32")

    def trained(strategy):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            head = tfmdn.MDNLayer(3, support="auto", background=0.01)
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), head])
            model.compile("sgd", loss=tfmdn.NegativeLogLikelihood())
        head.adapt(rng.uniform(size=500))
        model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)
        return model.evaluate(x, y, verbose=0)

    rng = np.random.default_rng(10)
    one = trained(tf.distribute.get_strategy())
    rng = np.random.default_rng(10)
    assert trained(two_replicas()) == pytest.approx(one, rel=1e-5)


def test_the_fallback_has_the_moments_that_it_was_given():
    mixture = mixture_of(LAYERS[0])
    from tfmdn.layers import families

    mean, stddev = tf.constant([0.01, 0.5, 0.99]), tf.constant([0.2, 0.1, 0.3])
    components = families.components_of_moments(mixture.components_distribution, mean, stddev)
    np.testing.assert_allclose(components.mean(), mean)
    np.testing.assert_allclose(components.stddev(), stddev, rtol=1e-6)
