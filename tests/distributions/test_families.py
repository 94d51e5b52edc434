"""Every kind of component against SciPy and quadrature, and at the extremes of float32."""

import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp
from cases import (
    COMPONENTS,
    DISTRIBUTIONS,
    FURTHER_COMPONENTS,
    POSITIVE,
    SciPyMixture,
    case_name,
    layer_of,
    mixture_of,
)

import tfmdn
from tfmdn.layers import links

EVERY_KIND = [*COMPONENTS, *FURTHER_COMPONENTS]
EVERY_SCALAR_KIND = [case for case in EVERY_KIND if case[1:] == ("diag", ())]
every_kind = pytest.mark.parametrize("case", EVERY_KIND, ids=case_name)
every_scalar_kind = pytest.mark.parametrize("case", EVERY_SCALAR_KIND, ids=case_name)


@every_kind
def test_log_prob_is_scipys(case):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    y = mixture.sample(50, seed=1)
    far = y * 30.0 + 0.5  # tails too
    for points in (y, far):
        expected = np.stack([truth.log_prob(row, np.asarray(points)[:, row]) for row in range(5)], -1)
        # A Gumbel's falls exponentially; where it is held, nobody can tell.
        log_prob, expected = (np.maximum(values, -1e17) for values in (mixture.log_prob(points), expected))
        np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-5)


@every_scalar_kind
def test_density_integrates_to_one(case):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    for row in range(5):
        low, high, bends = truth.span(row)
        # Cells that are narrow where the density is, whatever the span.
        grid = np.unique(np.concatenate([np.linspace(a, b, 400) for a, b in zip([low, *bends], [*bends, high])]))
        if case[0] in ("student_t", *POSITIVE):
            tail = np.geomspace(1e-3, high - bends[-1], 2000)
            grid = np.unique(np.concatenate([grid, bends[-1] + tail, np.maximum(bends[0] - tail, low)]))
        density = mixture[row].prob(grid.astype("float32"))
        assert scipy.integrate.simpson(density, x=grid) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.covering(1)
@pytest.mark.parametrize("case", [case for case in EVERY_KIND if case[0] != "von_mises"], ids=case_name)
def test_sample_moments(case):
    # A larger floor of the scale keeps fourth moments, and so the error of a sample variance, moderate.
    mixture = mixture_of(case, batch_shape=(2,), max_scale=0.5)
    n = 100_000
    draws = np.asarray(mixture.sample(n, seed=2), np.float64)
    mean, variance = np.asarray(mixture.mean(), np.float64), np.asarray(mixture.variance(), np.float64)
    assert np.all(np.abs(draws.mean(0) - mean) < 5.0 * np.sqrt(variance / n))
    fourth = np.mean((draws - mean) ** 4, 0)
    assert np.all(np.abs(draws.var(0) - variance) < 6.0 * np.sqrt(fourth / n))
    np.testing.assert_allclose(mixture.stddev(), np.sqrt(variance), rtol=1e-5)
    if case[2]:
        covariance = np.einsum("nbi,nbj->bij", draws - mean, draws - mean) / n
        allowed = 6.0 * np.sqrt(np.sqrt(np.einsum("bi,bj->bij", fourth, fourth)) / n)
        assert np.all(np.abs(mixture.covariance() - covariance) < allowed)


@pytest.mark.parametrize("event_shape", [(), (3,)])
def test_sample_moments_of_angles(event_shape):
    mixture = mixture_of(("von_mises", "diag", event_shape), batch_shape=(2,))
    n = 100_000
    vectors = np.exp(1j * np.asarray(mixture.sample(n, seed=2), np.float64)).mean(0)
    mean, variance = (np.asarray(value, np.float64) for value in (mixture.mean(), mixture.variance()))
    expected = np.exp(-0.5 * variance + 1j * mean)
    assert np.all(np.abs(vectors - expected) < 5.0 / np.sqrt(n))
    np.testing.assert_allclose(mixture.stddev(), np.sqrt(variance), rtol=1e-6)
    for method in (mixture.covariance, mixture.decompose):
        with pytest.raises(NotImplementedError, match="not defined for angles"):
            method()


@every_scalar_kind
def test_cdf_and_survival_function_are_scipys(case):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    y = np.asarray(mixture.sample(40, seed=3))
    expected = np.stack([truth.cdf(row, y[:, row]) for row in range(5)], -1)
    np.testing.assert_allclose(mixture.cdf(y), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(mixture.survival_function(y), 1.0 - expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(mixture.log_cdf(y), np.log(expected), rtol=2e-5, atol=1e-6)


@every_scalar_kind
def test_components_by_themselves_are_scipys(case):
    """What a mixture does not ask them for."""
    mixture = mixture_of(case, batch_shape=(1,))
    truth, components = SciPyMixture(case, mixture), mixture.components_distribution
    y = np.asarray(mixture.quantile([0.2, 0.9]))[..., np.newaxis]
    scipys = [truth.univariate((0, k)) for k in range(4)]
    for method, name in (("cdf", "cdf"), ("survival_function", "sf")):
        expected = [[[getattr(distribution, name)(float(value)) for distribution in scipys]] for value in y[:, 0, 0]]
        np.testing.assert_allclose(getattr(components, method)(y), expected, rtol=1e-4, atol=1e-6)
    if case[0] != "von_mises":  # whose moments are those of a circle
        np.testing.assert_allclose(components.mean(), [[distribution.mean() for distribution in scipys]], rtol=1e-4)
        np.testing.assert_allclose(components.stddev(), [[distribution.std() for distribution in scipys]], rtol=1e-4)
    assert components.event_shape_tensor().shape == (0,)


FAR = {"upper": ("survival_function", 1.0), "lower": ("cdf", -1.0)}


@pytest.mark.parametrize(("method", "sign"), FAR.values(), ids=FAR)
@pytest.mark.parametrize("case", [case for case in EVERY_SCALAR_KIND if case[0] != "von_mises"], ids=case_name)
def test_tails_are_scipys(case, method, sign):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    y = np.asarray(mixture.mean() + sign * 8.0 * mixture.stddev())
    if case[0] in POSITIVE and sign < 0:
        y = np.asarray(mixture.quantile(0.5)) / 50.0
    expected = [getattr(truth, method)(row, y[row]) for row in range(5)]
    np.testing.assert_allclose(getattr(mixture, method)(y), expected, rtol=1e-3, atol=1e-37)
    log_probability = np.asarray(getattr(mixture, f"log_{method}")(y))
    is_known = np.array(expected) > 0  # to SciPy in float64
    np.testing.assert_allclose(log_probability[is_known], np.log(expected)[is_known], rtol=1e-4)


LIMITS = [(0, None), (None, 0), (-1, 1)]


@pytest.mark.covering(1)
@pytest.mark.parametrize("method", ["cdf", "survival_function", "log_cdf", "log_survival_function"])
@pytest.mark.parametrize(
    ("case", "support"),
    [*((case, None) for case in EVERY_SCALAR_KIND), *((EVERY_SCALAR_KIND[0], support) for support in LIMITS)],
    ids=lambda value: case_name(value) if isinstance(value, tuple) and len(value) == 3 else str(value),
)
def test_gradients_of_cumulative_probabilities_are_finite(case, support, method):
    layer = layer_of(case, support=support, kernel_initializer="he_normal")
    y = tf.constant([-1e6, -1e3, -50.0, -1.0, 0.0, 0.5, 1.0, 50.0, 1e3, 1e6])
    x = tf.random.stateless_normal((10, 6), [0, 1])
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        probability = getattr(layer(x), method)(y)
    assert not np.isnan(probability).any()
    for gradient in tape.gradient(probability, [x, y, *layer.trainable_variables]):
        assert np.isfinite(gradient).all()


@every_scalar_kind
def test_cdf_is_the_integral_of_the_density(case):
    mixture = mixture_of(case, batch_shape=(1,))
    low, high = np.asarray(mixture.quantile([0.02, 0.98]), np.float64)[:, 0]
    grid = np.linspace(low, high, 4001)
    integral = scipy.integrate.simpson(mixture[0].prob(grid.astype("float32")), x=grid)
    assert float(mixture[0].cdf(high) - mixture[0].cdf(low)) == pytest.approx(integral, abs=1e-4)


@pytest.mark.covering(1)
@every_kind
def test_quantile_inverts_cdf(case):
    mixture = mixture_of(case)
    y = mixture.sample(20, seed=4)
    probability = mixture.cdf(y)
    assert probability.shape == y.shape
    # One unit in the last place of the probability, as a distance in y, is what float32 can resolve.
    _, marginal_density = tfp.math.value_and_gradient(mixture.cdf, y)
    resolution = 3e-7 / np.maximum(marginal_density, 1e-9)
    error = np.abs(mixture.quantile(probability) - y)
    assert np.all(error <= 1e-5 * mixture.stddev() + resolution)


@every_scalar_kind
def test_quantile_is_exact(case):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    levels = np.array([1e-5, 0.01, 0.3, 0.5, 0.9, 0.999], np.float32)
    quantiles = np.asarray(mixture.quantile(levels), np.float64)
    assert quantiles.shape == (6, 5)
    for row in range(5):
        expected = [truth.quantile(row, float(level)) for level in levels]
        narrowest = min(truth.univariate((row, k)).std() for k in range(4))
        np.testing.assert_allclose(quantiles[:, row], expected, rtol=1e-6, atol=1e-5 * narrowest)


@pytest.mark.covering(1)
@pytest.mark.parametrize("magnitude", [1e4, 1e10, 1e19, 1e30])
@every_kind
def test_gradients_are_finite_at_extreme_targets(case, magnitude):
    layer = layer_of(case, kernel_initializer="he_normal")
    features = tf.random.stateless_normal((4, 6), [0, 1])
    sign = 1.0 if case[0] in POSITIVE else -1.0
    y = tf.fill((4, *case[2]), magnitude) * tf.reshape([1.0, sign, 1.0, sign], (4, *[1] * len(case[2])))
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = tf.reduce_mean(tfmdn.negative_log_likelihood(y, layer(features)))
    gradients = tape.gradient(loss, [features, *layer.dense.trainable_variables])
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.covering(1)
@pytest.mark.parametrize("activation", links.SCALE_LINKS)
@pytest.mark.parametrize("raw", [-1e30, -200.0, 200.0, 1e30])
@pytest.mark.parametrize("case", DISTRIBUTIONS, ids=case_name)
def test_gradients_are_finite_at_the_floor_and_the_ceiling_of_the_scale(case, raw, activation):
    layer = layer_of(case, scale_activation=activation)
    layer.build((None, 6))
    bias = layer.dense.bias.numpy()
    start = 4 * (1 + int(np.prod(case[2])))  # behind the logits and the locations
    size = 4 * (1 if case[1] == "spherical" else int(np.prod(case[2])))
    bias[start : start + size] = raw
    layer.dense.bias.assign(bias)
    y = tf.ones((4, *case[2])) * 1e30
    for targets in (tf.ones_like(y), y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tfmdn.negative_log_likelihood(targets, layer(tf.ones((4, 6)))))
        gradients = tape.gradient(loss, layer.dense.trainable_variables)
        assert np.isfinite(loss)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("event_shape", [(), (3,)])
def test_log_prob_is_scipys_as_far_as_float32_reaches(event_shape):
    case = ("normal", "diag", event_shape)
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    y = np.full((5, *event_shape), 1e12, np.float32)
    expected = [truth.log_prob(row, y[row : row + 1])[0] for row in range(5)]
    np.testing.assert_allclose(mixture.log_prob(y), expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["log_prob", "cdf", "survival_function"])
@every_kind
def test_of_nan_nothing_is_known(case, method):
    mixture = mixture_of(case)
    assert np.isnan(getattr(mixture, method)(tf.fill((5, *case[2]), np.nan))).all()


@pytest.mark.parametrize(("method", "expected"), [("log_prob", -np.inf), ("cdf", 0.0), ("survival_function", 1.0)])
@pytest.mark.parametrize("family", POSITIVE)
@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_positive_kinds_have_nothing_at_or_below_zero(family, method, expected, event_shape):
    mixture = mixture_of((family, "diag", event_shape))
    for y in (0.0, -1.0, -1e30):
        values = getattr(mixture, method)(tf.fill((5, *event_shape), y))
        np.testing.assert_allclose(values, np.full(values.shape, expected), atol=1e-6)
