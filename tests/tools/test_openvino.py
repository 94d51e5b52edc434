"""OpenVINO reads SavedModels of tfmdn, and says what the model says (docs/openvino.md)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn
from tfmdn.distributions.named import named_tensors

openvino = pytest.importorskip("openvino")

X = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
# Of its own accord OpenVINO computes in bfloat16 where the processor can.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
HEADS = {
    "normal": {},
    "vector": {"event_shape": 3},
    "limits": {"support": (0, 30)},
    "vector with a limit": {"event_shape": 3, "support": (0, None)},
    "atom": {"support": (0, None), "atoms": True},
    "background": {"support": "auto", "background": 0.01},
}


def head_of(event_shape=(), **kwargs):
    head = tfmdn.MDNLayer(3, event_shape, kernel_initializer="he_normal", **kwargs)
    head.adapt(np.random.default_rng(1).lognormal(1.0, 0.5, (200, *head.event_shape)))
    return head


def model_of(name):
    if name != "ensemble":
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "tanh"), head_of(**HEADS[name])])
    return tfmdn.Ensemble([keras.Sequential([keras.Input((2,)), head_of()]) for _ in range(2)])


def answers(read_by_openvino, x):
    compiled = openvino.compile_model(read_by_openvino, "CPU", EXACT)
    return {name: value for output, value in compiled([x]).items() for name in output.names}


def check(found, model):
    expected = named_tensors(model(X))
    assert set(found) >= set(expected)  # some operations that nothing uses are outputs, too
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=2e-5, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("name", [*HEADS, "ensemble"])
def test_a_graph_says_in_openvino_what_the_model_says(name):
    model = model_of(name)
    graph = tf.function(lambda x: named_tensors(model(x)), input_signature=[tf.TensorSpec([None, 2])])
    check(answers(openvino.convert_model(graph.get_concrete_function()), X), model)


def test_so_does_a_saved_model(tmp_path):
    model = model_of("normal")
    tfmdn.export_saved_model(model, tmp_path / "model")
    check(answers(openvino.convert_model(tmp_path / "model"), X), model)
