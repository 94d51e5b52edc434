"""What is learned in the quality benchmark: problems whose best NLL is known, tables, and folders with fixed splits."""

from __future__ import annotations

import dataclasses
import functools
import math
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
    "correlated_normals": tfmdn.datasets.correlated_normals(4),
    "correlated_normal": tfmdn.datasets.correlated_normals(1),
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
OFF_DATA = ("gap", "tail")


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
    for path, suffix in folders(folder, dequantize):
        available = range(int(np.loadtxt(path / "n_splits.txt")))
        for split in available if splits is None else sorted(set(splits) & set(available)):
            rows = len(row_numbers(path, "train", split))
            load = functools.partial(load_split, path, split, dequantized=bool(suffix))
            yield Task("uci", path.name + suffix, split, rows, load)


def folders(folder: pathlib.Path, dequantize: bool) -> Iterator[tuple[pathlib.Path, str]]:
    """The data sets in `folder`, each with what is added to its name for its targets as they are, or with noise."""
    for path in sorted(file.parent for file in folder.glob("*/n_splits.txt")):
        yield path, ""
        if dequantize and step_of(read_folder(path)[1]):
            yield path, DEQUANTIZED


@functools.lru_cache(maxsize=4)
def read_folder(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    table = np.loadtxt(path / "data.txt", ndmin=2)
    features, targets = (np.loadtxt(path / f"index_{kind}.txt", ndmin=1).astype(int) for kind in ("features", "target"))
    return table[:, features], table[:, targets]


def rows_of(path: pathlib.Path, dequantized: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of a data set, the latter with or without noise as wide as their step."""
    x, y = read_folder(path)
    return x, y + step_of(y) * np.random.default_rng(0).uniform(-0.5, 0.5, y.shape) if dequantized else y


def row_numbers(path: pathlib.Path, part: str, split: int) -> np.ndarray:
    return np.loadtxt(path / f"index_{part}_{split}.txt", ndmin=1).astype(int)


def load_split(path: pathlib.Path, split: int, dequantized: bool = False) -> Data:
    x, y = rows_of(path, dequantized)
    train, test = (row_numbers(path, part, split) for part in ("train", "test"))
    return Data(x[train], y[train], x[test], y[test])


def off_data_tasks(
    folder: pathlib.Path, features: Iterable[int] | None = None, dequantize: bool = True
) -> Iterator[Task]:
    """Every data set in `folder`, on splits that leave out a third of the rows, by where they are in one feature.

    "gap" leaves out those in the middle of a feature, as Foong et al. (2019), "'In-between' uncertainty in Bayesian
    neural networks", "tail" a sixth at either end. The split of a task is the number of the feature; `features` None
    means all of them. Data sets and targets are as in `folder_tasks`, whose splits do not count.
    """
    for path, suffix in folders(folder, dequantize):
        x, _ = read_folder(path)
        for kind in OFF_DATA:
            for feature in range(x.shape[1]) if features is None else sorted(set(features) & set(range(x.shape[1]))):
                load = functools.partial(load_off_data, path, kind, feature, dequantized=bool(suffix))
                yield Task(kind, path.name + suffix, feature, int((~left_out(x[:, feature], kind)).sum()), load)


def left_out(values: np.ndarray, kind: str) -> np.ndarray:
    """Which rows are tested on: the middle third, or the outer sixths, in the order of `values` `[n]`.

    Equal values are in a random order, the same each time: that of the table may follow something else.
    """
    n = len(values)
    place = np.argsort(np.lexsort((np.random.default_rng(0).permutation(n), values)))
    is_middle = (place >= n // 3) & (place < 2 * n // 3)
    return is_middle if kind == "gap" else (place < math.ceil(n / 6)) | (place >= 5 * n // 6)


def load_off_data(path: pathlib.Path, kind: str, feature: int, dequantized: bool = False) -> Data:
    x, y = rows_of(path, dequantized)
    test = left_out(x[:, feature], kind)
    return Data(x[~test], y[~test], x[test], y[test])


def step_of(y: np.ndarray) -> float:
    """The step of a target `[n, 1]` that has at most `MAX_LEVELS` equidistant values (some may be missing); else 0."""
    levels = np.unique(y)
    if y.shape[1] != 1 or not 2 <= len(levels) <= min(MAX_LEVELS, len(y) // 3):
        return 0.0
    steps = np.diff(levels) / np.diff(levels).min()
    return float(np.diff(levels).min()) if np.allclose(steps, np.round(steps)) else 0.0


def columns(y: np.ndarray) -> np.ndarray:
    return np.float64(y).reshape(len(y), -1)
