"""Special functions of elementary operations, against SciPy's in float64."""

import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats
import tensorflow as tf

import tfmdn
from tfmdn.export import elementary, portable_coarse, portable_families, portable_limits

Z = np.concatenate([np.linspace(-12, 12, 2401), np.geomspace(1e-6, 13, 200), [0.0]])
ABOVE_1 = np.concatenate([np.linspace(1, 20, 500), np.geomspace(1, 1e12, 500)])
UNIT = np.concatenate([np.linspace(1e-3, 1, 500), np.geomspace(1e-6, 1, 100)])
POSITIVE = np.concatenate([np.linspace(0.01, 30, 2000), np.geomspace(1e-2, 1e12, 500)])
SMALL = np.concatenate([np.linspace(-0.99, 5, 2001), np.geomspace(1e-9, 0.9, 200), -np.geomspace(1e-9, 0.9, 200)])
# function, points, what it is, its error relative to the value, or absolute where the value passes 0 or the argument's
# last digit counts.
CASES = {
    "log1p": (elementary.log1p, SMALL, np.log1p, 3e-7, 0),
    "expm1": (elementary.expm1, np.concatenate([SMALL, [-50.0, 30.0]]), np.expm1, 6e-7, 0),
    "excess_of_exp": (elementary.excess_of_exp, SMALL, lambda x: np.expm1(x) - x, 1e-6, 1e-17),
    "upper_tail": (elementary.upper_tail, Z, stats.norm.sf, 6e-7, 1e-38),
    "log_upper_tail": (elementary.log_upper_tail, np.append(Z, [1e3, 1e6]), stats.norm.logsf, 8e-7, 0),
    "normal_density": (elementary.normal_density, Z, stats.norm.pdf, 6e-7, 0),
    "upper_normal_quantile": (
        elementary.upper_normal_quantile,
        np.concatenate([np.linspace(1e-3, 0.5, 500), np.geomspace(1e-37, 0.5, 200)]),
        stats.norm.isf,
        4e-7,
        3e-7,
    ),
    "stirling_remainder": (
        elementary.stirling_remainder,
        ABOVE_1[ABOVE_1 < 1e3],
        lambda c: special.gammaln(c) - ((c - 0.5) * np.log(c) - c + 0.5 * np.log(2 * np.pi)),
        1e-6,
        1e-11,
    ),
    "half_step_remainder": (
        elementary.half_step_remainder,
        ABOVE_1[ABOVE_1 < 1e3],
        lambda c: special.gammaln(c + 0.5) - special.gammaln(c) - 0.5 * np.log(c),
        1e-6,
        1e-11,
    ),
    "log_gamma_of_one_plus": (
        elementary.log_gamma_of_one_plus,
        UNIT,
        lambda a: special.gammaln(1 + a),
        4e-7,
        1e-7,
    ),
    "log_gamma_ratio": (
        elementary.log_gamma_ratio,
        UNIT[UNIT > 1e-3],
        lambda a: special.gammaln(1 + 2 * a) - 2 * special.gammaln(1 + a),
        1e-6,
        1e-14,
    ),
    "log_scaled_i0": (elementary.log_scaled_i0, POSITIVE, lambda k: np.log(special.i0e(k)), 4e-7, 3e-7),
    "log_bessel_ratio": (
        elementary.log_bessel_ratio,
        POSITIVE[POSITIVE < 1e6],
        lambda k: np.log(special.i1e(k) / special.i0e(k)),
        1e-6,
        5e-7,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_against_scipy(name):
    function, points, expected, relative, absolute = CASES[name]
    x = np.float32(points)
    np.testing.assert_allclose(function(tf.constant(x)), expected(np.float64(x)), rtol=relative, atol=absolute)


def test_between_in_both_tails():
    start = np.float32(np.concatenate([np.linspace(-10, 9, 500), [-9.0, 5.0]]))
    end = start + np.float32(1.0)
    expected = np.where(
        start > 0, stats.norm.sf(start) - stats.norm.sf(end), stats.norm.cdf(end) - stats.norm.cdf(start)
    )
    np.testing.assert_allclose(elementary.between(tf.constant(start), tf.constant(end)), expected, rtol=2e-6)


def test_log_sum_exp():
    values = np.float32([[0.0, 1.0, -200.0], [-np.inf, 3.0, -np.inf], [-np.inf] * 3, [-1e30, -1e30, -np.inf]])
    expected = np.logaddexp.reduce(np.float64(values), -1)
    np.testing.assert_allclose(elementary.log_sum_exp(tf.constant(values), -1), expected, rtol=1e-6)


def test_moments_of_wide_components_between_limits():
    """They are differences of what lies beyond the limits."""
    loc, scale = np.meshgrid([-0.3, 0.0, 0.2, 0.5, 1.0], np.geomspace(0.01, 20.0, 40))
    loc, scale = (tf.constant(value.ravel(), tf.float32) for value in (loc, scale))
    low, high = tf.zeros_like(loc), tf.ones_like(loc)
    exact = tfmdn.distributions.ReflectedNormal(*(tf.cast(value, tf.float64) for value in (loc, scale, low, high)))
    portable = portable_limits.Reflected(loc, scale, low, high)
    for method in ("mean", "stddev"):
        np.testing.assert_allclose(getattr(portable, method)(), getattr(exact, method)(), rtol=2e-6, atol=3e-7)


def test_moments_between_atoms_that_are_close_to_each_other():
    """What lies between them is a small difference of probabilities, and its moments smaller ones."""
    width, loc = np.float32(0.5693), np.float32([-0.2, 0.0, 0.3, 1.0])
    for scale in np.float32([0.6, 3.0, 20.0, 337.0, 1e6]):
        low, high = np.zeros(4, "float32"), np.full(4, width)
        portable = portable_coarse.Coarsened(
            *map(tf.constant, (loc, np.full(4, scale), low, high, np.ones(4, "float32"))), origin=tf.constant(low)
        )
        normal = stats.norm(np.float64(loc), np.float64(scale))
        nodes, weights = np.polynomial.legendre.leggauss(60)
        y = 0.5 * width * (1.0 + nodes[:, np.newaxis])
        mass = 0.5 * width * weights[:, np.newaxis] * normal.pdf(y)
        first, second = (width**power * normal.sf(width) + (y**power * mass).sum(0) for power in (1, 2))
        np.testing.assert_allclose(portable.mean(), first, rtol=3e-6)
        np.testing.assert_allclose(portable.stddev(), np.sqrt(second - first**2), rtol=1e-5)


def test_moments_of_what_is_hardly_ever_another_value():
    loc, scale = np.float32([30.3, -3.02, 0.3]), np.float32([0.04, 0.07, 0.03])
    zeros = tf.zeros(3)
    portable = portable_coarse.Coarsened(
        *map(tf.constant, (loc, scale)), zeros - np.inf, zeros + np.inf, zeros + 1.0, zeros, zeros + 1.0
    )
    values = np.float64([30.0, -3.0, 0.0])
    above, below = (
        stats.norm.sf((0.5 + side * (np.float64(loc) - values) * -1.0) / np.float64(scale)) for side in (1.0, -1.0)
    )
    np.testing.assert_allclose(portable.mean(), values + above - below, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(portable.stddev(), np.sqrt(above + below - (above - below) ** 2), rtol=1e-4)


def test_a_student_t_far_beyond_what_has_a_square():
    y = np.float32([0.0, 0.5, 3.0, 1e5, 1e20, 1e30])
    portable = portable_families.StudentT(*(tf.fill(6, np.float32(value)) for value in (0.2, 0.5, 3.7)))
    expected = stats.t(np.float64(np.float32(3.7)), np.float64(np.float32(0.2)), 0.5).logpdf(np.float64(y))
    np.testing.assert_allclose(portable.log_prob(tf.constant(y)), expected, rtol=2e-6)
