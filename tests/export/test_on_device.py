"""`examples/on_device/predict.py` predicts with exported files, without TensorFlow."""

import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import tfmdn

PROGRAM = pathlib.Path(__file__).parents[2] / "examples" / "on_device" / "predict.py"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    normalization = keras.layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3.0, 2.0, (100, 2)))
    head = tfmdn.MDNLayer(3, kernel_initializer="he_normal")
    return keras.Sequential([keras.Input((2,)), normalization, head])


@pytest.mark.parametrize(
    ("ending", "package", "export"),
    [("tflite", "ai_edge_litert", tfmdn.export_litert), ("onnx", "onnxruntime", tfmdn.export_onnx)],
)
def test_it_predicts_without_tensorflow(tmp_path, model, ending, package, export):
    pytest.importorskip(package)
    path = tmp_path / f"model.{ending}"
    export(model, path)
    command = [sys.executable, PROGRAM, path, "-0.5,1.5", "3,2"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "TensorFlow was not imported." in result.stdout
    mixture = model(np.float32([[-0.5, 1.5], [3.0, 2.0]]))
    found = [
        [float(number) for number in re.findall(r"(?:mean|median|between|and) (\S+?)(?:,|\s|$)", line)]
        for line in result.stdout.splitlines()
        if line.startswith("x = ")
    ]
    expected = [mixture.mean(), *np.asarray(mixture.quantile([0.5, 0.1, 0.9]))]
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_smaller_weights_say_nearly_the_same(tmp_path, quantize):
    keras.utils.set_random_seed(0)
    wide = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1024, "tanh"), tfmdn.MDNLayer(20)])
    small = tmp_path / "small.tflite"
    tfmdn.export_litert(wide, small, quantize=quantize)
    exact = 4 * wide.count_params()  # the weights alone
    assert small.stat().st_size < {"float16": 0.8, "int8": 0.7}[quantize] * exact
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(small))
    x = np.random.default_rng(0).normal(size=(50, 8)).astype("float32")
    y = np.zeros(50, "float32")
    found = interpreter.get_signature_runner("log_prob")(x=x, y=y)["log_prob"]
    assert np.mean(np.abs(found - wide(x).log_prob(y))) < {"float16": 1e-3, "int8": 2e-2}[quantize]


def test_other_bits_are_refused(tmp_path, model):
    with pytest.raises(ValueError, match=r"must be None, 'float16' or 'int8'\. Received: quantize='int4'"):
        tfmdn.export_litert(model, tmp_path / "model.tflite", quantize="int4")
