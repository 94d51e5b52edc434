"""What is on a worker: TensorFlow, a SavedModel, and this file. tfmdn is not."""

from __future__ import annotations

import functools
import os
import pathlib
import resource
import sys
import time

import numpy as np

LEVELS = {"q05": 0.05, "q50": 0.5, "q95": 0.95}
# What has made the model: the log of a worker says that it does without.
NOT_NEEDED = ("tfmdn", "tensorflow_probability")
COLUMNS = ["rows", "seconds", "megabytes", "most_megabytes", *NOT_NEEDED]


class Scorer:
    """Quantiles and means of batches of raw columns, by a SavedModel that is loaded once.

    Args:
      path: the SavedModel's folder, on this machine.
      log: a folder for what the measurement needs, a line for each batch.
    """

    def __init__(self, path: str, log: str):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf  # here and not above: what starts the workers has no use for it

        # The engine has a process for each core already.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._model = tf.saved_model.load(path)  # the signatures live as long as this does
        self._quantile, self._default = (self._model.signatures[name] for name in ("quantile", "serving_default"))
        self._inputs = self._default.structured_input_signature[1]
        levels = self._quantile.structured_input_signature[1]["q"]
        self._levels = tf.constant(list(LEVELS.values()), levels.dtype)
        self._log = pathlib.Path(log, f"{os.getpid()}.csv")

    def __call__(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The predictions `[n]` by name, beside the rows' "id"."""
        import tensorflow as tf

        start = time.perf_counter()
        inputs = {name: tf.constant(raw(columns[name], spec.dtype.name)) for name, spec in self._inputs.items()}
        quantiles = self._quantile(**inputs, q=self._levels)["quantile"].numpy()  # [3, n]
        mean = self._default(**inputs)["mean"].numpy()
        self._write(len(mean), time.perf_counter() - start)
        return {"id": np.asarray(columns["id"]), **dict(zip(LEVELS, quantiles)), "mean": mean}

    def _write(self, num_rows: int, seconds: float) -> None:
        imported = [int(name in sys.modules) for name in NOT_NEEDED]
        with self._log.open("a") as file:
            print(num_rows, f"{seconds:.4f}", *memory(), *imported, sep=",", file=file)


@functools.cache
def scorer_of_this_process(path: str, log: str) -> Scorer:
    """For engines that call a function, in a process that does one task after another."""
    return Scorer(path, log)


def raw(column: np.ndarray, dtype: str) -> np.ndarray:
    """A column as the SavedModel takes it: dates as seconds since 1970, text without gaps, numbers in its dtype."""
    column = np.asarray(column)
    if dtype == "string":
        return np.array([value if isinstance(value, str) else "" for value in column], object)
    if column.dtype.kind == "M":
        seconds = column.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(column), np.nan, seconds).astype(dtype)
    return column.astype(dtype)


def memory() -> tuple[int, int]:
    """What this process holds in memory now, and the most it has held, in MB. Only Linux knows the first."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20  # bytes on macOS
        return most, most
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return tuple(int(lines[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM"))
