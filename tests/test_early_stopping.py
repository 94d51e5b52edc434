"""Training ensembles: the best epoch of each member, and epochs in one graph."""

import functools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from cases import weights_of_members

import tfmdn
from tfmdn.training import fit_in_memory

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 2)).astype("float32")
Y = (X[:, 0] + 0.5 * rng.normal(size=40)).astype("float32")
HELD_OUT = rng.random((40, 3)) < [0.2, 0.3, 0.4]  # as many rows for none as for another


def network(units=6):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, "tanh"), tfmdn.MDNLayer(2)])


def ensemble_of(optimizer, units=(6, 6, 4)):
    ensemble = tfmdn.Ensemble([network(count) for count in units], weights_by_member=True)
    ensemble.compile(optimizer, loss=tfmdn.NegativeLogLikelihood(), jit_compile=False)
    return ensemble


def by_keras(model, data, epochs, callbacks):
    x, y, weights = data
    return model.fit(x, y, sample_weight=weights, batch_size=20, epochs=epochs, callbacks=callbacks, verbose=0)


def in_memory(model, data, epochs, callbacks, **arguments):
    return fit_in_memory(model, data, 20, epochs, steps_per_epoch=2, callbacks=callbacks, **arguments)


def held_out_scores(ensemble, scale_temperature):
    """The mean negative log-likelihood of each member on its own rows, by SciPy."""
    scores = []
    for mixture, rows in zip(ensemble.members(X), HELD_OUT.T):
        loc, scale = mixture.components_distribution.loc.numpy(), mixture.components_distribution.scale.numpy()
        log_probs = scipy.stats.norm(loc, scale_temperature * scale).logpdf(Y[:, np.newaxis])
        logits = scipy.special.log_softmax(mixture.mixture_distribution.logits.numpy(), -1)
        scores.append(-scipy.special.logsumexp(logits + log_probs, -1)[rows].mean())
    return np.array(scores)


class Snapshots(keras.callbacks.Callback):
    """The weights and the scores of all members at the end of each epoch."""

    def __init__(self, scale_temperature):
        super().__init__()
        self.scale_temperature, self.weights, self.scores = scale_temperature, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(weights_of_members(self.model))
        self.scores.append(held_out_scores(self.model, self.scale_temperature))


@pytest.mark.parametrize(("fit", "use_ema"), [(by_keras, False), (by_keras, True), (in_memory, True)])
def test_each_member_ends_with_the_weights_of_its_own_best_epoch(fit, use_ema):
    ensemble = ensemble_of(keras.optimizers.Adam(0.1, use_ema=use_ema, ema_momentum=0.8))
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT, patience=20, scale_temperature=1.5)
    snapshots = Snapshots(1.5)
    swap = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if use_ema else []
    history = fit(ensemble, (X, Y, (~HELD_OUT).astype("float32")), 12, [*swap, stopping, snapshots])
    scores = np.array(snapshots.scores)
    best = scores.argmin(0)
    assert len(set(best)) > 1
    for member, weights in enumerate(weights_of_members(ensemble)):
        for value, expected in zip(weights, snapshots.weights[best[member]][member]):
            np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(stopping.best_scores, scores.min(0), rtol=1e-4)
    np.testing.assert_allclose(history.history["val_loss"], scores.mean(1), rtol=1e-4)


def test_training_stops_after_patience_epochs_without_improvement(capsys):
    ensemble = ensemble_of(keras.optimizers.SGD(0.0), units=(6, 6, 6))
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT, patience=3, verbose=True)
    for _ in range(2):  # a second training starts anew
        assert len(in_memory(ensemble, (X, Y), 9, [stopping]).history["loss"]) == 4
        assert "Epoch 4: no member improved for 3 epochs." in capsys.readouterr().out


REFUSED = {
    "a vector": ({"held_out": HELD_OUT[:, 0]}, r"of shape \(n, members\) for the n = 40 rows.*Received: shape \(40,\)"),
    "other rows": ({"held_out": HELD_OUT[:30]}, r"Received: shape \(30, 3\)"),
    "a member without rows": ({"held_out": HELD_OUT & [True, False, True]}, r"with \[\d+, 0, \d+\] rows"),
    "patience": ({"patience": 0}, "`patience` must be a positive integer"),
    "scale_temperature": ({"scale_temperature": 0.0}, "`scale_temperature` must be"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.EnsembleEarlyStopping(X, Y, **{"held_out": HELD_OUT, **arguments})


@pytest.mark.parametrize(
    ("build", "received"),
    [(network, "not an Ensemble"), (lambda: tfmdn.Ensemble([network(), network()]), "2")],
    ids=["a network", "other members"],
)
def test_another_model_is_refused(build, received):
    model = build()
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood(), jit_compile=False)
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT)
    with pytest.raises(ValueError, match=f"`held_out` has columns for 3 members. Received: .*, {received}"):
        in_memory(model, (X, Y), 1, [stopping])


# Epochs in one graph


class Recorder(keras.Model):
    """Learns nothing, and notes which rows it is given."""

    def __init__(self):
        super().__init__()
        self.rows = tf.Variable(np.zeros(0, "int32"), shape=[None], trainable=False)
        self.built = True

    def train_step(self, data):
        self.rows.assign(tf.concat([self.rows, data[0]], 0))
        return {}


def recorded_order(num_rows, batch_size, steps, seed):
    model = Recorder()
    model.compile("sgd", jit_compile=False)
    fit_in_memory(model, (np.arange(num_rows, dtype="int32"),), batch_size, steps, 1, seed=seed)
    return model.rows.numpy().reshape(steps, -1)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(10, 4), (12, 4), (7, 100)])
def test_every_row_is_seen_once_before_any_is_seen_again(num_rows, batch_size):
    order = recorded_order(num_rows, batch_size, 12, seed=0)
    assert order.shape[1] == min(batch_size, num_rows)
    flat = order.ravel()
    for start in range(0, len(flat) - num_rows + 1, num_rows):
        assert sorted(flat[start : start + num_rows]) == list(range(num_rows))


def test_the_order_depends_on_the_seed_alone():
    order = functools.partial(recorded_order, 20, 5, 8)
    np.testing.assert_array_equal(order(seed=1), order(seed=1))
    assert not np.array_equal(order(seed=1), order(seed=2))


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.02),
    "averages": lambda: keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7),
    "averages under a loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7), initial_scale=4.0
    ),
}
ROW_WEIGHTS = rng.random(40).astype("float32")


def weights_and_logs(optimizer, **arguments):
    keras.utils.set_random_seed(1)
    model = network()
    model.compile(OPTIMIZERS[optimizer](), loss=tfmdn.NegativeLogLikelihood(), **{"jit_compile": False, **arguments})
    history = fit_in_memory(model, (X, Y, ROW_WEIGHTS), 16, 3, 2, seed=5)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()]), history.history["loss"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equals_train_on_batch_in_the_same_order(optimizer):
    weights, losses = weights_and_logs(optimizer)
    keras.utils.set_random_seed(1)
    model = network()
    model.compile(OPTIMIZERS[optimizer](), loss=tfmdn.NegativeLogLikelihood(), run_eagerly=True)
    expected = []
    for rows in recorded_order(40, 16, 6, seed=5):
        expected.append(model.train_on_batch(X[rows], Y[rows], ROW_WEIGHTS[rows]))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    expected_weights = np.concatenate([np.ravel(weight) for weight in model.get_weights()])
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses, np.reshape(expected, (3, 2)).mean(1), rtol=1e-5)


def test_xla_gives_the_same_weights():
    expected, losses = weights_and_logs("adam")
    weights, compiled_losses = weights_and_logs("adam", jit_compile=True)
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-4)


class Diary(keras.callbacks.Callback):
    """What callbacks are told; stops in the third epoch."""

    def __init__(self):
        super().__init__()
        self.entries = []

    def on_train_begin(self, logs=None):
        self.entries.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.entries.append((epoch, sorted(logs)))
        self.model.stop_training = epoch == 2

    def on_train_end(self, logs=None):
        self.entries.append("end")


def test_callbacks_history_and_progress(capsys):
    model, diary = network(), Diary()
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"], jit_compile=False)
    history = fit_in_memory(model, (X, Y), 16, 5, 2, callbacks=[diary], verbose=1)
    names = ["loss", "mae"]
    assert diary.entries == ["begin", (0, names), (1, names), (2, names), "end"]
    assert history.epoch == [0, 1, 2]
    assert history is model.history
    assert {len(history.history[name]) for name in names} == {3}
    assert all(isinstance(value, float) for value in history.history["loss"])
    assert "Epoch 3/5" in capsys.readouterr().out


def test_structures_of_features_and_augmented_batches():
    inputs = {"left": keras.Input((1,), name="left"), "right": keras.Input((1,), name="right")}
    model = keras.Model(inputs, tfmdn.MDNLayer(2)(keras.layers.Concatenate()(list(inputs.values()))))
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"], jit_compile=False)
    x = {"left": X[:, :1], "right": X[:, 1:]}
    history = fit_in_memory(model, (x, Y), 40, 1, 1, augment=lambda x, y: (x, y + 100.0)).history
    assert 95 < history["mae"][0] < 105


def test_many_trainings_raise_no_warning_of_retracing(caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(6):
            recorded_order(4, 4, 1, seed=0)
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def without(built=True, compiled=True):
    model = network() if built else keras.Sequential([tfmdn.MDNLayer(2)])
    if compiled:
        model.compile("sgd", loss=tfmdn.NegativeLogLikelihood())
    return model


@pytest.mark.parametrize("arguments", [{"built": False}, {"compiled": False}], ids=str)
def test_models_that_are_not_ready_are_refused(arguments):
    with pytest.raises(ValueError, match="`model` must be built and compiled"):
        fit_in_memory(without(**arguments), (X, Y), 16, 1, 1)


def test_parts_of_different_rows_are_refused():
    with pytest.raises(ValueError, match=r"the same rows\. Received: \[40, 39\] rows"):
        fit_in_memory(without(), (X, Y[1:]), 16, 1, 1)
