"""`ComponentHealth`: a callback that watches the components of a mixture while it is trained."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np

from tfmdn import validation
from tfmdn.callbacks import observation, reseeding
from tfmdn.layers import quantization
from tfmdn.layers.mdn import MDNLayer

COLLAPSED = 0.99
MAX_RESEEDINGS = 3


class ComponentHealthWarning(UserWarning):
    """What `ComponentHealth` warns with, so that its warnings can be silenced, or made errors, by themselves.

    Args:
      *args: the message, as of any warning.

    Example:

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", tfmdn.ComponentHealthWarning)
    """


class ComponentHealth(keras.callbacks.Callback):
    """Watches the components of every `MDNLayer` in a model, and warns when a mixture loses what makes it one.

    After an epoch it looks at the mixtures of given rows, and warns in words, with a `ComponentHealthWarning`, of

    - dead components, which have next to no weight at any row, and so no gradient to come back by;
    - scales at the floor: components that collapse onto single targets;
    - scales at the ceiling, as of targets in other units than the layer's;
    - weights collapsed to one component at every row, which make the mixture a single distribution;
    - outputs that are NaN.

    Each problem is warned of once, and again if it comes back. The figures are kept in `history`, and added to the
    epoch's logs: put this callback before `TensorBoard`, `CSVLogger` or `EarlyStopping` for those to see them. They are

    - `effective_components`: exp of the entropy of the mean weights, between 1 and K;
    - `dead_components`: how many are dead;
    - `largest_weight`: the weight of each row's largest component, averaged over rows;
    - `share_at_floor`, `share_at_ceiling`: the share of the weight that lies on components with a scale there.

    Of a model with several heads the names begin with the head's, as in `head_dead_components`.

    Dead components can be re-seeded when the next epoch begins: moved to targets of the lowest density, with the same
    location and scale for every input at first. Each splits off a little of the weight of the component that has most
    of it there: those together give up less than 10 % of their weight at any row. What the optimizer remembers of
    these weights is reset. A component that dies after three re-seedings is left alone: it is not needed.

    Args:
      data: inputs x; or a tuple `(x, y)` or `(x, y, sample_weight)`, where x and y are structured as in `model.fit`;
        or a `tf.data.Dataset` of batches of these, read once. Validation data suit well. With targets, a component
        that explains any one of them counts as alive. Rows that are not finite do not count. Where targets are
        intervals, x alone.
      layer: the `MDNLayer` to watch, or its name. None means all that the model has, nested ones included.
      frequency: look after every this many epochs.
      reseed: whether dead components are re-seeded. Needs targets in `data`.
      dead_weight: a component is dead if its weight is below this fraction of an equal share, 1/K, on average over the
        rows, and below ten times that at every row.
      max_share_at_bounds: how much of the weight may lie at the floor, or at the ceiling, without a warning.
      max_rows: how many rows are kept, drawn at random. A row with time steps or pixels counts as one.

    Attributes:
      history: for each head by name, lists of the figures above, of the `epoch` (from 0) and of the number of
        components `reseeded` thereafter.

    Raises:
      ValueError: if an argument is invalid; when training begins, if the model has no such layer, or if the targets do
        not fit.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3, name="head")])
    >>> model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> x, y = tfmdn.datasets.bishop_inverse().sample(200, seed=0)
    >>> health = tfmdn.ComponentHealth((x, y))
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[health])
    >>> health.history["head"]["dead_components"]
    [0, 0]
    """

    def __init__(
        self,
        data: Any,
        layer: str | MDNLayer | None = None,
        frequency: int = 1,
        reseed: bool = False,
        dead_weight: float = 0.01,
        max_share_at_bounds: float = 0.05,
        max_rows: int = 1000,
    ):
        super().__init__()
        if not (layer is None or isinstance(layer, (str, MDNLayer))):
            raise ValueError(f"`layer` must be an MDNLayer, its name, or None. Received: layer={layer!r}.")
        self.layer = layer
        self.frequency = validation.positive_integer("frequency", frequency)
        self.reseed = reseed
        self.dead_weight = validation.positive_number("dead_weight", dead_weight)
        self.max_share_at_bounds = validation.positive_number("max_share_at_bounds", max_share_at_bounds)
        self.history = {}
        self._batches = observation.sample_batches(data, validation.positive_integer("max_rows", max_rows))
        if reseed and any(y is None for _, y in self._batches):
            raise ValueError("`reseed=True` needs targets: give `data` as (x, y). Received: data without y.")
        self._heads = {}
        self._warned = {}
        self._pending = []
        self._reseedings = {}

    def on_train_begin(self, logs=None):
        self._heads = observation.find_heads(self.model, self.layer)
        self._pending = []
        self._reseedings = {name: np.zeros(head.num_components, int) for name, head in self._heads.items()}
        for name, rows in self._observe().items():  # what does not fit is said now, not after an epoch
            if self.reseed:
                quantization.require_floats(self._heads[name].dense, "`reseed=True`")
            if self.reseed and rows.targets is None:
                raise ValueError(
                    f"`reseed=True` needs the targets of the layer {name!r}. Received: `data` whose y has no part "
                    "where the model outputs that layer's mixture. Structure y as in model.fit, or name one `layer`."
                )

    def on_epoch_begin(self, epoch, logs=None):
        # Not at the end of the epoch before: there may be none after it, and a checkpoint would keep the disturbance.
        for name, dead, rows in self._pending:
            reseeding.reseed(self._heads[name], dead, rows, epoch, getattr(self.model, "optimizer", None))
            self.history[name]["reseeded"][-1] = len(dead)
        self._pending = []

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.frequency:
            return
        for name, rows in self._observe().items():
            dead = observation.dead_components(rows, self.dead_weight)
            figures = observation.figures(rows, dead)
            self._record(name, epoch, figures, logs)
            self._warn(name, epoch, self._problems(self._heads[name], dead, figures))
            if self.reseed:
                self._plan_reseeding(name, dead, rows)

    def _observe(self) -> dict[str, observation.Rows]:
        return observation.observe(self.model, self._heads, self._batches)

    def _record(self, name, epoch, figures, logs):
        entries = self.history.setdefault(name, {})
        for key, value in {"epoch": epoch, **figures, "reseeded": 0}.items():
            entries.setdefault(key, []).append(value)
        if logs is not None:
            prefix = "" if len(self._heads) == 1 else f"{name}_"
            logs.update({prefix + key: value for key, value in figures.items()})

    def _warn(self, name, epoch, problems):
        for problem, message in problems.items():
            if problem not in self._warned.get(name, ()):
                text = f"Epoch {epoch + 1}, layer {name!r}: {message}"
                warnings.warn(text, ComponentHealthWarning, stacklevel=2)
        self._warned[name] = set(problems)

    def _plan_reseeding(self, name, dead, rows):
        dead = dead[self._reseedings[name][dead] < MAX_RESEEDINGS]
        if len(dead) and self._heads[name].dense.trainable:
            self._reseedings[name][dead] += 1
            self._pending.append((name, dead, rows))

    def _problems(self, layer: MDNLayer, dead: np.ndarray, figures: dict[str, float]) -> dict[str, str]:
        """What to say of each problem, by its name."""
        problems, k = {}, layer.num_components
        if math.isnan(figures["largest_weight"]):
            problems["nan"] = (
                "the mixture is NaN at every row of `data`. Lower the learning rate, and look for NaN in the inputs."
            )
        if k > 1 and figures["largest_weight"] > COLLAPSED:  # that the others are dead goes without saying
            problems["collapsed"] = (
                f"one of {k} components has {figures['largest_weight']:.1%} of the weight at a row, on average: each "
                "mixture is a single distribution. Where the target has one answer of that shape this is right, and "
                f"num_components=1 suffices. Else {self._remedy}."
            )
        elif len(dead):
            threshold = self.dead_weight / k
            problems["dead"] = (
                f"{len(dead)} of {k} components are dead: {dead.tolist()}. Their weight is below {threshold:.2g} on "
                f"average and below {observation.LOCAL_FACTOR * threshold:.2g} at every row, too little to learn from: "
                f"{self._remedy}."
            )
        if figures["share_at_floor"] > self.max_share_at_bounds:
            problems["floor"] = (
                f"{figures['share_at_floor']:.1%} of the weight lies on components whose scale is at the floor, "
                f"min_scale={layer.min_scale:g} of the target's scale: they collapse onto single or repeated targets. "
                "Raise min_scale, stop earlier or get more data; to rounded targets add noise as wide as the rounding."
            )
        if figures["share_at_ceiling"] > self.max_share_at_bounds:
            problems["ceiling"] = (
                f"{figures['share_at_ceiling']:.1%} of the weight lies on components whose scale is at the ceiling, "
                f"max_scale={layer.spec.bounds.maximum:g} of the target's scale. Call the layer's adapt(y) before "
                "training so that it knows that scale, look for outliers, or raise max_scale."
            )
        return problems

    @property
    def _remedy(self) -> str:
        if self.reseed:
            return f"dead components are re-seeded at targets of low density, up to {MAX_RESEEDINGS} times"
        return (
            "call the layer's adapt(y) before training, lower the learning rate or num_components, or set reseed=True"
        )
