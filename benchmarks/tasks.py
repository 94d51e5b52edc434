"""What is learned in the quality benchmark: problems whose best NLL is known, tables, and folders with fixed splits."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator

import coarse
import numpy as np
import scoring

import tfmdn

KNOWN = {
    "inverse_sinusoid": tfmdn.datasets.inverse_sinusoid(),
    "bishop_inverse": tfmdn.datasets.bishop_inverse(),
    "robot_arm": tfmdn.datasets.robot_arm(),
}
# Targets that are cut off, rounded, censored (pairs) or partly missing (NaN).
COARSE = {
    "tobit": tfmdn.datasets.tobit(),
    "rounded_normal": tfmdn.datasets.rounded_normal(),
    "censored_weibull": tfmdn.datasets.censored_weibull(),
    "robot_arm_missing": tfmdn.datasets.robot_arm(missing=0.3),
}
PROBLEMS = KNOWN | COARSE
TABLE_ROWS, TABLE_TEST_ROWS = 900, 2_000
TEST_ROWS = 10_000
TEST_SEED = 10_000  # plus the split: no training sample has such a seed
DEQUANTIZED = "-dequantized"
MAX_LEVELS = 20


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows x `[n, F]` and y `[n, D]` to train on and to test on. `limit` is the NLL of the truth on the latter."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    limit: float | None = None


@dataclasses.dataclass(frozen=True)
class CoarseData(Data):
    """Rows whose likelihood is in part a probability, which only an estimator that knows of such targets can score.

    Attributes:
      arguments: what an `MDNRegressor` must be told of the targets.
      edges: the values at an end of the targets that have probability of their own.
      interval: the true central intervals of the test rows, `[n, 2]`; None where intervals are not judged.
    """

    arguments: dict = dataclasses.field(default_factory=dict)
    edges: tuple[float, ...] = ()
    interval: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    suite: str
    dataset: str
    split: int
    n: int
    load: Callable[[], Data]

    @property
    def is_coarse(self) -> bool:
        return self.suite in ("coarse", "tables")


def known_tasks(
    datasets: Iterable[str], splits: Iterable[int], sizes: Iterable[int], test_rows: int = TEST_ROWS
) -> Iterator[Task]:
    """Each split is a seed. All sizes and methods meet the same test rows."""
    for dataset in datasets:
        for split in splits:
            for n in sizes:
                suite = "known" if dataset in KNOWN else "coarse"
                yield Task(suite, dataset, split, n, functools.partial(load_known, dataset, split, n, test_rows))


def load_known(dataset: str, split: int, n: int, test_rows: int) -> Data:
    x, y = PROBLEMS[dataset].sample(n, seed=split)
    rows = np.float64(x), columns(y), *known_test(dataset, split, test_rows)
    if dataset in KNOWN:
        return Data(*rows)
    return CoarseData(*rows, arguments={"intervals": True} if dataset == "censored_weibull" else {})


@functools.lru_cache(maxsize=4)
def known_test(dataset: str, split: int, test_rows: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Test rows and the NLL of the truth on these very rows, which varies less against a model's than the entropy."""
    x, y = PROBLEMS[dataset].sample(test_rows, seed=TEST_SEED + split)
    truth = PROBLEMS[dataset].log_prob(x, y)
    # Rounding to float32 moves a row in ten million across the edge of uniform noise, where the truth has no density.
    possible = np.isfinite(truth) & ~np.isnan(columns(y)).all(-1)  # a row that tells nothing does not count
    return np.float64(x[possible]), columns(y[possible]), -float(truth[possible].mean())


def table_tasks(splits: Iterable[int], n: int = TABLE_ROWS, test_rows: int = TABLE_TEST_ROWS) -> Iterator[Task]:
    """The tables of coarse.py. Each split is a seed."""
    for name in coarse.TABLES:
        for split in splits:
            yield Task("tables", name, split, n, functools.partial(load_table, name, split, n, test_rows))


def load_table(name: str, split: int, n: int, test_rows: int) -> CoarseData:
    x, y = coarse.sample(name, n, seed=split)
    x_test, y_test = coarse.sample(name, test_rows, seed=TEST_SEED + split)
    table = coarse.TABLES[name]
    return CoarseData(
        x,
        columns(y),
        x_test,
        columns(y_test),
        limit=-float(table.log_prob(x_test, y_test).mean()),
        edges=table.edges,
        interval=coarse.interval(name, x_test, scoring.COVERAGE),
    )


def folder_tasks(folder: pathlib.Path, splits: Iterable[int] | None = None, dequantize: bool = True) -> Iterator[Task]:
    """Every data set in `folder`, on the splits given or on all of them.

    A data set is a folder NAME with data.txt, index_features.txt, index_target.txt, n_splits.txt and, for each split
    I, index_train_I.txt and index_test_I.txt. A target of few equidistant values, on which a mixture can put spikes,
    is a task as it is and, unless `dequantize` is False, one more with noise as wide as its step.
    """
    for path in sorted(file.parent for file in folder.glob("*/n_splits.txt")):
        suffixes = ["", DEQUANTIZED] if dequantize and step_of(read_folder(path)[1]) else [""]
        available = range(int(np.loadtxt(path / "n_splits.txt")))
        for suffix in suffixes:
            for split in available if splits is None else sorted(set(splits) & set(available)):
                rows = len(row_numbers(path, "train", split))
                load = functools.partial(load_split, path, split, dequantized=bool(suffix))
                yield Task("uci", path.name + suffix, split, rows, load)


@functools.lru_cache(maxsize=4)
def read_folder(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    table = np.loadtxt(path / "data.txt", ndmin=2)
    features, targets = (np.loadtxt(path / f"index_{kind}.txt", ndmin=1).astype(int) for kind in ("features", "target"))
    return table[:, features], table[:, targets]


def row_numbers(path: pathlib.Path, part: str, split: int) -> np.ndarray:
    return np.loadtxt(path / f"index_{part}_{split}.txt", ndmin=1).astype(int)


def load_split(path: pathlib.Path, split: int, dequantized: bool = False) -> Data:
    x, y = read_folder(path)
    if dequantized:
        y = y + step_of(y) * np.random.default_rng(0).uniform(-0.5, 0.5, y.shape)
    train, test = (row_numbers(path, part, split) for part in ("train", "test"))
    return Data(x[train], y[train], x[test], y[test])


def step_of(y: np.ndarray) -> float:
    """The step of a target `[n, 1]` that has at most `MAX_LEVELS` equidistant values (some may be missing); else 0."""
    levels = np.unique(y)
    if y.shape[1] != 1 or not 2 <= len(levels) <= min(MAX_LEVELS, len(y) // 3):
        return 0.0
    steps = np.diff(levels) / np.diff(levels).min()
    return float(np.diff(levels).min()) if np.allclose(steps, np.round(steps)) else 0.0


def columns(y: np.ndarray) -> np.ndarray:
    return np.float64(y).reshape(len(y), -1)
