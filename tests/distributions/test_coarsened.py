"""Components of which only a coarse value is observed, and mixtures of them, against SciPy and simulation."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import coarse_modes

tfd = tfp.distributions
INF = np.inf

LOC, SCALE, PROBS = np.array([[-0.4, 0.6, 2.5], [0.3, 1.0, 1.4]]), np.array([0.7, 0.3, 1.2]), np.array([0.5, 0.3, 0.2])
# What else components are made of.
CASES = {
    "exact": {},
    "atom": {"low": 0.0},
    "two atoms and a background": {"low": 0.0, "high": 2.0, "is_moved": [1.0, 1.0, 0.0]},
    "atom opposite to a mirror": {"high": 2.0, "mirror_low": -1.0},
    "rounded": {"resolution": 0.5},
    "rounded, with limits": {"low": 0.0, "high": 3.0, "resolution": 0.5},
}
every_case = pytest.mark.parametrize("name", CASES)
POINTS = np.array([-1.5, -0.5, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0])


def mixture_of(name, dtype="float64"):
    """Of batch shape `[2]`."""
    arguments = {key: np.array(value, dtype) for key, value in CASES[name].items()}
    components = tfmdn.distributions.CoarsenedNormal(LOC.astype(dtype), SCALE.astype(dtype), **arguments)
    return tfmdn.Mixture(tfd.Categorical(logits=np.log(PROBS).astype(dtype)), components)


@functools.cache
def simulated(name, count=200_000):
    """Draws `[count, 2]` of what is observed."""
    rng, case = np.random.default_rng(0), CASES[name]
    k = rng.choice(3, (count, 1), p=PROBS)
    z = LOC[[0, 1], k] + SCALE[k] * rng.normal(size=(count, 2))
    if "mirror_low" in case:
        z = case["mirror_low"] + np.abs(z - case["mirror_low"])
    is_moved = np.array(case.get("is_moved", np.ones(3)))[k] > 0.5
    z = np.where(is_moved, np.clip(z, case.get("low", -INF), case.get("high", INF)), z)
    step = case.get("resolution")
    return z if step is None else step * np.round(z / step)


def densities_and_probabilities(name, y):
    """What SciPy says of numbers `[n, 1]`: the density, or the probability if there is one, `[n, 2]`."""
    case, normal = CASES[name], scipy.stats.norm(LOC, SCALE)
    y = y[..., np.newaxis]  # [n, 1, 1]
    low, high, step = case.get("low", -INF), case.get("high", INF), case.get("resolution", 0.0)
    mirror, is_moved = case.get("mirror_low"), np.array(case.get("is_moved", np.ones(3)), bool)

    def cdf(x):
        return normal.cdf(x) - (0.0 if mirror is None else normal.cdf(2.0 * mirror - x))

    density = normal.pdf(y) + (0.0 if mirror is None else normal.pdf(2.0 * mirror - y))
    density = np.where(y < (-INF if mirror is None else mirror), 0.0, density)
    start = np.where(y <= low, -INF if mirror is None else mirror, y - 0.5 * step)
    end = np.where(y >= high, INF, y + 0.5 * step)
    probability = np.where(end < INF, cdf(end), 1.0) - np.where(start > -INF, cdf(start), 0.0)
    is_atom = (y == low) | (y == high)
    moved = np.where(is_atom | (step > 0.0), probability, density)
    moved = np.where((y < low) | (y > high), 0.0, moved)
    staying = np.where(is_atom & (step == 0.0), 0.0, density)
    return (PROBS * np.where(is_moved, moved, staying)).sum(-1)


def inside(draws, ends):
    """The share of draws `[n, 2]` within one of the intervals `[I, 2, 2]`."""
    slack = 1e-6
    is_inside = [(draws >= first - slack) & (draws <= last + slack) for first, last in np.moveaxis(ends, -1, 1)]
    return np.any(is_inside, 0).mean(0)


@pytest.mark.covering(1)
@every_case
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
def test_densities_and_probabilities(name, dtype, tolerance):
    mixture, y = mixture_of(name, dtype), POINTS[:, np.newaxis]
    expected = densities_and_probabilities(name, y)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(mixture.log_prob(y.astype(dtype)), np.log(expected), rtol=tolerance, atol=tolerance)
    draws, value = simulated(name), y.astype(dtype)
    share = np.stack([(draws == point).mean(0) for point in POINTS])
    np.testing.assert_allclose(mixture.prob_of(value), share, atol=4e-3)
    below = np.stack([(draws <= point).mean(0) for point in POINTS])
    np.testing.assert_allclose(mixture.cdf(value), below, atol=4e-3)
    np.testing.assert_allclose(mixture.survival_function(value), 1.0 - below, atol=4e-3)
    np.testing.assert_allclose(tf.exp(mixture.log_cdf(value)), mixture.cdf(value), atol=tolerance)
    between = ((draws >= 0.0) & (draws <= 1.0)).mean(0)
    np.testing.assert_allclose(tf.exp(mixture.interval_log_prob(np.zeros(2, dtype), 1.0)), between, atol=4e-3)
    np.testing.assert_allclose(mixture.mean(), draws.mean(0), atol=0.01)
    np.testing.assert_allclose(mixture.stddev(), draws.std(0), atol=0.01)


@every_case
def test_queries_agree_with_draws(name):
    mixture, draws = mixture_of(name), simulated(name)
    own = mixture.sample(20_000, seed=1).numpy()
    levels = np.array([0.02, 0.2, 0.5, 0.8, 0.98])
    np.testing.assert_allclose([(own <= point).mean(0) for point in POINTS], mixture.cdf(POINTS[:, None]), atol=0.015)
    np.testing.assert_allclose(
        [(own == point).mean(0) for point in POINTS], mixture.prob_of(POINTS[:, None]), atol=0.015
    )
    quantiles = mixture.quantile(levels).numpy()
    expected = np.quantile(draws, levels, axis=0, method="inverted_cdf")
    step = CASES[name].get("resolution", 0.0)
    np.testing.assert_allclose(quantiles, expected, atol=step + 0.05)
    for sign, tail in ((-1.0, levels), (1.0, 1.0 - levels)):  # as many below as there must be, and no more than can be
        share = np.stack([(sign * draws > sign * quantile).mean(0) for quantile in quantiles])
        assert (share <= tail[:, np.newaxis] + 3e-3).all()
    assert (inside(draws, mixture.interval(0.9)[np.newaxis]) > 0.897).all()


@every_case
def test_highest_density_regions(name):
    mixture, draws = mixture_of(name), simulated(name)
    region = mixture.highest_density_region(0.6).numpy()
    assert region.shape == (5, 2, 2)
    share = inside(draws, region)
    assert (share > 0.596).all()
    step = CASES[name].get("resolution")
    if step is None:
        assert (share[name != "exact" and mixture.prob_of([0.0, 0.0]).numpy() < 0.6] < 0.604).all()
        return
    values = np.unique(draws)
    probability = np.stack([(draws == value).mean(0) for value in values])
    fewest = (np.cumsum(np.sort(probability, 0)[::-1], 0) < 0.6).sum(0) + 1
    lengths = np.nansum((region[..., 1] - region[..., 0]) / step + 1.0, 0)
    np.testing.assert_array_equal(lengths, fewest)


@pytest.mark.by_default("two atoms and a background", "rounded, with limits")
@every_case
def test_modes(name):
    mixture, draws = mixture_of(name), simulated(name)
    mode, modes = mixture.mode().numpy(), mixture.modes(5)
    np.testing.assert_allclose(modes.points[0], mode, atol=1e-5)
    found = modes.points.numpy()
    log_prob = mixture.log_prob(np.where(np.isnan(found), 0.0, found))
    np.testing.assert_allclose(modes.log_prob, np.where(np.isnan(found), -INF, log_prob))
    step = CASES[name].get("resolution")
    width = 0.02 * draws.std(0) if step is None else step
    points = np.arange(-3.0, 6.0, 0.05 if step is None else step)
    # The most draws within a hundredth of a standard deviation, or on a value.
    counts = np.stack([(np.abs(draws - point) <= 0.5 * width).mean(0) for point in points])
    own = (np.abs(draws - mode) <= 0.5 * width).mean(0)
    assert (own >= counts.max(0) - 2e-3).all()


def test_modes_of_vectors_are_not_below_any_point():
    rng = np.random.default_rng(0)
    loc, scale = rng.normal(size=(2, 4, 2)), np.exp(rng.normal(size=(2, 4, 2)) - 0.7)
    components = tfmdn.distributions.CoarsenedNormal(
        loc, scale, low=np.array([0.0, -INF]), high=np.array([INF, 1.0]), resolution=np.array([0.5, 0.0])
    )
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((2, 4))), tfd.Independent(components, 1))
    axes = np.arange(0.0, 4.1, 0.5), np.append(np.linspace(-4.0, 0.99, 100), 1.0)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 1, 2)
    highest = tf.reduce_max(coarse_modes.heights(mixture, points), 0)
    assert (coarse_modes.heights(mixture, mixture.mode()[np.newaxis])[0] >= highest - 1e-9).numpy().all()


def probabilities(mixture):
    """What XLA compiles in seconds, by name."""
    y = tf.constant(POINTS[:, np.newaxis], mixture.dtype)
    return {
        "log_prob": mixture.log_prob(y),
        "prob_of": mixture.prob_of(y),
        "cdf": mixture.cdf(y),
        "log_survival_function": mixture.log_survival_function(y),
        "moments": (mixture.mean(), mixture.variance()),
    }


def questions(mixture):
    """What can be asked in a graph, by name."""
    y = tf.constant(POINTS[:, np.newaxis], mixture.dtype)
    return {
        **probabilities(mixture),
        "interval_log_prob": mixture.interval_log_prob(y[:1], 1.0),
        "quantile": mixture.quantile([0.02, 0.5, 0.98]),
        "decompose": mixture.decompose(),
        "slice of the merged": tfmdn.merge([mixture, mixture.temper(0.5, 0.7)])[:1].cdf(y),
        "transform": tfmdn.probability_integral_transform(y[4] + [0.0, 0.5], mixture, seed=1),
        "responsibilities": mixture.posterior_marginal(y).probs_parameter(),
        "component": mixture.component(1).log_prob(y),
    }


@pytest.mark.by_default("True-two atoms and a background", "False-rounded, with limits")
@every_case
@pytest.mark.parametrize("is_compiled", [False, True])
def test_graph_and_xla_answer_as_eager_does(name, is_compiled):
    mixture, ask = mixture_of(name, "float32"), probabilities if is_compiled else questions
    received = tf.function(ask, jit_compile=is_compiled)(mixture)
    for question, expected in ask(mixture).items():
        for part, answer in zip(tf.nest.flatten(received[question]), tf.nest.flatten(expected)):
            np.testing.assert_allclose(part, answer, rtol=2e-4, atol=2e-5, err_msg=question)
    np.testing.assert_allclose(received["log_prob"], mixture_of(name).log_prob(POINTS[:, np.newaxis]), atol=1e-4)


@pytest.mark.by_default("rounded, with limits", "atom opposite to a mirror")
@every_case
def test_gradients_are_finite(name):
    """However far away and however narrow components are."""
    loc, scale = (part.ravel()[:, np.newaxis] for part in np.meshgrid([-1e30, -1e6, 0.5, 1e30], [1e-6, 1.0, 1e30]))
    loc, scale, y = (tf.constant(part, tf.float32) for part in (loc, scale, [*POINTS, 1e30]))
    others = {key: value for key, value in CASES[name].items() if key != "is_moved"}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([loc, scale])
        components = tfmdn.distributions.CoarsenedNormal(loc, scale, **others)
        answers = [components.log_prob(y), components.cdf(y), components.log_cdf(y), components.mean()]
        totals = [tf.reduce_sum(tf.where(tf.math.is_finite(answer), answer, 0.0)) for answer in answers]
    for answer, total in zip(answers, totals):
        assert not np.isnan(answer).any()
        assert all(np.isfinite(gradient).all() for gradient in tape.gradient(total, [loc, scale]))


@every_case
def test_what_cannot_be(name):
    mixture, case = mixture_of(name), CASES[name]
    with np.errstate(invalid="ignore"):
        assert np.isnan(mixture.log_prob([np.nan, np.nan])).all()
        assert np.isnan(mixture.cdf([np.nan, np.nan])).all()
    np.testing.assert_allclose(mixture.cdf(np.array([[-INF], [INF]])), [[0.0] * 2, [1.0] * 2], atol=1e-15)
    np.testing.assert_allclose(mixture.prob_of(np.array([[-INF], [INF]])), np.zeros((2, 2)))
    if "high" in case:
        beyond = case["high"] + 0.5
        assert np.isneginf(mixture.log_prob([beyond, beyond])).all() == ("is_moved" not in case)
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive"):
        tfmdn.distributions.CoarsenedNormal(0.0, -1.0, validate_args=True)


def test_limits_are_rounded_as_values_are():
    components = tfmdn.distributions.CoarsenedNormal(1.0, 1.0, low=0.6, high=3.3, resolution=1.0)
    expected = np.diff(scipy.stats.norm(1.0, 1.0).cdf([-INF, 1.5, 2.5, INF]))
    np.testing.assert_allclose(components.prob([0.0, 1.0, 2.0, 3.0, 4.0]), [0.0, *expected, 0.0], rtol=1e-5)
    assert float(components.mean()) == pytest.approx(expected @ [1.0, 2.0, 3.0], rel=1e-5)
    assert set(components.sample(100, seed=[1, 2]).numpy()) == {1.0, 2.0, 3.0}


def test_moments_of_what_is_hardly_ever_another_value():
    """In float64 that is 1e-19 of the time beside values of a million."""
    loc, scale = 1e6 + np.array([0.3, -0.02, 0.3]), np.array([0.04, 0.055, 0.023])
    components = tfmdn.distributions.CoarsenedNormal(loc, scale, resolution=1.0)
    above, below = (scipy.stats.norm.sf((0.5 - side * (loc - 1e6)) / scale) for side in (1.0, -1.0))
    expected = above + below - np.square(above - below)
    np.testing.assert_allclose(components.variance(), expected, rtol=1e-8)


@pytest.mark.parametrize("arguments", [{}, {"low": 1e6}])
def test_steps_of_large_numbers(arguments):
    """In float32 numbers of a million have steps of a sixteenth."""
    y = 1e6 + np.arange(0.0, 8.0)
    in_float32, in_float64 = (
        tfmdn.distributions.CoarsenedNormal(np.array(1e6 + 2.0, dtype), 3.0, resolution=1.0, **arguments)
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(in_float32.log_prob(y.astype("float32")), in_float64.log_prob(y), atol=1e-5)
    np.testing.assert_allclose(in_float32.stddev(), in_float64.stddev(), rtol=1e-5)


def test_a_level_of_all_that_stays_beyond_a_limit():
    """Between what is not moved and the limit nothing lies: any value there has the level, and infinity is none."""
    components = tfmdn.distributions.CoarsenedNormal(
        [1.0, -9.0], [0.1, 0.1], [0.0, 0.0], [9.0, 9.0], is_moved=[1.0, 0.0]
    )
    found = tfmdn.Mixture(tfd.Categorical(probs=[0.5, 0.5]), components).quantile([0.5]).numpy()
    assert -9.0 < found.item() <= 0.0
    # Beside components of no weight, beyond either limit: all digits of either tail.
    levels, centres = np.array([1e-19, 1e-14, 1e-3, 1.0 - 1e-3, 1.0 - 1e-14]), np.array([40.0, -9.0])
    components = tfmdn.distributions.CoarsenedNormal(
        np.stack([centres, centres], -1), [0.1, 0.1], [0.0, 0.0], [9.0, 9.0], is_moved=[1.0, 0.0]
    )
    found = tfmdn.Mixture(tfd.Categorical(probs=np.array([[0.0, 1.0]] * 2)), components).quantile(levels)
    np.testing.assert_allclose(found, centres + 0.1 * scipy.stats.norm.ppf(levels)[:, np.newaxis], rtol=1e-10)


def test_fine_steps_in_float32():
    """The value next to a limit is none, where steps are as fine as its rounding; a level in the middle has a side."""
    at_limit = {"loc": 10.73091125, "scale": 6.5e-5, "low": 10.730888366699219, "high": INF, "resolution": 2.0**-18}
    mirrored = {"loc": -1724066.625, "scale": 2198.9, "low": -INF, "high": INF, "resolution": 8.0}
    mirrored |= {"mirror_low": -1724064.0, "mirror_high": -1723896.0}
    steps, levels = 10.730888366699219 + 2.0**-18 * np.arange(4), np.array([1e-12, 0.01, 0.5, 0.9])
    answers = []
    for dtype in ("float32", "float64"):
        logits, of_limit, of_mirrors = (
            tf.zeros([1], dtype),
            *({name: tf.constant([value], dtype) for name, value in own.items()} for own in (at_limit, mirrored)),
        )
        mixtures = [
            tfmdn.Mixture(tfd.Categorical(logits=logits), tfmdn.distributions.CoarsenedNormal(is_moved=[1.0], **own))
            for own in (of_limit, of_mirrors)
        ]
        answers.append([mixtures[0].prob(steps.astype(dtype)), *(own.quantile(levels) for own in mixtures)])
    for received, expected, tolerance in zip(*answers, (1e-2, 1e-6, 0.0)):
        np.testing.assert_allclose(received, expected, rtol=tolerance)
    assert float(answers[0][0][1]) < 0.1 * float(answers[0][0][0])
