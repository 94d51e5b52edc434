"""What a model says of the rows of x, computed some rows at a time, so that there can be very many.

A model is anything that returns a `Mixture` when it is called with rows, or a `Mixture` of one row for each of x.

Shapes in comments: n rows, m values of y, S samples, B batch, K components, E event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tfmdn import numerics, validation
from tfmdn.distributions import jumps, tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.scores import weighting
from tfmdn.scores.transform import probability_integral_transform

BATCH_SIZE = 10_000
# What a model may be.
Model = Callable[[np.ndarray], Mixture] | Mixture


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


def mixtures(model, x, batch_size: int | None = None) -> Iterator[tuple[slice, Mixture]]:
    """For so many rows of x at a time, which they are and their mixture.

    Args:
      model: a model or a `Mixture`.
      x: the rows, an array or a structure of arrays. n numbers are n rows of one feature. Floats are cast to Keras'
        default.
      batch_size: the number of rows at a time. None means BATCH_SIZE.

    Raises:
      TypeError: if the model returns anything but a `Mixture`.
      ValueError: if there are no rows, or not as many as the mixture has.
    """
    x, batch_size = _features(x), batch_size or BATCH_SIZE
    num_rows = _num_rows(x)
    if not num_rows:
        raise ValueError("`x` must have at least one row. Received none.")
    whole = None if callable(model) else _checked(model, num_rows)
    for start in range(0, num_rows, batch_size):
        rows = slice(start, min(start + batch_size, num_rows))
        if whole is None:
            features = keras.tree.map_structure(lambda leaf, rows=rows: leaf[rows], x)
            yield rows, _checked(model(features), rows.stop - rows.start)
        else:
            yield rows, _part(whole, rows)


def _features(x):
    """The rows as a model takes them: an array with an axis of features, or a structure of arrays."""
    if keras.tree.is_nested(x) and any(map(np.ndim, keras.tree.flatten(x))):
        return keras.tree.map_structure(_cast, x)
    x = _cast(x)  # an array, a tensor, a DataFrame, or lists of numbers
    return x[:, np.newaxis] if x.ndim == 1 else x


def _num_rows(x) -> int:
    return len(keras.tree.flatten(x)[0])


def _cast(values) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(keras.config.floatx()) if values.dtype.kind == "f" else values


def _checked(mixture, num_rows: int) -> Mixture:
    if not isinstance(mixture, Mixture):
        raise TypeError(
            "`model` must be a `tfmdn.Mixture`, or return one when it is called with rows of x. "
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


def evaluate(
    function: Callable[[Mixture], tf.Tensor], model, x: np.ndarray, batch_size: int | None = None
) -> np.ndarray:
    """A function of the mixtures of scalar events, for all rows.

    Args:
      function: its result has the rows as its second axis.
      model: a model or a `Mixture`.
      x: the rows, `[n]`.
      batch_size: the number of rows at a time. None means BATCH_SIZE.

    Raises:
      ValueError: if the events are vectors of several coordinates, or a row has more than one distribution.
    """
    return np.concatenate([function(_scalar(mixture)) for _, mixture in mixtures(model, x, batch_size)], 1)


def _scalar(mixture: Mixture) -> Mixture:
    """The same mixture, with scalar events if they are of shape `(1,)`."""
    if mixture.batch_shape.rank != 1:
        raise ValueError(
            "This figure is of one distribution for each row of x. "
            f"Received: a mixture of batch shape {mixture.batch_shape}."
        )
    if mixture.event_shape.rank and mixture.event_shape != (1,):
        raise ValueError(
            "This figure is of scalar events. Of a vector it shows one coordinate, if `lambda x: model(x).marginal(0)` "
            f"is its model, or `mixture.marginal(0)`. Received: an event of shape {mixture.event_shape}."
        )
    return mixture.marginal(0) if mixture.event_shape.rank else mixture


def draws(model, x: np.ndarray, num_samples: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The x and the y of draws, `[S n]` each.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]`.
      num_samples: number of draws S for each row.
      seed: an integer, for which the draws are the same at each call; or None.
    """
    num_samples = validation.positive_integer("num_samples", num_samples)
    sampled = [
        _scalar(mixture).sample(num_samples, seed=None if seed is None else _seed_of_batch(seed, rows.start))
        for rows, mixture in mixtures(model, x)
    ]
    return np.tile(x, num_samples), np.concatenate(sampled, 1).ravel()


def _seed_of_batch(seed: int, start: int):
    # The first batch has the draws of the mixture's own `sample`, the others none that another seed has.
    return tf.random.experimental.stateless_fold_in(numerics.stateless_seed(seed), start) if start else seed


def integral_transform(model, x, y) -> np.ndarray:
    """The probability integral transform of all targets and coordinates but those that do not count.

    Args:
      model: a model or a `Mixture`.
      x: the rows, as in `mixtures`.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.

    Raises:
      ValueError: if there are not as many targets as rows, if they do not fit, or if none counts.
    """
    y, num_rows, values = np.asarray(y), _num_rows(_features(x)), []
    if y.shape[:1] != (num_rows,):
        raise ValueError(f"`y` must have as many rows as `x`, {num_rows}. Received: y of shape {y.shape}.")
    for rows, mixture in mixtures(model, x):
        seed = _seed_of_batch(0, rows.start)
        transform = probability_integral_transform(y[rows], mixture, seed=seed)  # [B, E]
        is_counted = weighting.example_weights(mixture, None, tf.ones(mixture.batch_shape)) > 0
        values.append(np.ravel(transform[is_counted]))
    values = np.concatenate(values)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError("There must be a target that is a number, of a prediction that is one. Received none.")
    return values


def weighted_densities(mixture: Mixture, y: np.ndarray) -> tf.Tensor:
    """The density at y `[m]` of each component, times its weight: `[m, n, K]`."""
    return mixture.components_distribution.prob(y[:, np.newaxis, np.newaxis]) * _weights(mixture)


def atoms(model, x: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Limits amid a density that have a probability of their own, each with that probability in every row `[n]`.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]`.
    """

    def limits_and_probabilities(mixture):  # [2 A, n]
        components, logits = mixture.components_distribution, mixture.mixture_distribution.logits_parameter()
        limits = [limit + tf.zeros_like(mixture.mean()) for limit in jumps.atoms(components, logits, -1)]
        grid = jumps.grid(components, logits, -1)
        if grid is not None:
            limits = [tf.where(grid.exists, np.inf, limit) for limit in limits]
        probabilities = [mixture.prob_of(tf.where(tf.math.is_finite(limit), limit, 0.0)) for limit in limits]
        return np.reshape([*limits, *probabilities], (-1, mixture.batch_shape[0]))

    limits, probabilities = np.split(evaluate(limits_and_probabilities, model, x), 2)
    return [(limit[0], row) for limit, row in zip(limits, probabilities) if np.isfinite(limit[0])]


def weights_and_parameter(mixture: Mixture, parameter: str) -> tf.Tensor:
    """The weights of the components, and one of their parameters or the weights again if it is "prob": `[2, n, K]`.

    Raises:
      ValueError: if the components have no such parameter.
    """
    weights = _weights(mixture)
    values = {"prob": weights, **tensors.parameters(mixture.components_distribution)}
    value = values[validation.one_of("parameter", parameter, values)]
    return tf.stack([weights, tf.broadcast_to(value, weights.shape)])


def _weights(mixture: Mixture) -> tf.Tensor:
    """The weights of the components, `[n, K]`."""
    probs = tf.cast(mixture.mixture_distribution.probs_parameter(), mixture.dtype)
    return tf.broadcast_to(probs, [*mixture.batch_shape, probs.shape[-1]])
