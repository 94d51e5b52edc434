"""`Extrapolation`: its parts against SciPy's densities and scikit-learn's regressions."""

import math

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import tensorflow as tf
import tensorflow_probability as tfp
from cases import DISTRIBUTIONS, EVENT_SHAPES, mixture_of

import tfmdn
from tfmdn.layers import extrapolation, kernels

tfd = tfp.distributions
pytestmark = pytest.mark.usefixtures("quick_graphs")

NOVELTY = 0.01


def data_of(event_shape=(), n=200):
    """Inputs with a gap in the middle of the first, and targets that follow the second."""
    rng = np.random.default_rng(0)
    x = rng.normal([3.0, -5.0], [2.0, 0.1], (n, 2))
    x[:, 0] += 2.0 * np.sign(x[:, 0] - 3.0)
    y = 20.0 + 10.0 * (x[:, 1] + 5.0).reshape(n, *[1] * len(event_shape)) + rng.normal(0.0, 0.3, (n, *event_shape))
    return x, y


@pytest.fixture(scope="module")
def layers():
    found = {}
    for event_shape in EVENT_SHAPES:
        found[event_shape] = tfmdn.layers.Extrapolation(NOVELTY, dtype="float64", name="fallback")
        found[event_shape].adapt(*data_of(event_shape))
    return found


def standardized(x):
    train, _ = data_of()
    return (x - train.mean(0)) / train.std(0)


def novelty_by_scipy(layer, x):
    """Bayes' rule for all features together and for each by itself, of which the most novel one counts."""
    z, odds = standardized(x), NOVELTY / (1.0 - NOVELTY)
    elsewhere = scipy.stats.norm(scale=kernels.ELSEWHERE_SCALE).pdf(z)
    points = standardized(data_of()[0])
    kernel = scipy.stats.norm(scale=float(layer.bandwidth))
    known = 1e-300 + kernel.pdf(z[:, np.newaxis] - points).prod(-1).mean(-1)
    together = np.exp(layer.prior_log_odds.numpy()) * elsewhere.prod(-1) / known
    values = layer.centers.numpy()
    alone = 1e-300 + scipy.stats.norm(scale=layer.widths.numpy()).pdf(z[:, np.newaxis] - values).mean(1)
    singly = (np.exp(layer.feature_log_odds.numpy()) * elsewhere / alone).max(-1)
    assert odds >= np.exp(layer.feature_log_odds.numpy())
    return 1.0 - 1.0 / (1.0 + np.maximum(together, singly))


X = np.array([[0.5, -5.0], [3.0, -5.0], [1.1, -4.5], [13.0, -5.0], [1.0, 1.0]])


def test_a_gap_or_an_end_of_one_feature_is_novel(layers):
    expected = novelty_by_scipy(layers[()], X)
    np.testing.assert_allclose(layers[()].novelty_of(X), expected, rtol=1e-6, atol=1e-12)
    assert expected[0] < 0.01
    assert (expected[1:] > 0.9).all()


def test_the_density_is_of_the_model_the_regression_and_the_marginal(layers):
    layer, y = layers[()], 21.0
    ones = np.ones((len(X), 1))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=0.0 * ones), tfd.Normal(20.0 * ones, ones))
    train, targets = data_of()
    ridge = sklearn.linear_model.Ridge(extrapolation.RIDGE).fit(standardized(train), targets)
    design = np.hstack([np.ones((len(train), 1)), standardized(train)])
    covariance = np.linalg.inv(design.T @ design + np.diag([0.0, 1.0, 1.0]))
    own = np.hstack([np.ones((len(X), 1)), standardized(X)])
    stddev = layer.residual.numpy() * np.sqrt(1.0 + np.einsum("ni,ij,nj->n", own, covariance, own))
    regression = scipy.stats.norm(ridge.predict(standardized(X)), stddev).pdf(y)
    marginal = layer._marginal_like(mixture).prob(y).numpy()
    novel = novelty_by_scipy(layer, X)
    ends = standardized(train).min(0), standardized(train).max(0)
    beyond = np.maximum(np.maximum(ends[0] - standardized(X), standardized(X) - ends[1]), 0.0).max(-1)
    near = np.exp(-0.5 * np.square(beyond / extrapolation.REACH))
    assert near.min() < 0.5 * near.max()
    rest = extrapolation.LINEAR * near * regression + (1.0 - extrapolation.LINEAR * near) * marginal
    kept = 1.0 - novel + novel * extrapolation.KEPT * near
    received = layer(mixture, X)
    np.testing.assert_allclose(received.prob(y), kept * mixture.prob(y) + (1.0 - kept) * rest, rtol=1e-6)
    assert received.member_sizes == (1, 3, 1)


def test_the_residuals_are_those_of_rows_left_out(layers):
    x, y = standardized(data_of()[0]), data_of()[1]
    # The mean and the scale of the inputs, and the mean of the targets, are those of all rows.
    errors = []
    for row in range(0, len(x), 4):
        others = np.arange(len(x)) != row
        errors.append(y[row] - sklearn.linear_model.Ridge(1.0).fit(x[others], y[others]).predict(x[[row]])[0])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(float(layers[()].residual[0]), rel=0.15)


def test_every_kind_of_components(layers):
    for case in DISTRIBUTIONS:
        mixture = mixture_of(case, batch_shape=(2,))
        far = layers[case[2]](mixture, np.array([[3.0, -5.0], [1e30, -5.0]]))
        assert isinstance(mixture.components_distribution, type(far.components_distribution))
        np.testing.assert_allclose(tf.reduce_logsumexp(far.mixture_distribution.logits_parameter(), -1), 0.0, atol=1e-5)
        _, y = data_of(case[2])
        np.testing.assert_allclose(far.mean()[1], y.mean(0), rtol=0.01)
        is_linear = case[0] in ("normal", "laplace", "logistic", "student_t")
        assert far.member_sizes[-1] == (1 if is_linear else 3), case


def test_saved(layers, tmp_path):
    inputs = keras.Input((2,), dtype="float64")
    mixture = tfmdn.MDNLayer(2, dtype="float64")(inputs)
    model = keras.Model(inputs, layers[()](mixture, inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X).log_prob(20.0), model(X).log_prob(20.0))


@pytest.mark.parametrize("features", [1, 30])
def test_held_out_inputs_are_of_the_data(features):
    x = np.random.default_rng(2).normal(size=(3000, features))
    layer = tfmdn.layers.Extrapolation()
    layer.adapt(x[:1000], x[:1000, 0])
    assert np.mean(layer.novelty_of(x[1000:])) < 6e-3
    assert np.min(layer.novelty_of(x[1000:1100] + 8.0)) > 0.99


def test_features_and_targets_that_do_not_vary():
    layer = tfmdn.layers.Extrapolation()
    layer.adapt(np.repeat([[0.0, 1.0]], 9, 0), np.zeros(9))
    mixture = layer(mixture_of(("normal", "diag", ()), batch_shape=(2,)), np.array([[0.0, 1.0], [0.0, 9.0]]))
    assert np.isfinite(mixture.log_prob(0.0)).all()
    assert math.isclose(float(layer.novelty_of([[0.0, 9.0]])[0]), 1.0, abs_tol=1e-3)
