"""The density of normal components, which has a gradient of its own, against TFP's, which is derived."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import case_name, layer_of

import tfmdn
from tfmdn.layers import links

tfd = tfp.distributions

NORMAL_CASES = [
    ("normal", covariance, event_shape)
    for covariance in ("diag", "spherical", "full")
    for event_shape in ((), (1,), (3,))
]
NORMAL_CASES.remove(("normal", "full", ()))
every_normal_case = pytest.mark.parametrize("case", NORMAL_CASES, ids=case_name)
every_link = pytest.mark.parametrize("activation", links.SCALE_LINKS)


def by_tfp(mixture):
    """A mixture of the same tensors whose density TFP computes by its own operations."""
    return tfd.MixtureSameFamily(mixture.mixture_distribution, mixture.components_distribution)


def derivatives(log_prob, layer, params, y):
    """The log density, its gradient in params and y, and a Hessian-vector product, each a list of arrays."""
    with tf.GradientTape() as outer:
        outer.watch([params, y])
        with tf.GradientTape() as inner:
            inner.watch([params, y])
            value = log_prob(layer(params), y)
        gradients = inner.gradient(value, [params, y])
        directional = tf.add_n([tf.reduce_sum(tf.sin(gradient) * gradient) for gradient in gradients])
    return [value, *gradients, *outer.gradient(directional, [params, y])]


def head(case, activation):
    """An MDNLayer whose features are the raw parameters."""
    layer = layer_of(case, scale_activation=activation, dtype="float64", kernel_initializer="identity")
    layer.adapt(3.0 + 2.0 * np.random.default_rng(0).normal(size=(200, *case[2])))
    layer.build((None, layer.params_size))
    return layer, tf.random.stateless_normal((5, layer.params_size), [1, 2], dtype=tf.float64)


@pytest.mark.parametrize("sample_shape", [(), (2,), (4, 2)], ids=str)
@every_link
@every_normal_case
def test_derivatives_are_those_of_tfp(case, activation, sample_shape):
    layer, params = head(case, activation)
    y = 3.0 + tf.random.stateless_normal((*sample_shape, 5, *case[2]), [3, 4], 0.0, 3.0, tf.float64)
    ours = derivatives(lambda mixture, y: mixture.log_prob(y), layer, params, y)
    truth = derivatives(lambda mixture, y: by_tfp(mixture).log_prob(y), layer, params, y)
    for own, expected in zip(ours, truth):
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.covering(1)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "case", [("normal", "diag", ()), ("normal", "diag", (3,)), ("normal", "full", (3,))], ids=case_name
)
def test_derivatives_in_a_graph_of_unknown_batch_size(case, jit_compile):
    layer, params = head(case, "exp")
    y = 3.0 + tf.random.stateless_normal((5, *case[2]), [3, 4], 0.0, 3.0, tf.float64)
    signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in (params, y)]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def in_graph(params, y):
        return derivatives(lambda mixture, y: mixture.log_prob(y), layer, params, y)

    for own, expected in zip(in_graph(params, y), derivatives(tfmdn.Mixture.log_prob, layer, params, y)):
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("event_shape", [(), (3,)], ids=str)
def test_each_parameter_may_broadcast(event_shape):
    """One scale for all components and rows, one centre for all rows, one target for all rows."""
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(5, 4)))
    loc, scale = tf.constant(rng.normal(size=(4, *event_shape))), tf.constant(rng.uniform(1, 2, event_shape))
    y = tf.constant(rng.normal(size=(2, 1, *event_shape)))

    def log_prob(kind, y, loc, scale):
        components = tfd.MultivariateNormalDiag(loc, scale) if event_shape else tfd.Normal(loc, scale)
        return kind(tfd.Categorical(logits=logits), components).log_prob(y)

    results = []
    for kind in (tfmdn.Mixture, tfd.MixtureSameFamily):
        with tf.GradientTape() as tape:
            tape.watch([y, loc, scale])
            value = log_prob(kind, y, loc, scale)
        results.append([value, *tape.gradient(value, [y, loc, scale])])
    assert results[0][0].shape == (2, 5)
    for own, expected in zip(*results):
        np.testing.assert_allclose(own, expected, rtol=1e-9)


@every_normal_case
def test_a_mixture_of_other_parameters_has_their_density(case):
    layer, params = head(case, "exp")
    y = 3.0 + tf.random.stateless_normal((5, *case[2]), [3, 4], dtype=tf.float64)
    mixture = layer(params)
    for changed in (mixture.temper(scale_temperature=2.0), mixture.copy(name="other"), tf.cast(mixture, tf.float32)):
        expected = by_tfp(changed).log_prob(tf.cast(y, changed.dtype))
        np.testing.assert_allclose(changed.log_prob(tf.cast(y, changed.dtype)), expected, rtol=1e-5)
    np.testing.assert_allclose(mixture[1:3].log_prob(y[1:3]), mixture.log_prob(y)[1:3], rtol=1e-12)


@pytest.mark.parametrize("family", [tfd.Normal, tfd.Laplace, tfd.Logistic], ids=lambda kind: kind.__name__)
def test_the_largest_numbers_have_a_density_and_gradients(family):
    y, loc, scale = tf.constant([-3e38, 3e38, np.inf]), tf.zeros([1]), tf.constant([0.5])
    with tf.GradientTape() as tape:
        tape.watch([loc, scale])
        value = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), family(loc, scale)).log_prob(y)
    assert (value < -1e10).numpy().all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(value, [loc, scale]))
