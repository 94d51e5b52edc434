"""Trains a small model here, and predicts with it as a Raspberry Pi would: without TensorFlow.

The model is written as a LiteRT file, and as an ONNX file where tf2onnx is installed. `on_device/predict.py` reads each
in a process of its own, in which TensorFlow is not imported.

    python examples/on_device.py                # about 20 s on two cores
    python examples/on_device.py --quick        # a few seconds of training
"""

import argparse
import importlib.util
import pathlib
import subprocess
import sys

import _quiet  # noqa: F401
import keras
import numpy as np

import tfmdn

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEVICE = pathlib.Path(__file__).resolve().parent / "on_device" / "predict.py"
# The formats: what writes them here, and what reads them on the device.
FORMATS = {"tflite": ("tensorflow", "ai_edge_litert"), "onnx": ("tf2onnx", "onnxruntime")}
X = ("0.5", "-3")


def trained(rows: int, epochs: int) -> tuple[keras.Model, float]:
    """A model of the inverse sinusoid, and its test NLL."""
    keras.utils.set_random_seed(0)
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(rows, seed=0)
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    head = tfmdn.MDNLayer(20)
    head.adapt(y)
    bias = keras.initializers.RandomUniform(-1, 1)
    hidden = [keras.layers.Dense(64, "silu", bias_initializer=bias) for _ in range(2)]
    model = keras.Sequential([keras.Input((1,)), standardize, *hidden, head])
    model.compile(keras.optimizers.Adam(3e-3), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x, y, batch_size=256, epochs=epochs, verbose=0)
    x_test, y_test = problem.sample(10_000, seed=1)
    return model, float(np.mean(tfmdn.negative_log_likelihood(y_test, model(x_test))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less data and fewer epochs")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "outputs" / "on_device", help="of the files")
    arguments = parser.parse_args()
    model, nll = trained(*((5_000, 5) if arguments.quick else (40_000, 30)))
    print(f"Trained: {nll:.3f} nats per point.")
    mixture = model(np.array(X, "float32")[:, np.newaxis])
    for x, mean, low, high in zip(X, mixture.mean(), *mixture.quantile([0.1, 0.9])):
        print(f"Here: x = {x}: mean {mean:.5f}, 80 % between {low:.5f} and {high:.5f}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    exports = {"tflite": tfmdn.export_litert, "onnx": tfmdn.export_onnx}
    for ending, packages in FORMATS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            print(f"\n{ending}: skipped, since {missing[0]} is not installed.")
            continue
        path = arguments.output / f"model.{ending}"
        exports[ending](model, path)
        print(f"\n{path}, {path.stat().st_size / 1024:.0f} KiB, read without TensorFlow:", flush=True)
        seconds = ["--seconds", "0.2" if arguments.quick else "2"]
        subprocess.run([sys.executable, str(DEVICE), str(path), *X, *seconds], check=True)


if __name__ == "__main__":
    main()
