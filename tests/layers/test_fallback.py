"""`MarginalFallback`: the densities against SciPy's, and what a model says off its data."""

import math
import sys

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.neighbors
import tensorflow as tf
import tensorflow_probability as tfp
from cases import DISTRIBUTIONS, EVENT_SHAPES, case_name, layer_of, mixture_of

import tfmdn
from tfmdn import keras_internals
from tfmdn.layers import families, kernels

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
every_kind = pytest.mark.parametrize("case", DISTRIBUTIONS, ids=case_name)

NOVELTY = 0.01


def data_of(event_shape, n=300, features=2):
    """Inputs about (5, 5), and positive targets that do not depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(5.0, [0.1, 10.0][:features], (n, features))
    return x, rng.choice([2.0, 6.0], (n, *event_shape)) + rng.normal(0.0, 0.3, (n, *event_shape))


def adapted(event_shape, **kwargs):
    layer = tfmdn.MarginalFallback(novelty=NOVELTY, num_components=8, **kwargs)
    layer.adapt(*data_of(event_shape))
    return layer


@pytest.fixture(scope="module")
def layers():
    """A fallback for each event shape: the search for its marginal takes time."""
    return {event_shape: adapted(event_shape, name="fallback") for event_shape in EVENT_SHAPES}


def novelty_by_scipy(layer, x):
    """Bayes' rule with the density of scikit-learn's kernels and SciPy's normal."""
    train, _ = data_of(())
    location, scale = train.mean(0), train.std(0)
    density = sklearn.neighbors.KernelDensity(bandwidth=float(layer.bandwidth)).fit((train - location) / scale)
    z = (x - location) / scale
    assert float(layer.prior_log_odds) == pytest.approx(math.log(NOVELTY / (1.0 - NOVELTY)), rel=1e-6)
    known = (1.0 - NOVELTY) * np.exp(density.score_samples(z))
    elsewhere = NOVELTY * scipy.stats.norm(scale=kernels.ELSEWHERE_SCALE).pdf(z).prod(-1)
    return elsewhere / (elsewhere + known)


@every_kind
def test_the_density_is_that_of_bayes_rule(case, layers):
    layer, mixture = layers[case[2]], mixture_of(case)
    train, _ = data_of(())
    distances = np.linspace(0.0, 6.0, 5)[:, np.newaxis]
    x = train.mean(0) + distances * train.std(0)
    y = np.float32(3.0 + np.arange(math.prod(case[2]) or 1)).reshape(case[2])
    weight = novelty_by_scipy(layer, x)
    assert weight[0] < 0.05
    assert weight[-1] > 0.99
    np.testing.assert_allclose(layer.novelty_of(x), weight, rtol=2e-3, atol=1e-6)
    received = layer(mixture, x)
    assert isinstance(mixture.components_distribution, type(received.components_distribution))
    marginal = layer._marginal_like(mixture)
    expected = (1.0 - weight) * mixture.prob(y) + weight * marginal.prob(y)
    np.testing.assert_allclose(received.prob(y), expected, rtol=2e-3, atol=1e-7)


@every_kind
def test_far_from_the_data_it_is_the_marginal_of_the_target(case, layers):
    _, y = data_of(case[2])
    far = layers[case[2]](mixture_of(case, batch_shape=(3,)), np.array([[1e3, 0.0], [-1e30, 1.0], [5.0, 1e9]]))
    np.testing.assert_allclose(far.mean(), np.broadcast_to(y.mean(0), far.shape), rtol=0.01)
    np.testing.assert_allclose(far.stddev(), np.broadcast_to(y.std(0), far.shape), rtol=0.01)
    draws = far.sample(2000, seed=0).numpy()[:, 0].reshape(2000, -1)
    for column, own in zip(draws.T, y.reshape(len(y), -1).T):
        assert scipy.stats.ks_2samp(column, own).statistic < 0.1


@every_kind
def test_components_of_moments(case):
    components = mixture_of(case).components_distribution
    mean, stddev = np.float32([[1.0] * 3, [4.0] * 3]), np.float32([[0.5] * 3, [2.0] * 3])
    mean, stddev = (value.reshape(2, 3)[:, : math.prod(case[2])].reshape(2, *case[2]) for value in (mean, stddev))
    made = families.components_of_moments(components, tf.constant(mean), tf.constant(stddev))
    np.testing.assert_allclose(made.mean(), mean, rtol=1e-5)
    np.testing.assert_allclose(made.stddev(), stddev, rtol=1e-5)


def test_components_of_another_kind():
    with pytest.raises(NotImplementedError, match="not known for"):
        families.components_of_moments(tfd.Gamma([1.0], [1.0]), tf.ones(1), tf.ones(1))


@pytest.fixture(scope="module")
def trained():
    """A model of a narrow relation on an interval, and its data."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-3.0, 3.0, (1500, 1)).astype("float32")
    y = np.sin(2.0 * x[:, 0]) * np.sign(rng.normal(size=1500)) + rng.normal(0.0, 0.1, 1500)
    keras.utils.set_random_seed(0)
    head = tfmdn.MDNLayer(5)
    head.adapt(y)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "tanh"), head])
    model.compile(keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x[:1000], y[:1000], epochs=60, batch_size=100, verbose=0)
    fallback = tfmdn.MarginalFallback()
    fallback.adapt(x[:1000], y[:1000])
    inputs = keras.Input((1,))
    return model, keras.Model(inputs, fallback(model(inputs), inputs)), x, y


def test_it_costs_next_to_nothing_on_the_data(trained):
    model, honest, x, y = trained
    before, after = (-np.mean(m(x[1000:]).log_prob(y[1000:])) for m in (model, honest))
    assert after < before + 0.01


def test_beyond_the_edges_draws_follow_the_targets(trained):
    model, honest, _, y = trained
    edges = np.float32([[-4.5], [4.5], [10.0]])
    for draws, without in zip(
        honest(edges).sample(3000, seed=0).numpy().T, model(edges).sample(3000, seed=0).numpy().T
    ):
        assert scipy.stats.ks_2samp(draws, y).statistic < 0.08
        assert scipy.stats.ks_2samp(without, y).statistic > 0.1


def test_the_marginal_counts_as_a_member(trained):
    model, honest, *_ = trained
    x = np.float32([[0.5], [3.4]])
    mixture = honest(x)
    assert mixture.member_sizes == (5, 10)
    parts = mixture.decompose()
    np.testing.assert_allclose(parts.aleatoric + parts.epistemic, mixture.variance(), rtol=1e-4)
    weight = honest.layers[-1].novelty_of(x).numpy()
    marginal = honest.layers[-1]._marginal_like(mixture)
    apart = (1.0 - weight) * weight * np.square(model(x).mean() - marginal.mean())
    np.testing.assert_allclose(parts.epistemic, apart, rtol=1e-3, atol=1e-6)


def test_trained_through(trained):
    _, honest, x, y = trained
    honest = keras.models.clone_model(honest)
    fallback = honest.layers[-1]
    fallback.adapt(x, y)
    before = [weight.numpy() for weight in fallback.weights]
    honest.compile(keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood())
    losses = honest.fit(np.concatenate([x, [[1e30]]]), np.append(y, 0.0), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert not fallback.trainable_weights
    for old, new in zip(before, fallback.weights):
        np.testing.assert_array_equal(old, new)


def test_saved_and_exported(trained, tmp_path):
    _, honest, x, y = trained
    honest.save(tmp_path / "honest.keras")
    again = keras.models.load_model(tmp_path / "honest.keras", compile=False)
    x = np.concatenate([x[:20], [[7.0]]]).astype("float32")
    expected = honest(x).log_prob(y[:21])
    np.testing.assert_allclose(again(x).log_prob(y[:21]), expected, rtol=1e-6)
    tfmdn.export_saved_model(honest, tmp_path / "honest")
    served = tf.saved_model.load(tmp_path / "honest").signatures["log_prob"]
    np.testing.assert_allclose(served(x=x, y=tf.constant(y[:21], tf.float32))["log_prob"], expected, rtol=1e-4)


def test_behind_an_ensemble(trained):
    model, _, x, y = trained
    ensemble = tfmdn.Ensemble([model, keras.models.clone_model(model)])
    inputs = keras.Input((1,))
    fallback = tfmdn.MarginalFallback(num_components=2)
    fallback.adapt(x, y)
    honest = keras.Model(inputs, fallback(ensemble(inputs), inputs))
    assert honest(x[:4]).member_sizes == (5, 5, 2)
    members = tfmdn.Ensemble([honest_member(model, fallback) for _ in range(2)])
    np.testing.assert_allclose(members(x[:4]).prob(0.0), honest_member(model, fallback)(x[:4]).prob(0.0), rtol=1e-5)


def honest_member(model, fallback):
    inputs = keras.Input((1,))
    return keras.Model(inputs, fallback(model(inputs), inputs))


def test_steps_of_sequences_and_their_mask(layers):
    inputs = keras.Input((None, 2))
    masked = keras.layers.Masking(0.0)(inputs)
    mixture = layer_of(("normal", "diag", ()))(masked)
    model = keras.Model(inputs, layers[()](mixture, inputs))
    x = np.array([[[5.0, 5.0], [0.0, 0.0]]])
    received = model(x)
    assert received.batch_shape == (1, 2)
    np.testing.assert_array_equal(keras_internals.mask_of(received), [[True, False]])


@pytest.mark.by_default("float64", "mixed_float16")
@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_dtype_policies(policy, layers):
    layer = tfmdn.MarginalFallback(novelty=NOVELTY, num_components=8, dtype=policy)
    layer.adapt(*data_of(()))
    mixture = tfmdn.MDNLayer(4, dtype=policy)(np.zeros((2, 3)))
    x = np.array([[5.0, 5.0], [1e5, 5.0]])
    received = layer(mixture, x)
    assert received.dtype == ("float64" if policy == "float64" else "float32")
    np.testing.assert_allclose(layer.novelty_of(x), layers[()].novelty_of(x), rtol=1e-3)


def test_before_adapt_the_data_is_taken_to_be_standard_normal():
    layer = tfmdn.MarginalFallback()
    with pytest.raises(ValueError, match="Call `adapt"):
        layer.novelty_of(np.zeros((1, 2)))
    mixture = layer(tfmdn.MDNLayer(3)(np.zeros((2, 4))), np.array([[0.0, 0.0], [50.0, 0.0]]))
    np.testing.assert_allclose(layer.novelty_of([[0.0, 0.0], [50.0, 0.0]]), [1e-3 / 9.0, 1.0], rtol=0.01)
    np.testing.assert_allclose((mixture.mean()[1], mixture.stddev()[1]), (0.0, 1.0), atol=1e-5)


def test_adapt_reads_datasets():
    x, y = data_of((3,))
    layer = tfmdn.MarginalFallback(num_components=2)
    weighted = tf.data.Dataset.from_tensor_slices((x, y, np.ones(len(x)))).batch(70)
    layer.adapt(weighted)
    expected = tfmdn.MarginalFallback(num_components=2)
    expected.adapt(tf.constant(x), y)
    for received, weight in zip(layer.weights, expected.weights):
        np.testing.assert_allclose(received, weight, rtol=1e-6)


def test_one_outlier_does_not_widen_the_data():
    x, y = data_of(())
    layer = adapted(())
    bandwidth = float(layer.bandwidth)
    layer.adapt(np.concatenate([x, [[1e4, 5.0]]]), np.append(y, 0.0))
    assert float(layer.bandwidth) < 1.3 * bandwidth
    assert layer.novelty_of([[8.0, 5.0]]).numpy() > 0.99


def test_rows_that_are_not_finite_and_features_that_do_not_vary():
    x, y = data_of(())
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    broken = x.copy()
    broken[0, 0], broken[1, 1] = np.nan, np.inf
    layer = tfmdn.MarginalFallback(num_components=1)
    layer.adapt(broken, np.where(np.arange(len(y)) == 2, np.nan, y))
    assert np.isfinite(layer.novelty_of(x)).all()
    assert np.isnan(layer.novelty_of(broken)[:1]).all()
    assert layer.novelty_of([[5.0, 5.0, 9.0]]).numpy() > 0.99


@pytest.mark.parametrize("features", [1, 8, 30])
def test_held_out_inputs_are_of_the_data(features):
    x = np.random.default_rng(2).normal(size=(3000, features))
    layer = tfmdn.MarginalFallback(num_points=500, num_components=1)
    layer.adapt(x[:1000], x[:1000, 0])
    assert np.mean(layer.novelty_of(x[1000:])) < 2e-3
    assert np.min(layer.novelty_of(x[1000:1100] + 8.0)) > 0.99


INPUTS_OF_POOR_ESTIMATES = {
    "long tails": lambda rng: rng.standard_t(2, (3000, 2)),
    "skewed": lambda rng: np.exp(rng.normal(size=(3000, 3))),
    "factors": lambda rng: rng.normal(size=(3000, 2)) @ rng.normal(size=(2, 10)) + 0.01 * rng.normal(size=(3000, 10)),
}


@pytest.mark.parametrize("inputs", INPUTS_OF_POOR_ESTIMATES.values(), ids=INPUTS_OF_POOR_ESTIMATES)
def test_where_the_estimate_is_poor_the_odds_are_lowered(inputs):
    x = inputs(np.random.default_rng(0))
    layer = tfmdn.MarginalFallback(num_points=500, num_components=1)
    layer.adapt(x[:1000], x[:1000, 0])
    assert float(layer.prior_log_odds) < math.log(1e-3) - 1.0
    assert np.mean(layer.novelty_of(x[1000:])) < 0.015
    assert layer.novelty_of(x.mean(0, keepdims=True) + 20.0 * x.std(0)).numpy() > 0.99


@pytest.mark.parametrize("huge", [1e12, 3.4e38, 1e300])
def test_huge_inputs(huge):
    x, y = data_of((), n=1000)
    layer = tfmdn.MarginalFallback(num_components=1)
    layer.adapt(np.concatenate([x, [[huge, 5.0]]]), np.append(y, 0.0))
    assert np.mean(layer.novelty_of(x)) < 5e-3
    assert layer.novelty_of([[9.0, 5.0]]).numpy() > 0.99


def test_lognormal_components_of_targets_that_are_none():
    layer = tfmdn.MarginalFallback()
    mixture = layer(mixture_of(("lognormal", "diag", ()), batch_shape=(2,)), np.zeros((2, 3)))
    assert np.isfinite(mixture.log_prob(1.0)).all()


def test_repeated_inputs_keep_a_bandwidth():
    layer = tfmdn.MarginalFallback(num_components=1)
    layer.adapt(np.repeat([[0.0], [1.0]], 100, 0), np.arange(200.0))
    assert layer.novelty_of([[0.0], [1.02]]).numpy().max() < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"novelty": 0.0}, r"`novelty` must lie between 0 and 1. Received: novelty=0.0"),
        ({"novelty": 1}, r"Received: novelty=1"),
        ({"num_points": 0}, r"Received: num_points=0"),
        ({"num_points": 4}, r"at least 5. Received: num_points=4"),
        ({"num_components": 2.5}, r"Received: num_components=2.5"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.MarginalFallback(**arguments)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros(9), np.zeros(9), r"own, \[n, 1\]. Received: x of shape \(9,\)"),
        (np.zeros((9, 2)), np.zeros(8), r"y of shape \(8,\)"),
        (np.full((9, 2), np.nan), np.zeros(9), r"at least 5 rows.*Received: 0"),
        (np.zeros((9, 3)), np.zeros(9), r"built for 2 features and 1 coordinates.*Received: 3 and 1"),
        (np.zeros((9, 2)), np.zeros((9, 2)), r"Received: 2 and 2"),
        (tf.data.Dataset.from_tensor_slices((np.zeros((0, 2)), np.zeros(0))).batch(3), None, "an empty dataset"),
        (np.zeros((9, 2)), None, r"or one dataset.*Received: x of type ndarray, y of type NoneType"),
        (tf.data.Dataset.range(3), np.zeros(3), r"y of type ndarray"),
    ],
)
def test_data_is_checked(layers, x, y, message):
    with pytest.raises(ValueError, match=message):
        layers[()].adapt(x, y)


def test_calls_are_checked(layers):
    with pytest.raises(TypeError, match=r"needs a mixture.*Received: "):
        layers[()](tf.zeros((2,)), tf.zeros((2, 2)))
    with pytest.raises(ValueError, match="of a known size F"):
        tfmdn.MarginalFallback().build((None,), (None, None))
    with pytest.raises(ValueError, match=r"knows inputs \[\*B, 2\]. Received: x of shape \(2,\)"):
        layers[()].novelty_of(tf.zeros(2))


@pytest.mark.parametrize(
    ("event_shape", "x_shape"), [((), (4, 1)), ((), (4, 3)), ((), (4,)), ((), (4, 4, 2)), ((2,), (4, 2))]
)
def test_shapes_are_checked(layers, event_shape, x_shape):
    mixture = mixture_of(("normal", "diag", event_shape), batch_shape=(4,))
    with pytest.raises(
        ValueError, match=r"knows inputs of 2 features and targets of 1 coordinates.*Received: x of shape"
    ):
        layers[()](mixture, tf.zeros(x_shape))
    with pytest.raises(ValueError, match="Received: x of shape"):
        layers[()](keras.KerasTensor(mixture.shape), keras.KerasTensor(x_shape))


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[sklearn\]'"):
        tfmdn.MarginalFallback().adapt(*data_of(()))


@pytest.mark.parametrize("limits", [(0.0, np.inf), (-np.inf, 0.0), (0.0, 10.0), (-np.inf, np.inf)])
def test_moments_of_what_is_moved_to_limits(limits):
    """The fallback of a head with atoms has its mean and its standard deviation where it is observed."""
    low, high = limits
    mean = np.abs([0.0, 0.3, 1.0, 5.0]) * (-1.0 if high == 0.0 else 1.0)
    stddev = np.array([1e-3, 0.5, 0.7, 1.0])
    components = tfmdn.distributions.CoarsenedNormal(np.zeros(4), np.ones(4), low, high)
    alike = families.components_of_moments(components, tf.constant(mean), tf.constant(stddev))
    np.testing.assert_allclose(alike.mean(), mean, atol=1e-4)
    np.testing.assert_allclose(alike.stddev(), stddev, rtol=2e-3)
    assert np.isfinite(limits).sum() == 0 or alike.probability_of(tf.zeros(4, tf.float64))[0] > 0.999
