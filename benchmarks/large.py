"""What an `MDNRegressor` takes of memory and time for a large table: 1,000,000 rows of 20 features by default.

    python benchmarks/large.py                   # to the end
    python benchmarks/large.py --max-steps 500   # the memory is the same
    python benchmarks/large.py --frame           # a pandas frame of numbers, gaps, dates and text
    python benchmarks/large.py --dataset         # a tf.data.Dataset, whose rows are never together in memory

Memory is the most that the process took (Linux), beyond what it had before: the table, Python and TensorFlow.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import pathlib
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

import tfmdn

BATCH = 10_000


def memory_mb(name: str) -> float:
    """VmRSS, the memory of this process, or VmHWM, the largest since it was asked for last, in MB."""
    status = pathlib.Path("/proc/self/status").read_text()
    if name == "VmHWM":
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6


def table(rng: np.random.Generator, rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Features that are normal, targets whose mean and whose spread depend on some of them."""
    x = rng.normal(size=(rows, features))
    y = np.sin(2.0 * x[:, 0]) + x[:, 1] * x[:, 2] + np.exp(0.5 * x[:, 3]) * rng.normal(size=rows)
    return x, y


def frame_of(x: np.ndarray) -> pd.DataFrame:
    """Features as a frame: gaps in the seventh, and of the last six three of text, a date, booleans and integers."""
    frame = pd.DataFrame(x).add_prefix("number_")
    frame["number_6"] = frame["number_6"].where(frame["number_6"] < 1.0)
    for column, count in zip(frame.columns[-6:-3], (5, 50, 1_000)):
        ranks = frame[column].rank(pct=True)
        frame[column] = ("kind " + (ranks * count).astype(int).astype(str)).astype(object)
    date, truth, count = frame.columns[-3:]
    frame[date] = pd.Timestamp("2020-01-01") + pd.to_timedelta((1e7 * frame[date]).astype(int), "s")
    frame[truth] = frame[truth] > 0.0
    frame[count] = (10.0 * frame[count]).astype(int)
    return frame


def num_bytes(columns: np.ndarray | pd.DataFrame) -> int:
    """What a table takes of memory."""
    return columns.nbytes if isinstance(columns, np.ndarray) else int(columns.memory_usage(deep=True).sum())


def batches(rows: int, features: int) -> tf.data.Dataset:
    """The rows of a table of that kind as a dataset, made as they are asked for."""

    def generate():
        rng = np.random.default_rng(0)
        for start in range(0, rows, BATCH):
            yield table(rng, min(BATCH, rows - start), features)

    signature = tf.TensorSpec([None, features], tf.float64), tf.TensorSpec([None], tf.float64)
    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def measured(name: str, function: Callable):
    """What the function returns; its time, and its memory beside what there was before, are printed."""
    before, start = memory_mb("VmRSS"), time.perf_counter()
    memory_mb("VmHWM")
    result = function()
    print(f"{name}: {time.perf_counter() - start:.1f} s, {memory_mb('VmHWM') - before:,.0f} MB more", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--max-steps", type=int, default=None, help="the default is that of MDNRegressor")
    parser.add_argument("--max-seconds", type=float, default=None)
    parser.add_argument("--frame", action="store_true", help="fit a pandas frame")
    parser.add_argument("--dataset", action="store_true", help="fit a tf.data.Dataset")
    options = parser.parse_args()
    regressor = tfmdn.MDNRegressor(
        max_steps=options.max_steps or "auto", max_seconds=options.max_seconds, random_state=0, verbose=1
    )
    print(f"before: {memory_mb('VmRSS'):,.0f} MB")
    as_given = frame_of if options.frame else np.asarray
    if options.dataset:
        measured("fit", lambda: regressor.fit(batches(options.rows, options.features)))
    else:
        x, y = table(np.random.default_rng(0), options.rows, options.features)
        x = as_given(x)
        print(f"the table: {(num_bytes(x) + y.nbytes) / 1e6:,.0f} MB")
        measured("fit", lambda: regressor.fit(x, y))
        measured("predict", lambda: regressor.predict(x))
    x, y = table(np.random.default_rng(1), 10_000, options.features)
    score = measured("score", lambda: regressor.score(as_given(x), y))
    print(f"log-likelihood of other rows: {score:.3f}")


if __name__ == "__main__":
    main()
