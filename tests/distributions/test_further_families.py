"""Gamma, Weibull, Gumbel and von Mises components: what mixtures ask of them, against SciPy, quadrature and grids."""

import itertools

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import FURTHER, FURTHER_COMPONENTS, POSITIVE, CutVonMises, case_name, layer_of, mixture_of

import tfmdn
from tfmdn.distributions import deviations, gamma, ranked_probability, von_mises
from tfmdn.layers import families

tfd = tfp.distributions

SCALARS = [case for case in FURTHER_COMPONENTS if case[1:] == ("diag", ())]
every_kind = pytest.mark.parametrize("case", FURTHER_COMPONENTS, ids=case_name)
every_scalar_kind = pytest.mark.parametrize("case", SCALARS, ids=case_name)
every_family = pytest.mark.parametrize("family", sorted(FURTHER))
SCIPY = {
    "gamma": lambda loc, scale: scipy.stats.gamma(1 + scale**-2, scale=np.exp(loc) / (1 + scale**-2)),
    "weibull": lambda loc, scale: scipy.stats.weibull_min(1 + 1 / scale, scale=np.exp(loc)),
    "gumbel": scipy.stats.gumbel_r,
}


def integral(function, edges):
    edges = np.unique(edges)
    return sum(scipy.integrate.quad(function, a, b, epsabs=1e-13, limit=200)[0] for a, b in itertools.pairwise(edges))


def angular(difference):
    return np.abs((difference + np.pi) % (2 * np.pi) - np.pi)


@pytest.mark.parametrize("family", sorted(SCIPY))
def test_moments_are_scipys(family):
    for loc, scale in [(0.3, 0.7), (-2.0, 5.0), (1.0, 0.01)]:
        component = families.FAMILIES[family].distribution(np.float32(loc), np.float32(scale))
        truth = SCIPY[family](loc, scale)
        np.testing.assert_allclose(component.mean(), truth.mean(), rtol=1e-5)
        np.testing.assert_allclose(component.stddev(), truth.std(), rtol=1e-4)
        height = component.log_prob(component.mode())
        assert height >= np.max(component.log_prob(component.mode() + truth.std() * np.float32([-0.05, 0.05])))


@pytest.mark.parametrize("family", sorted(SCIPY))
def test_crps_is_an_integral(family):
    """E|X - y| and E|X - X'| / 2, which it is made of, for narrow and broad ones, and for y in the tails."""
    kind = families.FAMILIES[family].distribution
    pairs = [((0.3, 0.7), (0.5, 0.2)), ((1.0, 0.02), (1.0, 5.0)), ((0.1, 0.01), (0.1, 0.012))]
    for pair in pairs:
        a, b = (SCIPY[family](*parameters) for parameters in pair)
        edges = [x for law in (a, b) for x in law.ppf([1e-14, 1e-6, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1 - 1e-14])]
        with np.errstate(over="ignore"):
            expected = integral(lambda x, a=a, b=b: 0.25 * (a.cdf(x) + b.cdf(x)) * (a.sf(x) + b.sf(x)), edges)
        both = kind(*np.float64(pair).T)
        received = ranked_probability.half_difference(both, tf.constant([0.5, 0.5], tf.float64), -1)
        np.testing.assert_allclose(received, expected, rtol=1e-6)
        y = a.ppf([1e-6, 0.3, 0.99])
        expected = [
            integral(a.cdf, [e for e in edges if e < v] + [v]) + integral(a.sf, [v] + [e for e in edges if e > v])
            for v in y
        ]
        np.testing.assert_allclose(deviations.absolute_deviation(kind(*np.float64(pair[0])), y), expected, rtol=1e-7)


def test_crps_of_angles_is_that_of_a_circle():
    def density(y, loc, scale):
        return np.exp(CutVonMises(loc, scale).logpdf(y))

    y = np.array([-3.1, 0.0, 3.0])
    for first, second in [((0.3, 0.7), (-2.9, 0.2)), ((3.0, 0.05), (-3.1, 5.0))]:
        components = [von_mises.VonMises(*np.float64(parameters)) for parameters in (first, second)]
        expected = []
        for value in y:
            edges = [-np.pi, np.pi, *np.clip(first[0] + first[1] * np.array([-8, 0, 8]), -np.pi, np.pi), value]
            edges = [*edges, angular(value + np.pi) - np.pi if value > 0 else value + np.pi, -np.pi + 0.3]
            expected.append(integral(lambda x, v=value, p=first: density(x, *p) * angular(x - v), edges))
        np.testing.assert_allclose(deviations.absolute_deviation(components[0], y), expected, rtol=1e-6)
        grid = (np.arange(4000) + 0.5) * 2 * np.pi / 4000 - np.pi
        weights = [density(grid, *parameters) * 2 * np.pi / 4000 for parameters in (first, second)]
        expected = np.einsum("i,j,ij", *weights, angular(grid[:, np.newaxis] - grid))
        np.testing.assert_allclose(deviations.absolute_difference(*components), expected, rtol=1e-5)
    mixture = mixture_of(("von_mises", "diag", ()), batch_shape=(3,))
    np.testing.assert_allclose(tfmdn.crps(y + 2 * np.pi, mixture), tfmdn.crps(y, mixture), atol=1e-5)


@pytest.mark.covering(1)
@every_kind
def test_scores_and_their_gradients_are_finite(case):
    layer = layer_of(case, num_components=2, kernel_initializer="he_normal")
    features = tf.random.stateless_normal((4, 6), [0, 1])
    y = tf.reshape([1e-30, 0.5, 1e6, 1e30], (4, *[1] * len(case[2]))) * tf.ones((4, *case[2]))
    with tf.GradientTape() as tape:
        crps = tfmdn.crps(y, layer(features))
    assert np.isfinite(crps).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(crps, layer.trainable_variables))
    target = layer(features).sample(seed=1)
    if not case[2]:
        energy = tfmdn.energy_score(target, layer(features), num_samples=20_000, seed=2)
        np.testing.assert_allclose(energy, tfmdn.crps(target, layer(features)), rtol=0.05, atol=0.003)


@pytest.mark.parametrize("concentration", [0.9e4, 1.1e4, 1e6])
def test_tails_of_narrow_gamma_distributions(concentration):
    """The expansion from 1e4 on, where it starts and far beyond: against SciPy's function for the upper tail."""
    distance = np.array([-3.0, -1.0, -1e-3, 0.0, 0.5, 2.0, 6.0]) / np.sqrt(concentration)
    shape = tf.constant(concentration, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(shape)
        above = gamma.tail(shape, tf.constant(distance), 1.0)
    expected = scipy.special.gammaincc(concentration, concentration * np.exp(distance))
    np.testing.assert_allclose(above, expected, rtol=1e-9)
    np.testing.assert_allclose(gamma.tail(shape, tf.constant(distance), -1.0), 1.0 - above.numpy(), atol=1e-12)
    assert np.isfinite(tape.gradient(above, shape))


@every_scalar_kind
def test_peaks_and_regions_are_those_of_a_grid(case):
    mixture = mixture_of(case, batch_shape=(3,), num_components=3)
    low, high = np.asarray(mixture.quantile([1e-4, 1 - 1e-4])).T.min(), float(np.max(mixture.quantile(0.9999)))
    if case[0] == "von_mises":
        low, high = -np.pi, np.pi
    grid = np.linspace(low, high, 20_001, dtype="float32")
    log_prob = mixture.log_prob(grid[:, np.newaxis]).numpy()
    height = mixture.log_prob(mixture.mode()).numpy()
    assert np.all(height > log_prob.max(0) - 1e-5)
    np.testing.assert_allclose(height, log_prob.max(0), atol=1e-2)
    np.testing.assert_allclose(mixture.modes(3).log_prob[0], height, rtol=1e-5)
    region = mixture.highest_density_region(0.8).numpy()  # [K, B, 2]
    coverage = np.nansum(mixture.cdf(region[..., 1]) - mixture.cdf(region[..., 0]), 0)
    np.testing.assert_allclose(coverage, 0.8, atol=2e-3)
    for row in range(3):
        ends = region[:, row][np.isfinite(region[:, row, 0])]
        assert np.all(np.diff(ends.ravel()) > 0)
        inside = np.any([(start < grid) & (grid < end) for start, end in ends], 0)
        assert log_prob[inside, row].min() > log_prob[~inside, row].max() - 0.05


def test_peaks_and_means_across_the_cut():
    mixture = tfmdn.Mixture(
        tfd.Categorical(logits=[0.0, 0.0, -1.0]), von_mises.VonMises([3.0, -3.1, 0.5], [0.3, 0.1, 0.2])
    )
    points = mixture.modes(3).points.numpy()
    np.testing.assert_allclose(points[:2], [-3.105, 0.5], atol=0.01)
    assert np.isnan(points[2])
    draws = np.exp(1j * np.asarray(mixture.sample(100_000, seed=1), np.float64)).mean()
    assert float(mixture.mean()) == pytest.approx(np.angle(draws), abs=0.01)
    region = mixture.highest_density_region(0.9).numpy()
    np.testing.assert_allclose(region[[0, 2], [0, 1]], [-np.pi, np.pi], rtol=1e-6)
    np.testing.assert_allclose(mixture.quantile([0.0, 1.0]), [-np.pi, np.pi], rtol=1e-6)
    assert np.isnan(mixture.quantile(1.5))


@every_kind
def test_parts_and_wholes(case):
    """temper, merge, marginal, condition, component and float64."""
    mixture = mixture_of(case, batch_shape=(2,))
    y = mixture.sample(seed=1)
    merged = tfmdn.merge([mixture, mixture.temper(0.7, 1.5)], [1, 0])
    np.testing.assert_allclose(merged.log_prob(y), mixture.log_prob(y), rtol=1e-5)
    np.testing.assert_allclose(tf.cast(mixture, tf.float64).log_prob(np.float64(y)), mixture.log_prob(y), rtol=1e-3)
    assert np.isfinite(mixture.temper(1e-6, 1e-3).sample(seed=1)).all()
    median = mixture.component(0).copy() if case[2] else mixture.component(0)
    if not case[2]:
        np.testing.assert_allclose(median.cdf(median.quantile([[0.2], [0.9]])), [[0.2] * 2, [0.9] * 2], rtol=1e-4)
    if case[2] == (3,):
        rest = mixture.condition(1, y[:, 1])
        total = rest.log_prob(tf.gather(y, [0, 2], axis=-1)) + mixture.marginal(1).log_prob(y[:, 1])
        np.testing.assert_allclose(total, mixture.log_prob(y), rtol=1e-4, atol=1e-4)


@every_family
def test_components_of_moments(family):
    components = families.FAMILIES[family].distribution(tf.zeros([3]), tf.ones([3]))
    mean, stddev = tf.constant([1.0, 0.5, 2.0]), tf.constant([0.9, 0.05, 0.4])
    made = families.components_of_moments(components, mean, stddev)
    np.testing.assert_allclose(made.mean(), mean, rtol=1e-5)
    np.testing.assert_allclose(made.stddev(), stddev, rtol=1e-3)


# Heads


TARGETS = {
    "gamma": lambda rng: rng.gamma([3.0, 50.0, 1.5], [1.0, 100.0, 1e-3], (500, 3)),
    "weibull": lambda rng: [1.0, 100.0, 1e-3] * rng.weibull([1.5, 10.0, 2.0], (500, 3)),
    "gumbel": lambda rng: rng.gumbel([0.0, 1e4, -1.0], [1.0, 100.0, 1e-3], (500, 3)),
    "von_mises": lambda rng: rng.vonmises([3.0, 0.5, -1.0], [20.0, 100.0, 2.0], (500, 3)) + 20 * np.pi,
}


@every_family
def test_adapt_starts_on_the_targets_and_does_not_mind_their_units(family):
    y = TARGETS[family](np.random.default_rng(0))
    nll = {}
    for name, targets in {"as they are": y, "in other units": 1000.0 * y, "not adapted": y}.items():
        layer = tfmdn.MDNLayer(3, 3, family=family, background=0.01)
        if name != "not adapted":
            layer.adapt(targets)
        mixture = layer(np.zeros((500, 4), "float32"))
        nll[name] = float(tfmdn.negative_log_likelihood(targets, mixture).numpy().mean())
    if family == "von_mises":
        np.testing.assert_array_equal([layer.target_location, layer.target_scale], [[0.0] * 3, [1.0] * 3])
        assert nll["as they are"] < nll["not adapted"]
        return
    assert nll["in other units"] - 3 * np.log(1000.0) == pytest.approx(nll["as they are"], abs=0.01)
    assert nll["as they are"] < nll["not adapted"] - 5.0
    assert nll["as they are"] < -np.mean(tfd.Normal(y.mean(0), 3.0 * y.std(0)).log_prob(y).numpy().sum(-1))


@pytest.mark.parametrize("family", sorted(set(POSITIVE) & FURTHER))
def test_targets_at_zero_are_refused(family):
    with pytest.raises(ValueError, match=f"family='{family}' needs targets greater than 0"):
        tfmdn.MDNLayer(3, family=family).adapt(np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="normal"):
        tfmdn.MDNLayer(3, family=family, support=(0, None))


@pytest.mark.usefixtures("quick_graphs")
@pytest.mark.by_default("gamma-diag-scalar")
@pytest.mark.parametrize("case", [case for case in SCALARS if case[0] in ("gamma", "von_mises")], ids=case_name)
def test_a_head_learns_and_is_saved(case, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (256, 2)).astype("float32")
    y = TARGETS[case[0]](rng)[:256, 0] * (np.exp(x[:, 0]) if case[0] in POSITIVE else 1.0)
    keras.utils.set_random_seed(1)
    head = layer_of(case, 2)
    head.adapt(y)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "silu"), head])
    model.compile(keras.optimizers.Adam(0.02), loss=tfmdn.NegativeLogLikelihood())
    before = np.mean(tfmdn.negative_log_likelihood(y, model(x)))
    tfmdn.fit(model, x, y, epochs=10, verbose=0)
    assert np.mean(tfmdn.negative_log_likelihood(y, model(x))) < before - 0.02
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x[:5]).mean(), model(x[:5]).mean(), rtol=1e-6)
    tfmdn.export_saved_model(model, str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    (log_prob,) = saved.log_prob(x[:5], y[:5].astype("float32")).values()
    np.testing.assert_allclose(log_prob, model(x[:5]).log_prob(y[:5]), rtol=1e-4)
