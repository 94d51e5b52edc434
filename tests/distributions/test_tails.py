"""Probabilities next to 0 and 1, and quantiles far out, against SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.layers.families import FAMILIES

tfd = tfp.distributions
LEVELS = np.array([1e-20, 1e-16, 1e-12, 1e-5, 0.1, 0.6, 1 - 1e-5, 1 - 1e-12, 1 - 2.0**-50, 1 - 2.0**-53])
WEIGHTS, LOCS, SCALES = np.array([0.5, 0.3, 0.2]), np.array([0.3, -1.2, 2.0]), np.array([0.7, 0.05, 1.5])
DEGREES = np.array([3.0, 2.1, 30.0])


def scipys(family, loc, scale, df):
    return {
        "normal": lambda: scipy.stats.norm(loc, scale),
        "laplace": lambda: scipy.stats.laplace(loc, scale),
        "logistic": lambda: scipy.stats.logistic(loc, scale),
        "student_t": lambda: scipy.stats.t(df, loc, scale),
        "lognormal": lambda: scipy.stats.lognorm(scale, scale=np.exp(loc)),
        "gamma": lambda: scipy.stats.gamma(1 + scale**-2, scale=np.exp(loc) / (1 + scale**-2)),
        "weibull": lambda: scipy.stats.weibull_min(1 + 1 / scale, scale=np.exp(loc)),
        "gumbel": lambda: scipy.stats.gumbel_r(loc, scale),
    }[family]()


def components_of(family):
    return FAMILIES[family].distribution(loc=LOCS, scale=SCALES, **({"df": DEGREES} if family == "student_t" else {}))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"von_mises"}))
def test_quantiles_are_right_to_1e_9_in_both_tails(family):
    """The tail at one billionth less, and at one more, has the level between them."""
    found = tfmdn.Mixture(tfd.Categorical(probs=WEIGHTS), components_of(family)).quantile(LEVELS).numpy()
    parts = [scipys(family, *part) for part in zip(LOCS, SCALES, DEGREES)]
    with np.errstate(over="ignore"):  # SciPy's Gumbel
        for y, level in zip(found, LEVELS):
            method, target = ("cdf", level) if level <= 0.5 else ("sf", 1.0 - level)
            ends = [
                sum(w * getattr(part, method)(end) for w, part in zip(WEIGHTS, parts))
                for end in (y - 1e-9 * abs(y), y + 1e-9 * abs(y))
            ]
            assert min(ends) <= target <= max(ends), (level, y)


def test_logarithms_of_tails_in_a_graph_in_float64():
    y, families = tf.constant([-3.0, 0.5, 4.0], tf.float64), ("normal", "laplace", "logistic")

    def asked(y):
        mixtures = (tfmdn.Mixture(tfd.Categorical(probs=WEIGHTS), components_of(family)) for family in families)
        return tf.stack([part for own in mixtures for part in (own.log_cdf(y), own.log_survival_function(y))])

    np.testing.assert_allclose(tf.function(asked, autograph=False)(y), asked(y), rtol=1e-14)


NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)


def mass(start, end, loc, scale):
    """Of angles, by quadrature: the relative error is that of a sum of positive terms."""
    edges = np.linspace(max(start, -np.pi), max(min(end, np.pi), max(start, -np.pi)), 401)[:, np.newaxis]
    half = 0.5 * np.diff(edges, axis=0)
    density = np.exp(-2.0 * (np.sin(0.5 * (edges[:-1] + half * (1.0 + NODES) - loc)) / scale) ** 2)
    return np.sum(half * NODE_WEIGHTS * density) / (2.0 * np.pi * scipy.special.i0e(scale**-2))


@pytest.mark.parametrize("loc", [0.3, -3.0, np.pi])
def test_quantiles_of_angles(loc):
    locs, scales = np.array([loc, -1.2, 2.0]), np.array([0.15, 0.05, 0.4])
    mixture = tfmdn.Mixture(tfd.Categorical(probs=WEIGHTS), FAMILIES["von_mises"].distribution(locs, scales))
    for y, level in zip(mixture.quantile(LEVELS).numpy(), LEVELS):
        of_tail = (lambda end: (-np.pi, end)) if level <= 0.5 else (lambda end: (end, np.pi))
        target, error = min(level, 1.0 - level), 1e-9 * abs(y)
        ends = [
            sum(w * mass(*of_tail(end), *part) for w, *part in zip(WEIGHTS, locs, scales))
            for end in (y - error, y + error)
        ]
        assert min(ends) <= target <= max(ends), (level, y)


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (-np.inf, 3.0), (-2.0, 3.0)])
def test_quantiles_next_to_limits(low, high):
    """There the cumulative probability is a straight line, of the density at the limit."""
    components = tfmdn.distributions.ReflectedNormal(np.clip(LOCS, low, high), SCALES, low, high)
    mixture = tfmdn.Mixture(tfd.Categorical(probs=WEIGHTS), components)
    found = mixture.quantile(LEVELS).numpy()
    assert np.all((found >= low) & (found <= high))
    tails = np.where(LEVELS <= 0.5, mixture.cdf(found), mixture.survival_function(found))
    distance = np.where(LEVELS <= 0.5, found - low, high - found)
    is_straight = distance < 1e-8
    target = np.where(LEVELS <= 0.5, LEVELS, 1.0 - LEVELS)
    np.testing.assert_allclose(tails[~is_straight], target[~is_straight], rtol=1e-9)
    density = mixture.prob(np.clip(found, low, high)).numpy()
    rounding = np.spacing(np.maximum(np.abs(found), 1e-300))
    error = np.abs(distance - target / np.where(is_straight, density, 1.0))[is_straight]
    np.testing.assert_array_less(error, (1e-7 * distance + 2 * rounding)[is_straight] + 1e-300)
    assert is_straight.any() == (np.isfinite(low) or np.isfinite(high))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_are_neither_below_0_nor_above_1(dtype):
    """Where all of the probability is on one side, of many mixtures, whose weights sum to 1 but for rounding."""
    rng, epsilon = np.random.default_rng(0), np.finfo(dtype).eps
    logits, loc = rng.normal(0, [[[2]], [[1]]], (2, 2000, 5)).astype(dtype)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, np.ones_like(loc)))
    far = tf.constant(np.array([[-50.0], [50.0]], dtype))
    with tf.GradientTape(persistent=True) as tape:
        near = tf.fill([2000], tf.constant(9.0, dtype))
        tape.watch(near)
        log_cdf, log_survival = mixture.log_cdf(near), mixture.log_survival_function(-near)
    for log_prob in (log_cdf, log_survival, mixture.log_cdf(far), mixture.log_survival_function(far)):
        assert np.all(log_prob.numpy() <= 0)
    for y in (far, near, -near):
        cdf = mixture.cdf(y)
        for probability in (cdf.numpy(), mixture.survival_function(y).numpy()):
            assert np.all((probability >= 0) & (probability <= 1))
        assert not np.isnan(mixture.quantile(cdf)).any()
    # Rounding up does not end the gradient.
    for log_prob in (log_cdf, log_survival):
        assert np.all(np.abs(tape.gradient(log_prob, near)) > 0)
    ends = mixture[0].quantile([1 + 3 * epsilon, -3 * epsilon, -0.0]).numpy()
    np.testing.assert_array_equal(ends, [np.inf, -np.inf, -np.inf])
    assert np.isnan(mixture[0].quantile([1 + 40 * epsilon, -40 * epsilon])).all()


@pytest.mark.parametrize("resolution", [None, 1.0])
def test_probabilities_of_single_values_are_at_most_1(resolution):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2000, 5)).astype("float32")
    components = tfmdn.distributions.CoarsenedNormal(
        np.full_like(logits, -50.0), np.ones_like(logits), 0.0, resolution=resolution
    )
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), components)
    for log_prob in (mixture.log_prob(0.0), mixture.interval_log_prob(-1.0, 3.0)):
        np.testing.assert_allclose(log_prob, 0.0, atol=1e-6)
        assert np.all(log_prob.numpy() <= 0)
    assert np.all(mixture.prob_of(0.0).numpy() <= 1)
    transform = tfmdn.probability_integral_transform(np.zeros(2000, "float32"), mixture, seed=1).numpy()
    assert np.all((transform >= 0) & (transform <= 1))


FAR = np.array([0.0, 0.3, -1e3, 1e5, -1e9, 1e12, -1e20, 1e30, -np.inf, np.inf], np.float32)


@pytest.mark.parametrize("family", ["normal", "laplace", "logistic", "student_t", "gumbel"])
def test_gradients_of_tails_are_finite_where_values_are(family):
    shape = {"df": np.float32([4.0])} if family == "student_t" else {}
    variables = [tf.Variable(value) for value in (FAR, np.float32([0.0]), np.float32([0.5]))]
    for method in ("cdf", "survival_function", "log_cdf", "log_survival_function"):
        with tf.GradientTape() as tape:
            y, loc, scale = (value + tf.zeros_like(FAR) for value in variables)
            tape.watch([y, loc, scale])
            components = FAMILIES[family].distribution(loc=loc[:, None], scale=scale[:, None], **shape)
            values = getattr(tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([len(FAR), 1])), components), method)(y)
        gradients = np.stack(tape.gradient(values, [y, loc, scale]))
        assert not np.isnan(values).any()
        assert np.isfinite(gradients[:, np.isfinite(values)]).all(), method


def test_a_laplace_tail_has_a_slope_at_the_centre():
    y = tf.Variable(np.zeros(1))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 1))), tfd.Laplace(np.zeros((1, 1)), 1.0))
    with tf.GradientTape() as tape:
        value = mixture.log_cdf(y)
    assert tape.gradient(value, y).numpy() == pytest.approx(1.0)  # the density over the probability
