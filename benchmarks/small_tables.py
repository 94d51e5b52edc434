"""Small rough tables to count by: rows that repeat, or belong together, heavy tails, jumps; and some that are real.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import sklearn.datasets
from tasks import DEQUANTIZED, read_folder, step_of

TEST_SHARE = 0.2
# The columns of (x, y) of a file, for those that are no fixed splits.
FILES = {"mcycle": ("mcycle.csv", 1, 2), "old_faithful": ("faithful.csv", 1, 2)}


@dataclasses.dataclass(frozen=True)
class Rows:
    """A table x `[n, F]`, y `[n]`, and labels `[n]` of rows that belong together, if whole groups are to be tested."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    def split(self, seed: int) -> tuple[Rows, Rows]:
        """A fifth of the rows, or of the groups, is for the test."""
        labels = np.arange(len(self.y)) if self.groups is None else self.groups
        chosen = np.random.default_rng(seed).permutation(np.unique(labels))
        is_test = np.isin(labels, chosen[: max(1, round(TEST_SHARE * len(chosen)))])
        return self[~is_test], self[is_test]

    def __getitem__(self, rows: np.ndarray) -> Rows:
        return Rows(self.x[rows], self.y[rows], None if self.groups is None else self.groups[rows])


def mixtures(rng: np.random.Generator) -> Rows:
    """Recipes of six ingredients, each tested at a few ages, some twice: 8 features, with luck of their own."""
    recipes = 240
    shares = rng.dirichlet([3.0, 1.0, 0.7, 2.0, 4.0, 4.0], recipes).round(2) * (rng.random((recipes, 6)) > 0.2)
    extra = rng.choice([0.0, 5.0, 10.0], recipes)
    which = np.sort(rng.choice(recipes, 640))
    ages = rng.choice([3.0, 7.0, 14.0, 28.0, 56.0, 90.0], 640)
    strength = 20.0 + 60.0 * shares[:, 0] ** 1.5 - 30.0 * shares[:, 3] + 15.0 * (shares[:, 1] > 0.1) + 0.8 * extra
    luck = rng.normal(0.0, 3.0, recipes)  # nothing in x tells of it but the recipe's other trials
    y = (strength + luck)[which] * (0.4 + 0.18 * np.log(ages)) + rng.normal(0.0, 1.5, 640)
    return Rows(np.column_stack([shares[which], extra[which], ages]), y)


def hulls(rng: np.random.Generator) -> Rows:
    """A few shapes at many speeds, with hardly any noise: 22 x 14 rows that grow steeply."""
    shapes, speeds = rng.normal(size=(22, 5)).round(1), np.linspace(0.12, 0.45, 14)
    which, speed = np.repeat(np.arange(22), 14), np.tile(speeds, 22)
    steepness = 12.0 + shapes[which] @ [0.6, 0.4, 0.2, -0.3, 0.1]
    y = 0.4 * np.exp(steepness * speed) * np.exp(rng.normal(0.0, 0.03, 308))
    return Rows(np.column_stack([shapes[which], speed]), y)


def twins(rng: np.random.Generator) -> Rows:
    """Each row of 5 features three times, with targets of its own."""
    x = np.repeat(rng.normal(size=(150, 5)), 3, axis=0)
    return Rows(x, np.sin(2.0 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0.0, 0.5, 450))


def siblings(rng: np.random.Generator) -> Rows:
    """Nearly repeated rows, whose targets share an error that the features do not tell of."""
    x = np.repeat(rng.normal(size=(120, 4)), 5, axis=0) + rng.normal(0.0, 0.02, (600, 4))
    shared = np.repeat(rng.normal(size=120), 5)
    return Rows(x, x[:, 0] + np.abs(x[:, 1]) + 0.7 * shared + rng.normal(0.0, 0.2, 600))


def patients(rng: np.random.Generator) -> Rows:
    """The same with groups of very unequal sizes, and new ones in the test."""
    sizes = 1 + rng.geometric(0.2, 120)
    group = np.repeat(np.arange(120), sizes)
    x = rng.normal(size=(120, 4))[group] + rng.normal(0.0, 0.05, (len(group), 4))
    shared = rng.normal(size=120)[group]
    y = x[:, 0] + np.abs(x[:, 1]) + 0.7 * shared + rng.normal(0.0, 0.2, len(group))
    return Rows(x, y, group)


def tails(rng: np.random.Generator) -> Rows:
    """Noise of Student's t with 2.5 degrees of freedom."""
    x = rng.normal(size=(500, 6))
    return Rows(x, x[:, 0] - x[:, 1] * x[:, 2] + 0.4 * rng.standard_t(2.5, 500))


def jumps(rng: np.random.Generator) -> Rows:
    """A function of boxes, as trees are, with little noise: 1,200 rows of 8 features of few values."""
    x = rng.integers(0, 8, (1_200, 8)).astype(float)
    y = np.zeros(1_200)
    for _ in range(40):
        columns = rng.choice(8, 3, replace=False)
        y += rng.normal() * (x[:, columns] > rng.integers(0, 7, 3)).all(1)
    return Rows(x, y + rng.normal(0.0, 0.1, 1_200))


def costs(rng: np.random.Generator) -> Rows:
    """Log-normal targets whose spread grows with a feature."""
    x = rng.normal(size=(300, 5))
    return Rows(x, np.exp(0.7 * x[:, 0] + (0.3 + 0.3 * (x[:, 1] > 0)) * rng.normal(size=300)))


def few(rng: np.random.Generator) -> Rows:
    """Hundred and twenty rows of 3 features."""
    x = rng.normal(size=(120, 3))
    return Rows(x, x[:, 0] + 0.5 * np.sin(3.0 * x[:, 1]) + 0.3 * rng.normal(size=120))


def wide(rng: np.random.Generator) -> Rows:
    """Forty features, three of which say something."""
    x = rng.normal(size=(400, 40))
    return Rows(x, 2.0 * x[:, 0] + x[:, 1] ** 2 - x[:, 2] + 0.5 * rng.normal(size=400))


MADE_UP = (mixtures, hulls, twins, siblings, patients, tails, jumps, costs, few, wide)


def bundled(name: str, column: str | None) -> Rows:
    """A data set of scikit-learn's; with a `column` to predict from the others."""
    data = getattr(sklearn.datasets, f"load_{name}")()
    if column is None:
        return Rows(data.data, data.target)
    number = list(data.feature_names).index(column)
    return Rows(np.delete(data.data, number, axis=1), data.data[:, number])


BUNDLED = {
    "diabetes": None,
    "iris": "petal length (cm)",
    "wine": "color_intensity",
    "breast_cancer": "worst texture",
}


def folder_rows(folder: pathlib.Path) -> Rows:
    """All rows of a folder as tasks.py describes it, dequantised."""
    x, y = read_folder(folder)
    return Rows(x, (y + step_of(y) * np.random.default_rng(0).uniform(-0.5, 0.5, y.shape))[:, 0])


def file_rows(path: pathlib.Path, x_column: int, y_column: int) -> Rows:
    table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(x_column, y_column))
    return Rows(table[:, :1], table[:, 1])


def tables(data: pathlib.Path | None, largest: int = 2_000) -> dict[str, Callable[[int], Rows]]:
    """The tables by name, each as a function of the split's number: made-up ones are made anew for each.

    Args:
      data: a folder that holds, anywhere in it, folders as tasks.py describes them, and those of `FILES`.
      largest: tables of `data` with more rows are left out.
    """
    found = {make.__name__: lambda seed, make=make: make(np.random.default_rng(seed)) for make in MADE_UP}
    for name, column in BUNDLED.items():
        found[f"sklearn-{name}"] = lambda seed, name=name, column=column: bundled(name, column)
    for name, load in _of_folder(data) if data else ():
        if len(load().y) <= largest:
            found[name] = lambda seed, load=load: load()
    return found


def _of_folder(data: pathlib.Path) -> Iterator[tuple[str, Callable[[], Rows]]]:
    for path in sorted(file.parent for file in data.rglob("n_splits.txt")):
        suffix = DEQUANTIZED if step_of(read_folder(path)[1]) else ""
        yield path.name + suffix, functools.partial(folder_rows, path)
    for name, (file, *columns) in FILES.items():
        for path in sorted(data.rglob(f"{name}/{file}")):
            yield name, functools.partial(file_rows, path, *columns)
