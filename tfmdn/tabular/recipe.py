"""The default way from a table to its conditional density: an ensemble of networks, trained together.

Shapes in comments: n rows, F features, M members.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from tfmdn import validation
from tfmdn.layers import coarseness, families, joint_starts, specs
from tfmdn.layers import support as support_lib
from tfmdn.layers.ends import Ends
from tfmdn.reading import weighted
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import folds, lessons, plans, stacked, targets, trainings
from tfmdn.tabular import workshop as workshop_lib
from tfmdn.tabular.design import Design
from tfmdn.tabular.layout import Layout
from tfmdn.tabular.progress import Progress
from tfmdn.tabular.tree_features import TreeFeatures

# The number of correlations, and so the cost, grows with the square of the number of outputs.
MAX_CORRELATED = 10


@dataclasses.dataclass(frozen=True)
class Table:
    """What is learnt from.

    Attributes:
      x: features `[n, F]`, those of trees after the other numbers.
      layout: which of these are what.
      y: targets `[n, *E]`, or as `form` says.
      form: what is said of them.
      weights: of the rows, `[n]`.
      groups: numbers `[n]` of the groups of rows that belong together, or None.
      seed: what all random numbers follow from.
      trees: what is known of the features of trees, None if there are none.
    """

    x: np.ndarray
    layout: Layout
    y: np.ndarray
    form: TargetFormat
    weights: np.ndarray
    groups: np.ndarray | None
    seed: int
    trees: TreeFeatures | None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The default configuration of `tfmdn.MDNRegressor`, which documents the fields.

    docs/benchmarks/diary.md has the experiments that it was chosen by.
    """

    num_components: int = 12
    family: str = "normal"
    covariance: str = "auto"
    n_estimators: int = 10
    network: Callable[..., keras.Model] | None = None
    hidden_units: Sequence[int] | str = "auto"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int | str = "auto"
    max_steps: int | str = "auto"
    patience: int = 500
    max_seconds: float | None = None
    min_scale: float = 0.01
    support: str | tuple | None = "auto"
    atoms: str | bool | tuple | None = "auto"
    resolution: str | float | Sequence[float | None] | None = "auto"
    background: float = 0.003
    x_noise: float = 0.0
    y_noise: float = 0.0
    calibrate: bool = True

    def __post_init__(self):
        validation.is_auto("support", self.support, "a pair of limits, 'auto' or None")
        validation.is_auto("atoms", self.atoms, "True, False, a pair of these, 'auto' or None")
        validation.is_auto("resolution", self.resolution, "a number, a list of numbers, 'auto' or None")
        for name in ("batch_size", "max_steps"):
            if not validation.is_auto(name, getattr(self, name), "a positive integer or 'auto'"):
                self._set_positive_integer(name)
        # A model itself is callable too, but would be one and the same for every member.
        if self.network is not None and (not callable(self.network) or isinstance(self.network, keras.layers.Layer)):
            raise TypeError(
                f"`network` must be a function that returns a new Keras model. Received: network={self.network!r}."
            )
        for name in ("num_components", "n_estimators", "patience"):
            self._set_positive_integer(name)
        for name in ("weight_decay", "x_noise", "y_noise"):
            validation.nonnegative_number(name, getattr(self, name))
        validation.positive_number("learning_rate", self.learning_rate)
        if self.max_seconds is not None:
            validation.positive_number("max_seconds", self.max_seconds)
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

    def fit(self, table: Table, progress: Progress, left: int = 1) -> stacked.Fitted:
        """Trains an ensemble.

        Args:
          table: what it learns from.
          progress: what is told of the fit. It knows when it began, and what `max_seconds` is left.
          left: how many fits share the time that is left, this one counted.
        """
        x, layout, y, form, weights = table.x, table.layout, table.y, table.form, table.weights
        progress.show(f"preparing a table of {len(x):,} x {x.shape[1]:,}", share=0.0)
        values = targets.representative(y, form)
        # Rows count in the units and the limits of the targets as they do in the training.
        typical = values[weighted.by_weight(weights)]
        settled = self._as_of(form)._settled(len(x), layout.measured.num_features, typical)
        findings = (*targets.description(y, form), *settled._description(typical))
        for finding in findings:
            progress.say(finding)
        if self.y_noise and not form.is_plain:
            raise ValueError(f"Noise is for targets that are numbers. Received: y_noise={self.y_noise}. Use y_noise=0.")
        if support_lib.is_given(self.support):
            limits = support_lib.limits(self.support, values.shape[1:])
            support_lib.check_inside(values.min(0), values.max(0), *limits, self.support)
        judging = folds.folds(len(x), self.n_estimators, np.random.default_rng(table.seed), table.groups)
        lesson = lessons.Lesson(x, y, form, typical, weights, *judging, table.seed)
        design = settled._design(x, layout, typical, form)
        kinds = _kinds(table.trees and table.trees.hidden(self.n_estimators), design.is_joint)
        with workshop_lib.workshops.lend(design, table.seed) as workshop:
            fitted = settled._trained(workshop, lesson, kinds, progress, left)
        return dataclasses.replace(fitted, findings=(*findings, *fitted.findings))

    def _description(self, y: np.ndarray) -> list[str]:
        """What a settled recipe says of targets `[n, *E]`."""
        if self.atoms is None and self.resolution is None:
            return []
        found = coarseness.found_in(y, y.min(0), y.max(0), self.support, self.atoms, self.resolution)
        return found.description(y)

    def _as_of(self, form: TargetFormat) -> Recipe:
        """The recipe for targets of that form: the ends of intervals do not show where the targets end."""
        if not form.intervals:
            return self
        names = ("support", "atoms", "resolution")
        sought = {name: None for name in names if support_lib.is_auto(getattr(self, name))}
        covariance = "diag" if self.covariance == "auto" else self.covariance
        return dataclasses.replace(self, covariance=covariance, **sought)

    def _settled(self, num_rows: int, num_features: int, y: np.ndarray) -> Recipe:
        """The same recipe, with what is "auto" settled for so many rows and features, and targets `[n, *E]`."""
        size = math.prod(y.shape[1:])
        support, covariance, (atoms, resolution) = self.support, self.covariance, self._coarse(y)
        is_coarse = atoms is not None or resolution is not None
        # A head with support="auto" takes longer even if it finds no limit.
        if support_lib.is_auto(support) and not is_coarse:
            can_have = self.family == "normal" and self.background > 0
            support = support if can_have and np.isfinite(support_lib.found_in(y)).any() else None
        if covariance == "auto":
            most = specs.MAX_CORRELATED_WITH_LIMITS if support_lib.is_given(support) else MAX_CORRELATED
            can_be_full = self.family == "normal" and y.ndim > 1 and size <= most and not is_coarse
            covariance = "full" if can_be_full else "diag"
        # So many outputs can have either correlations or limits. Limits that nobody asked for give way.
        if support_lib.is_auto(support) and covariance == "full" and size > specs.MAX_CORRELATED_WITH_LIMITS:
            support = None
        batch_size = plans.batch_size(num_rows) if isinstance(self.batch_size, str) else self.batch_size
        plan = plans.plan(num_rows, num_features)
        max_steps = self.max_steps
        if isinstance(max_steps, str):
            max_steps = plans.max_steps(plan, num_rows, batch_size)
        return dataclasses.replace(
            self,
            support=support,
            atoms=atoms,
            resolution=resolution,
            covariance=covariance,
            hidden_units=plan.hidden_units if isinstance(self.hidden_units, str) else self.hidden_units,
            batch_size=batch_size,
            max_steps=max_steps,
        )

    def _coarse(self, y: np.ndarray) -> tuple[tuple | None, str | float | list | None]:
        """The `atoms` and the `resolution` of a head for targets `[n, *E]`, None for none.

        A resolution that was found stays "auto": what it is stands in variables, and tables of all share their graphs.
        """
        can_have = self.family == "normal" and self.covariance != "full" and not self.y_noise
        support = None if support_lib.is_auto(self.support) and not self.background else self.support
        # What nobody asked for gives way to what somebody did.
        atoms, resolution = (
            None if support_lib.is_auto(value) and not can_have else value for value in (self.atoms, self.resolution)
        )
        settled = Ends.settled(support, atoms, resolution, y.shape[1:], self.background)
        found = coarseness.found_in(y, y.min(0), y.max(0), settled.support, settled.atoms, settled.resolution)
        if not found.is_coarse:
            return None, None
        # Where there is no limit it does not matter what is said of it. An atom takes less time than what may be none.
        sides = (found.low_is_atom | np.isneginf(found.low), found.high_is_atom | np.isposinf(found.high))
        atoms = None if support is None else tuple(side.tolist() for side in sides)
        return atoms, settled.resolution if found.resolution.any() else None

    def _design(self, x: np.ndarray, layout: Layout, y: np.ndarray, form: TargetFormat) -> Design:
        """What the networks of a settled recipe are made of, for features `[n, F]` and targets `[n, *E]`."""
        support = self.support
        if support_lib.is_given(support):
            support = tuple(map(_hashable, support_lib.plain(*support_lib.limits(support, y.shape[1:]))))
        return Design(
            layout=layout,
            event_shape=y.shape[1:],
            target_format=form,
            num_members=self.n_estimators,
            head=tuple(
                {
                    "num_components": self.num_components,
                    "family": self.family,
                    "covariance": self.covariance,
                    "min_scale": self.min_scale,
                    "support": support,
                    "atoms": self.atoms and tuple(map(_hashable, self.atoms)),
                    "resolution": _hashable(self.resolution),
                    "background": self.background,
                }.items()
            ),
            hidden_units=self.hidden_units,
            has_bins=self.network is None and layout.measured.num_features >= plans.MIN_BINNED_FEATURES,
            is_joint=self._is_joint(x[:, : layout.measured.numbers], y, form),
            network=self.network,
            x_noise=self.x_noise,
            y_noise=self.y_noise,
            learning_rate=self.learning_rate,
            warm_up=10 + self.max_steps // 100,
            weight_decay=self.weight_decay,
            averaged=plans.plan(len(x), layout.measured.num_features).averaged,
        )

    def _is_joint(self, numbers: np.ndarray, y: np.ndarray, form: TargetFormat) -> bool:
        """Whether a Gaussian mixture of numbers `[n, N]` and targets can be what components start as."""
        has_factors = self.covariance == "full" and self.support is None
        return self.network is None and has_factors and form.is_plain and joint_starts.are_continuous(numbers, y)

    def _trained(
        self,
        workshop: workshop_lib.Workshop,
        lesson: lessons.Lesson,
        kinds: Sequence[lessons.Kind],
        progress: Progress,
        left: int,
    ) -> stacked.Fitted:
        """What the networks of a settled recipe learn, one kind after the other, in the first of the recipes left."""
        schedule = lessons.Schedule(self.batch_size, self.max_steps, self.patience, self.calibrate)
        trained = []
        for number, kind in enumerate(kinds):
            if trained and progress.is_late:
                break
            progress.begin(left * len(kinds) - number)
            target = min(one.loss for one in trained) + trainings.MOST_BEHIND if trained else None
            try:
                trained.append(trainings.train(workshop, lesson, schedule, progress, kind, target))
            except trainings.Diverged as error:
                if kind is kinds[-1] and not trained:
                    raise
                progress.say(f"Members that {kind.name or 'are plain'} are left out: {str(error).rstrip('.')}")
        return stacked.together(workshop, lesson, trained)


def _kinds(hidden: np.ndarray | None, is_joint: bool) -> list[lessons.Kind]:
    """The kinds of members that are tried, the plain one last.

    Args:
      hidden: which of the predictions of trees members of their kind do not see, booleans `[M, T]`; None without trees.
      is_joint: whether components can start as a Gaussian mixture.
    """
    all_hidden = None if hidden is None else np.ones_like(hidden)
    kinds = [lessons.Kind(all_hidden, as_joint=True)] if is_joint else []
    kinds += [] if hidden is None else [lessons.Kind(hidden)]
    return [*kinds, lessons.Kind(all_hidden)]


def _hashable(side):
    """The limits of several coordinates as a tuple, in place of a list."""
    return tuple(side) if isinstance(side, list) else side
