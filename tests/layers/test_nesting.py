"""Heads within layers and models: each gives the mixture of the head, learns, is saved and exported; or says no."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn

X = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")  # [B, T, F]
X[1, 2] = 0.0  # a step to mask
Y = np.random.default_rng(1).normal(size=(4, 3, 2)).astype("float32")

pytestmark = pytest.mark.usefixtures("quick_graphs")


def head(**kwargs):
    return tfmdn.MDNLayer(2, 2, kernel_initializer="he_normal", **kwargs)


def dense_and_head():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "tanh"), head()])


def within_a_functional_model():
    inputs = keras.Input((None, 2))
    return keras.Model(inputs, sequential(head())(keras.layers.Dense(2)(inputs)))


def called_twice():
    inputs, shared = keras.Input((None, 2)), head()
    first, second = shared(inputs), shared(keras.layers.Dense(2)(inputs))
    return keras.Model(inputs, {"first": first, "second": second})


def sequential(*layers, steps=None):
    return keras.Sequential([keras.Input((steps, 2)), *layers])


def recurrent(cell):
    return keras.layers.RNN(cell, return_sequences=True)


MODELS = {
    "time_distributed": lambda: sequential(keras.layers.TimeDistributed(head())),
    "time_distributed_of_known_steps": lambda: sequential(keras.layers.TimeDistributed(head()), steps=3),
    "time_distributed_twice": lambda: sequential(
        keras.layers.Reshape((-1, 1, 2)), keras.layers.TimeDistributed(keras.layers.TimeDistributed(head()))
    ),
    "time_distributed_model": lambda: sequential(keras.layers.TimeDistributed(dense_and_head())),
    "time_distributed_and_masked": lambda: sequential(
        keras.layers.Masking(), keras.layers.LSTM(3, return_sequences=True), keras.layers.TimeDistributed(head())
    ),
    "bidirectional": lambda: sequential(
        keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True)), head()
    ),
    "cells": lambda: sequential(recurrent([keras.layers.GRUCell(3), keras.layers.LSTMCell(3)]), head()),
    "sequential_in_sequential": lambda: sequential(sequential(sequential(head()))),
    "within_a_functional_model": within_a_functional_model,
    "called_twice": called_twice,
    "cloned": lambda: keras.models.clone_model(sequential(keras.layers.TimeDistributed(head()))),
}


def mixtures(model):
    outputs = model(X)
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


@pytest.mark.by_default("time_distributed", "time_distributed_model", "time_distributed_and_masked")
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_mixture_of_the_head_alone(name, tmp_path):
    model = MODELS[name]()
    shape = (4, 3, 1, 2) if name.endswith("twice") and name.startswith("time") else (4, 3, 2)
    y = Y.reshape(shape)
    for mixture in mixtures(model):
        assert isinstance(mixture, tfmdn.Mixture)
        assert mixture.batch_shape == shape[:-1]
        assert mixture.event_shape == [2]
    before = [mixture.log_prob(y).numpy() for mixture in mixtures(model)]
    (only,) = tfmdn.layers.mdn.heads_of(model)
    seen = []
    original, only.call = only.call, lambda inputs, mask=None: seen.append(inputs) or original(inputs, mask=mask)
    model(X)
    only.call = original
    alone = []
    for inputs in seen:  # what reached the head, step by step
        rows = tf.reshape(inputs, (-1, 1, inputs.shape[-1]))
        alone.append(np.ravel([only(row).log_prob(target) for row, target in zip(rows, y.reshape(-1, 2))]))
    np.testing.assert_allclose(sorted(map(tuple, alone)), sorted(map(tuple, np.reshape(before, (-1, 12)))), rtol=1e-5)

    model.compile(keras.optimizers.SGD(0.01), tfmdn.NegativeLogLikelihood(), jit_compile=False)
    targets = y if len(before) == 1 else {"first": y, "second": y}
    losses = model.fit(X, targets, epochs=3, verbose=0).history["loss"]  # of one batch each, before it is learnt from
    counts = np.any(X != 0.0, -1) if "masked" in name else np.ones((4, 3), bool)
    expected = -sum(np.mean(np.reshape(each, (4, 3))[counts]) for each in before)
    assert losses[0] == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0]

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for actual, expected in zip(mixtures(loaded), mixtures(model)):
        np.testing.assert_allclose(actual.log_prob(y), expected.log_prob(y), rtol=1e-6)
    if name in ("time_distributed_model", "called_twice"):
        tfmdn.as_tensors(model).export(tmp_path / "served", verbose=False)
        served = tf.saved_model.load(tmp_path / "served")
        key = "first_mean" if len(before) == 2 else "mean"
        np.testing.assert_allclose(served.serve(X)[key], mixtures(model)[0].mean(), rtol=1e-5, atol=1e-6)


def test_time_distributed_ensembles():
    ensemble = tfmdn.Ensemble([dense_and_head(), dense_and_head()])
    actual = sequential(keras.layers.TimeDistributed(ensemble))(X)
    expected = ensemble(X.reshape(12, 2)).log_prob(Y.reshape(12, 2))
    np.testing.assert_allclose(np.ravel(actual.log_prob(Y)), expected, rtol=1e-5)
    assert actual.member_sizes == (2, 2)


def test_time_distributed_of_what_has_no_head_is_keras_own():
    layer = keras.layers.TimeDistributed(keras.layers.Dense(3))
    assert layer(X).shape == (4, 3, 3)
    assert "layer" in layer.get_config()


class CellWithHead(keras.layers.Layer):
    """A recurrent cell whose output is a mixture, of which `RNN` stacks the means."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = keras.layers.GRUCell(3), head()
        self.state_size, self.output_size = 3, 2

    def build(self, input_shape):
        self.cell.build(input_shape)
        self.head.build((None, 3))

    def call(self, inputs, states):
        outputs, states = self.cell(inputs, states)
        return self.head(outputs), states


def test_a_head_in_front_of_what_takes_its_mean_is_said():
    model = sequential(recurrent(CellWithHead()))
    model.compile("adam", tfmdn.NegativeLogLikelihood())
    with pytest.raises(TypeError, match="Is it the last layer, and reached this unchanged"):
        model.fit(X, Y, verbose=0)


def test_a_head_is_no_recurrent_layer():
    with pytest.raises(TypeError, match="go_backwards"):
        keras.layers.Bidirectional(head())
