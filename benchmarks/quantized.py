"""What smaller weights cost: the NLL of LiteRT files whose weights are stored in 16 or 8 bits, and their sizes.

The model of examples/quickstart.py, trained as there, and an `MDNRegressor` on scikit-learn's diabetes table (442 rows;
each fifth is held out). The test NLL in nats is that of the signature `log_prob` in LiteRT's interpreter, so that the
arithmetic is the device's; the time is that of `serving_default` for one row on one thread. In 8 bits LiteRT
takes a step for each output of a layer; one step for all of a layer is what Keras computes.

    python benchmarks/quantized.py            # about two minutes
    python benchmarks/quantized.py --quick    # less data and fewer epochs
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tables import print_table

import tfmdn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))
import quickstart

KINDS = {"32 bits": None, "16 bits": "float16", "8 bits": "int8"}


def quickstart_model(quick: bool) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """The model, and fresh points."""
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(5_000 if quick else 40_000, seed=0)
    return quickstart.train(20, x, y, 8 if quick else 40, 0), *problem.sample(20_000, seed=10_000)


def regressor(quick: bool) -> tuple[Any, np.ndarray, np.ndarray]:
    """The regressor, and the rows that are held out."""
    import sklearn.datasets

    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    is_test = np.arange(len(y)) % 5 == 0
    fitted = tfmdn.MDNRegressor(random_state=0, max_steps=100 if quick else None).fit(x[~is_test], y[~is_test])
    return fitted, x[is_test], y[is_test]


def judged(path: pathlib.Path, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The NLL of the file, and the milliseconds that one row takes."""
    runner = Interpreter(model_path=str(path), num_threads=1)
    log_prob, answer = (runner.get_signature_runner(name) for name in ("log_prob", "serving_default"))
    columns = [name for name in log_prob.get_input_details() if name != "y"]
    inputs = {columns[0]: x.astype("float32")} if len(columns) == 1 else dict(zip(columns, x.T.astype("float32")))
    nll = -float(np.mean(log_prob(**inputs, y=y.astype("float32"))["log_prob"]))
    row, times = {name: value[:1] for name, value in inputs.items()}, []
    for _ in range(500):
        start = time.perf_counter()
        answer(**row)
        times.append(time.perf_counter() - start)
    return nll, 1e3 * statistics.median(times)


def nll_of_one_step(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """The NLL where each matrix is rounded to 8 bits with one step, instead of one for each output."""
    matrices = [variable for variable in model.trainable_variables if len(variable.shape) == 2]
    values = [variable.numpy() for variable in matrices]
    for variable, value in zip(matrices, values):
        step = np.abs(value).max() / 127
        variable.assign(np.round(value / step) * step)
    nll = float(np.mean(tfmdn.negative_log_likelihood(y, model(x))))
    for variable, value in zip(matrices, values):
        variable.assign(value)
    return nll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less data and fewer epochs")
    quick = parser.parse_args().quick
    for title, make in {"quickstart": quickstart_model, "MDNRegressor, diabetes": regressor}.items():
        model, x, y = make(quick)
        rows, exact = [], None
        with tempfile.TemporaryDirectory() as folder:
            for kind, quantize in KINDS.items():
                path = pathlib.Path(folder) / f"{kind}.tflite"
                tfmdn.export_litert(model, path, quantize=quantize)
                nll, milliseconds = judged(path, x, y)
                exact = nll if exact is None else exact
                size = f"{path.stat().st_size / 1024:,.0f}"
                rows.append([kind, size, f"{nll:.4f}", f"{nll - exact:+.4f}", f"{milliseconds:.3f}"])
        if isinstance(model, keras.Model):
            nll = nll_of_one_step(model, x, y)
            rows.append(["8 bits, one step a layer", "", f"{nll:.4f}", f"{nll - exact:+.4f}", ""])
        print_table(title, ["weights", "KiB", "test NLL", "loss", "ms a row"], rows)


if __name__ == "__main__":
    main()
