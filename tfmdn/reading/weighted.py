"""How much rows count. Only the ratios of weights matter: in the largest of 1e300 as in the largest of 1e-300.

None stands for weights that are all alike. Shapes in comments: n rows, B batch, E what belongs to a row.
"""

from __future__ import annotations

import numpy as np


def checked(sample_weight: np.ndarray) -> np.ndarray:
    """The weights themselves, which must be finite and 0 or more.

    Raises:
      ValueError: if they are not.
    """
    if not (np.isfinite(sample_weight) & (sample_weight >= 0.0)).all():
        raise ValueError(
            "`sample_weight` must be finite numbers, 0 or more. Received: from "
            f"{np.min(sample_weight)} to {np.max(sample_weight)}."
        )
    return sample_weight


def of_rows(sample_weight: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The weights `[n]` of rows that were of a batch shape.

    Args:
      sample_weight: weights of the first axes of the shape, one for all that they have in common; axes that the shape
        does not have are averaged over, such as the steps of a target that its features do not have.
      shape: B, of n rows.

    Raises:
      ValueError: if they are not of the same rows.
    """
    if sample_weight is None:
        return None
    common = 0
    while common < min(sample_weight.ndim, len(shape)) and sample_weight.shape[common] == shape[common]:
        common += 1
    if not common:
        raise ValueError(
            f"`sample_weight` must have a weight for each of the {shape[0] if shape else 0} rows, or of their steps. "
            f"Received: sample_weight of shape {sample_weight.shape} for rows of batch shape {shape}."
        )
    largest = sample_weight.max(initial=0.0)
    if sample_weight.ndim > common and largest > 0.0:  # whose sum may be beyond all numbers
        means = (sample_weight / largest).mean(tuple(range(common, sample_weight.ndim)))
        sample_weight = means * largest
    sample_weight = sample_weight.reshape(sample_weight.shape[:common] + (1,) * (len(shape) - common))
    return np.broadcast_to(sample_weight, shape).reshape(-1)


def settled(weights: np.ndarray | None) -> np.ndarray | None:
    """Weights `[n]` above 0, the largest between 1/2 and 1; None if all are alike."""
    if weights is None or not len(weights) or weights.min() == weights.max():
        return None
    return np.ldexp(weights, -np.frexp(weights.max())[1])  # to the last bit in the same ratios


def by_weight(weights: np.ndarray) -> np.ndarray:
    """Row numbers `[n]` in which each row is about as often as its weight `[n]` says: once, if all are alike."""
    cumulative = np.cumsum(weights / weights.max())
    # Not in the middle, where sums of round weights lie: rounding errors would decide.
    return np.searchsorted(cumulative, (np.arange(len(weights)) + 0.4993) * (cumulative[-1] / len(weights)))


def moments(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `[*E]` of rows `[n, *E]`. NaN does not count."""
    if weights is None:
        return np.nanmean(rows, 0), np.nanstd(rows, 0)
    shares, known = _shares(rows, weights), np.where(np.isnan(rows), 0.0, rows)
    shares /= shares.sum(0)
    mean = (shares * known).sum(0)
    return mean, np.sqrt((shares * np.square(known - mean)).sum(0))


def effective_counts(rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """How many equal rows say as much as those of `[n, *E]` (Kish 1965): `[*E]`. NaN does not count."""
    if weights is None:
        return (~np.isnan(rows)).sum(0)
    shares = _shares(rows, weights)
    return np.square(shares.sum(0)) / np.square(shares).sum(0)


def _shares(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weights of known values `[n, *E]` in units of the largest of each column, 0 of NaN."""
    weights = weights.reshape(-1, *(1,) * (rows.ndim - 1))
    shares = np.where(np.isnan(rows), 0.0, weights)
    return shares / shares.max(0)


def quantiles(values: np.ndarray, levels, weights: np.ndarray | None) -> np.ndarray:
    """Quantiles `[L, ...]` of columns `[n, ...]`: NumPy's, between which it interpolates, if all weights are alike.

    NaN does not count. A value of the weight of several rows has the place of several, one of less weight than a row
    stands in the middle of its place.
    """
    if weights is None:
        return np.nanquantile(values, levels, axis=0)
    columns = values.reshape(len(values), -1)
    found = [_quantiles(column, np.asarray(levels), weights) for column in columns.T]
    return np.stack(found, -1).reshape((*np.shape(levels), *values.shape[1:]))


def _quantiles(values: np.ndarray, levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    values, weights = values[known][order], weights[known][order]
    weights = weights / weights.max()
    weights = weights * (len(values) / weights.sum())
    after = np.cumsum(weights)
    half = np.minimum(0.5 * (weights - 1.0), 0.0)
    first, last = after - weights + half, after - 1.0 - half
    places = np.stack([first, np.maximum(last, first)], 1).ravel()
    return np.interp(levels * (len(values) - 1), np.maximum.accumulate(places), np.repeat(values, 2))


class PrioritySample:
    """A sample of rows of which some count more than others (Duffield, Lund and Thorup 2007).

    Rows of a weight of w have the priority w / u, u being uniform. Those of the highest stay, and count as much as the
    first that does not, or as they did if that is more: sums over them are right on average.

    Args:
      size: the largest number of rows.
      seed: not one that data may have been drawn with: the choice of rows would depend on their values.
    """

    def __init__(self, size: int, seed: int):
        self._size, self._rng = size, np.random.default_rng(seed)
        self._rows, self._weights, self._priorities = [], [], []

    def add(self, rows: np.ndarray, weights: np.ndarray) -> None:
        """Rows `[n, *E]` that come by, of weights `[n]` above 0."""
        self._rows.append(rows)
        self._weights.append(weights)
        self._priorities.append(np.log(weights) - np.log(1.0 - self._rng.random(len(rows))))
        if sum(map(len, self._rows)) > 2 * self._size:
            self._keep()

    def _keep(self) -> None:
        """Of the rows so far those of the highest priorities, and one more, in their order."""
        priorities = np.concatenate(self._priorities)
        kept = np.sort(np.argsort(-priorities, kind="stable")[: self._size + 1])
        self._rows, self._weights = [np.concatenate(self._rows)[kept]], [np.concatenate(self._weights)[kept]]
        self._priorities = [priorities[kept]]

    def result(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows, and their weights, of which the largest is between 1/2 and 1; None if all are alike."""
        self._keep()
        (rows,), (weights,), (priorities,) = self._rows, self._weights, self._priorities
        if len(rows) > self._size:
            threshold = priorities.min()
            kept = np.arange(len(rows)) != np.argmin(priorities)
            rows, logs = rows[kept], np.maximum(np.log(weights[kept]), threshold)
            weights = np.exp(logs - logs.max())
        return rows, settled(weights)
