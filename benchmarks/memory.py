"""Whether memory stays as it is: the resident set over many calls of the same process.

    python benchmarks/memory.py [NAME ...]

Of each kind of call the first fifth warms up: TensorFlow keeps a graph for each kind of call, and its allocator and the
C library what they have once been given. From there to the end the resident set is to grow by less than 2 %.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import tfmdn

PROBLEM = tfmdn.datasets.inverse_sinusoid()
READINGS = 6  # from the start to the end


def resident() -> float:
    """The resident set of this process in MB."""
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def regressor() -> tfmdn.MDNRegressor:
    return tfmdn.MDNRegressor(n_estimators=2, hidden_units=(16,), max_steps=20, random_state=0)


def predictions() -> Callable[[int], object]:
    """`predict` of 1 to 3,000 rows."""
    x, y = PROBLEM.sample(3000, seed=0)
    fitted = regressor().fit(x[:200], y[:200])
    sizes = np.random.default_rng(0).integers(1, 3000, 10_000)
    return lambda call: fitted.predict(x[: sizes[call]])


def quantiles() -> Callable[[int], object]:
    """`predict_quantiles` of 1 to 3,000 rows, at 1 to 9 levels."""
    x, y = PROBLEM.sample(3000, seed=0)
    fitted = regressor().fit(x[:200], y[:200])
    sizes = np.random.default_rng(0).integers(1, 3000, 10_000)
    return lambda call: fitted.predict_quantiles(x[: sizes[call]], np.linspace(0.1, 0.9, 1 + call % 9))


def generations() -> Callable[[int], object]:
    """`generate` of 10 to 60 steps of one of four numbers of sequences: each number has a graph, which is kept."""
    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3, event_shape=(1,))])

    def step(features: tf.Tensor, state: tuple) -> tuple[tfmdn.Mixture, tuple]:
        return model(features), state

    return lambda call: tfmdn.generate(step, tf.zeros([1 + call % 4, 1]), (), 10 + call % 51, seed=call)


def refits() -> Callable[[int], object]:
    """`fit` of one regressor, each time to other rows."""
    one = regressor()
    return lambda call: one.fit(*PROBLEM.sample(200 + call, seed=call))


def new_regressors() -> Callable[[int], object]:
    """A new regressor each time, which is fitted and asked."""

    def fit_and_ask(call: int) -> None:
        x, y = PROBLEM.sample(200 + call, seed=call)
        regressor().fit(x, y).predict(x)

    return fit_and_ask


def growing() -> Callable[[int], object]:
    """`tfmdn.fit` of one model to data that have a row more each time, as in active learning."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(16, "tanh"), tfmdn.MDNLayer(3)])
    model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    x, y = PROBLEM.sample(3000, seed=0)
    return lambda call: tfmdn.fit(model, x[: 100 + call], y[: 100 + call], epochs=1, verbose=0)


def copies() -> Callable[[int], object]:
    """`save` and `load` of one regressor."""
    x, y = PROBLEM.sample(200, seed=0)
    fitted = regressor().fit(x, y)

    def copy(call: int) -> None:
        fitted.save("outputs/memory.keras")
        tfmdn.MDNRegressor.load("outputs/memory.keras").predict(x[:10])

    return copy


# What is called, and how often.
KINDS = {
    "predict": (predictions, 500),
    "predict_quantiles": (quantiles, 200),
    "generate": (generations, 100),
    "refit": (refits, 30),
    "new regressors": (new_regressors, 30),
    "tfmdn.fit": (growing, 60),
    "save and load": (copies, 30),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--share", type=float, default=1.0, help="of the calls")
    arguments = parser.parse_args()
    pathlib.Path("outputs").mkdir(exist_ok=True)
    print(f"after the import: {resident():.0f} MB")
    for name in arguments.names or KINDS:
        make, count = KINDS[name]
        call, count = make(), max(READINGS - 1, int(count * arguments.share))
        marks, readings, begin = np.linspace(0, count, READINGS).astype(int), [resident()], time.perf_counter()
        for first, last in itertools.pairwise(marks):
            for number in range(first, last):
                call(number)
            readings.append(resident())
        growth = readings[-1] / readings[1] - 1.0
        seconds = (time.perf_counter() - begin) / count
        shown = " ".join(f"{reading:.0f}" for reading in readings)
        print(f"{name}, {count} calls of {seconds:.3f} s: {shown} MB, {growth:+.1%} after the first fifth", flush=True)


if __name__ == "__main__":
    main()
