"""Limits of targets: those that are given, and those that are found."""

import keras
import numpy as np
import pytest
import sklearn.base
import tensorflow as tf

import tfmdn
from tfmdn.distributions import folding
from tfmdn.layers import coarseness, support
from tfmdn.tabular.composition import Composition

pytestmark = pytest.mark.usefixtures("quick_graphs")
INF = np.inf


@pytest.mark.parametrize(
    ("value", "event_shape", "low", "high"),
    [
        ((0, 1), (), 0.0, 1.0),
        ((None, 3.5), (), -INF, 3.5),
        ([0.0, INF], (), 0.0, INF),
        ((0, None), (2,), [0.0, 0.0], [INF, INF]),
        (([0, None], [1, 2]), (2,), [0.0, -INF], [1.0, 2.0]),
        ((np.zeros(2, "float32"), np.float32(1.0)), (2,), [0.0, 0.0], [1.0, 1.0]),
        (np.array([0.0, 1.0]), (), 0.0, 1.0),
        (([0.0], [None]), (), 0.0, INF),
    ],
)
def test_limits_that_are_given(value, event_shape, low, high):
    received = support.limits(value, event_shape)
    np.testing.assert_array_equal(received, (low, high))
    layer = tfmdn.MDNLayer(2, event_shape, support=value)
    np.testing.assert_array_equal([layer.target_low, layer.target_high], (low, high))
    again = tfmdn.MDNLayer.from_config(layer.get_config())
    np.testing.assert_array_equal([again.target_low, again.target_high], (low, high))


@pytest.mark.parametrize(
    "value",
    ["none", 0.0, (1, 0), (0, 0), (0, 1, 2), (0, "one"), ([0, 0, 0], 1), (INF, None), (None, -INF), (np.nan, 1)],
    ids=str,
)
def test_what_is_no_pair_of_limits_is_refused(value):
    with pytest.raises(ValueError, match=r"`support` must be a pair \(low, high\).* Received: support="):
        tfmdn.MDNLayer(2, 2, support=value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"support": "auto"}, "support='auto' needs a `background`"),
        ({"family": "laplace", "support": (0, 1)}, "`support` is defined for family='normal' only"),
        (
            {"event_shape": 4, "covariance": "full", "support": "auto", "background": 0.01},
            "takes 3.n reflections of n coordinates, at most 3",
        ),
    ],
)
def test_what_has_no_limits_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.MDNLayer(2, **arguments)


@pytest.mark.parametrize("support", [(0.0, 1.0), (None, 0.5)])
def test_adapt_refuses_targets_outside(support):
    layer = tfmdn.MDNLayer(2, support=support)
    with pytest.raises(ValueError, match=r"Targets must lie within `support`.*and targets from 0.1 to 1.5"):
        layer.adapt(np.array([0.1, np.nan, 0.2, 1.5]))


def test_float32_targets_at_their_limit():
    layer, y = tfmdn.MDNLayer(2, support=(0.7, None)), np.float32([0.7, 0.8, 1.2])
    layer.adapt(y)
    assert np.isfinite(layer(np.zeros((3, 2))).log_prob(y)).all()
    regressor = tfmdn.MDNRegressor(**QUICK, support=(0.7, None)).fit(X[:3], y)
    assert np.isfinite(regressor.score(X[:3], y))


@pytest.mark.parametrize("support", ["auto", (0.0, 1.0)])
def test_adapt_regards_all_rows_of_a_dataset(support, monkeypatch):
    monkeypatch.setattr(tfmdn.layers.adaptation, "SAMPLE_SIZE", 1_000)
    y = np.append(np.random.default_rng(0).uniform(0.1, 0.9, 5_000), 1.05)
    layer = tfmdn.MDNLayer(2, support=support, background=0.01)
    batches = tf.data.Dataset.from_tensor_slices(y).batch(500)
    if support == "auto":
        layer.adapt(batches)
        np.testing.assert_allclose([layer.target_low, layer.target_high], [0.1, 1.05], atol=0.01)
        assert layer.target_high >= 1.05
    else:
        with pytest.raises(ValueError, match=r"and targets from 0\.1.* to 1\.05"):
            layer.adapt(batches)


EXCLUDING = {
    "lognormal": {"family": "lognormal"},
    "support": {"support": (0.0, None)},
    "correlated": {"support": (0.0, None), "event_shape": 2, "covariance": "full"},
}


@pytest.mark.parametrize("arguments", EXCLUDING.values(), ids=EXCLUDING)
def test_targets_outside_are_an_error_and_leave_the_weights_alone(arguments):
    layer, x = tfmdn.MDNLayer(3, **arguments), tf.ones((3, 4))
    y = np.broadcast_to(np.reshape([1.0, -1.0, 2.0], (3,) + (1,) * len(layer.event_shape)), (3, *layer.event_shape))
    loss = tfmdn.NegativeLogLikelihood()
    with pytest.raises(ValueError, match=r"The score of a target is infinite.*`support`"):
        loss(y, layer(x))
    with pytest.raises(tf.errors.InvalidArgumentError, match="The score of a target is infinite"):
        tf.function(lambda: loss(y, layer(x)))()
    gradients = []
    for rows, weights in (([0, 1, 2], [1.0, 0.0, 1.0]), ([0, 2], [2.0 / 3.0] * 2)):
        with tf.GradientTape() as tape:
            value = loss(y[rows], layer(x)[: len(rows)], sample_weight=np.float32(weights))
        gradients.append(tape.gradient(value, layer.trainable_variables))
    for excluding, without in zip(*gradients):
        np.testing.assert_allclose(excluding, without, rtol=1e-5, atol=1e-6)


def test_targets_outside_leave_the_weights_alone_where_nothing_can_raise():
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3, support=(0.0, None))])
    model.compile(keras.optimizers.SGD(0.1), loss=tfmdn.NegativeLogLikelihood(), jit_compile=True)
    model.fit(np.ones((4, 2), "float32"), np.array([1.0, -1.0, 1.0, 2.0], "float32"), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.trainable_weights)


DRAWS = {
    "uniform": (lambda rng, n: rng.uniform(3.0, 5.0, n), True, True),
    "exponential": (lambda rng, n: -rng.exponential(size=n), False, True),
    "capped": (lambda rng, n: np.minimum(rng.normal(size=n), 1.0), False, True),
    "levels": (lambda rng, n: rng.integers(0, 50, n), True, True),
    "drawn twice": (lambda rng, n: rng.choice(rng.uniform(size=n), n), True, True),
    "rounded up": (lambda rng, n: np.maximum(rng.normal(size=n), 0.0), True, False),
    "normal": (lambda rng, n: rng.normal(size=n), False, False),
    "Student-t": (lambda rng, n: rng.standard_t(3, size=n), False, False),
    "triangular": (lambda rng, n: rng.triangular(0.0, 0.5, 1.0, n), False, False),
    "two peaks": (lambda rng, n: rng.normal(size=n) + 10.0 * rng.integers(0, 2, n), False, False),
    "small cluster": (
        lambda rng, n: np.where(rng.random(n) < 150 / n, rng.normal(size=n), rng.normal(20, 1, n)),
        False,
        False,
    ),
    "constant": (lambda rng, n: np.ones(n), False, False),
    "integers": (lambda rng, n: rng.poisson(50.0, n), False, False),
}


@pytest.mark.parametrize("n", [700, 3_000])
@pytest.mark.parametrize(("draw", "has_low", "has_high"), DRAWS.values(), ids=DRAWS)
def test_limits_are_found_where_targets_end_abruptly(draw, has_low, has_high, n):
    found, beyond = [], []
    for seed in range(40):
        y = draw(np.random.default_rng(seed), n).astype("float64")
        low, high = support.found_in(y)
        assert low < y.min()
        assert high > y.max()
        found.append([np.isfinite(low), np.isfinite(high)])
        beyond.append([y.min() - low, high - y.max()])
        if seed < 3:
            np.testing.assert_allclose(support.found_in(1e-6 * y), (1e-6 * low, 1e-6 * high), rtol=1e-6)
            np.testing.assert_allclose(support.found_in(-y), (-high, -low))
    np.testing.assert_allclose(np.mean(found, 0), [has_low, has_high], atol=0.15)
    # Close to the outermost target: within 3 of their mean distances, of which there are some thousands in the range.
    finite = np.isfinite(beyond)
    assert np.all(np.array(beyond)[finite] < 0.05 * np.ptp(y))


def test_unsigned_integers_are_numbers():
    low, high = support.found_in(np.random.default_rng(0).integers(0, 200, 2_000).astype("uint8"))
    np.testing.assert_allclose([low, high], [0.0, 199.0], atol=1.0)


def test_few_targets_tell_nothing():
    low, high = support.found_in(np.random.default_rng(0).uniform(size=(300, 2)))
    np.testing.assert_array_equal([low, high], [[-INF, -INF], [INF, INF]])


def test_each_coordinate_has_limits_of_its_own():
    rng = np.random.default_rng(0)
    layer = tfmdn.MDNLayer(2, 2, support="auto", background=0.01)
    layer.adapt(np.stack([rng.uniform(size=1000), rng.normal(size=1000)], -1))
    np.testing.assert_allclose(layer.target_low, [0.0, -INF], atol=0.02)
    np.testing.assert_allclose(layer.target_high, [1.0, INF], atol=0.02)


@pytest.mark.parametrize("support", ["auto", (0.0, 1.0)])
def test_only_what_was_found_can_be_exceeded(support):
    layer = tfmdn.MDNLayer(2, support=support, background=0.01)
    layer.adapt(np.random.default_rng(0).uniform(size=1000))
    outside = layer(np.zeros((1, 3))).log_prob([1.5])
    assert np.isfinite(outside) == (support == "auto")


# MDNRegressor

QUICK = {
    "trees": False,
    "n_estimators": 1,
    "num_components": 4,
    "hidden_units": (16,),
    "max_steps": 20,
    "random_state": 0,
}
rng = np.random.default_rng(1)
X = rng.normal(size=(500, 2))
SHARES = rng.uniform(size=(500, 2)) ** (1.0 + X**2)


def components_of(regressor):
    components = regressor.predict_dist(X[:3]).components_distribution
    return type(tfmdn.distributions.tensors.under_independent(components)).__name__


@pytest.mark.by_default("y0-arguments0-ReflectedNormal")
@pytest.mark.parametrize(
    ("y", "arguments", "kind"),
    [
        (SHARES[:, 0], {}, "ReflectedNormal"),
        (X[:, 0], {}, "Normal"),
        (SHARES, {}, "ReflectedMultivariateNormal"),
        (np.hstack([SHARES, SHARES]), {}, "MultivariateNormalTriL"),
        (np.hstack([SHARES, SHARES]), {"support": (0, 1)}, "ReflectedNormal"),
        (SHARES[:, :1], {"support": ([0], [1])}, "ReflectedNormal"),
        (SHARES[:, 0], {"background": 0.0}, "Normal"),
    ],
)
def test_what_the_regressor_takes_for_the_targets(y, arguments, kind):
    regressor = tfmdn.MDNRegressor(**QUICK, **arguments).fit(X, y)
    assert components_of(regressor) == kind
    assert np.isfinite(regressor.score(X, y))


@pytest.mark.by_default("vector")
@pytest.mark.parametrize("y", [100.0 * SHARES[:, 0] - 20.0, 100.0 * SHARES - 20.0], ids=["scalar", "vector"])
def test_nothing_is_predicted_outside_of_a_given_support(y, tmp_path):
    given = (np.float32(-20.0), np.array(80.0))
    regressor = tfmdn.MDNRegressor(**QUICK, support=given, y_noise=0.5).fit(X, y)
    assert components_of(regressor) == ("ReflectedMultivariateNormal" if y.ndim == 2 else "ReflectedNormal")
    draws = regressor.sample(X[:50], 100, random_state=0)
    assert draws.min() >= -20.0
    assert draws.max() <= 80.0
    intervals = regressor.predict_interval(X[:50], 0.999)
    assert intervals.min() >= -20.0
    assert intervals.max() <= 80.0
    assert regressor.score(X[:1], np.full_like(y[:1], 80.5)) == -INF
    regressor.save(tmp_path / "regressor.keras")
    again = tfmdn.MDNRegressor.load(tmp_path / "regressor.keras")
    assert again.score(X, y) == pytest.approx(regressor.score(X, y), rel=1e-9)
    loaded = Composition.of(keras.models.load_model(tmp_path / "regressor.keras"))
    head = loaded.ensemble.networks.stacks[0].network.layers[-1]
    np.testing.assert_array_equal(np.ravel(head.support[0]), np.full(y.ndim if y.ndim == 2 else 1, -20.0))


def test_the_units_do_not_matter_to_limits():
    scores = []
    for factor, offset in ((1.0, 0.0), (1e6, -3e5)):
        regressor = tfmdn.MDNRegressor(**QUICK).fit(X, factor * SHARES[:, 0] + offset)
        scores.append(regressor.score(X, factor * SHARES[:, 0] + offset) + np.log(factor))
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_each_end_is_compared_with_what_lies_between_them():
    percent = np.clip(np.random.default_rng(0).normal(80.0, 50.0, 900), 0.0, 100.0)  # 5 % at 0, 34 % at 100
    for y in (percent, 100.0 - percent, -percent):
        found = coarseness.found_in(y, y.min(), y.max(), "auto", "auto", "auto")
        assert (found.low, found.high, found.low_is_atom, found.high_is_atom) == (y.min(), y.max(), True, True)


def test_targets_outside_are_refused_by_the_regressor():
    with pytest.raises(ValueError, match="Targets must lie within `support`"):
        tfmdn.MDNRegressor(**QUICK, support=(0.0, None)).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="`support` must be a pair of limits, 'auto' or None"):
        tfmdn.MDNRegressor(**QUICK, support="positive").fit(X, X[:, 0])


def test_the_regressor_can_be_cloned():
    regressor = sklearn.base.clone(tfmdn.MDNRegressor(support=(0.0, None)))
    assert regressor.support == (0.0, None)


def test_folding_noise_keeps_it_inside():
    folded = folding.Interval(np.float64(0.0), np.float64(1.0)).fold(np.array([-0.3, 0.2, 1.4, 3.3]))
    np.testing.assert_allclose(folded, [0.3, 0.2, 0.6, 0.7])
