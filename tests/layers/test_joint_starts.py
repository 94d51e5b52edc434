"""Heads that start as a Gaussian mixture of features and targets, against scikit-learn's and SciPy's densities."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfmdn
from tfmdn import datasets
from tfmdn.callbacks import reseeding
from tfmdn.callbacks.observation import Rows
from tfmdn.distributions import gaussian_mixtures
from tfmdn.layers import joint_starts

PROBLEM = datasets.correlated_normals(2, num_features=2, num_targets=3, smallest_scale=0.05, seed=1)
X, Y = (np.float64(part) for part in PROBLEM.sample(2_000, seed=0))
X_TEST, Y_TEST = (np.float64(part) for part in PROBLEM.sample(500, seed=1))
UNIT = np.array([1000.0, 0.01, 1.0])  # of the targets


def head_of(num_components=2, y=Y, **kwargs):
    """An adapted head, whose inputs are only the products of x."""
    layer = tfmdn.MDNLayer(
        num_components, 3, covariance="full", kernel_initializer="zeros", min_scale=0.01, dtype="float64", **kwargs
    )
    layer.build((None, 5))
    layer.adapt(y, X)
    return layer


def predicted(layer, x=X_TEST):
    return layer(tfmdn.features.Products(dtype="float64")(x))


@pytest.fixture(scope="module")
def head():
    return head_of()


def test_the_start_is_the_mixture_given_x(head):
    scale = Y.std(0)
    rows = np.concatenate([np.clip(X, -4.0, 4.0), (Y - Y.mean(0)) / scale], 1)
    fitted = gaussian_mixtures.fit_joint(rows, 2, 0.01)
    x, y = np.clip(X_TEST, -4.0, 4.0), (Y_TEST - Y.mean(0)) / scale

    def log_density(rows):
        size = rows.shape[1]
        terms = [
            np.log(weight) + scipy.stats.multivariate_normal(mean[:size], covariance[:size, :size]).logpdf(rows)
            for weight, mean, covariance in zip(fitted.weights_, fitted.means_, fitted.covariances_)
        ]
        return np.logaddexp(*terms)

    expected = log_density(np.concatenate([x, y], 1)) - log_density(x) - np.log(scale).sum()
    np.testing.assert_allclose(predicted(head).log_prob(Y_TEST), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("num_components", [2, 5])
def test_the_start_is_near_the_truth(num_components):
    log_prob = predicted(head_of(num_components)).log_prob(Y_TEST).numpy()
    assert np.mean(PROBLEM.log_prob(X_TEST, Y_TEST) - log_prob) < 0.06


def test_units_do_not_matter(head):
    scaled = predicted(head_of(y=UNIT * Y)).log_prob(UNIT * Y_TEST)
    expected = predicted(head).log_prob(Y_TEST) - np.log(UNIT).sum()
    np.testing.assert_allclose(scaled, expected, atol=1e-3)


def test_a_background_is_in_the_units_of_all_targets(head):
    mixture = predicted(head_of(background=0.01))
    log_prob = np.logaddexp(
        np.log(0.99) + predicted(head).log_prob(Y_TEST),
        np.log(0.01) + scipy.stats.norm(Y.mean(0), 1.5 * Y.std(0)).logpdf(Y_TEST).sum(1),
    )
    np.testing.assert_allclose(mixture.log_prob(Y_TEST), log_prob, atol=2e-3)


def test_adapting_to_targets_alone_forgets_the_features(head):
    layer = head_of()
    layer.adapt(Y)
    np.testing.assert_array_equal(layer.component_factors, np.tile(np.eye(3), (2, 1, 1)))


def test_a_file_holds_the_start(head, tmp_path):
    inputs = keras.Input((2,), dtype="float64")
    model = keras.Model(inputs, head(tfmdn.features.Products(dtype="float64")(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X_TEST).log_prob(Y_TEST), model(X_TEST).log_prob(Y_TEST))


def test_reseeded_components_are_in_the_units_of_all_targets():
    layer = head_of()
    weights = np.tile([1.0, 0.0], (50, 1))
    held = np.zeros_like(weights)
    rows = Rows(weights, weights, held, held, targets=(Y[:50] - Y.mean(0)) / Y.std(0), log_prob=np.arange(50.0))
    reseeding.reseed(layer, np.array([1]), rows, seed=0)
    loc = predicted(layer).components_distribution.loc[:, 1]
    assert np.abs(loc[:, np.newaxis] - Y[:50]).max(-1).min() < 1e-6
    np.testing.assert_array_equal(layer.component_factors[1], np.eye(3))


WRONG = {
    "not built": {"event_shape": 3, "covariance": "full", "inputs": None},
    "too few inputs": {"event_shape": 3, "covariance": "full", "inputs": 4},
    "independent": {"event_shape": 3, "inputs": 5},
    "limits": {"event_shape": 3, "covariance": "full", "support": (-50.0, 50.0), "inputs": 5},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_start_so_says_so(name):
    arguments = dict(WRONG[name])
    inputs = arguments.pop("inputs")
    layer = tfmdn.MDNLayer(2, **arguments)
    if inputs:
        layer.build((None, inputs))
    with pytest.raises(ValueError, match="whose last inputs are the 5 `Products` of x"):
        layer.adapt(Y[:100], X[:100])


CONTINUOUS = {
    "several": (X, Y, True),
    "one target": (X, Y[:, :1], False),
    "a scalar": (X, Y[:, 0], False),
    "few rows": (X[:99], Y[:99], False),
    "few values": (np.round(X), Y, False),
    "no features": (X[:, :0], Y, False),
    "many features": (np.tile(X, 7), Y, False),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_when_it_is_worth_a_try(name):
    x, y, expected = CONTINUOUS[name]
    assert joint_starts.are_continuous(x, y) == expected


@pytest.mark.parametrize("unknown", [np.nan, -1e9])
def test_rows_with_gaps_or_far_out_do_not_count(unknown):
    y = np.where(np.arange(len(Y))[:, np.newaxis] < 100, unknown, Y)
    first = joint_starts.JointMixture(X, y, 2, 0.01).start(head_of().raw_outputs)
    second = joint_starts.JointMixture(X[100:], Y[100:], 2, 0.01).start(head_of().raw_outputs)
    np.testing.assert_array_equal(first.factors, second.factors)


def test_refitted_to_the_rows_that_count():
    joint, outputs = joint_starts.JointMixture(X, Y, 2, 0.01), head_of().raw_outputs
    all_rows, half = joint.start(outputs), joint.start(outputs, np.arange(len(X)) % 2 == 0)
    assert 1e-4 < np.abs(all_rows.factors - half.factors).max() < 0.2


def test_it_is_learnt_from(head):
    """What is trained goes on from the start: gradients reach all that the raw outputs are made of."""
    products = tfmdn.features.Products(dtype="float64")(X[:200])
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(head(products).log_prob(Y[:200]))
    for gradient in tape.gradient(loss, head.trainable_variables):
        assert np.all(np.isfinite(gradient))
        assert np.count_nonzero(gradient) > 0.9 * np.size(gradient)
