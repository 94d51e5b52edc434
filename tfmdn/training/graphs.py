"""A model's steps as graphs: of training and of judging, each for many batches at once.

Shapes: S batches, B rows in each.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmdn import keras_internals, numerics
from tfmdn.training import uncounted
from tfmdn.training.rows import Batches

# To compile a small network with XLA takes a second or two, which fewer steps do not win back.
XLA_STEPS = 2_000
# Sizes of batches that get graphs of their own, a little faster than the one for all others: of full and partial ones.
MAX_SIZES = 2


class Phase:
    """Training or validation: steps of a model on batches of rows."""

    def __init__(self, model, loop: Loop, batches: Batches, steps: int, epochs: int, jit_compile: bool | str):
        self.steps = steps
        self._loop = loop
        self._steps = {}
        self._batches = batches
        graph = loop.build(batches)
        self._jit_compile, self._is_attempt = jit_compile, False
        if jit_compile == "auto":
            self._jit_compile = model.jit_compile
            if not model.jit_compile and epochs * steps >= XLA_STEPS and not tf.config.list_physical_devices("GPU"):
                # XLA cannot raise, and NaN in x would reach the weights of models that do not fill it in.
                self._jit_compile = self._is_attempt = not _draws_random_numbers(graph) and batches.rows.has_finite_x()

    def run(self, first: int, last: int) -> dict:
        """Runs the steps from number `first` up to `last`, and returns the metrics."""
        for span in self._batches.spans(first, last):
            logs = self._run(*span)
        return logs

    def _run(self, batches: tf.Tensor, start: int, stop: int) -> dict:
        parts, size = self._batches.rows.parts, batches.shape[1]
        key = self._jit_compile, size
        if key not in self._steps:
            self._steps[key] = self._loop.steps(self._jit_compile, parts, size)
        try:
            return self._steps[key](parts, batches, tf.constant(start), tf.constant(stop))
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            if not self._is_attempt:
                place = numerics.row_of(error)
                found = None if place is None else self._batches.rows.first_bad(batches.numpy()[start:stop, place:])
                if found is None:
                    raise
                batch, row = found
                where = f"In batch {start + batch} of this pass, from 0, row {row} of the data: {{}}"
                raise keras_internals.with_message(error, where) from error
            self._jit_compile = self._is_attempt = False  # XLA refuses a graph before it runs any of it
            return self._run(batches, start, stop)


def _draws_random_numbers(graph: tf.Graph) -> bool:
    """Whether there are operations that take XLA long on CPUs."""
    definition = graph.as_graph_def()
    functions = (function.node_def for function in definition.library.function)
    return any("Random" in node.op or "Multinomial" in node.op for node in itertools.chain(definition.node, *functions))


class Loop:
    """A step of a model, repeated within one graph."""

    def __init__(self, model: keras.Model, step: Callable):
        self._model = model
        self._step = tf.function(step, autograph=False)
        # Partials of its own: TensorFlow would count the traces of all models together, and warn of too many.
        self._compiled = {
            jit_compile: tf.function(functools.partial(self._steps), jit_compile=jit_compile, autograph=False)
            for jit_compile in (False, True)
        }
        self._sizes: list[int] = []
        self._takes_any_size = True

    def steps(self, jit_compile: bool, parts: tuple, batch_size: int) -> Callable:
        """The graph that runs the step on batches `[S, B]` of row numbers, from one up to another.

        It takes any number of rows, so that the next training has it too, and returns the metrics. Data that grow have
        ever other sizes of batches: after the first ones all share a graph, unless the model must know the size.
        """
        return self._with_size(batch_size, functools.partial(self._traced_steps, jit_compile, parts))

    def _traced_steps(self, jit_compile: bool, parts: tuple, batch_size: int | None) -> Callable:

        def any_number(rows):
            return tf.TensorSpec([None, *rows.shape[1:]], rows.dtype)

        specs = keras.tree.map_structure(any_number, parts, none_is_leaf=False)
        number = tf.TensorSpec([], tf.int32)
        batches = tf.TensorSpec([None, batch_size], tf.int32)
        return self._compiled[jit_compile].get_concrete_function(specs, batches, number, number)

    def build(self, batches: Batches) -> tf.Graph:
        """Makes the graph of a step, and the variables that the model makes in its first one."""

        def graph(batch_size: int | None) -> tf.Graph:
            def batch_of(rows):
                return tf.TensorSpec([batch_size, *rows.shape[1:]], rows.dtype)

            specs = keras.tree.map_structure(batch_of, batches.rows.parts, none_is_leaf=False)
            return self._step.get_concrete_function(*specs).graph

        return self._with_size(batches.batch_size, graph)

    def _with_size(self, batch_size: int, trace: Callable) -> Any:
        """What is traced for batches of a size: for that size alone if it is one of the first, else for any, None."""
        if batch_size not in self._sizes and len(self._sizes) >= MAX_SIZES and self._takes_any_size:
            try:
                return trace(None)
            except Exception:  # whatever a model's code raises that needs the number
                self._takes_any_size = False
        if batch_size not in self._sizes:
            self._sizes.append(batch_size)
        return trace(batch_size)

    def _steps(self, parts, batches, start, stop):
        def batch(index):
            # Not a slice of a flat order: its size would not be static for XLA, which then computes on all rows.
            numbers = tf.gather(batches, index)
            return keras.tree.map_structure(lambda rows: tf.gather(rows, numbers), parts, none_is_leaf=False)

        outputs = self._step.get_concrete_function(*batch(start)).structured_outputs
        logs = tf.nest.map_structure(lambda output: tf.zeros(output.shape, output.dtype), outputs)
        _, logs = tf.while_loop(
            lambda index, _: index < stop, lambda index, _: (index + 1, self._step(*batch(index))), (start, logs)
        )
        metrics = self._model.get_metrics_result()
        return metrics if metrics.keys() == logs.keys() else logs  # as Keras chooses


@dataclasses.dataclass(frozen=True)
class Loops:
    """The compiled steps of a model, and what they are made of."""

    train: Loop
    test: Loop
    train_function: Callable
    augment: Callable | None


def loops_of(model: keras.Model, augment: Callable | None) -> Loops:
    """The steps as the last training compiled them, or new ones if the model has been compiled since."""
    model.make_train_function()  # a new one after model.compile
    loops = getattr(model, "_tfmdn_loops", None)
    if loops is None or loops.train_function is not model.train_function or loops.augment is not augment:

        def train_step(*parts):
            parts = parts if augment is None else augment(*parts)
            with uncounted.after_checks(model):
                return strategy.run(model.train_step, (keras.utils.pack_x_y_sample_weight(*parts),))

        def test_step(*parts):
            return strategy.run(model.test_step, (keras.utils.pack_x_y_sample_weight(*parts),))

        strategy = model.distribute_strategy
        if model.built and isinstance(model.optimizer, keras.optimizers.Optimizer):
            model.optimizer.build(model.trainable_variables)  # else a step that makes variables is traced twice
        loops = Loops(Loop(model, train_step), Loop(model, test_step), model.train_function, augment)
        model._tfmdn_loops = loops
    return loops
