"""`as_tensors`: the numbers are those of the mixture, and Keras takes the view as any model.

tests/tools/test_shap.py has regressors.
"""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf

import tfmdn
from tfmdn.distributions.named import named_tensors

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")

pytestmark = pytest.mark.usefixtures("quick_graphs")


def network(event_shape=()):
    head = tfmdn.MDNLayer(2, event_shape, kernel_initializer="he_normal")
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), head])


def heads():
    inputs = keras.Input((3,))
    outputs = {"a": tfmdn.MDNLayer(2)(inputs), "b": tfmdn.MDNLayer(3, 2)(inputs), "c": keras.layers.Dense(1)(inputs)}
    return keras.Model(inputs, outputs)


def subclassed():
    model = models.Subclassed()
    model(X)
    return model


MODELS = {
    "sequential": network,
    "heads": heads,
    "ensemble": lambda: tfmdn.Ensemble([network(), network()]),
    "subclassed": subclassed,
}


def assert_equal(actual, expected):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_are_those_of_the_mixture(name, tmp_path):
    model = MODELS[name]()
    view, expected = tfmdn.as_tensors(model), named_tensors(model(X))
    assert_equal(view(X), expected)
    assert all(own is shared for own, shared in zip(view.variables, model.variables, strict=True))
    if name != "subclassed":  # a class without get_config is not saved by Keras
        view.save(tmp_path / "view.keras")
        assert_equal(keras.saving.load_model(tmp_path / "view.keras")(X), expected)


def test_it_is_exported_differentiated_and_part_of_other_models(tmp_path):
    model = network(2)
    mean, view = tfmdn.as_tensors(model, "mean"), tfmdn.as_tensors(model, ["mean", "stddev"])
    assert mean.output.shape == (None, 2)  # the only one, which is that of the last layer: as SHAP wants it
    assert mean.layers[-1].output is mean.output
    view.export(tmp_path / "view", verbose=False)
    served = tf.saved_model.load(tmp_path / "view")
    assert_equal(served.signatures["serving_default"](tf.constant(X)), view(X))
    assert set(view(X)) == {"mean", "stddev"}

    x = tf.constant(X)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = mean(x), model(x).mean()
    actual, expected = (tape.gradient(output, x) for output in outputs)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)

    inputs = keras.Input((3,))
    outer = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(list(view(inputs).values()))))
    outer.compile("adam", "mse")
    before = model.get_weights()[0]
    outer.fit(X, X[:, :1], verbose=0)
    assert np.any(model.get_weights()[0] != before)


@pytest.mark.parametrize(
    ("model", "names", "message"),
    [
        (lambda: 3, None, "Keras model, an Ensemble or a fitted MDNRegressor. Received: int"),
        (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), None, "whose output is that of an"),
        (network, "variance", "must be names of the model's tensors: .*'stddev'.*Received: names='variance'"),
        (network, [], "Received: names=\\[\\]"),
        (models.Subclassed, None, "not built"),
    ],
)
def test_what_it_cannot_view_is_said(model, names, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tfmdn.as_tensors(model(), names)
