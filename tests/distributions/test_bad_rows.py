"""A row whose parameters are NaN is bad alone: every answer is NaN there, and elsewhere what it is without that row."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import case_name, mixture_of

import tfmdn
from tfmdn.distributions import tensors

tfd = tfp.distributions
BAD, OTHERS = 1, [0, 2]
QUERIES = {
    "mode": lambda m, y: m.mode(),
    "modes": lambda m, y: tf.concat([tf.reshape(part[0], (3, -1)) for part in m.modes(1)], -1),
    "quantile": lambda m, y: m.quantile(0.9),
    "interval": lambda m, y: m.interval(0.8),
    "cdf": lambda m, y: m.cdf(y),
    "log_prob": lambda m, y: m.log_prob(y),
    "sample": lambda m, y: m.sample(seed=1),
    "entropy": lambda m, y: m.entropy(10, seed=1),
    "aleatoric": lambda m, y: m.decompose().aleatoric,
    "crps": lambda m, y: tfmdn.crps(y, m),
    "energy score": lambda m, y: tfmdn.scores.energy_score(y, m, num_samples=4, seed=1),
}
CASES = [("normal", "full", (3,)), ("normal", "diag", (3,)), ("student_t", "diag", ()), ("von_mises", "diag", ())]


def assert_bad_alone(found, expected, name):
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found[OTHERS], expected[OTHERS], rtol=1e-6, atol=1e-7, err_msg=name)
    assert np.isnan(found[BAD]).all(), name


@pytest.mark.by_default("normal-full-3", "student_t-diag-scalar", "von_mises-diag-scalar")
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_every_query(case):
    mixture = mixture_of(case, batch_shape=(3,), num_components=3)
    values, y = tensors.read(mixture), mixture.sample(seed=0)
    bad = tensors.rebuild(mixture, {name: _with_nan(value) for name, value in values.items()})
    # Draws of angles are kept or rejected for all rows together, and angles have no `decompose`.
    left_out = ["aleatoric", "sample", "entropy", "energy score"] if case[0] == "von_mises" else []
    queries = {name: ask for name, ask in QUERIES.items() if name not in left_out}
    for name, ask in queries.items():
        assert_bad_alone(ask(bad, y), ask(mixture, y), name)
    if not case[2]:
        regions = [each.highest_density_region(0.8)[0] for each in (bad, mixture)]
        assert_bad_alone(*regions, "highest_density_region")
    logits = tensors.rebuild(mixture, {**values, "logits": _with_nan(values["logits"])})
    assert_bad_alone(logits.mode(), mixture.mode(), "mode where logits alone are NaN")


def _with_nan(value):
    value = value.numpy()
    value[BAD, -1] = np.nan
    return tf.constant(value)


def test_singular_components_of_one_row():
    """Of two components, one of which cannot be inverted but for rounding errors."""
    scale = np.float32([[[1e-3, 0.0], [1e5, 1e-3]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    components = tfd.MultivariateNormalTriL(np.ones((3, 1, 2), np.float32), scale[:, np.newaxis])
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((3, 1), np.float32)), components)
    np.testing.assert_array_equal(mixture.mode()[:2], np.ones((2, 2)))


def test_a_row_of_features():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    bad = np.where(np.arange(3)[:, np.newaxis] == BAD, np.nan, x)
    for support in (None, ([0.0, -1.0], [np.inf, 1.0])):
        layer = tfmdn.MDNLayer(3, 2, covariance="full", support=support, convert_to_tensor="mode")
        assert_bad_alone(layer(bad) + 0.0, layer(x).mode(), "layer")
    ask = tf.function(lambda x: layer(x).mode())  # of the one with limits
    assert_bad_alone(ask(bad), ask(x), "graph")
