"""What a model says of the rows of x, computed some rows at a time, so that there can be very many.

Shapes in comments: n rows, m values of y, S samples, B batch, K components, E event.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfmdn import numerics, validation
from tfmdn.distributions import random_numbers
from tfmdn.distributions.mixture import Mixture
from tfmdn.plots import frames, quantities, reading
from tfmdn.plots.columns import Column
from tfmdn.plots.rows import At, Rows, is_frame
from tfmdn.scores import weighting
from tfmdn.scores.transform import probability_integral_transform

BATCH_SIZE = 10_000  # rows that a model is asked about at once
NUMBERS = 10_000_000  # and that are computed of them at once: one for each component and value of y


class Regressor(Protocol):
    """What a `tfmdn.MDNRegressor` is known by."""

    def predict_dist(self, X: Any) -> Mixture: ...


# What a model may be.
Model = Regressor | Callable[[Any], Mixture] | Mixture


def column(name: str, values, num_rows: int | None = None) -> np.ndarray:
    """Numbers `[n]` or `[n, 1]` as floats `[n]`.

    Args:
      name: what the caller calls them.
      values: the numbers.
      num_rows: the n that there must be. None means 1 or more.

    Raises:
      ValueError: if they have another shape.
    """
    values = np.asarray(values)
    n = values.size if num_rows is None else num_rows
    if not n or values.shape not in ((n,), (n, 1)):
        size = "n of 1 or more" if num_rows is None else f"n = {num_rows} as in `x`"
        raise ValueError(
            f"`{name}` must be of shape [n] or [n, 1], with {size}. Received: {name} of shape {values.shape}."
        )
    return values.ravel().astype(np.result_type(values.dtype, np.float32))


def mixtures(model: Model, x) -> Iterator[tuple[slice, Mixture]]:
    """For so many rows of x at a time, which they are and their mixture.

    Args:
      model: a model or a `Mixture`.
      x: the rows, of any kind, see `tfmdn.plots`.

    Raises:
      TypeError: if the model returns anything but a `Mixture`.
      ValueError: if there are no rows, or not as many as the mixture has.
    """
    x, ask = reading.rows_of(x), _question(model)
    whole = None if ask else _checked(model, len(x))
    for rows in _slices(len(x), BATCH_SIZE):
        if ask:
            yield rows, _checked(ask(x.part(rows)), rows.stop - rows.start)
        else:
            yield rows, _part(whole, rows)


def _slices(num_rows: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, num_rows)) for start in range(0, num_rows, size))


def _question(model: Model) -> Callable[[Any], Mixture] | None:
    """What is called with rows, None of a `Mixture`."""
    if hasattr(model, "predict_dist"):
        return model.predict_dist  # it knows what to do with frames, and numbers keep their digits
    if not callable(model):
        return None
    is_keras = isinstance(model, keras.layers.Layer)

    def ask(rows):
        if not is_frame(rows):
            return model(keras.tree.map_structure(_cast, rows))
        return model(_cast(frames.numbers(rows)) if is_keras else rows)

    return ask


def _cast(values: np.ndarray) -> np.ndarray:
    return values.astype(keras.config.floatx()) if values.dtype.kind == "f" else values


def _checked(mixture, num_rows: int) -> Mixture:
    if not isinstance(mixture, Mixture):
        raise TypeError(
            "`model` must be an `MDNRegressor`, a `tfmdn.Mixture`, or return one when it is called with rows of x. "
            f"Received: {type(mixture).__name__}."
        )
    if mixture.batch_shape[:1] != (num_rows,):
        raise ValueError(
            f"There must be one distribution for each of {num_rows} rows of x. "
            f"Received: a mixture of batch shape {mixture.batch_shape}."
        )
    return mixture


def _part(mixture: Mixture, rows: slice) -> Mixture:
    is_all = mixture.batch_shape[0] == rows.stop - rows.start
    return mixture if is_all else mixture[rows]  # TFP's slicing is slower than most of what is asked of a mixture


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of rows of x, of scalar events or one coordinate of vectors.

    Attributes:
      model: a model or a `Mixture`.
      rows: the rows.
      output: the coordinate; None of scalar events.
    """

    model: Model
    rows: Rows
    output: int | None = None

    def evaluate(self, function: Callable[[Mixture], tf.Tensor], num_values: int = 1) -> np.ndarray:
        """A function of the mixtures, for all rows.

        Args:
          function: its result has the rows as its second axis.
          num_values: how many values it computes of each component, which bounds the rows at a time.

        Raises:
          ValueError: if the events are vectors and no coordinate was chosen, or a row has more than one distribution.
        """
        return np.concatenate([function(mixture) for mixture in self.mixtures(num_values)], 1)

    def mixtures(self, num_values: int = 1) -> Iterator[Mixture]:
        """The mixtures of scalar events of some rows at a time; see `evaluate`."""
        for _, mixture in mixtures(self.model, self.rows):
            mixture = self._scalar(mixture)
            size = max(1, NUMBERS // (num_values * quantities.num_components(mixture)))
            yield from (_part(mixture, rows) for rows in _slices(mixture.batch_shape[0], size))

    def draws(self, num_samples: int, seed: int | None) -> np.ndarray:
        """Draws `[S, n]`.

        Args:
          num_samples: number of draws S for each row.
          seed: an integer, for which the draws are the same at each call; or None.
        """
        num_samples = validation.positive_integer("num_samples", num_samples)
        sampled = [
            self._scalar(mixture).sample(num_samples, seed=None if seed is None else _seed_of_batch(seed, rows.start))
            for rows, mixture in mixtures(self.model, self.rows)
        ]
        return np.concatenate(sampled, 1)

    def atoms(self) -> list[tuple[float, np.ndarray]]:
        """Limits amid a density that have a probability of their own, each with that probability in every row `[n]`."""
        limits, probabilities = np.split(self.evaluate(quantities.limits_and_probabilities), 2)
        return [(limit[0], row) for limit, row in zip(limits, probabilities) if np.isfinite(limit[0])]

    def _scalar(self, mixture: Mixture) -> Mixture:
        """The same mixture, of scalar events."""
        if mixture.batch_shape.rank != 1:
            raise ValueError(
                "This figure is of one distribution for each row of x. "
                f"Received: a mixture of batch shape {mixture.batch_shape}."
            )
        if mixture.event_shape.rank == 0:
            if self.output not in (None, 0):
                raise ValueError(f"`output` must be None or 0 for scalar events. Received: output={self.output!r}.")
            return mixture
        if self.output is None and mixture.event_shape != (1,):
            raise ValueError(
                "This figure is of scalar events: `output` must say which coordinate of the vectors it shows. "
                f"Received: output=None, and an event of shape {mixture.event_shape}."
            )
        return mixture.marginal(validation.index("output", self.output or 0, mixture.event_shape[0]))


def along(model: Model, x, feature, at: At, output: int | None) -> tuple[Predictions, Column, str]:
    """What a model says along one feature, its values, and its label.

    With one feature the rows are those of x. With several one goes through its values, and the others are held.

    Raises:
      ValueError: if it is not told which feature, or if a `Mixture` would have to answer for rows that it is not of.
    """
    rows = reading.rows_of(x)
    feature = rows.chosen(feature)
    if rows.has_others or at is not None:
        if not _question(model):
            raise ValueError(
                "Along one of several features only a model can be asked, which answers for the rows where the others "
                "are held. Received: a `Mixture`."
            )
        rows = rows.held(feature, at)
    return _with_axis(Predictions(model, rows, output), feature)


def of_rows(model: Model, x, feature, output: int | None) -> tuple[Predictions, Column, str]:
    """What a model says of rows, the values of one of their features, and its label."""
    rows = reading.rows_of(x)
    return _with_axis(Predictions(model, rows, output), rows.chosen(feature))


def _with_axis(said: Predictions, feature) -> tuple[Predictions, Column, str]:
    column, label = said.rows.column(feature).fitted(), said.rows.label(feature)
    column.known()
    return said, column, f"{label} [{column.unit}]" if column.unit else label


def _seed_of_batch(seed: int, start: int):
    # The first batch has the draws of the mixture's own `sample`, the others none that another seed has.
    return random_numbers.fold_in(numerics.stateless_seed(seed), start) if start else seed


def integral_transform(model, x, y, intervals: bool = False) -> np.ndarray:
    """The probability integral transform of all targets and coordinates but those that do not count.

    Args:
      model: a model or a `Mixture`.
      x: the rows, as in `mixtures`.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.
      intervals: whether targets are pairs.

    Raises:
      ValueError: if there are not as many targets as rows, if they do not fit, or if none counts.
    """
    x, y, values = reading.rows_of(x), np.asarray(y), []
    if y.shape[:1] != (len(x),):
        raise ValueError(f"`y` must have as many rows as `x`, {len(x)}. Received: y of shape {y.shape}.")
    for rows, mixture in mixtures(model, x):
        seed = _seed_of_batch(0, rows.start)
        transform = probability_integral_transform(y[rows], mixture, intervals=intervals, seed=seed)  # [B, E]
        is_counted = weighting.example_weights(mixture, None, tf.ones(mixture.batch_shape)) > 0
        values.append(np.ravel(transform[is_counted]))
    values = np.concatenate(values)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError("There must be a target that is a number, of a prediction that is one. Received none.")
    return values
