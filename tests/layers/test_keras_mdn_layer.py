"""Heads with the weights of keras-mdn-layer have its density, which is written down; tests/tools has the package."""

import numpy as np
import pytest
from scipy import special, stats

import tfmdn


def weights_of(num_mixtures, size, features=4, spread=3.0):
    rng = np.random.default_rng(0)
    widths = [num_mixtures * size, num_mixtures * size, num_mixtures]
    shapes = [shape for width in widths for shape in ((features, width), (width,))]
    return [rng.normal(scale=spread, size=shape).astype("float32") for shape in shapes]


def formula(weights, x, y, epsilon=1e-7):
    """Its loss for each row: elu + 1 + epsilon for scales, a component's coordinates side by side."""
    size = y.shape[-1]
    mus, sigmas, logits = (x @ kernel + bias for kernel, bias in zip(weights[::2], weights[1::2]))
    sigmas = np.where(sigmas > 0, sigmas, np.expm1(np.minimum(sigmas, 0))) + 1 + epsilon
    mus, sigmas = (array.reshape(len(x), -1, size) for array in (mus, sigmas))  # [B, K, D]
    log_probs = stats.norm.logpdf(y[:, np.newaxis], mus, sigmas).sum(-1) + special.log_softmax(logits, -1)
    return -special.logsumexp(log_probs, -1)


@pytest.mark.parametrize(("num_mixtures", "event_shape"), [(1, 1), (5, ()), (3, 2), (7, 4)])
def test_it_is_the_same_density(num_mixtures, event_shape):
    size = event_shape or 1
    weights = weights_of(num_mixtures, size)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 4)), 5.0 * rng.normal(size=(50, size))
    expected = formula([array.astype(np.float64) for array in weights], x, y)
    layer = tfmdn.MDNLayer.from_keras_mdn_layer(weights, event_shape, dtype="float64")
    actual = tfmdn.negative_log_likelihood(y, layer(x))
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    # In float32 the numbers of a usual network, not of scales down to 1e-7.
    weights = weights_of(num_mixtures, size, spread=0.3)
    expected = formula([array.astype(np.float64) for array in weights], x, y)
    single = tfmdn.MDNLayer.from_keras_mdn_layer(weights, event_shape, name="head")
    assert single.name == "head"
    np.testing.assert_allclose(tfmdn.negative_log_likelihood(y, single(x.astype("float32"))), expected, rtol=2e-5)
    copy = tfmdn.MDNLayer.from_config(single.get_config())
    copy.build((None, 4))
    copy.set_weights(single.get_weights())
    np.testing.assert_array_equal(copy(x).mean(), single(x).mean())


def test_another_epsilon():
    weights = weights_of(2, 1)
    x, y = np.ones((3, 4)), np.zeros((3, 1))
    actual = tfmdn.negative_log_likelihood(
        y, tfmdn.MDNLayer.from_keras_mdn_layer(weights, 1, epsilon=0.5, dtype="float64")(x)
    )
    np.testing.assert_allclose(actual, formula([w.astype(np.float64) for w in weights], x, y, 0.5), rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (weights_of(3, 1), r"K mixtures of D = 2 dimensions. Received: weights of shapes \[\(4, 3\), \(3,\)"),
        (weights_of(3, 2)[:4], r"must be what `get_weights\(\)` of a keras_mdn_layer.MDN returns"),
        ([*weights_of(3, 2), np.ones(3)], "pass those of its last layer"),
        ([np.ones((5, 6)), *weights_of(3, 2)[1:]], "Received: weights of shapes"),
        (5, r"Received: weights of shapes \[\(\)\]"),
    ],
)
def test_other_weights_are_an_error(weights, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.MDNLayer.from_keras_mdn_layer(weights, 2)


def test_arguments_that_change_the_density_are_an_error():
    with pytest.raises(TypeError, match="Received: family, support, which would change it"):
        tfmdn.MDNLayer.from_keras_mdn_layer(weights_of(3, 2), 2, family="laplace", support=(0.0, 1.0))
