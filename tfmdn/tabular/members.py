"""What the members of an ensemble predict that have not learnt from some rows: cumulative probabilities, and back.

Shapes in comments: n rows, M members, C components of all, P parts of rows, Q levels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import jumps, kinds, tensors
from tfmdn.distributions.mixture import Mixture

tfd = tfp.distributions

# In standard deviations: how exactly a value is found, and (as a power of 2) how far away it is looked for.
TOLERANCE, MOST_DOUBLINGS = 1e-10, 60
# Normal scores beyond are those of targets that nobody expected.
MOST_SURPRISED = 3.0
# What chance alone brings a ratio of squares below.
SMALLEST_RATIO = 0.25
TINY = np.finfo(float).tiny


@dataclasses.dataclass(frozen=True, eq=False)
class Members:
    """What members predict of one output.

    Attributes:
      marginals: the components of all, of batch shape `[n, C]`.
      weights: of the components, `[n, C]`.
      starts: the number of the first component of each member.
    """

    marginals: tfd.Distribution
    weights: np.ndarray
    starts: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """The number of rows, and of components."""
        return self.weights.shape

    @property
    def shares(self) -> np.ndarray:
        """The weights of the members, `[n, M]`."""
        return np.add.reduceat(self.weights, self.starts, -1)

    def by_member(self, values: np.ndarray) -> np.ndarray:
        """The mean of what components say `[..., n, C]`, for each member: `[..., n, M]`."""
        # Off the data, where another member has all of the weight, it is 0.
        return np.add.reduceat(self.weights * values, self.starts, -1) / np.maximum(self.shares, TINY)

    def cumulative(self, y: np.ndarray, judges: np.ndarray | None = None) -> np.ndarray:
        """The probability of values up to y `[..., n]`.

        Args:
          y: values.
          judges: which members are those of a part, booleans `[P, M]`.

        Returns:
          That of each part, `[P, ..., n]`; if there are none, of each member `[..., n, M]`.
        """
        if kinds.period(self.marginals) is not None:
            y = self._within_limits(y)
        values = self.marginals.cdf(tf.constant(y[..., np.newaxis])).numpy()
        # NaN outside the support of some of TFP's families, such as gamma.
        beyond = np.isnan(values) & ~np.isnan(y[..., np.newaxis])
        if beyond.any():
            values = np.where(beyond, y[..., np.newaxis] > self.marginals.mean().numpy(), values)
        values = self.by_member(values)
        return values if judges is None else np.stack([together(values, self.shares, judge) for judge in judges])

    def scores(self, y: np.ndarray, below: np.ndarray) -> np.ndarray:
        """What each member says of targets `[n]`: `[n, M]`. Of the probability of exactly y, a share is not below."""
        is_finite = np.isfinite(y)
        safe = np.where(is_finite, y, 0.0)
        scores = self.cumulative(safe)
        if kinds.has_jumps(self.marginals):
            exactly = kinds.probability_of(self.marginals, tf.constant(safe[:, np.newaxis])).numpy()
            scores = scores - below[:, np.newaxis] * self.by_member(exactly)
        return np.where(is_finite[:, np.newaxis], scores, np.where(np.isnan(y), np.nan, y > 0.0)[:, np.newaxis])

    def first(self, is_reached: Callable[[np.ndarray], np.ndarray], num_levels: int) -> np.ndarray:
        """The smallest y `[Q, n]` that is reached, of each level; infinite if all are, or none."""
        logarithms = kinds.logarithm(self.marginals)
        if logarithms is not None:  # in log y no tail is long
            in_logarithms = dataclasses.replace(self, marginals=logarithms)
            return np.exp(in_logarithms.first(lambda y: is_reached(np.exp(y)), num_levels))
        base = kinds.unrounded(self.marginals)
        base, *_ = kinds.unmoved(base) or [base]  # whose width is never 0
        mean, variance = base.mean().numpy(), base.variance().numpy()
        centre = (self.weights * mean).sum(-1)
        width = np.sqrt((self.weights * (variance + np.square(mean - centre[:, np.newaxis]))).sum(-1))
        atoms = [atom.numpy() for atom in jumps.atoms(self.marginals, self.weights, -1)]
        shape = (num_levels, len(centre))
        return first_reached(is_reached, np.broadcast_to(centre, shape), np.broadcast_to(width, shape), atoms)

    def possible(self, y: np.ndarray) -> np.ndarray:
        """Values `[Q, n]`, on the grid to which targets are rounded, and none beyond their limits."""
        grid = jumps.grid(self.marginals, self.weights, -1)
        return self._within_limits(y if grid is None else grid.nearest(tf.constant(y)).numpy())

    def _within_limits(self, y: np.ndarray) -> np.ndarray:
        limits = kinds.limits(self.marginals)
        if limits is None:
            return y
        low, high = (np.broadcast_to(limit, self.size) for limit in limits)
        return np.clip(y, low.min(-1), high.max(-1))


def first_reached(
    is_reached: Callable[[np.ndarray], np.ndarray],
    centre: np.ndarray,
    width: np.ndarray,
    atoms: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """The smallest y at which something holds, that then holds for all larger ones too. By bisection.

    Args:
      is_reached: tells of y `[...]` whether it holds.
      centre: where to begin `[...]`. Where it is NaN, so is the result.
      width: of the first step, and what the result is exact to a small part of, `[...]`.
      atoms: values that the result may be exactly, each broadcastable with it.

    Returns:
      `[...]`, infinite where it holds everywhere, or nowhere.
    """
    low, high, step = centre - width, centre + width, width
    is_above, is_below = ~is_reached(high), is_reached(low)
    for _ in range(MOST_DOUBLINGS):
        if not (is_above | is_below).any():
            break
        step = 2.0 * step
        low, high = (
            np.where(is_above, high, np.where(is_below, centre - step, low)),
            np.where(is_below, low, np.where(is_above, centre + step, high)),
        )
        is_above, is_below = is_above & ~is_reached(high), is_below & is_reached(low)

    def split(y):
        is_in = is_reached(y)
        return np.where(is_in, low, np.maximum(low, y)), np.where(is_in, np.minimum(high, y), high)

    for atom in atoms:
        low, high = split(np.where(np.isfinite(atom), atom, low))
    while np.any(high - low > TOLERANCE * width + 4.0 * np.finfo(float).eps * np.maximum(abs(low), abs(high))):
        low, high = split(0.5 * low + 0.5 * high)
    ends = np.where(is_above, np.inf, np.where(is_below, -np.inf, high))
    return np.where(np.isnan(centre), np.nan, ends)


def together(values: np.ndarray, shares: np.ndarray, judges: np.ndarray) -> np.ndarray:
    """The mean of what members say who judge a row.

    Args:
      values: what all say, `[..., M]`.
      shares: their weights, broadcastable with it.
      judges: who judges, booleans `[..., m]`. Further members, as what a model falls back on off the data, do in any
        row, and keep their weights.

    Returns:
      `[...]`.
    """
    count = judges.shape[-1]
    weights = shares[..., :count] * judges
    others = shares[..., count:]
    judged = (weights * values[..., :count]).sum(-1) / np.maximum(weights.sum(-1), TINY)
    return (1.0 - others.sum(-1)) * judged + (others * values[..., count:]).sum(-1)


def narrowing(values: np.ndarray, shares: np.ndarray, held_out: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much narrower intervals of several parts' members are than the sum of ranks in each part says, `[d]`.

    Let t be the mean square of the normal score that a member gives to a row it has not learnt from, and v the variance
    of these scores among the r members who judge a row. With M of them in all the error of their mean is
    t - (1 - 1 / M) v. A part's is t - (1 - 1 / r) v, and since the r members of each part are others, the sum of ranks
    is spread by (1 / r - 1 / M) v more. The result is the root of the ratio, at most 1.

    Args:
      values: what each member says of targets, `[R, d, M]`, NaN where that is not known.
      shares: their weights `[R, M]`. Those who judge the same rows count as one.
      held_out: who judges, booleans `[R, M]`.
      weights: of the rows, `[R]`.
    """
    judges, unit = np.unique(held_out, axis=1, return_inverse=True)
    is_in = unit.reshape(-1, 1) == np.arange(judges.shape[1])  # [M, U]
    num_units, several = judges.shape[1], judges.sum(1) > 1
    if not several.any():  # nobody knows
        return np.ones(values.shape[1])
    values, shares, judges, weights = values[several], shares[several], judges[several], weights[several]
    shares, values = shares[:, np.newaxis, : len(is_in)], values[..., : len(is_in)]
    scores = np.clip(scipy.special.ndtri((shares * values) @ is_in / (shares @ is_in)), -MOST_SURPRISED, MOST_SURPRISED)
    size = judges.sum(1, keepdims=True)
    scores = np.where(judges[:, np.newaxis], scores, 0.0)
    mean = scores.sum(-1) / size
    squares = np.square(scores).sum(-1) / size
    variances = (squares - np.square(mean)) * size / (size - 1)
    counts = weights[:, np.newaxis] * ~np.isnan(mean)
    square, variance = (np.nansum(counts * part, 0) / counts.sum(0) for part in (squares, variances))
    share = 1.0 / np.average(size[:, 0], weights=weights)
    whole = square - (1.0 - 2.0 * share + 1.0 / num_units) * variance
    ratio = (square - (1.0 - 1.0 / num_units) * variance) / np.maximum(whole, TINY)
    return np.where(np.isnan(ratio), 1.0, np.sqrt(np.clip(ratio, SMALLEST_RATIO, 1.0)))


def of_outputs(mixture: Mixture) -> Iterator[Members]:
    """The members of each output, of a mixture of all of them together, of batch shape `[n]`."""
    logits = mixture.mixture_distribution.logits_parameter()
    sizes = mixture.member_sizes or [logits.shape[-1]]
    starts, weights = np.cumsum([0, *sizes[:-1]]), tf.nn.softmax(tf.cast(logits, tf.float64)).numpy()
    axes = range(mixture.event_shape.num_elements()) if mixture.event_shape.rank else [None]
    for axis in axes:
        one = mixture if axis is None else mixture.marginal(axis)
        components = tensors.map(lambda value: tf.cast(value, tf.float64), one.components_distribution)
        yield Members(components, weights, starts)
