"""A component of weight 0 makes no answer unknown, whatever it is."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.layers.families import FAMILIES

tfd = tfp.distributions
NOTHING = {"loc": [np.inf, np.nan], "scale": [np.inf, np.nan], "df": [0.5, np.nan]}
WELL = {"loc": [0.3, -0.5], "scale": [0.7, 0.4], "df": [5.0, 7.0]}
WEIGHTS = {"logits": [0.0, 1.0, -np.inf, -np.inf], "probs": [0.25, 0.75, 0.0, 0.0], "underflow": [0.0, 1.0, -1e4, -1e5]}
CASES = [("normal", "probs"), ("tril", "logits"), ("gamma", "logits"), ("reflected", "logits")]
CASES += [
    pytest.param(kind, form, marks=pytest.mark.exhaustive)
    for kind, form in (
        *(("normal", form) for form in ("logits", "underflow")),
        *((kind, "logits") for kind in ("diag", "student_t", "laplace", "von_mises")),
    )
]
Y = 0.4


def mixture_of(kind, form, weights, loc, scale, df):
    if kind == "reflected":
        components = tfmdn.distributions.ReflectedNormal(loc, scale, -1.0, 2.0)
    elif kind == "diag":
        components = tfd.MultivariateNormalDiag(tf.stack([loc] * 2, -1), tf.stack([scale] * 2, -1))
    elif kind == "tril":
        components = tfd.MultivariateNormalTriL(tf.stack([loc] * 2, -1), tf.linalg.diag(tf.stack([scale] * 2, -1)))
    else:
        components = FAMILIES[kind].distribution(loc=loc, scale=scale, **({"df": df} if kind == "student_t" else {}))
    return tfmdn.Mixture(tfd.Categorical(**{"probs" if form == "probs" else "logits": weights}), components)


def answers(kind, mixture):
    y = tf.constant([Y, Y] if kind in ("diag", "tril") else Y, mixture.dtype)
    found = {
        "mean": mixture.mean(),
        "stddev": mixture.stddev(),
        "log_prob": mixture.log_prob(y),
        "cdf": mixture.cdf(y),
        "log_survival_function": mixture.log_survival_function(y),
        "quantile": mixture.quantile([0.1, 0.7]),
    }
    if kind in ("normal", "student_t"):
        found["crps"] = tfmdn.crps(y[tf.newaxis], mixture[tf.newaxis])
        found["interval"] = mixture.interval_log_prob(y, y + 0.5)
        found["aleatoric"] = mixture.decompose().aleatoric
    return found


@pytest.mark.parametrize(("kind", "form"), CASES)
def test_what_has_no_weight_does_not_matter(kind, form):
    weights = tf.constant(WEIGHTS[form], tf.float64)
    own = [weights, *(tf.constant([*WELL[name], *NOTHING[name]], tf.float64) for name in WELL)]
    with tf.GradientTape() as tape:
        tape.watch(own)
        mixture = mixture_of(kind, form, *own)
        found = answers(kind, mixture)
        total = tf.add_n([tf.reduce_sum(value) for value in found.values()])
    well = [tf.constant(values, tf.float64) for values in WELL.values()]
    for name, value in answers(kind, mixture_of(kind, form, weights[:2], *well)).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
    for gradient in tape.gradient(total, own, unconnected_gradients="zero")[form == "probs" :]:
        assert np.all(np.isfinite(gradient))
    assert np.all(np.isfinite(mixture.sample(9, seed=0)))
    if kind == "normal":
        energy = tfmdn.energy_score(tf.constant([Y], tf.float64), mixture[tf.newaxis], seed=0)
        for value in (mixture.mode(), mixture.entropy(50, seed=0), energy, mixture.highest_density_region(0.5)[0]):
            assert np.all(np.isfinite(value))


def test_a_member_of_weight_0_that_diverged():
    """In a graph, of components in standard units."""
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = tfmdn.MDNLayer(2)(x)
    names = ("standard_loc", "standard_log_scale", "target_location", "target_scale")
    components = expected.components_distribution
    parameters = {name: getattr(components, name) + tf.zeros([4, 2]) for name in names}

    @tf.function
    def answers(logits, loc):
        own = {**parameters, "standard_loc": loc}
        factors = {name: np.nan if name.startswith("standard") else 1.0 for name in names}
        diverged = {name: tf.concat([value, value * factors[name]], -1) for name, value in own.items()}
        mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), type(components)(**diverged))
        zeros = tf.zeros(4)
        return mixture.log_prob(zeros), mixture.mean(), mixture.stddev(), mixture.cdf(zeros)

    own = expected.mixture_distribution.logits_parameter()
    arguments = tf.concat([own, tf.fill([4, 2], -np.inf)], -1), parameters["standard_loc"]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        found = answers(*arguments)
        log_prob = found[0]
    truth = expected.log_prob(tf.zeros(4)), expected.mean(), expected.stddev(), expected.cdf(tf.zeros(4))
    for value, other in zip(found, truth):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)
    assert np.all(np.isfinite(tape.gradient(log_prob, arguments[0])))
