"""The default way from a table to its conditional density: an ensemble of networks, trained together.

Shapes in comments: n rows, F features, M members.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from tfmdn import validation
from tfmdn.callbacks.early_stopping import EnsembleEarlyStopping
from tfmdn.distributions import folding
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.layers import families, features, specs
from tfmdn.layers import support as support_lib
from tfmdn.layers.mdn import MDNLayer
from tfmdn.layers.units import Units
from tfmdn.losses import NegativeLogLikelihood
from tfmdn.training.loop import fit

STEPS_PER_EPOCH = 25
# The number of correlations, and so the cost, grows with the square of the number of outputs.
MAX_CORRELATED = 10
# With one or two features the bins made the known densities worse, and the periodic embedding alone is enough.
MIN_BINNED_FEATURES = 3
# One or two features, which have no bins, gain by more layers if there are so many rows. Fewer rows lose by them.
MIN_DEEP_ROWS = 5_000
# Of each member: what a batch with far targets can do. A bound of 1 held back the other batches, too.
MAX_GRADIENT_NORM = 5.0
# The longest training on more rows: so many passes over them, and on very many only as long as one cares to wait.
PASSES, MOST_STEPS = 60, 12_000
# Rows in one of the parts that members are judged by: enough to compare, and little work beside the training.
MAX_HELD_OUT = 2_500
# Fewer rows do not tell how broad predictions should be.
MIN_CALIBRATED = 40


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a network is like by default, and how it is trained.

    Attributes:
      hidden_units: the sizes of its dense layers.
      longest: the longest training on few rows, in steps.
      averaged: over about how many steps its weights are averaged.
    """

    hidden_units: tuple[int, ...]
    longest: int
    averaged: int


SHALLOW = Plan((128, 128), longest=4_000, averaged=50)
# Deep networks go on learning for longer, and their weights then move less from step to step.
DEEP = Plan((96, 96, 96, 96), longest=6_000, averaged=100)


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained ensemble.

    Attributes:
      model: from features `[n, F]` to the mixture.
      scores: the held-out negative log-likelihood of each member `[M]`, of targets in standard units.
      num_steps: the number of batches learnt from.
    """

    model: Ensemble
    scores: np.ndarray
    num_steps: int


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The default configuration of `tfmdn.MDNRegressor`, which documents the fields.

    benchmarks/README.md has the experiments that it was chosen by.
    """

    num_components: int = 12
    family: str = "normal"
    covariance: str = "auto"
    n_estimators: int = 10
    network: Callable[[], keras.Model] | None = None
    hidden_units: Sequence[int] | str = "auto"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int | str = "auto"
    max_steps: int | str = "auto"
    patience: int = 500
    min_scale: float = 0.01
    support: str | tuple | None = "auto"
    background: float = 0.003
    x_noise: float = 0.0
    y_noise: float = 0.0
    calibrate: bool = True

    def __post_init__(self):
        validation.is_auto("support", self.support, "a pair of limits, 'auto' or None")
        for name in ("batch_size", "max_steps"):
            if not validation.is_auto(name, getattr(self, name), "a positive integer or 'auto'"):
                self._set_positive_integer(name)
        # A model itself is callable too, but would be one and the same for every member.
        if self.network is not None and (not callable(self.network) or isinstance(self.network, keras.layers.Layer)):
            raise TypeError(
                "`network` must be a function without arguments that returns a new Keras model. "
                f"Received: network={self.network!r}."
            )
        for name in ("num_components", "n_estimators", "patience"):
            self._set_positive_integer(name)
        for name in ("weight_decay", "x_noise", "y_noise"):
            validation.nonnegative_number(name, getattr(self, name))
        validation.positive_number("learning_rate", self.learning_rate)
        expected = "a list of positive integers or 'auto'"
        if not validation.is_auto("hidden_units", self.hidden_units, expected):
            if np.ndim(self.hidden_units) != 1:
                raise ValueError(f"`hidden_units` must be {expected}. Received: hidden_units={self.hidden_units!r}.")
            sizes = tuple(validation.positive_integer("hidden_units", units) for units in self.hidden_units)
            object.__setattr__(self, "hidden_units", sizes)
        if self.y_noise and self._excludes_zero:
            raise ValueError(
                f"Noise could bring targets below 0, which family={self.family!r} excludes. "
                f"Received: y_noise={self.y_noise}. Use y_noise=0."
            )

    @property
    def _excludes_zero(self) -> bool:
        return self.family in families.FAMILIES and families.FAMILIES[self.family].is_positive

    def _set_positive_integer(self, name: str) -> None:
        # Of Python's: Keras and JSON refuse NumPy's.
        object.__setattr__(self, name, validation.positive_integer(name, getattr(self, name)))

    def fit(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, verbose: int = 0) -> Fitted:
        """Trains an ensemble on features `[n, F]`, targets `[n, *E]` and weights `[n]`."""
        # Rows count in the units and the limits of the targets as they do in the training.
        typical = y[_by_weight(weights)]
        return self._settled(x, typical)._fit(x, y, typical, weights, seed, verbose)

    def _settled(self, x: np.ndarray, y: np.ndarray) -> Recipe:
        """The same recipe, with what is "auto" settled for features `[n, F]` and targets `[n, *E]`."""
        is_normal, size = self.family == "normal", math.prod(y.shape[1:])
        support, covariance = self.support, self.covariance
        # A head with support="auto" takes longer even if it finds no limit.
        can_have = is_normal and self.background > 0
        if support_lib.is_auto(support) and not (can_have and np.isfinite(support_lib.found_in(y)).any()):
            support = None
        if covariance == "auto":
            most = specs.MAX_CORRELATED_WITH_LIMITS if support_lib.is_given(support) else MAX_CORRELATED
            covariance = "full" if is_normal and y.ndim > 1 and size <= most else "diag"
        # So many outputs can have either correlations or limits. Limits that nobody asked for give way.
        if support_lib.is_auto(support) and covariance == "full" and size > specs.MAX_CORRELATED_WITH_LIMITS:
            support = None
        batch_size = _batch_size(len(x)) if isinstance(self.batch_size, str) else self.batch_size
        plan = _plan(*x.shape)
        return dataclasses.replace(
            self,
            support=support,
            covariance=covariance,
            hidden_units=plan.hidden_units if isinstance(self.hidden_units, str) else self.hidden_units,
            batch_size=batch_size,
            max_steps=_max_steps(plan, len(x), batch_size) if isinstance(self.max_steps, str) else self.max_steps,
        )

    def _fit(self, x, y, typical, weights, seed, verbose) -> Fitted:
        if support_lib.is_given(self.support):
            limits = support_lib.limits(self.support, y.shape[1:])
            support_lib.check_inside(y.min(0), y.max(0), *limits, self.support)
        with _repeatable(seed):
            # Members learn targets in standard units. The networks that predict have heads of their own, in the
            # targets' units, and are given what was learnt.
            head = self._head(y.shape[1:], self.support)
            head.adapt(typical)
            units = head.units
            standard_units = units.in_standard_units()
            y, typical = units.to_standard_units(y), units.to_standard_units(typical)
            inputs, hidden = self._hidden_of_members(x)
            learners = [keras.Model(inputs, self._learning_head(typical, standard_units)(own)) for own in hidden]
            networks = [keras.Model(inputs, self._head(y.shape[1:], self.support)(own)) for own in hidden]
            noisy = self._noise_on(typical, standard_units.limits)
        learner = Ensemble(learners, weights_by_member=True, max_gradient_norm=MAX_GRADIENT_NORM)
        optimizer = self._optimizer(learner.trainable_variables, _plan(*x.shape).averaged)
        learner.compile(optimizer, loss=NegativeLogLikelihood())
        held_out = _folds(len(x), self.n_estimators, np.random.default_rng(seed))
        stopping = EnsembleEarlyStopping(x, y, held_out, weights, patience=-(-self.patience // STEPS_PER_EPOCH))
        steps = min(STEPS_PER_EPOCH, self.max_steps)
        history = fit(
            learner,
            x,
            y,
            batch_size=self.batch_size,
            epochs=self.max_steps // steps,
            verbose=0,
            callbacks=[
                keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
                stopping,
                *([_Progress(steps)] if verbose else []),
            ],
            sample_weight=weights[:, np.newaxis] / weights.mean() * ~held_out,
            steps_per_epoch=steps,
            seed=seed,
            augment=noisy and (lambda x, y, weights: (x, noisy(y), weights)),
            drop_remainder=True,
            dtype="float64",
        )
        if not np.isfinite(stopping.best_scores).all():
            raise ValueError(
                "Training diverged: the held-out likelihood was never finite. "
                f"Received: learning_rate={self.learning_rate}, network={self.network}. Try a smaller learning rate."
            )
        model = Ensemble(networks)  # of the same weights in the same order
        model.set_weights(learner.get_weights())
        if self.calibrate and len(x) >= MIN_CALIBRATED:
            model.calibrate(x, y, held_out, weights)
            learner.set_weights(model.get_weights())
        scores = stopping.scores(learner.scale_temperature)
        for name, value in units.statistics.items():
            model.set_in_all_members(lambda network, name=name: getattr(network.layers[-1], name), value)
        return Fitted(model, scores, len(history.epoch) * steps)

    def _head(self, event_shape: tuple[int, ...], support: str | tuple | None, dtype: str = "float64") -> MDNLayer:
        """A head; in float64 unless targets are in standard units: others may be far from 0, or of any scale."""
        return MDNLayer(
            self.num_components,
            event_shape,
            family=self.family,
            covariance=self.covariance,
            min_scale=self.min_scale,
            support=support,
            background=self.background,
            dtype=dtype,
        )

    def _learning_head(self, y: np.ndarray, units: Units) -> MDNLayer:
        """A head that starts on targets in standard units `[n, *E]`."""
        support = support_lib.plain(*units.limits) if support_lib.is_given(self.support) else self.support
        # Standard units need no more than float32, which takes a quarter of the time less. But exp(100) is beyond it:
        # a positive target whose logarithm is 100 scales from the others.
        head = self._head(y.shape[1:], support, "float64" if self._excludes_zero else "float32")
        head.adapt(y)
        head.set_units(units)
        return head

    def _hidden_of_members(self, x: np.ndarray) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
        """The inputs, and what each network makes of them before its head.

        The members share nothing but the state learnt from the features `x`.
        """
        # In float64 up to here: a date in seconds has more digits than float32.
        standardization = features.Standardization(dtype="float64")
        standardization.adapt(x)
        rows = standardization(x).numpy()
        piecewise = None
        if self.network is None and x.shape[1] >= MIN_BINNED_FEATURES:
            piecewise = features.PiecewiseLinearEmbedding()
            piecewise.adapt(rows)
        inputs = keras.Input(x.shape[1:], dtype="float64")
        standardized = standardization(inputs)
        outputs, own_models = [], []
        for _ in range(self.n_estimators):
            hidden = standardized
            if self.x_noise:
                noise = features.NoiseRegularization(self.x_noise)
                noise.adapt(rows)
                hidden = noise(hidden)
            outputs.append(
                self._hidden(hidden, piecewise) if self.network is None else self._own_hidden(hidden, own_models)
            )
        return inputs, outputs

    def _own_hidden(self, inputs, earlier: list):
        """What the user's network makes of the inputs. It is added to the `earlier` ones."""
        model = self.network()
        if not callable(model) or any(model is other for other in earlier):
            problem = "the same model as before" if callable(model) else type(model).__name__
            raise TypeError(f"`network` must return a new Keras model each time it is called. Received: {problem}.")
        earlier.append(model)
        return model(inputs)

    def _hidden(self, inputs, piecewise: features.PiecewiseLinearEmbedding | None):
        """The default network: embeddings of each feature, then dense layers."""
        hidden = features.PeriodicEmbedding()(inputs)
        if piecewise is not None:
            hidden = keras.layers.Concatenate()([hidden, piecewise(inputs)])
        for units in self.hidden_units:
            # Biases of a width that matches the inputs' spread place the bends of the units over the data.
            bound = hidden.shape[-1] ** -0.5
            hidden = keras.layers.Dense(
                units,
                activation="silu",
                kernel_initializer="he_normal",
                bias_initializer=keras.initializers.RandomUniform(-bound, bound),
            )(hidden)
        return hidden

    def _optimizer(self, variables: Sequence[keras.Variable], averaged: int) -> keras.optimizers.Optimizer:
        warm_up = keras.optimizers.schedules.PolynomialDecay(
            self.learning_rate / 50, 10 + self.max_steps // 100, end_learning_rate=self.learning_rate
        )
        optimizer = keras.optimizers.AdamW(
            warm_up, weight_decay=self.weight_decay, beta_2=0.99, use_ema=True, ema_momentum=1.0 - 1.0 / averaged
        )
        optimizer.exclude_from_weight_decay(
            [variable for variable in variables if not variable.name.endswith("kernel")]
        )
        return optimizer

    def _noise_on(self, y: np.ndarray, limits: Sequence[np.ndarray]) -> Callable | None:
        """Noise for batches of targets, which does not take them beyond their limits."""
        if not self.y_noise:
            return None
        noise = features.NoiseRegularization(self.y_noise, dtype="float64")
        noise.adapt(y.reshape(len(y), -1))

        def noisy(batch):
            rows = noise(keras.ops.reshape(batch, (-1, noise.bandwidth.shape[0])), training=True)
            rows = keras.ops.reshape(rows, keras.ops.shape(batch))
            return folding.Interval(*limits).fold(rows) if limits else rows

        return noisy


class _Progress(keras.callbacks.Callback):
    """One progress bar for the whole training."""

    def __init__(self, steps_per_epoch: int):
        super().__init__()
        self._steps_per_epoch = steps_per_epoch

    def on_train_begin(self, logs=None):
        self._bar = keras.utils.Progbar(
            self.params["epochs"] * self._steps_per_epoch, stateful_metrics=["loss", "held_out_loss"], unit_name="step"
        )

    def on_epoch_end(self, epoch, logs=None):
        self._seen = (epoch + 1) * self._steps_per_epoch
        self._bar.update(self._seen, list((logs or {}).items()), finalize=False)

    def on_train_end(self, logs=None):
        self._bar.update(self._seen, finalize=True)


# Python's generator, which Keras draws default seeds from, is one for all threads.
_BUILDING = threading.Lock()


@contextlib.contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Makes the seeds that Keras gives to initializers and layers follow from `seed`, and nothing else."""
    with _BUILDING:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def _by_weight(weights: np.ndarray) -> np.ndarray:
    """Row numbers `[n]` in which each row is about as often as its weight `[n]` says: once, if all are alike."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative, (np.arange(len(weights)) + 0.5) * (cumulative[-1] / len(weights)))


def _batch_size(num_rows: int) -> int:
    # The noise of small batches keeps networks from overfitting few rows.
    return 32 if num_rows < 2_000 else 64 if num_rows < 5_000 else 128


def _max_steps(plan: Plan, num_rows: int, batch_size: int) -> int:
    return min(max(plan.longest, PASSES * num_rows // batch_size), MOST_STEPS)


def _plan(num_rows: int, num_features: int) -> Plan:
    return DEEP if num_features < MIN_BINNED_FEATURES and num_rows >= MIN_DEEP_ROWS else SHALLOW


def _folds(num_rows: int, num_members: int, rng: np.random.Generator) -> np.ndarray:
    """Which rows each member is judged by, booleans `[n, M]`: a tenth, each half of it with the next member.

    Of a half, at most `MAX_HELD_OUT` rows. Only rows that two members have not learnt from tell how broad a mixture of
    members should be. Too few rows to tell that are shared out without overlap.
    """
    held_out = np.zeros((num_rows, num_members), bool)
    in_pairs = num_rows >= MIN_CALIBRATED
    for first in range(0, num_members, 10):
        members = range(first, min(first + 10, num_members))
        rows = rng.permutation(num_rows)
        parts = np.array_split(rows, 20 if in_pairs else min(10, num_rows))[: max(2, len(members))]
        for member in members:
            for part in (member, member + 1) if in_pairs else (member,):
                held_out[parts[(part - first) % len(parts)][:MAX_HELD_OUT], member] = True
    return held_out
