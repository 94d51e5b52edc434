"""Early stopping for each member of an ensemble.

Shapes in comments: M members, V held-out rows.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.ensembles.calibration import effective_rows
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.scores.targets import TargetFormat

# Rows that each member is judged by at once: the memory that networks need grows with them.
AT_ONCE = 2_500


class EnsembleEarlyStopping(keras.callbacks.Callback):
    """Keeps the best weights of each member of an `Ensemble`, and stops when no member has improved for long.

    Each member is judged at the end of every epoch by the negative log-likelihood of rows of its own, which it must not
    learn from: give them `sample_weight` 0 in that member's column. All members get their own best weights when
    training ends.

    The members are judged with their scales multiplied by `scale_temperature`: an ensemble is broader than any of its
    members, so that each may train slightly past its own optimum. The mean of the scores is logged as `held_out_loss`.

    A member whose score is never finite keeps the weights that it started with, and a warning says so.

    Few rows tell little of which epoch was a member's best. With `shared_rows`, the scores of all members are counted
    in: their mean is that of so many more rows of each.

    With `first_half`, what would have been kept by either half of a member's rows alone is known as well: `restore`
    gives it to the members. So each half can judge a member that it has not chosen.

    With an optimizer that averages the weights (`use_ema=True`), put
    `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` before this callback: the averages are then judged and kept.

    Args:
      x: features, an array or a structure of arrays of n rows.
      y: targets `[n, *E]`.
      held_out: which rows each member is judged by, booleans `[n, M]`.
      sample_weight: how much each row counts in the judgement, `[n]`, 0 or more. None: all alike.
      first_half: which of a member's held-out rows are in the first of two halves, booleans `[n, M]`.
      shared_rows: how many rows the mean score of all members counts for in the choice of each one's best epoch.
      patience: how many epochs without any member's improvement end the training.
      scale_temperature: factor of the scales while judging.
      verbose: whether to print when training stops.
      intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
      missing: whether NaN stands for what was not observed, likewise. Rows of which nothing is known do not count.

    Raises:
      ValueError: if `held_out` does not fit x and the ensemble, or leaves a member without rows that count; if
        `sample_weight` is not a number of 0 or more for each row.

    Example:

    >>> x = np.linspace(-1.0, 1.0, 60)[:, np.newaxis]
    >>> y = x[:, 0]
    >>> networks = [keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)]) for _ in range(3)]
    >>> ensemble = tfmdn.Ensemble(networks, weights_by_member=True)
    >>> ensemble.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> held_out = np.arange(60)[:, np.newaxis] % 3 == np.arange(3)  # three folds
    >>> stopping = tfmdn.EnsembleEarlyStopping(x, y, held_out, patience=3)
    >>> history = ensemble.fit(x, y, sample_weight=~held_out, epochs=5, callbacks=[stopping], verbose=0)
    >>> stopping.best_scores.shape
    (3,)
    """

    def __init__(
        self,
        x: Any,
        y: ArrayLike,
        held_out: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        first_half: ArrayLike | None = None,
        shared_rows: float = 0.0,
        patience: int = 10,
        scale_temperature: float = 1.25,
        verbose: bool = False,
        intervals: bool = False,
        missing: str = "error",
    ):
        super().__init__()
        held_out = np.asarray(held_out, bool)
        if held_out.ndim != 2 or len(held_out) != len(y) or not held_out.any(0).all():
            raise ValueError(
                f"`held_out` must be booleans of shape (n, members) for the n = {len(y)} rows, with at least one row "
                f"for each member. Received: shape {held_out.shape} with {held_out.sum(0).tolist()} rows."
            )
        self.patience = validation.positive_integer("patience", patience)
        self.scale_temperature = validation.positive_number("scale_temperature", scale_temperature)
        self.verbose = verbose
        self.shared_rows = validation.nonnegative_number("shared_rows", shared_rows)
        self._form = TargetFormat(intervals, missing)
        row_weights = validation.row_weights(sample_weight, len(y)) * self._form.rows_that_say_anything(y)
        counted = held_out & (row_weights > 0)[:, np.newaxis]
        if not counted.any(0).all():
            raise ValueError(
                "`sample_weight` must be above 0 for at least one row that each member is judged by. "
                f"Received: {counted.sum(0).tolist()} such rows."
            )
        halves = [counted] if first_half is None else [counted & first_half, counted & ~np.asarray(first_half, bool)]
        if not all(half.any(0).all() for half in halves):
            halves = [counted]  # of so few rows there are no halves
        shares = counted * row_weights[:, np.newaxis]
        shares = shares / shares.sum(0)
        judgements = [counted, *halves] if len(halves) == 2 else halves
        self._totals = np.stack([(shares * rows).sum(0) for rows in judgements])
        self._num_rows = np.stack([effective_rows(shares * rows) for rows in judgements])
        most = max(half.sum(0).max() for half in halves)  # one graph is for both halves
        self._halves = [_rows_of_members(x, y, half, shares, most) for half in halves]
        self._num_members = held_out.shape[1]

    def on_train_begin(self, logs=None):
        if not isinstance(self.model, Ensemble) or self.model.num_members != self._num_members:
            raise ValueError(
                f"`held_out` has columns for {self._num_members} members. Received: {self.model.name}, "
                f"{getattr(self.model, 'num_members', 'not an Ensemble')}."
            )
        self._waited = 0
        self._best_scores = np.full(self._num_members, np.inf, keras.config.floatx())
        self._best_choices, self._first_means = np.full(self._totals.shape, np.inf), None
        self._best_epochs = np.zeros(self._num_members, int)
        self._graphs = _graphs(self.model, self._form, 3 if self.has_halves else 1)
        self._graphs.prepare(self._halves[0][0])
        self._best_weights = self._graphs.weights()

    def scores(self, scale_temperature: float = 1.0) -> np.ndarray:
        """The scores of the members as they are now `[M]`, with their scales multiplied by a factor."""
        return self._scores_of_halves(scale_temperature).sum(0)

    def _scores_of_halves(self, scale_temperature: float) -> np.ndarray:
        """What each half adds to the scores, `[1, M]` or `[2, M]`."""
        factor = tf.constant(scale_temperature, tf.float64)
        return np.stack([sum(self._graphs.judge(*rows, factor).numpy() for rows in half) for half in self._halves])

    def _choices(self, of_halves: np.ndarray) -> np.ndarray:
        """What all rows, and each half of them, choose the epoch of each member by: `[1, M]` or `[3, M]`."""
        sums = np.concatenate([of_halves.sum(0, keepdims=True), of_halves]) if self.has_halves else of_halves
        means = sums / self._totals
        if not self.shared_rows:
            return means
        if self._first_means is None:
            self._first_means = means
        # One that gets worse than it was in the beginning does not choose for the others.
        bounded = np.ma.masked_invalid(np.fmin(means, self._first_means)).mean(1, keepdims=True).filled(0.0)
        return means + self.shared_rows / self._num_rows * bounded

    @property
    def has_halves(self) -> bool:
        """Whether the rows of each member are in two halves."""
        return len(self._halves) == 2

    def restore(self, half: int | None = None) -> None:
        """Gives the members what was best by all of their rows, or by those of one half alone: 0, the first, or 1."""
        judgement = 0 if half is None else 1 + half
        for value, (variable, _) in zip(self._best_weights, self.model.member_variables):
            variable.assign(value[judgement])

    def on_epoch_end(self, epoch, logs=None):
        of_halves = self._scores_of_halves(self.scale_temperature)
        scores = of_halves.sum(0)
        choices = self._choices(of_halves)
        if logs is not None:
            logs["held_out_loss"] = float(scores.mean())
        better_by = choices < self._best_choices
        self._best_choices = np.where(better_by, choices, self._best_choices)
        if better_by.any():
            self._graphs.keep(self._best_weights, better_by)
        better = better_by[0]
        self._best_scores = np.where(better, scores, self._best_scores)
        self._best_epochs[better] = epoch + 1
        self._waited = 0 if better.any() else self._waited + 1
        if self._waited >= self.patience:
            self.model.stop_training = True
            if self.verbose:
                print(f"Epoch {epoch + 1}: no member improved for {self.patience} epochs.")

    def on_train_end(self, logs=None):
        self.restore()
        never_finite = np.flatnonzero(~np.isfinite(self.best_scores))
        if len(never_finite):
            warnings.warn(
                f"The held-out score of members {never_finite.tolist()} was never finite: they keep the weights they "
                "started with. Training has diverged, or the features are not finite.",
                stacklevel=2,
            )

    @property
    def best_scores(self) -> np.ndarray:
        """The best score of each member `[M]`, in nats for each row."""
        return self._best_scores

    @property
    def best_epochs(self) -> np.ndarray:
        """The epoch of each member's best score `[M]`, counted from 1; 0 for one whose score was never finite."""
        return self._best_epochs


class _Graphs:
    """The graphs that judge an ensemble's members, and that keep the best weights of each by some judgements."""

    def __init__(self, model: Ensemble, form: TargetFormat, num_judgements: int):
        self.jit_compile = model.jit_compile
        self.form = form
        self.floatx = keras.config.floatx()  # the dtype of `member_scores`
        self.num_judgements = num_judgements
        self._model = model
        # Partials of its own: TensorFlow would count the traces of all trainings together, and warn of too many.
        judge = functools.partial(model.member_scores, intervals=form.intervals, missing=form.missing)
        keep = functools.partial(self._keep)
        self.judge = tf.function(judge, jit_compile=self.jit_compile, autograph=False)
        self.keep = tf.function(keep, autograph=False)

    def prepare(self, held_out: tuple) -> None:
        """Traces what judges by x, y and weights `[M, V, ...]`, of any number of rows: the next training has others."""

        def any_number(rows):
            return tf.TensorSpec([rows.shape[0], None, *rows.shape[2:]], rows.dtype)

        self.judge.get_concrete_function(*keras.tree.map_structure(any_number, held_out), tf.TensorSpec([], tf.float64))

    def weights(self) -> list[tf.Variable]:
        """The weights as they are: for each judgement those of one variable, side by side.

        These are a third of the operations of one judgement after the other.
        """
        return [
            tf.Variable(tf.stack(self.num_judgements * [tf.convert_to_tensor(variable)]))
            for variable, _ in self._model.member_variables
        ]

    def _keep(self, weights: list[tf.Variable], better: tf.Tensor) -> None:
        """Keeps the weights of those members that are better, by each judgement: `[judgements, M]`."""

        @functools.lru_cache  # each choice a part of the graph once
        def chosen(start, stop, rank):
            return tf.reshape(better[:, start:stop], [self.num_judgements, -1] + [1] * (rank - 1))

        for value, (variable, members) in zip(weights, self._model.member_variables):
            value.assign(tf.where(chosen(members.start, members.stop, len(variable.shape)), variable, value))


def _graphs(model: Ensemble, form: TargetFormat, num_judgements: int) -> _Graphs:
    """Those of the model's last training, which need not be traced again."""
    wanted = model.jit_compile, form, keras.config.floatx(), num_judgements
    graphs = getattr(model, "_tfmdn_judging", None)
    if graphs is None or (graphs.jit_compile, graphs.form, graphs.floatx, graphs.num_judgements) != wanted:
        graphs = model._tfmdn_judging = _Graphs(model, form, num_judgements)
    return graphs


def _part(rows: tuple, part: slice) -> tuple:
    """Some of the rows `[M, V, ...]` of each member."""
    return keras.tree.map_structure(lambda values: tf.constant(values[:, part]), rows)


def _rows_of_members(x, y: ArrayLike, held_out: np.ndarray, shares: np.ndarray, size: int) -> list[tuple]:
    """Of the rows of each member x, y and their shares of its score, `[M, V, ...]`, some rows at a time."""
    rows, shares = _padded_rows(held_out, shares, size)
    own_rows = keras.tree.map_structure(lambda part: np.asarray(part)[rows], (x, y))
    parts = [slice(start, start + AT_ONCE) for start in range(0, size, AT_ONCE)]
    return [_part((*own_rows, shares), columns) for columns in parts]


def _padded_rows(held_out: np.ndarray, shares: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of each member `[M, V]`, filled up to V = `size`, and their shares `[n, M]` of its score."""
    rows = np.stack([np.resize(np.flatnonzero(column), size) for column in held_out.T])
    is_own = np.arange(size) < held_out.sum(0)[:, np.newaxis]  # the filling is not
    members = np.arange(len(rows))[:, np.newaxis]
    return rows, (shares[rows, members] * is_own).astype(np.float32)
