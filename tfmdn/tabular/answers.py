"""What a fitted `MDNRegressor` answers.

Shapes in comments: n rows, F features, d outputs, Q quantiles.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Literal, overload

import keras
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from tfmdn import processes, validation
from tfmdn.distributions.mixture import Mixture
from tfmdn.export import raw_inputs
from tfmdn.plots import report
from tfmdn.scores.likelihood import negative_log_likelihood
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import chunks, counting, evaluation, inputs, labels, questions, storage, tables, targets
from tfmdn.tabular.columns import Columns
from tfmdn.tabular.composition import Composition
from tfmdn.tabular.conformal import Conformal
from tfmdn.tabular.evaluation import Evaluation


class Answers:
    """A base class, before `sklearn.base.BaseEstimator`, of an `MDNRegressor`: what it is asked once it is fitted.

    A subclass sets what is declared here.
    """

    intervals: bool
    model_: keras.Model
    _columns: Columns | None
    _output_shape: tuple[int, ...]
    target_names_: list | None
    _typical_values: list[list[float]]
    _conformal: Conformal

    @property
    def _event_shape(self) -> tuple[int, ...]:
        """One column of targets is a scalar event, whatever the shape it came in."""
        return () if self._output_shape in ((), (1,)) else self._output_shape

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[False] = False, quantiles: Sequence[float] | None = None
    ) -> np.ndarray: ...

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[True], quantiles: None = None
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False, quantiles: Sequence[float] | None = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The mean of the targets, `(n,)` or `(n, d)`.

        Args:
          X: features `(n, F)`.
          return_std: whether to return a tuple of the mean and the standard deviation.
          quantiles: what is asked for instead: what `predict_quantiles` returns, which pipelines do not have.

        Raises:
          ValueError: if both are asked for.
        """
        if quantiles is not None:
            if return_std:
                raise ValueError(
                    "Either `return_std` or `quantiles` can be asked for, not both at once. "
                    f"Received: return_std={return_std!r}, quantiles={quantiles!r}."
                )
            return self.predict_quantiles(X, quantiles)
        x, index = self._features(X)
        ask = questions.mean_and_stddev if return_std else questions.mean
        results = [
            labels.labelled(self._in_output_shape(answer), index, self.target_names_)
            for answer in self._parts.answers(x, ask)
        ]
        return tuple(results) if return_std else results[0]

    def predict_dist(self, X: ArrayLike) -> Mixture:
        """The predictive distribution as one `tfmdn.Mixture` of batch shape `(n,)`, in float64.

        For targets `(n, 1)` its events are scalars.
        """
        x, _ = self._features(X)
        return chunks.concatenated(list(self._parts.predicted(x)))

    def predict_quantiles(
        self, X: ArrayLike, quantiles: Sequence[float], conformal: bool | tuple[ArrayLike, ArrayLike] = False
    ) -> np.ndarray:
        """The given quantiles of each target: `(n, Q)`, for d outputs `(n, d, Q)`.

        Args:
          X: features `(n, F)`.
          quantiles: numbers between 0 and 1.
          conformal: whether they are made to hold, see `predict_interval`. Then at most so many targets lie below a
            quantile of up to 0.5, and at most so many above a higher one as it leaves: with few rows 0.01 may be -inf.
        """
        quantiles = np.asarray(quantiles, np.float64)
        if quantiles.ndim != 1 or not ((quantiles > 0) & (quantiles < 1)).all():
            raise ValueError(f"`quantiles` must be a list of numbers between 0 and 1. Received: quantiles={quantiles}.")
        scores = self._scores(conformal)
        x, index = self._features(X)
        if scores is None:
            (found,) = self._parts.answers(x, questions.quantiles, quantiles)
        else:
            found = np.concatenate([scores.quantiles(mixture, quantiles) for mixture in self._parts.predicted(x)])
        return labels.labelled(found, index, self.target_names_, columns=quantiles)

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.9, conformal: bool | tuple[ArrayLike, ArrayLike] = False
    ) -> np.ndarray:
        """The central interval of probability `coverage` for each target: `(n, 2)`, for d outputs `(n, d, 2)`.

        With `conformal` its ends are moved to where it covers as often as it says, even if the model is wrong: on
        average over rows that are drawn as those were that it was fitted to, with as many misses below as above. That
        is no promise for a single row, nor for some of the rows, such as those of one city or of a later year. Where
        too few rows tell, an end is infinite, or the limit of the targets: 90 % take 19 rows, 99 % take 199. Of several
        outputs each is covered by itself, and values that have a probability, as on a grid, are covered more often.

        Args:
          X: features `(n, F)`.
          coverage: strictly between 0 and 1.
          conformal: True goes by the rows that some networks have not learnt from, about half of them and at most
            4,000, as `tfmdn.tabular.conformal` says: CV+, whose coverage of 1 - a is proven to be about 1 - 2 a or
            more, and which is too wide where networks disagree; so its levels are moved by how far they do, for a
            coverage of 1 - a, which is measured and not proven
            (docs/benchmarks/results.md). If `fit` had `groups`, it is that of rows of new groups; if it had weights,
            rows count as they say. Of censored targets the worst is assumed.
            Or a pair (X, y) of rows that `fit` has not seen: then at least `coverage` is proven, whatever `fit` did,
            and at most 2 / (n + 1) more from n rows of which no two have the same rank.
        """
        coverage = validation.fraction("coverage", coverage)
        tail = round(0.5 - 0.5 * coverage, 15)  # 0.05 for 0.9, as the name of a column
        return self.predict_quantiles(X, [tail, 1.0 - tail], conformal)

    def _scores(self, conformal) -> Conformal | None:
        """The scores that make an answer conformal."""
        check_is_fitted(self)
        if isinstance(conformal, (bool, np.bool_)):
            return self._conformal if conformal else None
        if not isinstance(conformal, (tuple, list)) or len(conformal) != 2:
            raise TypeError(
                "`conformal` must be True, False or a pair (X, y) of rows that are not in the fit. "
                f"Received: {type(conformal).__name__}."
            )
        x, y, form, weights = self._known(*conformal, None)
        known = weights > 0
        # All that predicts is one member, which has learnt from none of these rows.
        held_out = np.ones((known.sum(), 1), bool)
        return Conformal.learned(self._parts.predicted(x[known]), y[known], form, held_out, weights[known])

    def sample(
        self, X: ArrayLike, num_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Draws from the predictive distributions: `(n, num_samples)`, for d outputs `(n, num_samples, d)`."""
        num_samples = validation.positive_integer("num_samples", num_samples)
        x, _ = self._features(X)
        rng = check_random_state(random_state)
        draws = [
            mixture.sample(num_samples, seed=int(rng.randint(np.iinfo(np.int32).max))).numpy()
            for mixture in self._parts.predicted(x)
        ]
        return np.moveaxis(np.concatenate(draws, 1), 0, 1)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The mean log-likelihood of the targets in nats; higher is better, and it can have either sign.

        Rows of weight 0 and masked targets do not count, whatever they hold.
        """
        x, y, form, weights = self._known(X, y, sample_weight)
        scores, start = [], 0
        for mixture in self._parts.predicted(x):
            part = y[start : start + mixture.batch_shape[0]]
            scores.append(negative_log_likelihood(part, mixture, **dataclasses.asdict(form)).numpy())
            start += len(part)
        return -float(np.average(np.concatenate(scores), weights=weights))

    def evaluate(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Evaluation:
        """How good the predictions of rows are that were not fitted to: a few figures, which print as a table.

        - `nll`: the mean negative log-likelihood in nats. Less is better; it can have either sign.
        - `crps`: the mean continuous ranked probability score in the target's units, see `tfmdn.crps`. Less is better.
        - `rmse`: the root of the mean square of what the mean is off by.
        - `skill`: the share that is saved of the CRPS of a prediction that sees no feature: 1 - `crps` / that of the
          distribution of the targets that it was fitted to. 1 is perfect; at 0 and below the features are of no use.
        - `calibration_error`: how far probabilities are off, see `tfmdn.metrics.CalibrationError`. n targets of a
          perfect model have about 0.4 / sqrt(n).
        - `coverage_50`, `coverage_80`, `coverage_90`: the share of targets inside the central interval of so many per
          cent, see `tfmdn.metrics.IntervalCoverage`.
        - `width_50`, `width_80`, `width_90`: the mean width of these intervals.
        - `joint_nll`: of several outputs the negative log-likelihood of all together.

        NaN stands for what cannot be said: `rmse` where a target is only known to lie in an interval, `skill` where one
        of these or of those fitted to is.

        Args:
          X: features `(n, F)`.
          y: their targets, as in `fit`. What was not observed, or is masked, does not count.
          sample_weight: weights of the rows `(n,)`, 0 or more, or None. Their scale does not matter, and what rows of
            weight 0 hold.

        Returns:
          A mapping from names to numbers, of several outputs to arrays `[d]`.

        Raises:
          ValueError: if the targets do not fit, or if none counts.
        """
        x, y, form, weights = self._known(X, y, sample_weight)
        predicted = self._parts.predicted(x)
        return evaluation.evaluation(predicted, y, form, weights, self._typical_values, self._names_of_outputs())

    def report(self, X: ArrayLike, y: ArrayLike, path: str | os.PathLike) -> None:
        """Writes a page for people who would rather look: how good the predictions are, and what they come from.

        It says in words what `evaluate` says in figures, and shows whether probabilities are right, predictions beside
        the targets, what each feature does to the median and the 80 % interval, and the worst rows. It is one file of
        HTML, which needs nothing else. Of more than 1,000 rows as many are drawn at random. An earlier file stays as it
        is if that fails.

        Args:
          X: features `(n, F)`, of rows that it was not fitted to.
          y: their targets, as in `fit`.
          path: the file to write, such as "report.html".

        Raises:
          ImportError: if matplotlib is not installed.
          ValueError: if the targets do not fit, or if none counts.
        """
        X, y = counting.that_count(X, y, self.intervals)
        _, events, form, _ = self._known(X, y, None)
        report.write(self, tables.dense(X), events, form, path)

    def _known(self, X, y, sample_weight) -> tuple[np.ndarray, np.ndarray, TargetFormat, np.ndarray]:
        """Checked features, the events that are their targets, what these say, and how much each row counts."""
        X, y, sample_weight, _ = counting.without_junk(X, y, sample_weight, self.intervals)
        x, _ = self._features(X)
        y = targets.validated(y, self.intervals, len(x))
        outputs, pair = math.prod(self._event_shape), 2 if self.intervals else 1
        if y[0].size != outputs * pair:
            raise ValueError(
                f"`y` must have the {outputs} outputs that the regressor was fitted to. Received: y of shape {y.shape}."
            )
        y, form = self._as_events(y), targets.target_format(y, self.intervals)
        weights = validation.row_weights(sample_weight, len(x)) * form.rows_that_say_anything(y)
        if not weights.any():
            raise ValueError("`y` must have a row of a weight above 0 of which anything is known. Received: none.")
        return x, y, form, weights

    def _names_of_outputs(self) -> list[str]:
        count = math.prod(self._event_shape)
        names = self.target_names_ or [None] * count
        default = ["target"] if count == 1 else [f"output {number}" for number in range(count)]
        return [str(name) if name is not None else other for name, other in zip(names, default)]

    def _as_events(self, y: np.ndarray) -> np.ndarray:
        """Targets `[n, *E]`, or pairs of them in a last axis."""
        return y.reshape(len(y), *self._event_shape, *([2] if self.intervals else []))

    def model_inputs(self, X: ArrayLike, format: str = "saved_model") -> np.ndarray | dict[str, np.ndarray]:
        """What `model_`, and what it is exported as, takes for a table.

        Of a table with names, text or dates these are its columns `(n,)` by the names of the model's inputs, which are
        letters, digits and _ of the columns' names: text, "" where it is missing, and numbers in float64, NaN where
        they are missing: 0 and 1 for booleans, seconds for durations, and for dates the seconds since 1970 by the clock
        of their zone. Of an array of numbers it is the array `(n, F)` in float64.

        Args:
          X: features `(n, F)`.
          format: what the model was exported as. For "onnx" dates that are text are seconds, too, and an array is in
            float32. For "litert" numbers are in float32, categories are codes, see `tfmdn.export.categories`, and dates
            are whole seconds in int64, the smallest number where there is none.
        """
        check_is_fitted(self)
        validation.one_of("format", format, storage.FORMATS)
        raw = inputs.read(self, self._columns, X, self._parts.can_have_gaps)
        if format == "saved_model":
            return raw
        return raw_inputs.given(self.model_, raw, is_coded=format == "litert")

    def _features(self, X) -> tuple[np.ndarray, object]:
        """What the networks see of a table, `(n, F)`, and the index of its rows if they were pandas'."""
        processes.require_usable_tensorflow()
        raw = self.model_inputs(X)
        return self._parts.features(raw), labels.index_of(X)

    @property
    def _parts(self) -> Composition:
        return Composition.of(self.model_)

    def _in_output_shape(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), *self._output_shape)
