"""Data that grow are trained on by few graphs, and as Keras trains on them."""

import gc
import weakref

import keras
import numpy as np
import pytest

import tfmdn

X = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
Y = X[:, 0]


class Counting(keras.Model):
    """Counts how often its steps are traced."""

    def __init__(self):
        super().__init__()
        self.head = tfmdn.MDNLayer(2)
        self.counts = {"train": 0, "test": 0}

    def call(self, inputs):
        return self.head(inputs)

    def train_step(self, data):
        self.counts["train"] += 1
        return super().train_step(data)

    def test_step(self, data):
        self.counts["test"] += 1
        return super().test_step(data)


def compiled() -> Counting:
    keras.utils.set_random_seed(0)
    model = Counting()
    model(X)
    model.compile(keras.optimizers.SGD(0.1), tfmdn.NegativeLogLikelihood())
    return model


@pytest.mark.usefixtures("quick_graphs")
def test_few_graphs_and_the_weights_that_keras_gives():
    ours, theirs = compiled(), compiled()
    for count in (3, 5, 17, 20, 23, 29, 41, 48):
        rows = X[:count], Y[:count]
        tfmdn.fit(ours, *rows, batch_size=16, shuffle=False, validation_data=rows, verbose=0)
        if count == 23:
            traced = dict(ours.counts)
    assert ours.counts == traced
    for count in (3, 5, 17, 20, 23, 29, 41, 48):
        theirs.fit(X[:count], Y[:count], batch_size=16, shuffle=False, verbose=0)
    for own, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)


@pytest.mark.exhaustive
def test_whole_passes_as_batches():
    model = compiled()
    for count in (10, 11, 12, 13, 14):
        tfmdn.fit(model, X[:count], Y[:count], batch_size=count, verbose=0)
        if count == 12:
            traced = dict(model.counts)
    assert model.counts == traced


def test_a_step_that_must_know_the_size():
    """It gets a graph for each, as before."""

    def augment(x, y):
        return keras.ops.reshape(x, (int(x.shape[0]), 2)), y

    model = compiled()
    for count in (10, 11, 12, 13):
        tfmdn.fit(model, X[:count], Y[:count], augment=augment, verbose=0)


@pytest.mark.exhaustive
def test_models_that_are_done_with_are_freed():
    model = compiled()
    tfmdn.fit(model, X, Y, verbose=0)
    model, is_alive = None, weakref.ref(model)
    gc.collect()
    assert is_alive() is None
