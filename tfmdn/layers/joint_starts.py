"""Components that start as a Gaussian mixture of features and targets says, given the features.

Shapes in comments: n rows, F features, P products of them, K components, D coordinates of a target.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmdn.distributions import gaussian_mixtures
from tfmdn.layers import outputs, products, starts
from tfmdn.reading import values, weighted

# How far components that begin as the same normal start from its centre, in units of its scales.
APART = 0.1
# Rows that a mixture is fitted to, and how far out their targets may be: beside the squares of farther ones small
# scales would have no digits.
MOST_ROWS, FARTHEST = 20_000, 1e3
# Whether it is worth a try: how many rows there must be for each coordinate, the largest number of features, and how
# many values a feature needs, since a normal could become narrow around one of few.
LEAST_ROWS, MOST_FEATURES, LEAST_VALUES = 20, 12, 30


def are_continuous(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether there are several targets, and features and rows that a Gaussian mixture can be fitted to.

    Args:
      x: features `[n, F]`.
      y: targets `[n, *E]`.
    """
    num_rows, features = x.shape
    if y.ndim != 2 or y.shape[1] == 1 or not 1 <= features <= MOST_FEATURES:
        return False
    if num_rows < LEAST_ROWS * (features + y.shape[1]):
        return False
    return all(len(np.unique(column)) >= LEAST_VALUES for column in x.T)


def typical_rows(x, y, sample_weight) -> tuple[np.ndarray, np.ndarray]:
    """Features `[n, F]` and targets `[n, D]` as numbers, each row about as often as it weighs.

    Raises:
      TypeError: if they are not arrays of numbers.
      ValueError: if they are not of the same rows.
    """
    x, y = values.as_numbers(x, "features"), values.as_numbers(y, "targets")
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            "`adapt` of x and y together needs features [n, F] and targets [n, D] of the same rows. "
            f"Received: x of shape {x.shape}, y of shape {y.shape}."
        )
    if sample_weight is None:
        return x, y
    weights = weighted.of_rows(values.as_numbers(sample_weight, "weights"), x.shape[:1])
    counts = np.flatnonzero(weights > 0.0)
    rows = counts[weighted.by_weight(weights[counts])]
    return x[rows], y[rows]


@dataclasses.dataclass(frozen=True)
class JointStart:
    """What the raw outputs of a head start at, as a linear function of `Products`.

    Attributes:
      bias: of the outputs, `[size]`.
      kernel: of the outputs, from the products to them, `[P, size]`.
      factors: Cholesky factors of the components, in units of which the outputs are, `[K, D, D]`.
    """

    bias: np.ndarray
    kernel: np.ndarray
    factors: np.ndarray


class JointMixture:
    """A Gaussian mixture of features and targets.

    Args:
      x: standardised features `[n, F]`.
      y: targets `[n, D]` in standard units.
      num_components: the largest number of normals.
      min_scale: their smallest scale.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, num_components: int, min_scale: float):
        self._rows = np.concatenate([np.clip(x, -products.LIMIT, products.LIMIT), y], 1)
        self._is_finite = np.isfinite(self._rows).all(1) & (np.abs(y) <= FARTHEST).all(1)
        self._features = x.shape[1]
        self._fitted = gaussian_mixtures.fit_joint(self._chosen(), num_components, min_scale)

    def _chosen(self, counts: np.ndarray | None = None) -> np.ndarray:
        rows = self._rows[self._is_finite if counts is None else self._is_finite & counts]
        return rows[:: -(-len(rows) // MOST_ROWS)]

    def start(self, raw_outputs: outputs.Outputs, counts: np.ndarray | None = None) -> JointStart:
        """How a head starts whose outputs these are.

        Args:
          raw_outputs: of a head with covariance "full".
          counts: which rows count, booleans `[n]`; None for all of them.
        """
        fitted = self._fitted if counts is None else gaussian_mixtures.refit(self._fitted, self._chosen(counts))
        num_components, size = raw_outputs.num_components, self._rows.shape[1] - self._features
        own, log_shares = _shared_out(fitted.weights_, num_components)
        first, second = products.pairs(self._features)
        blocks = {block.name: block.columns for block in raw_outputs.blocks}
        # Components in units of their own factors have the scale 1 and no correlation.
        unit = starts.Start(np.zeros((num_components, size)), np.ones(num_components), np.ones(num_components))
        bias, kernel = raw_outputs.initial(unit), np.zeros((products.width(self._features), raw_outputs.size))
        factors = np.empty((num_components, size, size))
        offsets = np.concatenate([APART * starts.spread(count, size).centres for count in np.bincount(own)])
        for component, normal in enumerate(own):
            mean, covariance = fitted.means_[normal], fitted.covariances_[normal]
            x_part, y_part = np.split(np.arange(len(mean)), [self._features])
            precision = np.linalg.inv(covariance[np.ix_(x_part, x_part)])
            slopes = covariance[np.ix_(y_part, x_part)] @ precision  # [D, F]
            rest = covariance[np.ix_(y_part, y_part)] - slopes @ covariance[np.ix_(x_part, y_part)]
            factors[component] = np.linalg.cholesky(rest)
            # The logarithm of the normal's weight times its density at x, up to what is the same for all of them.
            logit, columns = blocks["logits"][component, 0], blocks["loc"][component]
            linear = precision @ mean[x_part]
            bias[logit] = log_shares[component] + 0.5 * (np.linalg.slogdet(precision)[1] - mean[x_part] @ linear)
            squares = -0.5 * np.where(first == second, 1.0, 2.0) * precision[first, second] / products.SCALE
            kernel[:, logit] = np.concatenate([linear, squares])
            # Its mean given x, in units of its factor.
            centre = np.linalg.solve(factors[component], mean[y_part] - slopes @ mean[x_part])
            bias[columns] = centre + offsets[component]
            kernel[: self._features, columns] = np.linalg.solve(factors[component], slopes).T
        return JointStart(bias, kernel, factors)


def _shared_out(weights: np.ndarray, num_components: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `num_components` the normal that it begins as, and the logarithm of its share of the weight."""
    counts = np.ones(len(weights), int)
    while counts.sum() < num_components:
        counts[np.argmax(weights / counts)] += 1
    own = np.repeat(np.arange(len(weights)), counts)
    return own, np.log(np.maximum(weights, np.finfo(float).tiny) / counts)[own]
