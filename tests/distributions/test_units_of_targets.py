"""Answers in units in which the squares of targets have no place in float32, against those of targets of order 1."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import coarsened, gumbel, reflected, reflected_joint, tensors, univariate, weibull

tfd = tfp.distributions
UNITS = (1.0, 1e-21, 1e26)
CENTRES, SCALES = np.array([[0.1, 1.2, 0.6]]), np.array([[0.3, 0.15, 0.9]])
TRIL = np.array([[0.3, 0.0], [0.2, 0.4]]) * np.array([1.0, 2.0, 0.5])[:, np.newaxis, np.newaxis]


def limited(loc, scale, unit):
    return reflected.ReflectedNormal(loc, scale, tf.constant(0.0), tf.constant(np.inf))


def joint(loc, scale, unit):
    centres = tf.stack([loc, loc], -1)
    tril = tf.constant(TRIL, tf.float32) * scale[..., tf.newaxis, tf.newaxis]
    return reflected_joint.ReflectedMultivariateNormal(centres, tril, tf.zeros(2), tf.fill([2], np.float32(np.inf)))


# Components of centres, scales and the unit, and whether these are logarithms.
KINDS = {
    "normal": (lambda loc, scale, unit: tfd.Normal(loc, scale), False),
    "student_t": (lambda loc, scale, unit: univariate.StudentT(tf.constant(4.0), loc, scale), False),
    "gumbel": (lambda loc, scale, unit: gumbel.Gumbel(loc, scale), False),
    "lognormal": (lambda loc, scale, unit: univariate.LogNormal(loc, scale), True),
    "weibull": (lambda loc, scale, unit: weibull.Weibull(loc, scale), True),
    "a limit": (limited, False),
    "an atom": (lambda loc, scale, unit: coarsened.CoarsenedNormal(loc, scale, 0.0 * unit, np.inf), False),
    "full": (
        lambda loc, scale, unit: tfd.MultivariateNormalTriL(
            tf.stack([loc, loc], -1), tf.constant(TRIL, tf.float32) * scale[..., tf.newaxis, tf.newaxis]
        ),
        False,
    ),
    "full with limits": (joint, False),
}
SCORED = {"normal", "lognormal"}  # of "a limit" with --exhaustive, of others a trace takes too long


def answers(name, unit, is_scored):
    """Numbers in the unit, and gradients in it, of mixtures of three components."""
    kind, is_log = KINDS[name]
    loc = CENTRES + np.log(unit) if is_log else CENTRES * unit
    loc, scale = tf.constant(loc, tf.float32), tf.constant(SCALES if is_log else SCALES * unit, tf.float32)

    def mixture():
        return tfmdn.Mixture(tfd.Categorical(logits=[[0.0, 0.3, -0.2]]), kind(loc, scale, unit))

    y = tf.fill(mixture().batch_shape + mixture().event_shape, tf.constant(0.5 * unit, tf.float32))
    found = {"parts": tensors.stddev(mixture().components_distribution) / unit}
    found["decomposed"] = tf.math.is_nan(tf.stack(mixture().decompose()))
    questions = {"stddev": lambda: mixture().stddev() / unit, "density": lambda: mixture().log_prob(y)}
    if is_scored:
        questions["crps"] = lambda: tfmdn.crps(y, mixture()) / unit
    for key, question in questions.items():
        with tf.GradientTape() as tape:
            tape.watch([loc, scale])
            value = question()
        gradients = tape.gradient(value, [loc, scale], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found[f"gradients of {key}"] = tf.stack([part if is_log else part * unit for part in gradients])
        if key != "density":
            found[key] = value
    return found


@pytest.mark.parametrize("name", KINDS)
def test_the_unit_does_not_matter(name, request):
    is_scored = name in SCORED or (name == "a limit" and request.config.getoption("exhaustive"))
    expected, *received = (answers(name, unit, is_scored) for unit in UNITS)
    for unit, found in zip(UNITS[1:], received):
        for key, value in found.items():
            size = np.abs(np.float32(expected[key])).max()
            np.testing.assert_allclose(
                np.float32(value), np.float32(expected[key]), atol=1e-3 * size, err_msg=f"{key} {unit}"
            )


def test_a_covariance_of_coordinates_in_other_units():
    """Also where that of each pair has a place and the variances have none, and components of opposite signs cancel."""
    units = np.float32([1e26, 1e-21])
    loc = np.float32([[[1.0, 1.0], [3.0, -2.0], [0.0, 0.5]]])
    tril = np.float32(TRIL)[np.newaxis]
    kinds = {
        "full": lambda unit: tfd.MultivariateNormalTriL(loc * unit, tril * unit[:, np.newaxis]),
        "diag": lambda unit: tfd.MultivariateNormalDiag(loc * unit, np.float32([[[0.3, 0.4]]]) * unit),
        "laplace": lambda unit: tfd.Independent(tfd.Laplace(loc * unit, np.float32([[[0.3, 0.4]]]) * unit), 1),
        "limits": lambda unit: reflected_joint.ReflectedMultivariateNormal(
            loc * unit, tril * unit[:, np.newaxis], np.zeros(2, "float32"), np.full(2, np.inf, "float32")
        ),
    }
    for name, kind in kinds.items():
        weights = tfd.Categorical(logits=[[0.0, 0.3, -0.2]])
        expected = tfmdn.Mixture(weights, kind(np.ones(2, "float32"))).covariance()
        received = tfmdn.Mixture(weights, kind(units)).covariance()
        np.testing.assert_allclose(received[:, 0, 0], np.inf, err_msg=name)
        np.testing.assert_allclose(received[:, 0, 1] / 1e5, expected[:, 0, 1], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("logit", [0.0, -500.0, -np.inf])
def test_a_variance_that_has_no_place_is_infinite(logit):
    components = tfd.Normal([1e25, 3e25], [1e25, 1e25])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.float32([0.0, logit])), components)
    assert mixture.variance() == np.inf
    assert mixture.decompose().aleatoric == np.inf
    assert np.isfinite(mixture.stddev())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adapt_refuses_what_the_dtype_cannot_hold(dtype):
    y = np.random.default_rng(0).normal(size=100)
    limits = np.finfo(dtype)
    for factor in (10.0 * float(limits.tiny), 0.01 * float(limits.max)):
        with pytest.raises(ValueError, match="leave no room in"):
            tfmdn.MDNLayer(2, dtype=dtype).adapt(factor * y)
    far = tfmdn.MDNLayer(2, dtype=dtype)
    if dtype == "float64":
        far.adapt(1e10 + y)
    else:
        with pytest.raises(ValueError, match="cannot tell these targets apart"):
            far.adapt(1e10 + y)
