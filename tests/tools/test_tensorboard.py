"""TensorBoard: losses, metrics and the health of components are scalars there."""

import keras
import pytest
import tensorflow as tf

import tfmdn

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(folder):
    """Every scalar in a folder, a list of (step, value) by name."""
    reader = event_accumulator.EventAccumulator(str(folder), {event_accumulator.TENSORS: 0}).Reload()
    values = {}
    for name in reader.Tags()["tensors"]:
        events = reader.Tensors(name)
        numbers = [tf.make_ndarray(event.tensor_proto) for event in events]
        if all(number.shape == () and number.dtype.kind == "f" for number in numbers):
            values[name] = [(event.step, float(number)) for event, number in zip(events, numbers)]
    return values


def test_scalars(tmp_path, train):
    head = tfmdn.MDNLayer(3, name="head")
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("adam", tfmdn.NegativeLogLikelihood(), metrics=["mae", tfmdn.metrics.CRPS()])
    health = tfmdn.ComponentHealth(train)
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)
    history = model.fit(
        *train, batch_size=50, epochs=2, validation_data=train, callbacks=[health, board], verbose=0
    ).history
    for folder, prefix in {"train": "", "validation": "val_"}.items():
        found = scalars(tmp_path / folder)
        for name in ("loss", "mae", "crps"):
            expected = list(enumerate(history[prefix + name]))
            assert found[f"epoch_{name}"] == [(step, pytest.approx(value)) for step, value in expected]
    nll = tfmdn.negative_log_likelihood(train[1], model(train[0])).numpy().mean()
    assert scalars(tmp_path / "validation")["epoch_loss"][-1][1] == pytest.approx(nll, rel=1e-5)
    found = scalars(tmp_path / "train")
    for name in ("effective_components", "dead_components", "largest_weight", "share_at_floor", "share_at_ceiling"):
        expected = list(enumerate(health.history["head"][name]))
        assert found[f"epoch_{name}"] == [(step, pytest.approx(value)) for step, value in expected]
