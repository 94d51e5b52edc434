"""Predicts on a device without TensorFlow, from a LiteRT or an ONNX file of `serving_default`.

    python predict.py model.tflite 0.5 -3        # two rows of one feature; several features of a row as 0.5,1,2
    python predict.py model.onnx 0.5 --seconds 2  # and how long a row takes

A device needs this file, mixture_numpy.py and the model, NumPy, and ai-edge-litert or onnxruntime.
"""

import argparse
import pathlib
import re
import sys
import time

import mixture_numpy
import numpy as np


def load(path):
    """The model as a function from rows `[n, features]` to its tensors by name."""
    if pathlib.Path(path).suffix == ".onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda x: dict(zip(names, session.run(names, {session.get_inputs()[0].name: x})))
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path), num_threads=1).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    return lambda x: runner(**{name: x})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a file that ends with .tflite or .onnx")
    parser.add_argument("rows", nargs="+", help="the features of a row, with commas")
    parser.add_argument("--family", default="normal", help="of the head")
    parser.add_argument("--seconds", type=float, help="to measure for")
    words = [f" {word}" if re.match(r"-[\d.]", word) else word for word in sys.argv[1:]]  # a number is no option
    arguments = parser.parse_args(words)
    rows = np.array([row.split(",") for row in arguments.rows], "float32")

    model = load(arguments.model)
    mixture = mixture_numpy.Mixture(model(rows), arguments.family)
    quantiles, draws = mixture.quantile([0.1, 0.5, 0.9]), mixture.sample(3, seed=0)
    for index, row in enumerate(rows):
        low, middle, high = quantiles[:, index]
        print(f"x = {row}: mean {mixture.mean()[index]}, median {middle}, 80 % between {low} and {high}")
        print(f"  three draws: {', '.join(map(str, draws[:, index]))}")
    if arguments.seconds:
        measure("the model alone", lambda: model(rows[:1]), arguments.seconds)
        tensors = model(rows[:1])
        answers = {
            "one draw of its tensors": lambda mixture: mixture.sample(1),
            "their log_prob": lambda mixture: mixture.log_prob(0.0),
            "three quantiles of them": lambda mixture: mixture.quantile([0.1, 0.5, 0.9]),
        }
        for what, answer in answers.items():
            measure(
                what, lambda answer=answer: answer(mixture_numpy.Mixture(tensors, arguments.family)), arguments.seconds
            )
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # Linux
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        print(f"Memory at most {int(peak.split()[1]) / 1024:.0f} MiB")
    print(f"TensorFlow was {'' if 'tensorflow' in sys.modules else 'not '}imported.")


def measure(what, function, seconds):
    """Prints the median time of a call."""
    function()
    end, times = time.perf_counter() + seconds, []
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    print(f"One row, {what}: {1e3 * np.median(times):.3f} ms")


if __name__ == "__main__":
    main()
