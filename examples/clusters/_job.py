"""What the engines' examples share: a made-up table in Parquet files, a model, and what is checked and measured."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import _quiet  # noqa: F401
import _scorer
import numpy as np
import pandas as pd
import pyarrow.dataset
from _deliveries import made_up

import tfmdn


@dataclasses.dataclass(frozen=True)
class Job:
    """What an engine is told: how many processes it may use, and where things are.

    Args:
      folder: `rows/` holds Parquet files, `model/` the SavedModel. It fills `scores/` with Parquet files. `log/` is for
        the workers' measurements.
      num_rows: in all files.
      rows_in_file: in each of them.
      num_workers: how many processes score, each on one core.
    """

    folder: pathlib.Path
    num_rows: int
    rows_in_file: int
    num_workers: int

    rows = property(lambda self: str(self.folder / "rows"))
    model = property(lambda self: str(self.folder / "model"))
    scores = property(lambda self: str(self.folder / "scores"))
    log = property(lambda self: str(self.folder / "log"))
    # Rows that are scored at once: fewer take longer, and more take more memory.
    batch_size = property(lambda self: min(10_000, self.rows_in_file))


def run(description: str, package: str, score: Callable[[Job], None]) -> None:
    """Makes rows and a model, has an engine score the rows, checks and measures.

    Args:
      description: the docstring of the example.
      package: of the engine.
      score: reads `job.rows`, and writes `job.scores`, by the SavedModel `job.model`.
    """
    args = parse_arguments(description)
    with tempfile.TemporaryDirectory(prefix="tfmdn-", ignore_cleanup_errors=True) as temporary:
        folder = args.folder or pathlib.Path(temporary)
        job = Job(folder.resolve(), args.rows, 2_500 if args.quick else 50_000, args.workers)
        for name in ("rows", "log"):
            (job.folder / name).mkdir(parents=True)
        write_rows(job)
        settings = {"n_estimators": 4, "max_steps": 1_000, "trees": False}
        if args.quick:
            settings |= {"n_estimators": 2, "max_steps": 100}
        regressor = tfmdn.MDNRegressor(random_state=0, **({} if args.default else settings))
        regressor.fit(*learned_rows(1_000 if args.quick else 20_000))
        tfmdn.export_saved_model(regressor, job.model)
        start = time.perf_counter()
        score(job)
        seconds = time.perf_counter() - start
        check(job, regressor)
        report(job, f"{package} {importlib.metadata.version(package)}", seconds)
        if args.folder:
            print(f"Predictions: {job.scores}")


def parse_arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 rows and little training, for a look")
    parser.add_argument("--rows", type=int, default=None, metavar="N", help="default: 1,000,000")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that score (default: 2)")
    parser.add_argument("--default", action="store_true", help="MDNRegressor as it is, not a small one")
    parser.add_argument("--folder", type=pathlib.Path, help="a new folder that is kept; default: a temporary one")
    args = parser.parse_args()
    args.rows = args.rows or (10_000 if args.quick else 1_000_000)
    if args.folder and args.folder.exists():
        parser.error(f"--folder must be a new folder. Received: {args.folder}.")
    return args


def learned_rows(num_rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    return made_up(1_000_000, num_rows)


def scored_rows(job: Job, number: int) -> pd.DataFrame:
    """The rows of a file, each with its "id"."""
    first = number * job.rows_in_file
    frame, _ = made_up(number, min(job.rows_in_file, job.num_rows - first))
    frame.insert(0, "id", np.arange(first, first + len(frame)))
    return frame


def num_files(job: Job) -> int:
    return -(-job.num_rows // job.rows_in_file)


def write_rows(job: Job) -> None:
    for number in range(num_files(job)):
        path = pathlib.Path(job.rows, f"{number:05d}.parquet")
        # In microseconds: Spark reads no finer times. A group of rows is a batch where an engine reads groups.
        scored_rows(job, number).to_parquet(path, row_group_size=job.batch_size, coerce_timestamps="us")


def check(job: Job, regressor) -> None:
    """Raises SystemExit unless each row is there once, with what the regressor itself predicts."""
    scores = pyarrow.dataset.dataset(job.scores, format="parquet").to_table().to_pandas().set_index("id").sort_index()
    if not np.array_equal(scores.index, np.arange(job.num_rows)):
        raise SystemExit(f"{job.num_rows:,} rows should be there, each once. There are {len(scores):,}.")
    errors = []
    for number in {0, num_files(job) - 1}:
        sample = scored_rows(job, number)[:500].set_index("id")
        quantiles = regressor.predict_quantiles(sample, list(_scorer.LEVELS.values()))
        expected = np.column_stack([quantiles, regressor.predict(sample)])
        errors.append(np.abs(scores.loc[sample.index, [*_scorer.LEVELS, "mean"]].to_numpy() / expected - 1.0).max())
    worst = np.max(errors)  # NaN if one is
    if not worst < 1e-4:
        raise SystemExit(f"Predictions are off by up to {worst:.1e} of what MDNRegressor says.")
    print(scores.head(3).round(1).to_string())
    print(f"As MDNRegressor predicts them: relative differences are {worst:.2g} at most.")


def report(job: Job, engine: str, seconds: float) -> None:
    """Prints rows a second, and the memory of the workers after a tenth of their rows and at the end."""
    cores = min(job.num_workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    logs = [pd.read_csv(path, names=_scorer.COLUMNS) for path in sorted(pathlib.Path(job.log).iterdir())]
    scoring = pd.concat(logs)
    print(f"{engine}: {job.num_rows:,} rows in {seconds:.0f} s, the start of the engine included.")
    print(f"{job.num_rows / seconds / cores:,.0f} rows a second a core; cores: {cores}.")
    print(f"{scoring['rows'].sum() / scoring['seconds'].sum():,.0f} rows a second a worker while it scores.")
    for log in logs:
        passed = log["rows"].cumsum()
        early = log["megabytes"][passed >= 0.1 * passed.iloc[-1]].iloc[0]
        print(
            f"A worker: {passed.iloc[-1]:,} rows; {early:,} MB after a tenth of them, "
            f"{log['megabytes'].iloc[-1]:,} MB at the end, {log['most_megabytes'].max():,} MB at most."
        )
    imported = [name for name in _scorer.NOT_NEEDED if scoring[name].any()]
    print(f"Imported by workers, of {' and '.join(_scorer.NOT_NEEDED)}: {' and '.join(imported) or 'none'}.")
    if imported:
        raise SystemExit("A worker needs nothing but TensorFlow.")
