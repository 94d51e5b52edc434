"""`tfmdn.fit` against `model.fit`, the order of its rows, and how it goes on after an interruption."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from cases import two_replicas

import tfmdn
from tfmdn.training import graphs

pytestmark = pytest.mark.usefixtures("quick_graphs")
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] + 0.5 * rng.normal(size=40)).astype("float32")
WEIGHTS = rng.random(40).astype("float32")
LABELS = (Y > 0).astype(int)


def sequential(event_shape=(), **arguments):
    hidden = keras.layers.Dense(4, "tanh", **arguments)
    return keras.Sequential([keras.Input((3,)), hidden, tfmdn.MDNLayer(2, event_shape)])


def plain(**arguments):
    """Is traced faster than a mixture."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh", **arguments), keras.layers.Dense(1)])


def unbuilt(*layers):
    return keras.Sequential([keras.layers.Dense(4, "tanh"), *layers, tfmdn.MDNLayer(2)])


def with_dropout():
    return unbuilt(keras.layers.Dropout(0.5, seed=1))


def with_batch_normalization():
    return keras.Sequential([keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(1)])


def classifier():
    return keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(2, "softmax")])


def of_two_inputs_and_outputs():
    inputs = {"left": keras.Input((1,), name="left"), "right": keras.Input((2,), name="right")}
    hidden = keras.layers.Concatenate()(list(inputs.values()))
    outputs = {
        "mixture": tfmdn.MDNLayer(2, name="mixture")(hidden),
        "point": keras.layers.Dense(1, name="point")(hidden),
    }
    return keras.Model(inputs, outputs)


class OwnSteps(keras.Model):
    """Has no loss, builds in its first step, and returns what Keras has no metric for."""

    def __init__(self):
        super().__init__()
        self.network = unbuilt()
        self.score = keras.metrics.Mean("score")

    def call(self, inputs):
        return self.network(inputs)

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            score = -tf.reduce_mean(self.network(x, training=True).log_prob(y))
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(score, variables), variables))
        self.score.update_state(score)
        return {"score": self.score.result(), "of_last_batch": score, "constant": 1.0}

    def test_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.score.update_state(-tf.reduce_mean(self.network(x).log_prob(y)))
        return {"score": self.score.result()}


def penalized():
    """Learns without targets."""
    return keras.Sequential([keras.layers.Dense(4), keras.layers.ActivityRegularization(l2=0.1)])


def compiled(model, optimizer=keras.optimizers.Adam, **arguments):
    is_mixture = isinstance(model, keras.Sequential) and isinstance(model.layers[-1], tfmdn.MDNLayer)
    arguments = {"loss": tfmdn.NegativeLogLikelihood() if is_mixture else "mse", "jit_compile": False, **arguments}
    model.compile(optimizer(), **arguments)
    return model


def weights_of(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def trained(fit, build, data=(X, Y), compile_arguments=None, **arguments):
    """The weights and the metrics after 3 epochs in the order of the rows, of which the last batch has fewer."""
    keras.utils.set_random_seed(1)
    model = compiled(build(), **(compile_arguments or {}))
    arguments = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0, **arguments}
    history = fit(model, *data, **arguments)
    return weights_of(model), history.history


def assert_equal_to_keras(build, *data, **arguments):
    fit = functools.partial(tfmdn.fit, jit_compile=arguments.get("compile_arguments", {}).get("jit_compile", False))
    weights, metrics = trained(fit, build, *data, **arguments)
    expected_weights, expected_metrics = trained(keras.Model.fit, build, *data, **arguments)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6, atol=1e-6)
    assert set(metrics) == set(expected_metrics)
    for name in metrics:
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-6, atol=1e-6)


averaging = functools.partial(keras.optimizers.SGD, 0.05, use_ema=True, ema_momentum=0.7)
accumulating = functools.partial(keras.optimizers.Adam, gradient_accumulation_steps=2)
SPARSE = {"loss": "sparse_categorical_crossentropy"}
MODELS = {
    "scalar": (sequential, {}),
    "vector": (lambda: sequential(2), {"data": (X, Y[:, np.newaxis] * [1, -1])}),
    "metrics": (unbuilt, {"compile_arguments": {"metrics": ["mae"]}, "validation_split": 0.3}),
    "lambda": (unbuilt, {"compile_arguments": {"loss": lambda y, mixture: -mixture.log_prob(y)}}),
    "XLA": (sequential, {"compile_arguments": {"jit_compile": True}}),
    "dropout": (with_dropout, {}),
    "own steps": (OwnSteps, {"compile_arguments": {"loss": None}, "validation_split": 0.25}),
    "without targets": (penalized, {"data": (X,), "compile_arguments": {"loss": None}}),
    "batch normalization": (with_batch_normalization, {}),
    "regularizer": (lambda: plain(kernel_regularizer="l2"), {}),
    "averages": (plain, {"compile_arguments": {"optimizer": averaging}}),
    "accumulated gradients": (plain, {"compile_arguments": {"optimizer": accumulating}}),
    "sample_weight": (plain, {"sample_weight": WEIGHTS, "compile_arguments": {"weighted_metrics": ["mae"]}}),
    "class_weight": (
        classifier,
        {"data": (X, LABELS), "class_weight": {0: 0.2}, "validation_split": 0.2, "compile_arguments": SPARSE},
    ),
    "class_weight of vectors": (classifier, {"data": (X, np.eye(2)[LABELS]), "class_weight": {0: 0.2, 1: 3.0}}),
    "validation_data": (
        plain,
        {"validation_data": (X[:25], Y[:25], WEIGHTS[:25]), "validation_batch_size": 7, "validation_freq": 2},
    ),
    "validation_steps": (plain, {"validation_split": 0.5, "validation_steps": 1, "validation_freq": [1, 3]}),
    "steps_per_epoch": (plain, {"batch_size": None, "steps_per_epoch": 5}),
    "steps_per_execution": (plain, {"compile_arguments": {"steps_per_execution": 2}}),
    "initial_epoch": (plain, {"initial_epoch": 1}),
    "float64": (plain, {"data": (X.astype("float64"), Y.astype("float64"))}),
    "tensors": (plain, {"data": (tf.constant(X), tf.constant(Y))}),
    "pandas": (plain, {"data": (pd.DataFrame(X), pd.Series(Y)), "sample_weight": pd.Series(WEIGHTS)}),
}


@pytest.mark.by_default(
    "metrics",
    "own steps",
    "without targets",
    "class_weight",
    "validation_data",
    "validation_steps",
    "steps_per_epoch",
)
@pytest.mark.parametrize(("build", "arguments"), MODELS.values(), ids=MODELS)
def test_equals_model_fit(build, arguments):
    assert_equal_to_keras(build, **arguments)


@pytest.mark.exhaustive
def test_equals_model_fit_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    assert_equal_to_keras(plain)


def test_structures_of_features_and_targets():
    data = {"left": X[:, :1], "right": X[:, 1:]}, {"mixture": Y, "point": Y}
    arguments = {
        "data": data,
        "compile_arguments": {"loss": {"mixture": tfmdn.NegativeLogLikelihood(), "point": "mse"}},
        "sample_weight": WEIGHTS,
        "validation_split": 0.3,
    }
    weights, metrics = trained(tfmdn.fit, of_two_inputs_and_outputs, **arguments)
    expected_weights, expected_metrics = trained(keras.Model.fit, of_two_inputs_and_outputs, **arguments)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(metrics["val_loss"], expected_metrics["val_loss"], rtol=1e-6)
    # Keras does not weight the last batch of the single losses by its rows.
    np.testing.assert_allclose(np.add(metrics["mixture_loss"], metrics["point_loss"]), metrics["loss"], rtol=1e-5)


@pytest.mark.exhaustive
def test_a_strategy_of_one_replica():
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        weights, metrics = trained(tfmdn.fit, plain)
    expected_weights, expected_metrics = trained(tfmdn.fit, plain)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-6)


# The order of the rows


class Recorder(keras.Model):
    """Learns nothing, and notes the rows and the size of each batch."""

    def __init__(self):
        super().__init__()
        self.rows = tf.Variable(np.zeros(0), shape=[None], trainable=False, dtype="int64")
        self.sizes = tf.Variable(np.zeros(0), shape=[None], trainable=False, dtype="int32")
        self.built = True

    def train_step(self, data):
        self.rows.assign(tf.concat([self.rows, data], 0))
        self.sizes.assign(tf.concat([self.sizes, tf.shape(data)], 0))
        return {}


def recorded(num_rows, *arguments, **options):
    model = compiled(Recorder(), loss=None)
    tfmdn.fit(model, np.arange(num_rows), None, *arguments, verbose=0, **options)
    return model.rows.numpy(), model.sizes.numpy()


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({"batch_size": 4}, [4, 4, 2] * 4),
        ({"batch_size": 4, "drop_remainder": True}, [4, 4] * 4),
        ({"batch_size": 100}, [10] * 4),
        ({"batch_size": 100, "drop_remainder": True}, [10] * 4),
        ({"batch_size": 4, "steps_per_epoch": 2}, [4, 4, 2, 4, 4, 2, 4, 4]),
        ({"batch_size": 4, "steps_per_epoch": 5}, ([4, 4, 2] * 7)[:20]),
        ({"steps_per_epoch": 3}, [4, 4, 2] * 4),
        ({}, [10] * 4),
    ],
    ids=str,
)
def test_every_row_is_seen_once_before_any_is_seen_again(arguments, sizes):
    rows, recorded_sizes = recorded(10, epochs=4, seed=0, **arguments)
    assert recorded_sizes.tolist() == sizes
    rows_in_pass = 8 if sizes == [4, 4] * 4 else 10
    passes = [rows[start : start + rows_in_pass].tolist() for start in range(0, len(rows), rows_in_pass)]
    assert all(len(set(each)) == len(each) for each in passes)
    assert len(set(map(tuple, passes))) == len(passes)


def test_the_order_depends_on_the_seed_alone():
    def order(seed=None):
        return recorded(20, 8, 2, seed=seed)[0].tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order() != order()


def test_the_order_follows_the_global_seed():
    orders = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        orders.append(recorded(20, 8)[0])
    np.testing.assert_array_equal(*orders)


def test_a_training_goes_on_in_the_order_of_an_undisturbed_one():
    whole = recorded(20, 8, 4, seed=1, steps_per_epoch=2)[0]
    rest = recorded(20, 8, 4, seed=1, steps_per_epoch=2, initial_epoch=1)[0]
    np.testing.assert_array_equal(rest, whole[16:])


# Callbacks


class Diary(keras.callbacks.Callback):
    """All that callbacks are told."""

    def __init__(self):
        super().__init__()
        self.entries = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *arguments, logs=None: self.entries.append(
            (name, *(each for each in arguments if isinstance(each, int)), sorted(logs or {}))
        )


@pytest.mark.by_default("1")
@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_callbacks_are_told_what_keras_tells_them(steps_per_execution):
    """With 4 batches in an epoch, which are one execution if the model does not say anything else."""
    diaries = []
    for fit, steps in ((tfmdn.fit, steps_per_execution), (keras.Model.fit, 4 if steps_per_execution == 1 else 2)):
        diaries.append(Diary())
        arguments = {"compile_arguments": {"steps_per_execution": steps}, "callbacks": [diaries[-1]]}
        rows = slice(40 // steps_per_execution)  # a single execution judges by them
        trained(fit, plain, batch_size=10, validation_data=(X[rows], Y[rows]), **arguments)
    assert diaries[0].entries == diaries[1].entries


CALLBACKS = {
    "EarlyStopping": lambda path: keras.callbacks.EarlyStopping("loss", min_delta=10.0, restore_best_weights=True),
    "ReduceLROnPlateau": lambda path: keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=10.0),
    "LearningRateScheduler": lambda path: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch)),
    "TerminateOnNaN": lambda path: keras.callbacks.TerminateOnNaN(),
    "SwapEMAWeights": lambda path: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda path: keras.callbacks.TensorBoard(path, histogram_freq=1),
    "ModelCheckpoint": lambda path: keras.callbacks.ModelCheckpoint(path / "model.keras", save_best_only=True),
}


@pytest.mark.by_default("EarlyStopping", "SwapEMAWeights", "TensorBoard", "TerminateOnNaN")
@pytest.mark.parametrize("name", CALLBACKS)
def test_keras_callbacks(name, tmp_path):
    results = []
    targets = np.full_like(Y, np.nan) if name == "TerminateOnNaN" else Y
    for fit in (tfmdn.fit, keras.Model.fit):
        callback = CALLBACKS[name](tmp_path / fit.__module__)
        compile_arguments = {"optimizer": averaging, "steps_per_execution": 2}
        arguments = {"callbacks": [callback], "validation_split": 0.2}
        results.append(trained(fit, plain, (X, targets), compile_arguments, **arguments))
    (weights, metrics), (expected_weights, expected_metrics) = results
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6, atol=1e-6)
    assert set(metrics) == set(expected_metrics)
    for key in metrics:
        np.testing.assert_allclose(metrics[key], expected_metrics[key], rtol=1e-6, atol=1e-6)
    if name in ("TensorBoard", "ModelCheckpoint"):
        assert any(tmp_path.rglob("*.keras" if name == "ModelCheckpoint" else "events*"))


class Crash(keras.callbacks.Callback):
    def __init__(self, epoch, batch, error=RuntimeError):
        super().__init__()
        self.place, self.error = (epoch, batch), error

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise self.error("crash")


KERAS_BACKUP, BACKUP = keras.callbacks.BackupAndRestore, tfmdn.BackupAndRestore


@pytest.mark.by_default("BackupAndRestore-5-1-crash1", "BackupAndRestore-epoch-1-crash4", "BackupAndRestore-2-2-crash6")
@pytest.mark.parametrize(
    ("backup", "save_freq", "steps_per_execution", "crash"),
    [
        (KERAS_BACKUP, "epoch", 1, (1, 4)),
        (KERAS_BACKUP, 5, 1, (2, 4)),
        (KERAS_BACKUP, 2, 2, (1, 3)),
        (KERAS_BACKUP, 3, 3, (2, 4)),
        (BACKUP, "epoch", 1, (1, 4)),
        (BACKUP, 5, 1, (2, 4)),
        (BACKUP, 2, 2, (1, 3)),
        (BACKUP, 3, 3, (2, 4)),
    ],
)
def test_a_backup_goes_on_to_the_result_of_an_undisturbed_training(
    tmp_path, backup, save_freq, steps_per_execution, crash
):
    keeps_dropout = backup is BACKUP

    def train(*callbacks):
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dropout(0.5, seed=1)] if keeps_dropout else []
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), *layers, keras.layers.Dense(1)])
        compiled(model, steps_per_execution=steps_per_execution)
        history = tfmdn.fit(model, X, Y, batch_size=9, epochs=4, callbacks=callbacks, verbose=0).history
        return weights_of(model), history["loss"]

    weights, losses = train()
    with pytest.raises(RuntimeError, match="crash"):
        train(backup(tmp_path / "backup", save_freq), Crash(*crash))
    assert (tmp_path / "backup").exists()
    resumed_weights, resumed_losses = train(backup(tmp_path / "backup", save_freq))
    np.testing.assert_allclose(resumed_weights, weights, rtol=1e-6, atol=1e-6)
    if keeps_dropout:  # and the history
        np.testing.assert_allclose(resumed_losses, losses, rtol=1e-6)


def test_an_interrupt_leaves_what_was_learnt():
    model = compiled(plain())
    before = weights_of(model)
    with pytest.raises(KeyboardInterrupt):
        tfmdn.fit(model, X, Y, epochs=5, callbacks=[Crash(1, 1, KeyboardInterrupt)], verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert not np.array_equal(weights_of(model), before)
    assert len(tfmdn.fit(model, X, Y, epochs=5, verbose=0).history["loss"]) == 5


def test_the_progress_bar(capsys):
    history = tfmdn.fit(compiled(plain()), X, Y, epochs=2)
    output = capsys.readouterr().out
    assert "Epoch 2/2" in output
    assert "━━━━━━━━━━" in output
    assert history.epoch == [0, 1]


# What is compiled


class Counting(keras.Sequential):
    """Counts how often Python runs its step."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def test_a_model_is_traced_once_for_each_size_of_batch():
    model = Counting([keras.Input((3,)), keras.layers.Dense(1)])
    for expected in (2, 4):
        compiled(model)
        for _ in range(2):
            tfmdn.fit(model, X, Y, batch_size=16, epochs=3, steps_per_epoch=2, verbose=0)
        assert model.traces == expected


def test_many_trainings_raise_no_warning_of_retracing(caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(6):
            recorded(4)
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_a_trained_model_is_saved_and_goes_on_in_keras(tmp_path):
    model = compiled(sequential())
    tfmdn.fit(model, X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X).log_prob(Y), model(X).log_prob(Y))
    model.fit(X, Y, verbose=0)
    model.export(tmp_path / "model", verbose=False)


class WithoutXLA(keras.layers.Layer):
    def call(self, inputs):
        return tf.ensure_shape(tf.numpy_function(np.negative, [inputs], inputs.dtype), inputs.shape)


def without_xla():
    return keras.Sequential([keras.layers.Dense(4), WithoutXLA(), keras.layers.Dense(1)])


def uses_xla(model):
    return model._tfmdn_loops.train._compiled[True].experimental_get_tracing_count() > 0


@pytest.mark.by_default("long", "short")
@pytest.mark.parametrize(
    ("build", "compile_arguments", "steps", "expected"),
    [
        (plain, {}, 6, True),
        (plain, {}, 7, False),
        (plain, {"jit_compile": True}, 7, True),
        (with_dropout, {}, 6, False),
        (sequential, {"loss": tfmdn.EnergyScore(num_samples=2)}, 6, False),
    ],
    ids=["long", "short", "told", "random layer", "random loss"],
)
def test_xla_where_it_pays(monkeypatch, build, compile_arguments, steps, expected):
    monkeypatch.setattr(graphs, "XLA_STEPS", steps)
    model = compiled(build(), **compile_arguments)
    tfmdn.fit(model, X, Y, epochs=3, verbose=0)
    assert uses_xla(model) == expected


def test_no_xla_where_nan_could_reach_the_weights(monkeypatch):
    monkeypatch.setattr(graphs, "XLA_STEPS", 2)
    model, x = compiled(sequential()), X.copy()
    x[3] = np.nan
    before = weights_of(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="row 3 of the data"):
        tfmdn.fit(model, x, Y, batch_size=len(X), shuffle=False, epochs=2, verbose=0)
    np.testing.assert_array_equal(weights_of(model), before)


def test_what_xla_cannot_compile(monkeypatch):
    monkeypatch.setattr(graphs, "XLA_STEPS", 1)
    results = []
    for jit_compile in ("auto", False):
        fit = functools.partial(tfmdn.fit, jit_compile=jit_compile)
        results.append(trained(fit, without_xla, epochs=1))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="unsupported operations"):
        trained(functools.partial(tfmdn.fit, jit_compile=True), without_xla)


# Arguments that Keras does not have


def test_augmented_batches():
    model = compiled(sequential(), metrics=["mae"])
    history = tfmdn.fit(model, X, Y, verbose=0, validation_data=(X, Y), augment=lambda x, y: (x, y + 100.0)).history
    assert 95 < history["mae"][0] < 105
    assert history["val_mae"][0] < 5


def test_dates_in_seconds_keep_their_digits():
    seconds = 1.7e9 + np.arange(8.0)[:, np.newaxis]
    inputs = keras.Input((1,), dtype="float64")
    model = keras.Model(inputs, keras.layers.Rescaling(1.0, offset=-1.7e9, dtype="float64")(inputs))
    model.compile(loss="mse", jit_compile=False)
    for dtype, expected in ((None, False), ("float64", True)):
        history = tfmdn.fit(model, seconds, np.arange(8.0), dtype=dtype, verbose=0).history
        assert (history["loss"][0] < 1e-6) == expected


def test_integers_of_numpy():
    numbers = {"epochs": 2, "batch_size": 8, "steps_per_epoch": 5, "seed": 3}
    expected, _ = trained(tfmdn.fit, plain, **numbers)
    received, _ = trained(tfmdn.fit, plain, **{name: np.int64(number) for name, number in numbers.items()})
    np.testing.assert_array_equal(received, expected)


REFUSED = {
    "not compiled": ({"model": plain()}, ValueError, "must be a compiled Keras model"),
    "eager": ({"model": compiled(plain(), run_eagerly=True)}, ValueError, "must not run eagerly"),
    "dataset": ({"x": tf.data.Dataset.range(3)}, TypeError, "`x` must be rows in memory.*_RangeDataset.*model.fit"),
    "generator": ({"x": (row for row in X)}, TypeError, "rows in memory.*generator"),
    "list": ({"y": Y.tolist()}, TypeError, "`y` must be rows.*float.*np.asarray"),
    "ragged": ({"x": tf.ragged.constant([[1.0], [2.0, 3.0]])}, TypeError, "rows in memory.*RaggedTensor"),
    "sparse": ({"x": tf.sparse.from_dense(X)}, TypeError, "rows in memory.*SparseTensor"),
    "lengths": ({"x": np.array([[1], [2, 3]], object)}, TypeError, "rows of one shape.*dtype object.*pad"),
    "scalar": ({"sample_weight": np.float32(1.0)}, ValueError, "`sample_weight` must have a first axis"),
    "rows": ({"y": Y[1:]}, ValueError, r"the same number of rows.*'x': \{40\}, 'y': \{39\}"),
    "empty": ({"x": X[:0], "y": Y[:0]}, ValueError, "at least one"),
    "nothing": ({"x": None, "y": None}, ValueError, "at least one"),
    "batch_size": ({"batch_size": 0}, ValueError, "`batch_size` must be a positive integer"),
    "steps_per_epoch": ({"steps_per_epoch": 0}, ValueError, "`steps_per_epoch` must be a positive integer"),
    "epochs": ({"epochs": 1.5}, ValueError, "`epochs` must be an integer, 0 or greater. Received: epochs=1.5"),
    "initial_epoch": ({"initial_epoch": -1}, ValueError, "`initial_epoch` must be an integer, 0 or greater"),
    "seed": ({"seed": -1}, ValueError, "`seed` must be an integer, 0 or greater. Received: seed=-1"),
    "validation_split": ({"validation_split": 1.0}, ValueError, "`validation_split` must be"),
    "no rows to judge by": ({"validation_split": 0.99}, ValueError, "must leave rows.*0.99 of 40 rows"),
    "validation_steps": ({"validation_split": 0.5, "validation_steps": 2}, ValueError, "must be at most 1"),
    "validation_freq": ({"validation_freq": 0}, ValueError, "`validation_freq` must be a positive.*validation_freq=0"),
    "validation_freq of epochs": ({"validation_freq": [1, 0.5]}, ValueError, r"`validation_freq` must be.*\[1, 0\.5\]"),
    "validation_freq as text": ({"validation_freq": "2"}, ValueError, "`validation_freq` must be.*Received: .*'2'"),
    "shuffle": ({"shuffle": "batch"}, ValueError, "`shuffle` must be True or False"),
    "jit_compile": ({"jit_compile": "always"}, ValueError, "`jit_compile` must be True, False or 'auto'"),
    "two weights": ({"class_weight": {0: 1.0}, "sample_weight": WEIGHTS}, ValueError, "no `sample_weight` beside"),
    "weights of several targets": (
        {"y": [Y, Y], "sample_weight": WEIGHTS[:, np.newaxis] * [1, 1]},
        ValueError,
        "one weight for each row",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, error, message):
    arguments = {"model": compiled(plain()), "x": X, "y": Y, **arguments}
    with pytest.raises(error, match=message):
        tfmdn.fit(**arguments)


def test_several_replicas_are_refused():
    with two_replicas().scope():
        model = compiled(plain())
    with pytest.raises(ValueError, match="must have one replica"):
        tfmdn.fit(model, X, Y)
