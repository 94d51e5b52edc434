"""Sequences drawn from a model of one step: each draw is what the model sees next.

Shapes in comments: B batch, T steps.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, overload

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics, processes, validation
from tfmdn.distributions import random_numbers
from tfmdn.distributions.mixture import Mixture

tfd = tfp.distributions

# Compiled loops that are kept, each for one choice of functions.
CACHE_SIZE = 8


class Sequences(NamedTuple):
    """Sequences that `generate` has drawn.

    Attributes:
      draws: `[B, T, ...]`, in the structure of the step's outputs. What follows the end of a sequence is 0.
      lengths: the number of steps of each sequence, the one that met the stopping condition included: int32 `[B]`.
    """

    draws: Any
    lengths: tf.Tensor


@overload
def generate(
    step: Callable,
    features: Any,
    state: Any,
    num_steps: int | tf.Tensor,
    *,
    next_features: Callable | None = None,
    stop: Callable | None = None,
    seed: int | tf.Tensor | None = None,
    temperature: float | tf.Tensor = 1.0,
    scale_temperature: float | tf.Tensor = 1.0,
    return_state: Literal[False] = False,
) -> Sequences: ...


@overload
def generate(
    step: Callable,
    features: Any,
    state: Any,
    num_steps: int | tf.Tensor,
    *,
    next_features: Callable | None = None,
    stop: Callable | None = None,
    seed: int | tf.Tensor | None = None,
    temperature: float | tf.Tensor = 1.0,
    scale_temperature: float | tf.Tensor = 1.0,
    return_state: Literal[True],
) -> tuple[Sequences, Any, Any]: ...


def generate(
    step: Callable,
    features: Any,
    state: Any,
    num_steps: int | tf.Tensor,
    *,
    next_features: Callable | None = None,
    stop: Callable | None = None,
    seed: int | tf.Tensor | None = None,
    temperature: float | tf.Tensor = 1.0,
    scale_temperature: float | tf.Tensor = 1.0,
    return_state: bool = False,
) -> Sequences | tuple[Sequences, Any, Any]:
    """Draws a batch of sequences, step by step, in one graph.

    In each step, `outputs, state = step(features, state)`. The outputs are distributions or tensors, one or a structure
    of them: from distributions it is drawn, tensors stay as they are. `next_features` makes the next features of that.

    - **A time series**: the output is a mixture of the next value, which is the next feature.
    - **Pen strokes**: the outputs are `{"offset": mixture, "pen": tfd.Bernoulli(logits)}`; `next_features` joins the
      two.
    - **A model of a world**: the step chooses an action by a policy, and asks the model for the next situation given
      the situation and the action. Of the outputs `{"situation": mixture, "action": action}`, the first is the next
      feature.
    - **A SavedModel**: the step builds a distribution of the named tensors that a signature returns.

    The loop is traced when it is first called with these functions, as by `tf.function`, and again only for features
    or states of other shapes: give the same function objects again, rather than new ones. Within a `tf.function` it
    becomes a part of that graph. As an endpoint of `keras.export.ExportArchive` it loads without tfmdn.

    Args:
      step: a function, or a Keras model, which is called with one list, `[features, state]`, and without a state with
        the features alone. Steps have no time axis. The graphs of the last eight steps are kept, with what they use.
      features: what the first step sees: a tensor `[B, ...]`, or a structure of them.
      state: the state before it: a tensor or a structure of them, `()` if there is none.
      num_steps: the number of steps T, 1 or more, after which every sequence ends.
      next_features: a function of the draws. None means that the draws are the features.
      stop: a function of a step's draws that tells which sequences end with them, `[B]`. The loop ends when all have.
        None means that none does.
      seed: an integer or a stateless seed, a tensor of two int32, for which the draws are the same at each call; None
        for new draws. No sequence depends on when the others end. XLA has the same draws; see `Mixture.sample`.
      temperature: above 0; the weights of every `tfmdn.Mixture` are sharper below 1, see `Mixture.temper`. Other
        distributions are drawn from as they are.
      scale_temperature: above 0; the scales of its components are multiplied by it.
      return_state: whether to return what a next call goes on from, too. A loop of one's own, with `num_steps=1` and
        what changes between the steps, such as the temperatures or what somebody plays, takes a millisecond or two a
        step: the graph is the same for all of them.

    Returns:
      A named tuple of the draws, `[B, T, ...]` in the structure of the outputs, and of the sequences' lengths, `[B]`.
      What follows the end of a sequence is 0. With `return_state` a tuple of this, of the features that the next step
      would see, and of the state before it.

    Raises:
      TypeError: if an output is neither a distribution nor a tensor.
      ValueError: if features or state change their structure, shape or dtype from step to step, the outputs have no
        batch axis, `stop` does not tell one truth for each sequence, or a number is out of its range.

    Example:

    >>> def step(place, state):  # one step to the left or to the right
    ...     places = tfd.Normal(place[:, tf.newaxis] + [-1.0, 1.0], 0.1)
    ...     return tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), places), state
    >>> walks = tfmdn.generate(
    ...     step, tf.zeros(3), (), 6, stop=lambda place: place > 1.5, seed=4, scale_temperature=0.01
    ... )
    >>> walks.draws.numpy().round(1) + 0.0
    array([[-1.,  0.,  1.,  0., -1.,  0.],
           [ 1.,  2.,  0.,  0.,  0.,  0.],
           [ 1.,  0.,  1.,  2.,  0.,  0.]], dtype=float32)
    >>> walks.lengths.numpy()
    array([6, 2, 4], dtype=int32)

    Step by step, each with a temperature of its own:

    >>> place, state, rng = tf.zeros(1), (), np.random.default_rng(0)
    >>> for t in range(3):
    ...     drawn, place, state = tfmdn.generate(
    ...         step, place, state, 1, seed=t, temperature=rng.uniform(0.5, 2.0), return_state=True
    ...     )
    >>> drawn.draws.shape, place.shape
    (TensorShape([1, 1]), TensorShape([1]))
    """
    processes.require_usable_tensorflow()
    tensors = tf.nest.map_structure(tf.convert_to_tensor, (features, state))
    temperatures = (
        numerics.checked_tensor("temperature", temperature, validation.positive_number, tf.float64),
        numerics.checked_tensor("scale_temperature", scale_temperature, validation.positive_number, tf.float64),
    )
    # Without them a mixture of any components can be drawn from.
    is_tempered = any(tf.is_tensor(value) or value != 1 for value in (temperature, scale_temperature))
    settings = (
        numerics.checked_tensor("num_steps", num_steps, validation.positive_integer, tf.int32),
        random_numbers.sanitized(seed),
        *(temperatures if is_tempered else ()),
    )
    # In a graph the loop is a part of that graph alone, and a number of steps that is known there stays known.
    loop = _compiled(step, next_features, stop) if tf.executing_eagerly() else _Loop(step, next_features, stop)
    sequences, (features, state) = loop(*tensors, *settings)
    return (sequences, features, state) if return_state else sequences


@functools.lru_cache(maxsize=CACHE_SIZE)
def _compiled(*functions: Callable | None) -> Callable:
    return tf.function(_Loop(*functions), autograph=False)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """All steps, as a function of tensors."""

    step: Callable
    next_features: Callable | None
    stop: Callable | None

    def __call__(self, features, state, num_steps, seed, *temperatures) -> tuple[Sequences, tuple]:
        def advance(t, features, state):
            outputs, state = self._call_step(features, state)
            draws = _draw(outputs, random_numbers.fold_in(seed, t), *temperatures)
            return draws, (draws if self.next_features is None else self.next_features(draws), state)

        def body(t, carried, running, lengths, arrays):
            draws, following = advance(t, *carried)
            return t + 1, _like(carried, following), *self._record(t, draws, running, lengths, arrays)

        def goes_on(t, carried, running, lengths, arrays):
            return (t < num_steps) & tf.reduce_any(running)

        # The first step tells of which structure, shapes and dtypes the others are.
        draws, carried = advance(0, features, state)
        arrays = tf.nest.map_structure(
            lambda draw: tf.TensorArray(draw.dtype, num_steps, element_shape=draw.shape), draws
        )
        running = tf.fill(tf.shape(tf.nest.flatten(draws)[0])[:1], True)
        recorded = self._record(0, draws, running, tf.zeros_like(running, tf.int32), arrays)
        _, carried, _, lengths, arrays = tf.while_loop(goes_on, body, (1, carried, *recorded))
        return Sequences(tf.nest.map_structure(_batch_first, arrays), lengths), carried

    def _call_step(self, features, state):
        if isinstance(self.step, keras.Model):
            return self.step([features, state]) if tf.nest.flatten(state) else (self.step(features), state)
        return self.step(features, state)

    def _record(self, t, draws, running, lengths, arrays) -> tuple:
        """Writes the draws of the sequences that are running, and tells which go on."""
        kept = tf.nest.map_structure(lambda draw: _where_running(running, draw), draws)
        arrays = tf.nest.map_structure(lambda array, draw: array.write(t, draw), arrays, kept)
        lengths += tf.cast(running, tf.int32)
        return self._still_running(draws, running), lengths, arrays

    def _still_running(self, draws, running: tf.Tensor) -> tf.Tensor:
        if self.stop is None:
            return running
        ends = tf.convert_to_tensor(self.stop(draws))
        if ends.dtype != tf.bool or not ends.shape.is_compatible_with(running.shape):
            raise ValueError(
                "`stop` must return one truth for each sequence: booleans of shape "
                f"{tuple(running.shape)}. Received: {ends.dtype.name} of shape {ends.shape}."
            )
        return running & ~ends


def _draw(outputs, seed: tf.Tensor, *temperatures: tf.Tensor):
    """Draws from each distribution in the structure, tempered if it is a mixture, and leaves tensors as they are."""

    def draw(output, seed):
        if isinstance(output, Mixture) and temperatures:
            output = output.temper(*temperatures)
        if isinstance(output, tfd.Distribution):
            return output.sample(seed=seed)
        if tf.is_tensor(output):
            return output
        raise TypeError(
            "The outputs of a step must be distributions, from which it is drawn, or tensors, in one structure. "
            f"Received: an output of type {type(output).__name__}."
        )

    leaves = tf.nest.flatten(outputs)
    draws = [draw(leaf, random_numbers.fold_in(seed, i)) for i, leaf in enumerate(leaves)]
    for value in draws:
        if value.shape.rank == 0:
            raise ValueError(f"The outputs of a step must have a batch axis. Received: draws {draws}.")
    return tf.nest.pack_sequence_as(outputs, draws)


def _where_running(running: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """The draws `[B, ...]` of the sequences that are running, and 0 for the others."""
    running = numerics.with_trailing_axes(running, draw.shape.rank - 1)
    return tf.where(running, draw, tf.zeros_like(draw))


def _like(before, after):
    """The features and the state after a step, with the static shapes of those before it."""
    try:
        tf.nest.assert_same_structure(before, after)
        return tf.nest.map_structure(_with_shape_of, before, after)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Features and state must keep their structure, shapes and dtypes from step to step: "
            f"{error} Received: features and state {before} before a step, and {after} after it."
        ) from error


def _with_shape_of(before: tf.Tensor, after) -> tf.Tensor:
    return tf.ensure_shape(tf.convert_to_tensor(after, before.dtype), before.shape)


def _batch_first(array: tf.TensorArray) -> tf.Tensor:
    return tf.experimental.numpy.moveaxis(array.stack(), 0, 1)  # [B, T, ...]
