"""`MDNRegressor`: mixture density networks behind scikit-learn's interface.

Shapes in comments: n rows, F features, d outputs, M members, Q quantiles.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

from tfmdn import processes, validation
from tfmdn.tabular import (
    answers,
    counting,
    encoding,
    evaluation,
    folds,
    graph_mode,
    inputs,
    labels,
    off_data,
    plans,
    storage,
    streams,
    targets,
    tree_features,
)
from tfmdn.tabular.composition import Composition
from tfmdn.tabular.progress import Progress
from tfmdn.tabular.recipe import Recipe, Table

tfd = tfp.distributions

AUTO_COMPONENTS = (1, 2, 4, 8, 16)


class MDNRegressor(answers.Answers, storage.Stored, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Predicts the whole distribution of the targets with an ensemble of mixture density networks.

    Nothing needs to be scaled, encoded or set. Tables are taken as they are, see `fit`. Features and targets are
    standardised inside; each network learns on nine tenths of the rows, and is stopped early on the others; the
    prediction is the mixture of all of them, as broad as those other rows say that it should be, in the targets' units.

    Args:
      num_components: the number of components of each network's mixture; "auto" tries 1, 2, 4, 8 and 16 and keeps what
        the held-out rows are most likely under, at five times the cost.
      family: the kind of component, see `tfmdn.MDNLayer`.
      covariance: "diag", "spherical" or "full" for several outputs, see `tfmdn.MDNLayer`. "auto" means "full" for 2 to
        10 outputs (with a given `support` to 3) with normal components, else "diag". Of correlated outputs of up to 12
        numbers there are also networks that start as a Gaussian mixture of both, see `tfmdn.MDNLayer.adapt`.
      n_estimators: the number of networks of each kind that is tried, see `trees` and `covariance`.
      network: a function that returns a new Keras model from standardised features `[n, F]` to hidden features
        `[n, H]`; the mixture's layer is put behind it. Behind the numbers stand indicators of what is missing and of
        categories, so that F may be more than the table's columns. If it has a parameter `seed`, it gets an integer for
        each network, which follows from `random_state`; what it does not seed, Keras does
        (`keras.utils.set_random_seed`). None means the default: each number embedded by `tfmdn.features`, then dense
        layers. Fits of the default network with the same settings and kinds of tables share what TensorFlow has traced;
        others do not.
      hidden_units: sizes of the dense layers of the default network. "auto" means (128, 128), and four layers of 96 for
        one or two features and at least 5,000 rows.
      learning_rate: the learning rate of AdamW, after a short warm-up.
      weight_decay: the decay of AdamW, on kernels only.
      batch_size: rows in a batch. "auto" means 32, from 2,000 rows on 64, and from 5,000 on 128.
      max_steps: the largest number of batches to learn from. "auto" means 4,000, for one or two features and at least
        5,000 rows 6,000, and for more rows as many as 60 passes over them have, but at most 12,000.
      patience: training stops when no network has improved on its held-out rows for this many batches.
      max_seconds: training stops when networks are next judged, every 25 to 100 batches, so many seconds after the
        beginning of `fit`, or later, and what was best so far is kept; None for no limit. Calibration takes a few
        seconds more. Of several kinds of networks, and numbers of components, which "auto" tries, each gets an equal
        part of the time that those before it have left, and what there is no time for is not tried.
      min_scale: the smallest scale of a component, in units of the targets' scale; `calibrate` may halve it.
      support: where targets can lie: a pair (low, high) of numbers, None for no limit, or lists of these with one for
        each output; nothing is predicted outside. "auto": where at least 320 targets end abruptly, a limit is put just
        beyond them, see `tfmdn.layers.support.found_in`; `background`, without which no limits are put, keeps what
        is beyond possible. None: all numbers. See `tfmdn.MDNLayer`; limits are for family "normal", and with
        covariance "full" for at most 3 outputs: for more, no limits are looked for.
      atoms: which limits have a probability of their own, see `tfmdn.MDNLayer`: True, False, a pair or lists of these.
        "auto": limits, given or found, that one in 25 targets equals, or one in 50 if no other value is common: as of
        no rain, the cap of a price, the end of a study. They need independent coordinates: covariance "auto" then means
        "diag".
      resolution: the step to which targets are rounded, see `tfmdn.MDNLayer`: a number, or a list with one or None for
        each output. "auto": the step of counts, ratings and the like, if it is at least a fiftieth of the targets'
        standard deviation; a finer one makes no difference. None: targets are not rounded. `score` is then the mean
        logarithm of a probability.
      background: the weight of a broad component that no feature changes, see `tfmdn.MDNLayer`, while training. With
        `calibrate` it is learnt afterwards.
      x_noise: noise on the features while training, as a multiple of the rule of thumb of
        `tfmdn.features.NoiseRegularization`.
      y_noise: the same on the targets. Not for families of positive targets, which it could bring below 0.
      trees: whether to try members that see the predictions of trees (`tfmdn.features.TreeEmbedding`) among the
        features. If so, there are `n_estimators` of these and as many others, and rows that they have not learnt from
        say how much each kind counts. True: yes, from 40 rows on. "auto": with the default network, 300 rows or more,
        3 features or more, at most 10 outputs, and unless it would take much of `max_seconds`. False: no.
      calibrate: whether to multiply all scales by the factor, and to give the background the weight, that suit rows
        which networks have not learnt from, see `tfmdn.Ensemble.calibrate`. Not done with fewer than 40 rows.
      intervals: whether each target is a pair (low, high) between which it lies, so that y is `(n, 2)`, or `(n, d, 2)`
        for d outputs: equal ends are its value, (low, inf) is a target that is censored at the right, as of a study
        that ended before. Limits, atoms and a resolution are then those that are given, and covariance "auto" means
        "diag".
      fallback: whether rows that are unlike the table, as in a gap or beyond an end of one of its numbers, are answered
        less surely, see `tfmdn.layers.Extrapolation`: True, False, or the share of such rows, 0.001 for True. Not by
        default: of rows like the table's it changes next to nothing, but of fewer than some hundred rows, or of numbers
        with long tails, some are taken to be unlike it. `model_` is then never an Ensemble alone.
      random_state: an integer or a `numpy.random.RandomState` for results that repeat; None for others each time.
        Global random numbers are neither used nor changed.
      verbose: 1 shows `findings_`, a bar of how far the fit has come, and how the training ended.

    Attributes:
      model_: the fitted Keras model, from a table's columns by name to the mixture, in original units: what it takes is
        what `model_inputs` returns. Of an array of numbers it takes rows `[n, F]`, and is a `tfmdn.Ensemble` if none
        was missing, no trees were tried and there is no `fallback`. It can be exported with
        `tfmdn.export_saved_model`, and is not compiled.
      num_components_: the number of components, chosen if `num_components="auto"`.
      n_steps_: the number of batches learnt from, by the kind of networks that learnt from most.
      best_steps_: after how many of them each member was best on its held-out rows, `[M]`: what it was then is kept.
        The M members are those of all kinds that count.
      stopped_by_: what ended the training of the kind that counts most: "patience", "max_seconds" or "max_steps".
      findings_: what was found of the columns and the targets, a sentence for each fact, such as what is left out, and
        which values have a probability.
      held_out_scores_: the held-out negative log-likelihood of each member `[M]`, of targets in standard units.
      n_features_in_: the number of X's columns.
      feature_names_in_: their names, if X had names that are text.
      target_names_: the names of the targets if y was pandas', else None.

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(300, seed=0)
    >>> regressor = tfmdn.MDNRegressor(n_estimators=2, max_steps=200, random_state=0).fit(x, y)
    >>> regressor.predict_interval(x[:5], coverage=0.9).shape
    (5, 2)
    >>> regressor.predict_dist(x[:5]).log_prob(y[:5]).shape
    TensorShape([5])
    """

    def __init__(
        self,
        num_components: int | str = Recipe.num_components,
        *,
        family: str = Recipe.family,
        covariance: str = Recipe.covariance,
        n_estimators: int = Recipe.n_estimators,
        network: Callable[..., keras.Model] | None = Recipe.network,
        hidden_units: Sequence[int] | str = Recipe.hidden_units,
        learning_rate: float = Recipe.learning_rate,
        weight_decay: float = Recipe.weight_decay,
        batch_size: int | str = Recipe.batch_size,
        max_steps: int | str = Recipe.max_steps,
        patience: int = Recipe.patience,
        max_seconds: float | None = Recipe.max_seconds,
        min_scale: float = Recipe.min_scale,
        support: str | tuple | None = Recipe.support,
        atoms: str | bool | tuple | None = Recipe.atoms,
        resolution: str | float | Sequence[float | None] | None = Recipe.resolution,
        background: float = Recipe.background,
        x_noise: float = Recipe.x_noise,
        y_noise: float = Recipe.y_noise,
        trees: bool | str = "auto",
        calibrate: bool = Recipe.calibrate,
        intervals: bool = False,
        fallback: bool | float = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.num_components = num_components
        self.family = family
        self.covariance = covariance
        self.n_estimators = n_estimators
        self.network = network
        self.hidden_units = hidden_units
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.patience = patience
        self.max_seconds = max_seconds
        self.min_scale = min_scale
        self.support = support
        self.atoms = atoms
        self.resolution = resolution
        self.background = background
        self.x_noise = x_noise
        self.y_noise = y_noise
        self.trees = trees
        self.calibrate = calibrate
        self.intervals = intervals
        self.fallback = fallback
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # score() is a log-likelihood, not the R^2 that scikit-learn's tests look at.
        tags.regressor_tags.poor_score = True
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        return tags

    def fit(
        self,
        X: ArrayLike | tf.data.Dataset,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> MDNRegressor:
        """Fits the networks.

        Args:
          X: features: a table of pandas, Polars, PyArrow or another library that narwhals knows, a mapping of names to
            columns, an array `(n, F)` of numbers, text or objects (what NumPy has masked in it is missing), or a sparse
            matrix of at most 1 GiB when dense. A column holds numbers or booleans, dates, times or durations, or text
            or categories. In each, values may be missing: that they are is a feature, where it occurs. Text of ISO
            dates is dates. Categories of fewer than 3 rows are one. What says nothing, as a column of one value or of
            names, is left out, and `findings_` says so.
            Or, of a table that is larger than memory, a finite `tf.data.Dataset` of batches (X, y) or (X, y,
            sample_weight), X being `[B, F]` or a dict of columns `[B]`. It is read once: of its rows as many are drawn
            at random as `max_steps` batches have (by default 1,536,000; never fewer than 100,000, and at most 1 GiB),
            which are then learnt from as if they were the table.
          y: targets `(n,)` or `(n, d)`; of several outputs NaN stands for one that was not observed, and rows of which
            nothing is known do not count. With `intervals` pairs in a last axis of size 2. None beside a dataset.
          sample_weight: weights of the rows `(n,)`, 0 or more, or None. Their scale does not matter. Rows of weight 0,
            and those whose targets are masked in a NumPy masked array, do not count, whatever they hold.
          groups: labels `(n,)`, numbers or text, of rows that belong together, such as those of one patient, where
            others are to be predicted for. A network learns from all rows of a group or from none, so that held-out
            rows are as new to it as others will be. None: each row is for itself. Not for a dataset.

        Returns:
          Itself. If it fails or is interrupted, an earlier fit is left as it was.
        """
        processes.require_usable_tensorflow()
        before = dict(vars(self))
        try:
            with graph_mode.graphs("MDNRegressor.fit"):
                self._fit(X, y, sample_weight, groups)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        return self

    def _fit(self, X, y, sample_weight, groups) -> None:
        recipes, progress = self._recipes(), Progress(bool(self.verbose), self.max_seconds)
        novelty = off_data.checked(self.fallback)
        if isinstance(X, tf.data.Dataset):
            if y is not None or sample_weight is not None:
                raise ValueError("A dataset has y and sample_weight in its elements. Received: a dataset, and these.")
            if groups is not None:
                raise ValueError("`groups` are for a table in memory. Received: a dataset.")
            X, y, sample_weight = streams.sample(X, plans.most_rows(self.batch_size, self.max_steps), progress)
        if y is None:  # in scikit-learn's words
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        progress.show("reading the table", share=0.0)
        X, y, sample_weight, groups = counting.without_junk(X, y, sample_weight, self.intervals, groups)
        target_names = None if self.intervals else labels.target_names(y)
        self._columns, raw = inputs.learned(self, X)
        y = targets.validated(y, self.intervals, inputs.num_rows(raw))
        form = targets.target_format(y, self.intervals)
        weights = validation.row_weights(sample_weight, len(y)) * form.rows_that_say_anything(y)
        groups = None if groups is None else folds.group_numbers(groups, len(y))
        counted = weights > 0
        if counted.sum() < 2:
            raise ValueError(
                "`sample_weight` must not be zero for at least 2 rows with a target of which anything is known. "
                f"Received: {counted.sum()} such rows."
            )
        self._output_shape, self.target_names_ = y.shape[1:-1] if self.intervals else y.shape[1:], target_names
        y = self._as_events(y)
        if not counted.all():  # else there is no need for a copy
            raw, y, weights = inputs.rows_of(raw, counted), y[counted], weights[counted]
            groups = None if groups is None else groups[counted]
        self._typical_values = evaluation.typical_values(y, form, weights)
        encoded = encoding.learned(self._columns, raw)
        for finding in encoded.findings:
            progress.say(finding)
        x = encoding.features(encoded.model, raw)
        del raw  # to make room
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        layout, trees = encoded.layout, None
        size = math.prod(self._event_shape)
        if tree_features.are_tried(self.trees, x.shape, size, self.network is None, self.max_seconds):
            progress.show(f"growing trees on {len(x):,} x {x.shape[1]:,}", share=0.0)
            parts = folds.parts(len(x), np.random.default_rng(seed), groups)
            trees = tree_features.learned(x, y, form, weights, parts, seed)
            if trees is not None:
                x, layout = trees.beside(x, layout), layout.with_trees(trees.size)
        table, fits = Table(x, layout, y, form, weights, groups, seed, trees), {}
        for number, recipe in enumerate(recipes):
            if fits and progress.is_late:
                break
            if len(recipes) > 1:
                progress.say(f"num_components={recipe.num_components}")
            left = len(recipes) - number
            fits[recipe.num_components] = recipe.fit(table, progress, left)
        self.num_components_ = min(fits, key=lambda count: fits[count].loss)
        best = fits[self.num_components_]
        self.held_out_scores_, self.findings_ = best.scores, (*encoded.findings, *best.findings)
        self.n_steps_, self.best_steps_ = best.ending.num_steps, best.ending.best_steps
        self.stopped_by_ = best.ending.reason
        self._conformal, encoder = best.conformal, encoded.model
        if trees is not None:
            encoder = trees.encoding(encoded.model, encoded.layout, any(kind.sees_trees for kind in best.kinds))
        if novelty is not None:
            progress.show("looking for what is unlike the table", share=1.0)
        fallback = off_data.learned(novelty, x, encoded.layout, y, form, weights)
        self.model_ = Composition(encoder, best.model, fallback).model()

    def _recipes(self) -> list[Recipe]:
        """What is to be tried: one recipe, or one for each number of components."""
        is_auto = validation.is_auto("num_components", self.num_components, "a positive integer or 'auto'")
        counts = AUTO_COMPONENTS if is_auto else (self.num_components,)
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}
        return [Recipe(**{**settings, "num_components": count}) for count in counts]
