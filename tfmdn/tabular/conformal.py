"""Conformal prediction: intervals that cover as often as they say, whatever the model, from rows not learnt from.

Each row that members have not learnt from has a score, the probability that these members give to smaller targets. A
new row is as likely as not to have the rank among these scores that any of them has. What its target can be, so that
its own rank is no rarer than asked for, is a set, and that has the coverage (Vovk, Gammerman and Shafer 2005). Each
part of the rows has members of its own to be judged by, and a new row has a rank in each: their sum counts. These are
the cross-conformal predictive distributions of Vovk, Nouretdinov, Manokhin and Gammerman (2018), whose intervals are
CV+ of Barber, Candes, Ramdas and Tibshirani (2021), with a distribution in the place of a distance from the mean.

These cover more often than they say where the members of the parts disagree, as all of them together err less than
those of a part. So that is measured, and the levels are moved by it.

Shapes in comments: n rows, R rows with scores, M members, C components of all, P parts, d outputs, E event, Q levels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import scipy.special
import tensorflow as tf

from tfmdn.distributions.mixture import Mixture
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import chunks, members
from tfmdn.tabular.members import Members

# Rows whose scores are kept: of so many, coverage is known to half a per cent.
MAX_ROWS = 4_000
# Not seeds that data may have been drawn with.
SAMPLING_SEED, TIES_SEED = 0x636F6E666F726D61, 0x6C74696573
# Scores are kept in files to so many digits.
DIGITS = 12
# Rounding errors of a sum of weights.
SLACK = 1e-9
# Numbers that are held at once.
MAX_NUMBERS = 4_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Conformal:
    """The scores of rows that members have not learnt from.

    Attributes:
      judges: which members have not learnt from a part, booleans `[P, M]`.
      part: in which part each row is, `[R]`.
      weights: of the rows, `[R]`.
      low: the smallest scores that the rows can have, `[R, d]`; NaN where nothing is known of a target.
      high: the largest ones. They are the same but for targets that are only known to lie in an interval.
      narrowing: by what the normal scores of levels are multiplied, `[d]`, see `members.narrowing`.
    """

    judges: np.ndarray
    part: np.ndarray
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    narrowing: np.ndarray

    @classmethod
    def learned(
        cls,
        mixtures: Iterable[Mixture],
        y: np.ndarray,
        form: TargetFormat,
        held_out: np.ndarray,
        weights: np.ndarray,
    ) -> Conformal:
        """The scores of rows.

        Args:
          mixtures: what all members together predict for the rows, some rows at a time.
          y: their targets `[R, *E]`, or as `form` says.
          form: what is said of them.
          held_out: which members have not learnt from a row, booleans `[R, M]`, at least one in each row.
          weights: of the rows, `[R]`, above 0.
        """
        return cls._of(*_said(mixtures, y, form), held_out, weights)

    @classmethod
    def of_held_out(
        cls,
        predict: Sequence[Callable[[tf.Tensor], Mixture]],
        x: np.ndarray,
        y: np.ndarray,
        form: TargetFormat,
        held_out: np.ndarray,
        first_half: np.ndarray,
        weights: np.ndarray,
    ) -> Conformal:
        """The scores of those of the rows that members were fitted to which some of them have not learnt from.

        Args:
          predict: from features to the mixture of all members: one function, or two, of members that were stopped by
            the first, and by the second half of the rows that each is judged by. Each half is scored by the other's.
          x: features `[n, F]`.
          y: targets `[n, *E]`, or as `form` says.
          form: what is said of them.
          held_out: which members have not learnt from a row, booleans `[n, M]`.
          first_half: which of these rows are in the first half of a member's, booleans `[n, M]`.
          weights: of the rows, `[n]`, above 0.
        """
        rows = np.flatnonzero(held_out.any(1))
        if len(rows) > MAX_ROWS:
            rows = np.sort(np.random.default_rng(SAMPLING_SEED).choice(rows, MAX_ROWS, replace=False))
        said, shares = zip(*(_said(chunks.predicted(one, x[rows]), y[rows], form) for one in predict))
        values = np.where(first_half[rows, np.newaxis], said[-1], said[0])
        return cls._of(values, shares[0], held_out[rows], weights[rows])

    @classmethod
    def _of(cls, values: np.ndarray, shares: np.ndarray, held_out: np.ndarray, weights: np.ndarray) -> Conformal:
        """The scores, of what each member says of them `[2, R, d, M]`, and the members' weights `[R, M]`."""
        judges, part = np.unique(held_out, axis=0, return_inverse=True)
        scores = members.together(values, shares[:, np.newaxis], held_out[:, np.newaxis])
        exact = np.where((scores[0] == scores[1])[..., np.newaxis], values[0], np.nan)
        narrowing = members.narrowing(exact, shares, held_out, weights)
        return cls(judges, part.reshape(-1), weights, *np.round(scores, DIGITS), narrowing)

    def quantiles(self, mixture: Mixture, levels: Sequence[float]) -> np.ndarray:
        """The ends of one-sided intervals `[n, *E, Q]`.

        A level of at most 1/2 is the most that lies below, and what is left of a higher one the most that lies above.
        So two levels are the ends of an interval. Where there are too few rows to say so, they are infinite, or the
        limits of the targets.
        """
        ends = [
            np.concatenate([self._ends(one, axis, group) for group in _groups(levels, one.size)])
            for axis, one in enumerate(members.of_outputs(mixture))
        ]  # d arrays [Q, n]
        return np.stack(ends, -1).transpose(1, 2, 0).reshape(*mixture.shape, len(levels))

    def _ends(self, own: Members, axis: int, levels: np.ndarray) -> np.ndarray:
        """The ends `[Q, n]` of one output."""
        counts = [self._count(axis, level) for level in levels]
        ends = np.full((len(levels), own.size[0]), [[count.end] for count in counts])
        sought = np.flatnonzero(np.isnan(ends[:, 0]))
        if sought.size:

            def is_reached(y):
                values = own.cumulative(y, self.judges)
                return np.stack([counts[place].is_reached(values[:, row]) for row, place in enumerate(sought)])

            ends[sought] = own.first(is_reached, len(sought))
        return own.possible(ends)

    def _count(self, axis: int, level: float) -> Count:
        scores = (self.high if level > 0.5 else self.low)[:, axis]
        level = scipy.special.ndtr(self.narrowing[axis] * scipy.special.ndtri(level))
        parts = [self.part == number for number in range(len(self.judges))]
        known = ~np.isnan(scores)
        # The new row weighs as much as one of so many equal rows that say as much as these (Kish 1965).
        weights = self.weights * known * self.weights[known].sum() / np.square(self.weights[known]).sum()
        return Count.of([scores[rows & known] for rows in parts], [weights[rows & known] for rows in parts], level)

    def to_config(self) -> dict:
        """What `from_config` takes, as JSON can hold it."""
        is_even = np.ptp(self.weights) == 0.0
        is_exact = np.array_equal(self.low, self.high, equal_nan=True)
        return {
            "judges": self.judges.tolist(),
            "part": self.part.tolist(),
            "weights": None if is_even else self.weights.tolist(),
            "low": self.low.tolist(),
            "high": None if is_exact else self.high.tolist(),
            "narrowing": self.narrowing.tolist(),
        }

    @classmethod
    def from_config(cls, config: dict) -> Conformal:
        part, low = np.array(config["part"]), np.array(config["low"])
        weights = np.ones(len(part)) if config["weights"] is None else np.array(config["weights"])
        high = low if config["high"] is None else np.array(config["high"])
        return cls(np.array(config["judges"]), part, weights, low, high, np.array(config["narrowing"]))


@dataclasses.dataclass(frozen=True, eq=False)
class Count:
    """How many scores must be below a new row's for its target to lie above the end of an interval.

    The new row's own rank is one of n + 1 that are equally likely.

    Attributes:
      scores: those of each part, sorted.
      totals: the weights `[0, w1, w1 + w2, ...]` of the first so many of them.
      needed: the sum of the weights that is needed.
      side: "right" if a score that equals the new row's counts, "left" if not.
    """

    scores: list[np.ndarray]
    totals: list[np.ndarray]
    needed: float
    side: str

    @classmethod
    def of(cls, scores: list[np.ndarray], weights: list[np.ndarray], level: float) -> Count:
        """The count for a level: so much lies below at most, or, above 1/2, what is left lies above at most.

        Args:
          scores: those of each part.
          weights: theirs, in units of what a new row weighs.
          level: between 0 and 1.
        """
        orders = [np.argsort(own, kind="stable") for own in scores]
        totals = [np.concatenate([[0.0], np.cumsum(own[order])]) for own, order in zip(weights, orders)]
        most = level * (sum(total[-1] for total in totals) + 1.0)
        is_upper = level > 0.5
        return cls(
            [own[order] for own, order in zip(scores, orders)],
            totals,
            most - SLACK if is_upper else most - 1.0 + SLACK,
            "left" if is_upper else "right",
        )

    @property
    def end(self) -> float:
        """Where the end is that no score tells: -inf or inf. NaN if they do."""
        if self.needed <= 0.0:
            return -np.inf
        return np.inf if self.needed > sum(total[-1] for total in self.totals) else np.nan

    def is_reached(self, values: np.ndarray) -> np.ndarray:
        """Whether so many scores are below those that new rows have in each part: `[P, n]` to `[n]`."""
        sums = [
            total[np.searchsorted(scores, own, self.side)]
            for scores, total, own in zip(self.scores, self.totals, values)
        ]
        return np.sum(sums, 0) >= self.needed


def _said(mixtures: Iterable[Mixture], y: np.ndarray, form: TargetFormat) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that each member says of targets `[2, R, d, M]`, and the members' weights `[R, M]`."""
    low, high = (np.reshape(end, (len(y), -1)) for end in form.ends(y))
    # A target that is one of several with the same value has no rank of its own: ties are broken at random.
    ties = np.random.default_rng(TIES_SEED).random(low.shape)
    below = np.where(low < high, 1.0, ties), np.where(low < high, 0.0, ties)
    values, shares, start = [], [], 0
    for mixture in mixtures:
        rows = slice(start, start + mixture.batch_shape[0])
        outputs = list(members.of_outputs(mixture))
        by_end = [
            [one.scores(end[rows, axis], share[rows, axis]) for axis, one in enumerate(outputs)]
            for end, share in zip((low, high), below)
        ]
        values.append(np.moveaxis(by_end, 1, 2))
        shares.append(outputs[0].shares)
        start = rows.stop
    return np.concatenate(values, 1), np.concatenate(shares)


def _groups(levels: Sequence[float], size: tuple[int, int]) -> list[np.ndarray]:
    """The levels, so many at a time that what is computed for all components fits the memory."""
    most = max(1, MAX_NUMBERS // max(1, size[0] * size[1]))
    return np.split(np.asarray(levels), range(most, len(levels), most))
