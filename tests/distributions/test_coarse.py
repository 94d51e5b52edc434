"""Probabilities of intervals, in both tails and however narrow, against SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import coarse, univariate

tfd = tfp.distributions
INF = np.inf
# Around the centre, in either tail, beyond all digits, one-sided, and narrow down to what a density is.
WIDE = [
    (-1, 1),
    (-INF, 0.3),
    (0.3, INF),
    (8, 9),
    (-9, -8),
    (-40, -39.99),
    (30, INF),
    (-INF, -30),
    (-INF, INF),
    (-10, 10),
]
NARROW = [(1, 1 + 1e-4), (1, 1 + 1e-6), (1, 1 + 1e-9), (20, 20.0001), (-1e-8, 1e-8), (-10, 10)]
ENDS = np.array(WIDE + NARROW).T
KINDS = {
    "normal": (tfd.Normal, scipy.stats.norm),
    "laplace": (tfd.Laplace, scipy.stats.laplace),
    "logistic": (tfd.Logistic, scipy.stats.logistic),
    "student_t": (lambda loc, scale: univariate.StudentT(tf.constant(5.0, loc.dtype), loc, scale), scipy.stats.t(5.0)),
}


def log_difference(truth, low, high):
    """Of the tails that are smaller."""
    left = truth.logcdf(high), truth.logcdf(low)
    right = truth.logsf(low), truth.logsf(high)
    larger, smaller = np.where(left[0] < right[0], left, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = larger + np.log(-np.expm1(smaller - larger))
    is_narrow = np.isfinite(low) & np.isfinite(high) & (larger - smaller < 1e-4)
    middle = np.where(is_narrow, 0.5 * (low + high), 0.0)
    density = truth.logpdf(middle) + np.log(np.where(is_narrow, high - low, 1.0))
    return np.where(np.isinf(low) & np.isinf(high), 0.0, np.where(is_narrow, density, exact))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_both_tails_and_narrow_intervals(kind, dtype):
    make, truth = KINDS[kind]
    loc, scale = tf.zeros(ENDS.shape[1], dtype), tf.constant(1.0, dtype)
    with tf.GradientTape() as tape:
        tape.watch([loc, scale])
        log_prob = coarse.interval_log_prob(make(loc, scale), *ENDS)
    assert log_prob.dtype == dtype
    rtol = 1e-6 if dtype == "float32" else 1e-8
    np.testing.assert_allclose(log_prob, log_difference(truth, *ENDS), rtol=rtol, atol=1e-7)
    assert (log_prob <= 0.0).numpy().all()
    gradient, of_scale = tape.gradient(log_prob, [loc, scale])
    assert np.isfinite(gradient).all()
    assert np.isfinite(of_scale)
    if kind == "normal":  # (pdf(low) - pdf(high)) / P
        slope = np.exp(truth.logpdf(ENDS[0]) - log_prob) - np.exp(truth.logpdf(ENDS[1]) - log_prob)
        is_wide = np.subtract(*ENDS[::-1]) > 1e-3
        np.testing.assert_allclose(gradient.numpy()[is_wide], slope[is_wide], rtol=1e-3, atol=1e-6)


def test_components_with_limits_far_from_them():
    far = tfmdn.distributions.ReflectedNormal(*np.float64([0.0, 1.0, 0.0, 100.0]))
    expected = np.log(2.0) + scipy.special.log_ndtr([-50.0, -60.0])
    log_prob = coarse.interval_log_prob(far, np.float64([50.0, 60.0]), np.float64([100.0, 100.0]))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-8)
    outside = coarse.interval_log_prob(far, np.float64([-2.0, -2.0, 101.0]), np.float64([-1.0, 0.0, INF]))
    np.testing.assert_array_equal(outside, [-INF] * 3)


def test_of_mixtures():
    logits = np.log([[0.25, 0.75]])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(np.float64([[-1.0, 1.0]]), np.float64(0.5)))
    low, high = np.array([[-INF], [0.0], [3.0]]), np.array([[0.0], [INF], [4.0]])
    log_prob = mixture.interval_log_prob(low, high)
    assert log_prob.shape == (3, 1)
    np.testing.assert_allclose(np.exp(log_prob), mixture.cdf(high) - mixture.cdf(low), rtol=1e-6)
    np.testing.assert_array_equal(mixture.interval_log_prob(low, high, batch_size=1), log_prob)
    compiled = tf.function(mixture.interval_log_prob, jit_compile=True)
    np.testing.assert_allclose(compiled(low, high), log_prob, rtol=1e-12)
    assert np.isnan(compiled(high, low)).all()  # it cannot raise


def test_boxes():
    mixture = tfmdn.MDNLayer(3, 2)(np.zeros((4, 5)))
    together = mixture.interval_log_prob(np.zeros(2), [1.0, INF])
    components = np.exp(mixture.mixture_distribution.logits_parameter())
    loc, scale = mixture.components_distribution.mean().numpy(), mixture.components_distribution.stddev().numpy()
    normal = scipy.stats.norm(loc, scale)
    sides = normal.cdf([1.0, INF]) - normal.cdf([0.0, 0.0])
    expected = (components / components.sum(-1, keepdims=True) * sides.prod(-1)).sum(-1)
    np.testing.assert_allclose(together, np.log(expected), rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (np.zeros(3), [1.0, 0.0, 2.0])])
def test_a_single_value_and_an_empty_interval_are_refused(low, high):
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.Normal([0.0], [1.0]))
    with pytest.raises(ValueError, match=r"`low` must be less than `high`.*Received: low="):
        mixture.interval_log_prob(low, high)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`low` must be less than `high`"):
        tf.function(lambda: mixture.interval_log_prob(low, high))()


def test_boxes_of_correlated_coordinates_are_refused():
    mixture = tfmdn.MDNLayer(2, 2, covariance="full")(np.zeros((4, 5)))
    with pytest.raises(NotImplementedError, match="MultivariateNormalTriL of event shape"):
        mixture.interval_log_prob(0.0, 1.0)


def test_a_single_value_of_a_density_has_no_probability():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.Normal([0.0], [1.0]))
    np.testing.assert_array_equal(mixture.prob_of([0.0, 1.0]), [0.0, 0.0])
