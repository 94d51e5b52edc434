"""`tf.debugging.enable_check_numerics()` stops no healthy training and no question, and finds what is not healthy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FURTHER_COMPONENTS, POSITIVE, SCALAR_COMPONENTS

import tfmdn
from tfmdn import metrics

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 3)).astype("float32")
Y = np.clip(X[:, 0], -1.5, 1.5)
KINDS = SCALAR_COMPONENTS + FURTHER_COMPONENTS[::2]
HEADS = {
    **{f"{family}-{'x'.join(map(str, shape))}": {"family": family, "event_shape": shape} for family, _, shape in KINDS},
    "full": {"event_shape": 2, "covariance": "full"},
    "low": {"support": (-2.0, None)},
    "high-vector": {"support": (None, 2.0), "background": 0.1, "event_shape": 2},
    "auto": {"support": "auto", "background": 0.1},
    "full-limits": {"event_shape": 2, "covariance": "full", "support": (-2.0, [None, 3.0])},
    "atoms": {"support": (-1.5, None), "atoms": True},
    "all-auto": {"support": "auto", "atoms": "auto", "resolution": "auto", "background": 0.1},
    "grid": {"resolution": 0.5},
    "float64": {"support": (-2.0, None), "dtype": "float64"},
}
LOSSES = [
    tfmdn.NegativeLogLikelihood(),
    tfmdn.CRPS(),
    tfmdn.EnergyScore(num_samples=2),
    tfmdn.PinballLoss([0.1, 0.5]),
    tfmdn.NegativeLogLikelihood(missing="ignore"),
    tfmdn.CRPS(missing="ignore"),
]
METRICS = [metrics.CRPS, metrics.CalibrationError, metrics.IntervalCoverage, metrics.IntervalWidth, metrics.PinballLoss]
QUESTIONS = [
    lambda mixture, y: (mixture.mean(), mixture.variance(), mixture.stddev(), mixture.mode(), mixture.modes(2)),
    lambda mixture, y: (mixture.quantile([0.1, 0.9]), mixture.interval(0.9)),
    lambda mixture, y: (mixture.sample(3, seed=1), mixture.entropy(5, seed=1), mixture.numpy(), mixture * 2.0),
    lambda mixture, y: (mixture.cdf(y), mixture.survival_function(y), mixture.log_cdf(y), mixture.prob_of(y)),
    lambda mixture, y: (mixture.log_prob(y), mixture.prob(y), mixture.most_likely_component()),
    lambda mixture, y: (mixture[:2].mean(), tf.cast(mixture, tf.float64).mean(), mixture.component(0).mean()),
    lambda mixture, y: (tfmdn.merge([mixture, mixture]).mean(), mixture.temper(0.5, 0.5).mean(), mixture._asdict()),
    lambda mixture, y: tfmdn.probability_integral_transform(y, mixture, seed=1),
]


@pytest.fixture(autouse=True)
def watched():
    tf.debugging.enable_check_numerics()
    yield
    tf.debugging.disable_check_numerics()


@pytest.mark.by_default("lognormal-", "auto", "atoms")
@pytest.mark.parametrize("number", range(len(HEADS)), ids=HEADS)
def test_losses_metrics_and_questions(number, request):
    """Each head meets one loss with its gradient and a few questions; with --exhaustive all of them, and metrics."""
    arguments = [*HEADS.values()][number]
    y = np.exp(Y) if arguments.get("family") in POSITIVE else Y
    y = np.round(2.0 * y) / 2.0 if arguments.get("resolution") else y
    y = np.stack([y, y[::-1]], -1)[:, : np.prod(arguments.get("event_shape", ()), dtype=int) or None]
    y = y if arguments.get("event_shape") else y[:, 0]
    y = np.concatenate([y, y[:, :1]], -1) if arguments.get("event_shape") == (3,) else y
    head = tfmdn.MDNLayer(2, kernel_initializer="glorot_uniform", **arguments)
    head.adapt(y)
    is_short = not request.config.getoption("--exhaustive")
    losses, scored, questions = (LOSSES, METRICS, QUESTIONS)
    if is_short:
        losses, scored, questions = [LOSSES[number % len(LOSSES)]], [], QUESTIONS[3:]
    for loss in losses:
        with tf.GradientTape() as tape:
            value = loss(y, head(X))
        gradients = tape.gradient(value, head.trainable_variables)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
    for metric in scored:
        metric = metric()
        metric.update_state(y, head(X))
        assert np.isfinite(metric.result())
    for question in questions:
        question(head(X), tf.constant(y, head(X).dtype))


@pytest.mark.usefixtures("quick_graphs")
def test_training_predicting_and_what_is_not_healthy(tmp_path):
    inputs = keras.Input((3,))
    fallback = tfmdn.MarginalFallback(num_points=6, num_components=2)
    standard = tfmdn.features.Standardization(margin=1.0)
    mixture = tfmdn.MDNLayer(2, support=(-2.0, None), name="head")(standard(inputs))
    model = keras.Model(inputs, fallback(mixture, inputs))
    model.compile("adam", tfmdn.NegativeLogLikelihood())
    fallback.adapt(X, Y)
    model.fit(X, Y, verbose=0)
    tfmdn.fit(model, X, Y, verbose=0)
    assert np.isfinite(model.predict(X, verbose=0)).all()
    model.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(X).mean(), model(X).mean())
    assert np.isinf(model(X).components_distribution.high).any()
    model.get_layer("head").dense.kernel.assign(np.full((3, 6), 1e38))
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        model.evaluate(1e3 * X, Y, verbose=0)
