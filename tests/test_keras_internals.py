"""Keras has the names that `keras_internals` uses, and does what they are for. Else it is said, and not left undone."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn
from tfmdn import keras_internals

X, Y = np.linspace(-1.0, 1.0, 12)[:, np.newaxis], np.linspace(0.0, 1.0, 12)


@functools.cache
def model():
    """A head within a layer within a model, trained for a step."""
    inner = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2), tfmdn.MDNLayer(2, name="head")], name="inner")
    built = keras.Sequential([keras.Input((1,)), inner], name="outer")
    loss, metrics = tfmdn.NegativeLogLikelihood(), [tfmdn.metrics.CRPS(), tfmdn.metrics.SkillScore(max_components=1)]
    metrics[1].adapt(Y)
    built.compile(keras.optimizers.Adam(use_ema=True), loss, metrics=metrics, jit_compile=False)
    built.fit(X, Y, verbose=0)
    return built


def masked_tensor():
    return keras.layers.Masking()(tf.zeros([1, 2, 1]))


NAMES = {
    "_keras_mask": masked_tensor,
    "_initial_epoch": model,
    "train_function": model,
    "_symbolic_build": model,
    "_make_function": model,
    "_compile_loss": model,
    "_compile_metrics": model,
    "_flatten_layers": model,
    "_direction": keras.metrics.MeanSquaredError,
    "_convert_inputs_to_tensors": lambda: model()._functional,
}


@pytest.mark.parametrize("name", NAMES)
def test_keras_has_the_name(name):
    assert hasattr(NAMES[name](), name), f"Keras {keras.__version__}: see tfmdn/keras_internals.py"


# Masks


def test_masks_go_in_and_out():
    steps = masked_tensor()
    assert keras_internals.mask_of(steps).numpy().tolist() == [[False, False]]
    assert keras_internals.mask_of(tf.zeros([1])) is None
    assert keras_internals.masked(steps, None) is steps
    mixture = tfmdn.MDNLayer(2)(keras_internals.masked(tf.zeros([1, 2, 1]), tf.constant([[True, False]])))
    assert keras_internals.mask_of(mixture).numpy().tolist() == [[True, False]]


def test_losses_leave_masked_steps_out():
    predicted = keras_internals.masked(tf.constant([[1.0], [100.0]]), tf.constant([True, False]))
    assert float(keras.losses.MeanAbsoluteError()(tf.zeros([2, 1]), predicted)) == pytest.approx(1.0)


def test_masks_elsewhere_are_an_error(monkeypatch):
    keras_internals.require_masks()
    keras_internals.require_masks.cache_clear()
    monkeypatch.setattr(keras_internals, "mask_of", lambda value: None)
    with pytest.raises(RuntimeError, match="masked steps would count"):
        tfmdn.MDNLayer(2)(masked_tensor())


# The loop of fit


class Recorded(keras.callbacks.Callback):
    def __init__(self, epoch=None):
        super().__init__()
        self.epoch, self.begun = epoch, []

    def on_train_begin(self, logs=None):
        if self.epoch is not None:
            keras_internals.set_initial_epoch(self.model, self.epoch)

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)


@pytest.mark.parametrize("fit", [keras.Model.fit, tfmdn.fit])
def test_training_goes_on_from_an_epoch(fit):
    recorded = Recorded(epoch=3)
    fit(model(), X, Y, epochs=5, verbose=0, callbacks=[recorded])
    keras_internals.set_initial_epoch(model(), None)
    assert recorded.begun == [3, 4]


def test_an_epoch_that_keras_would_not_read_is_an_error():
    with pytest.raises(RuntimeError, match=r"`_initial_epoch` .* would not go on where it was"):
        keras_internals.set_initial_epoch(object(), 3)


class Replaced(keras.callbacks.Callback):
    """Replaces the train function after the first batch, for one batch."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.calls = 0
            self.before = keras_internals.replace_train_function(self.model, self.read)

    def read(self, iterator):
        self.calls += 1
        next(iterator)
        keras_internals.replace_train_function(self.model, self.before)
        return self.model.get_metrics_result()


def test_a_batch_is_read_and_not_learnt_from():
    replaced, before = Replaced(), int(model().optimizer.iterations)
    model().fit(X, Y, batch_size=4, verbose=0, callbacks=[replaced])
    assert replaced.calls == 1
    assert int(model().optimizer.iterations) == before + 2


def test_a_train_function_that_is_not_called_is_an_error():
    with pytest.raises(RuntimeError, match="could not be replaced"):
        keras_internals.replace_train_function(keras.Sequential(), lambda iterator: None)
    with pytest.raises(RuntimeError, match="learnt from twice"):
        keras_internals.require_call_of(False)


def test_checkpoints_are_complete_files(monkeypatch, tmp_path):
    """`tfmdn.ModelCheckpoint` trusts that Keras' class saves by these methods of the model."""
    path, own = tmp_path / "model.keras", model().save
    written = []
    monkeypatch.setattr(keras.Model, "save", lambda self, path, **kwargs: (written.append(path), own(path)))
    for kwargs in ({}, {"save_freq": 2}):
        model().fit(X, Y, batch_size=4, verbose=0, callbacks=[tfmdn.ModelCheckpoint(path, **kwargs)])
    assert [(file.name, file.parent.parent) for file in written] == [("model.keras", tmp_path)] * 2  # in a draft
    assert list(tmp_path.iterdir()) == [path]
    assert "save" not in vars(model())


# Models, metrics and optimizers


def test_layers_of_layers():
    assert {"outer", "inner", "head", "dense"} <= {layer.name for layer in keras_internals.layers_of(model())}
    wrapped = keras.layers.TimeDistributed(keras.layers.Dense(1, name="within_a_layer"))
    assert "within_a_layer" in {layer.name for layer in keras_internals.layers_of(keras.Sequential([wrapped]))}


@pytest.mark.parametrize(("monitor", "better"), [("val_crps", -1.0), ("val_skill_score", 1.0)])
def test_callbacks_know_what_is_better(monitor, better):
    checkpoint = keras.callbacks.ModelCheckpoint("model.keras", monitor, save_best_only=True)
    checkpoint.set_model(model())
    stopping = keras.callbacks.EarlyStopping(monitor, patience=1)
    stopping.set_model(model())
    stopping.on_train_begin()
    for epoch, value in enumerate([1.0, 1.0 + better, 1.0 + 0.5 * better]):
        stopping.on_epoch_end(epoch, {monitor: value})
    assert stopping.best == 1.0 + better


OPTIMIZERS = {
    "adam": (keras.optimizers.Adam(use_ema=True), {"momentum", "velocity", "average"}),
    "sgd": (keras.optimizers.SGD(), set()),
    "nesterov": (keras.optimizers.SGD(momentum=0.9, nesterov=True), {"momentum"}),
    "scaled": (keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop()), {"velocity"}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_an_optimizer_remembers(name):
    optimizer, expected = OPTIMIZERS[name]
    dense = keras.layers.Dense(3)
    dense.build((None, 2))
    optimizer.build(dense.trainable_variables)
    for variable in dense.trainable_variables:
        slots = keras_internals.slots_of(optimizer, variable)
        assert set(slots) == expected
        assert all(slot.shape == variable.shape for slot in slots.values())


def test_slots_of_other_names_are_an_error():
    optimizer, dense = keras.optimizers.Adam(), keras.layers.Dense(3)
    dense.build((None, 2))
    optimizer.add_variable((2, 3), name="momentum_of_the_first")
    with pytest.raises(RuntimeError, match="momentum_of_the_first"):
        keras_internals.slots_of(optimizer, dense.kernel)


def network(units=3, name=None, activation="relu"):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(units, activation, name=name)(inputs)
    return keras.Model(inputs, tfmdn.MDNLayer(2)(keras.layers.Concatenate()([hidden, inputs])))


def test_networks_that_differ_in_names_only_have_one_architecture():
    expected = keras_internals.architecture(network())
    assert keras_internals.architecture(network(name="own")) == expected
    assert keras_internals.architecture(network(units=4)) != expected
    assert keras_internals.architecture(network(activation="tanh")) != expected
    assert keras_internals.architecture(keras.models.clone_model(network())) == expected
