"""The digits of narrow angles, gammas and Weibulls, gammas near 0, and densities at infinity."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import coarsened, gamma, reflected, von_mises, weibull
from tfmdn.layers import families

tfd = tfp.distributions


def test_spread_of_narrow_angles():
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-11)):
        scale = np.array([1e-5, 1.8e-4, 0.01], dtype)
        mixture = tfmdn.Mixture(
            tfd.Categorical(logits=np.zeros((3, 2), dtype)), von_mises.VonMises(np.ones((3, 2), dtype), scale[:, None])
        )
        expected = np.sqrt(scale**2.0 + 0.5 * scale**4.0)
        np.testing.assert_allclose(mixture.stddev(), expected, rtol=max(tolerance, 1e-8))


def test_density_of_narrow_gammas():
    scale = np.array([1e-5, 1e-4, 1e-2, 0.1, 1.0])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((5, 1))), gamma.Gamma(np.zeros((5, 1)), scale[:, None]))
    shape = 1.0 + scale**-2.0
    normal = 0.5 * np.log(shape / (2.0 * np.pi)) - 1.0 / (12.0 * shape) + 1.0 / (360.0 * shape**3)
    exact = shape * np.log(shape) - scipy.special.gammaln(shape) - shape
    np.testing.assert_allclose(mixture.log_prob(np.ones(5)), np.where(shape > 50.0, normal, exact), rtol=1e-9)


@pytest.mark.parametrize("family", sorted(set(families.FAMILIES) - {"von_mises", "student_t"}))
def test_no_density_at_infinity(family):
    kind = families.FAMILIES[family].distribution
    for event_shape in ((), (2,)):
        ones = np.ones((1, 1, *event_shape), "float32")
        components = kind(loc=0.0 * ones, scale=ones)
        components = tfd.Independent(components, 1) if event_shape else components
        mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 1), "float32")), components)
        for y in (np.inf, -np.inf):
            log_prob = mixture.log_prob(tf.fill((1, *event_shape), np.float32(y)))
            assert log_prob.numpy() < -1e10, y


def test_lower_tail_of_gammas():
    """Near 0 their density is a power of y."""
    scale, y = np.array([5.0, 5.0, 1.0, 0.3]), np.array([1e-20, 1e-37, 1e-200, 1e-30])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((4, 1))), gamma.Gamma(np.zeros((4, 1)), scale[:, None]))
    shape = 1.0 + scale**-2.0
    expected = shape * np.log(y * shape) - scipy.special.gammaln(shape + 1.0)
    np.testing.assert_allclose(mixture.log_cdf(y), expected, rtol=1e-10)


def test_spread_of_narrow_weibulls():
    scale = np.array([1e-8, 1e-5, 1e-2, 0.0199, 0.021])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((5, 1))), weibull.Weibull(np.zeros((5, 1)), scale[:, None]))
    inverse = scale / (1.0 + scale)
    orders = np.arange(2, 30)[:, None]
    ratio = ((-1.0) ** orders * scipy.special.zeta(orders) / orders * (2.0**orders - 2.0) * inverse**orders).sum(0)
    expected = np.exp(scipy.special.gammaln(1.0 + inverse)) * np.sqrt(np.expm1(ratio))
    np.testing.assert_allclose(mixture.stddev(), expected, rtol=1e-10)


def test_draws_of_narrow_angles():
    scale = np.array([3e-6, 1.87e-5, 1e-3, 0.02, 0.4], np.float32)
    components = von_mises.VonMises(np.full(5, -0.118, np.float32), scale)
    draws = components.sample(4000, seed=1).numpy() - np.float32(-0.118)
    spread = np.sqrt(np.mean(np.square(draws.astype("float64")), 0))
    np.testing.assert_allclose(spread, components.stddev(), rtol=0.05)


def test_many_degrees_of_freedom_far_out():
    """Where TFP's expansion overflows."""
    df = np.array([5.0, 29.0, 31.0, 4249.8, 1e6], np.float32)
    cdf = families.FAMILIES["student_t"].distribution(df, np.float32(0.0), np.float32(1.0)).cdf
    for y in (1e4, 1e30, np.inf):
        np.testing.assert_allclose(cdf(np.float32([[-y], [y]])), [[0.0] * 5, [1.0] * 5], atol=1e-12)


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_vectors_have_no_density_at_infinity_and_no_gradient_of_nan(family):
    shape = {"df": np.full((1, 2, 2), 4.0)} if family == "student_t" else {}
    variables = [tf.Variable(np.zeros((1, 2, 2))), tf.Variable(np.ones((1, 2, 2)))]
    with tf.GradientTape() as tape:
        loc, scale = map(tf.identity, variables)
        components = tfd.Independent(families.FAMILIES[family].distribution(loc=loc, scale=scale, **shape), 1)
        mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 2))), components)
        log_prob = mixture.log_prob([[np.inf, 0.5]])
    assert float(log_prob[0]) < -1e100  # or -inf
    assert np.isfinite(tape.gradient(log_prob, variables)).all()


# loc, scale, low, high; points far below and far above the centre, NaN for none; how often the tail is there.
FAR_FROM_THE_CENTRE = [
    (0.0, 1.0, 0.0, np.inf, np.nan, 60.0, 2.0),
    (0.0, 1.0, -np.inf, 0.0, -60.0, np.nan, 2.0),
    (1.0, 0.01, 0.0, 1.0, 0.3, np.nan, 2.0),
    (0.0, 0.01, 0.0, 1.0, np.nan, 0.7, 2.0),
    (3.0, 0.02, 0.0, 7.0, 1.0, 5.0, 1.0),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_within_limits_where_probabilities_vanish(dtype):
    loc, scale, low, high, below, above, times = np.transpose(FAR_FROM_THE_CENTRE)
    components = reflected.ReflectedNormal(*(value[:, None].astype(dtype) for value in (loc, scale, low, high)))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((5, 1), dtype)), components)
    for method, y, log_tail in (
        ("log_cdf", below, scipy.stats.norm.logcdf),
        ("log_survival_function", above, scipy.stats.norm.logsf),
    ):
        asked = np.isfinite(y)
        at = np.where(asked, y, loc).astype(dtype)
        expected = log_tail(at.astype(float), loc.astype(dtype), scale.astype(dtype)) + np.log(times)
        np.testing.assert_allclose(getattr(mixture, method)(at).numpy()[asked], expected[asked], rtol=1e-6)
    atom = coarsened.CoarsenedNormal(*np.array([[0.0], [1.0], [-np.inf], [60.0]], dtype), mirror_low=np.zeros(1, dtype))
    log_prob = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(1, dtype)), atom).log_prob(np.array(60.0, dtype))
    np.testing.assert_allclose(log_prob, scipy.stats.norm.logsf(60.0) + np.log(2.0), rtol=1e-6)


def test_narrow_intervals_far_from_0():
    """Whose width has few digits in sums of the limits."""
    ends = np.array([1197.4486083984375, 1197.568359375], np.float32)
    loc, scale = np.array([[1197.4488, 1197.5, 1150.0]], np.float32), np.array([[107.5, 0.06, 0.3]], np.float32)
    rough, exact = (
        tfmdn.Mixture(
            tfd.Categorical(logits=np.zeros((1, 3), dtype)),
            reflected.ReflectedNormal(*(value.astype(dtype) for value in (loc, scale, *ends))),
        )
        for dtype in ("float32", "float64")
    )
    y = np.array([1197.5374755859375], np.float32)
    for name in ("log_prob", "cdf", "survival_function"):
        np.testing.assert_allclose(getattr(rough, name)(y), getattr(exact, name)(y.astype(float)), rtol=1e-5)
    np.testing.assert_allclose(rough.stddev(), exact.stddev(), rtol=1e-6)


def test_logarithms_of_tails_of_student_t():
    df, z = np.array([[2.1, 31.4, 9600.0, 31.4]], np.float32), np.array([1e14, 56.8, 20.0, 1e3], np.float32)
    ones, zeros = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    components = families.FAMILIES["student_t"].distribution(df=df.T, loc=zeros, scale=ones)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=zeros), components)
    expected = scipy.stats.t.logsf(z.astype(float), df[0].astype(float))
    np.testing.assert_allclose(mixture.log_survival_function(z), expected, rtol=1e-6)
    np.testing.assert_allclose(mixture.log_cdf(-z), expected, rtol=1e-6)


def test_full_covariances_of_huge_numbers():
    """Neither at infinity nor where solutions leave the dtype is a density no number."""
    loc, unit = np.zeros((1, 1, 4), np.float32), np.eye(4, dtype=np.float32)
    slope = np.tril(np.ones((4, 4), np.float32), -1)
    for scale_tril, y in ((1e26 * unit, np.inf), (unit + 1e30 * slope, 3.0), (1e26 * unit + 1e30 * slope, -np.inf)):
        components = tfd.MultivariateNormalTriL(loc, scale_tril[None, None])
        variables = tf.fill((1, 4), np.float32(y))
        with tf.GradientTape() as tape:
            tape.watch(variables)
            log_prob = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 1), "float32")), components).log_prob(
                variables
            )
        assert float(log_prob[0]) < -1e10
        assert np.isfinite(tape.gradient(log_prob, variables)).all()


def test_crps_of_heavy_tails():
    """The closed form of one Student-t (Jordan, Krueger and Lerch 2019)."""
    df = np.array([2.01, 2.1, 2.5, 4.0, 50.0, 5000.0], np.float32)
    z = np.array([0.0, 3.0, -40.0, 0.5, -2.0, 1.0])
    t, beta = scipy.stats.t(df.astype(float)), scipy.special.betaln
    own = 2.0 * np.sqrt(df) / (df - 1.0) * np.exp(beta(0.5, df - 0.5) - 2.0 * beta(0.5, 0.5 * df.astype(float)))
    expected = z * (2.0 * t.cdf(z) - 1.0) + 2.0 * t.pdf(z) * (df + z**2) / (df - 1.0) - own
    ones = np.ones((6, 2), np.float32)
    for kind in (families.FAMILIES["student_t"].distribution, tfd.StudentT):
        mixture = tfmdn.Mixture(tfd.Categorical(logits=ones), kind(df=df[:, None] * ones, loc=0.0 * ones, scale=ones))
        np.testing.assert_allclose(tfmdn.crps(z.astype(np.float32), mixture), expected, rtol=1e-5, atol=1e-5)


def test_crps_of_intervals_under_wide_lognormals():
    loc, scale, low, high = np.float32([0.4, -2.0]), np.float32([5.0, 4.0]), [0.1, 1e-37], [100.0, 1.1e-37]
    components = families.FAMILIES["lognormal"].distribution(loc=loc[:, None], scale=scale[:, None])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((2, 1), np.float32)), components)
    received = tfmdn.crps(np.float32([low, high]).T, mixture, intervals=True)
    for row, (start, end) in enumerate(zip(np.log(low), np.log(high))):
        normal = scipy.stats.norm(float(loc[row]), float(scale[row]))
        # Of log y, in which the integrals are smooth.
        points = np.linspace(-100.0, 100.0, 200_001)
        outside = np.where(points < start, normal.cdf(points), np.where(points >= end, normal.sf(points), 0.0))
        expected = np.sum(np.square(outside) * np.exp(points)) * (points[1] - points[0])
        np.testing.assert_allclose(received[row], expected, rtol=2e-3)
