"""What each feature does to the predictions: partial dependence, in the values that the rows themselves have.

Shapes in comments: n rows, R rows that stand for all, V values of a feature, d outputs, F features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tfmdn.plots.columns import MISSING, Column
from tfmdn.plots.rows import Rows

LEVELS = (0.1, 0.5, 0.9)
# How many values of a feature, and of rows that get them. A table of a hundred features has fewer rows for each.
MOST_VALUES, FEWEST_ROWS, MOST_ROWS, MOST_PREDICTIONS = 10, 8, 40, 1_200
# Of more features those are looked at whose values, exchanged between rows, move the mean most.
MOST_CANDIDATES, EXCHANGED_ROWS, BLOCK = 12, 50, 4_000


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a feature does.

    Attributes:
      feature: what the rows call it.
      name: its name.
      column: the values `[V]` that it was given. A missing one comes last.
      num_more: the number of rarer categories, which are not among them.
      quantiles: the mean quantiles at these values, of the levels 0.1, 0.5 and 0.9: `[V, d, 3]`.
    """

    feature: Any
    name: str
    column: Column
    num_more: int
    quantiles: np.ndarray

    def range(self, output: int) -> float:
        """How far the median of an output moves."""
        return float(np.ptp(self.quantiles[:, output, 1]))


def effects(rows: Rows, mean: Callable, quantiles: Callable, rng: np.random.Generator) -> list[Effect]:
    """What the features do, in any order.

    Args:
      rows: the rows.
      mean: returns the mean of the predictions of m rows: `[m]` or `[m, d]`.
      quantiles: returns their quantiles, `[m, Q]` or `[m, d, Q]`, and takes levels.
      rng: chooses rows.
    """
    candidates = _candidates(rows, mean, rng)
    spread = int(np.clip(MOST_PREDICTIONS // (MOST_VALUES * max(1, len(candidates))), FEWEST_ROWS, MOST_ROWS))
    typical = rng.permutation(len(rows))[:spread]
    return [_effect(rows, feature, typical, quantiles) for feature in candidates]


def _candidates(rows: Rows, mean: Callable, rng: np.random.Generator) -> list:
    if len(rows.features) <= MOST_CANDIDATES:
        return rows.features
    chosen = rng.permutation(len(rows))[:EXCHANGED_ROWS]
    before = np.reshape(mean(rows.taken(chosen)), (len(chosen), -1))
    scale = before.std(0) + np.finfo(np.float64).tiny  # how different the predictions of rows are, of each output
    moved, step = [], BLOCK // EXCHANGED_ROWS
    for first in range(0, len(rows.features), step):
        block = rows.features[first : first + step]
        tiled = np.tile(chosen, (len(block), 1))
        sources = {feature: tiled.copy() for feature in block}
        for place, feature in enumerate(block):
            sources[feature][place] = np.roll(chosen, 1)
        taken = rows.taken(tiled.ravel(), {feature: source.ravel() for feature, source in sources.items()})
        after = np.reshape(mean(taken), (len(block), *before.shape))
        moved += (np.abs(after - before) / scale).mean((1, 2)).tolist()
    return [rows.features[number] for number in np.argsort(-np.array(moved), kind="stable")[:MOST_CANDIDATES]]


def _effect(rows: Rows, feature, typical: np.ndarray, quantiles: Callable) -> Effect:
    column = rows.column(feature)
    sources, num_more = _sources(column)
    taken = rows.taken(np.tile(typical, len(sources)), {feature: np.repeat(sources, len(typical))})
    answers = np.reshape(quantiles(taken, LEVELS), (len(sources), len(typical), -1, len(LEVELS))).mean(1)
    values = dataclasses.replace(column, values=column.values[sources])
    return Effect(feature, rows.label(feature), values, num_more, answers)


def is_missing(column: Column) -> np.ndarray:
    """Which values `[n]` are missing."""
    return column.values == MISSING if column.categories else ~column.is_known


def _sources(column: Column) -> tuple[np.ndarray, int]:
    """Rows whose values are different ones, and typical; a missing one comes last. And how many are left out."""
    missing = is_missing(column)
    known, missing = np.flatnonzero(~missing), np.flatnonzero(missing)[:1]
    values, first, counts = np.unique(column.values[known], return_index=True, return_counts=True)
    if column.categories:
        order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        return np.concatenate([known[first[order]], missing]), len(values) - len(order)
    if len(values) > MOST_VALUES:
        # Without the ends, where there are too few rows to learn from.
        ranks = np.linspace(0.02, 0.98, MOST_VALUES) * (len(known) - 1)
        typical = np.sort(column.values[known])[np.round(ranks).astype(int)]
        first = first[np.searchsorted(values, np.unique(typical))]
    return np.concatenate([known[first], missing]), 0
