"""Training on rows in memory, with many steps in one graph."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Collection
from typing import Any

import keras
from numpy.typing import ArrayLike

from tfmdn import keras_internals, processes, validation
from tfmdn.training import graphs, uncounted
from tfmdn.training.rows import Batches, Rows


def fit(
    model: keras.Model,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: list[keras.callbacks.Callback] | keras.callbacks.CallbackList | None = None,
    validation_split: float = 0.0,
    validation_data: tuple | None = None,
    shuffle: bool = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: ArrayLike | None = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Collection[int] = 1,
    *,
    seed: int | None = None,
    jit_compile: bool | str = "auto",
    augment: Callable | None = None,
    drop_remainder: bool = False,
    dtype: str | None = None,
) -> keras.callbacks.History:
    """Trains a compiled model as `model.fit` does, with each epoch as one graph.

    For rows that fit in memory and networks so small that `model.fit` spends its time between the steps. Any compiled
    Keras model can be trained, also one with a `train_step` of its own. Without shuffling it ends with the weights that
    `model.fit` gives. What differs:

    * The hooks of callbacks for batches are called once for each run of a graph, with the number of its last batch:
      once an epoch, or after every n batches if the model is compiled with `steps_per_execution=n`, n > 1. An
      interrupt is heard then, too; the model keeps what it has learnt.
    * The order of rows in each pass over them depends on the seed and the number of the pass alone. With a fixed seed,
      training that goes on from `initial_epoch` or from `keras.callbacks.BackupAndRestore`, also within an epoch,
      ends as if it had not been interrupted.
    * `steps_per_epoch` can be any number: one pass over the rows follows the other, without regard to epochs.
    * XLA is used where it pays, see `jit_compile`.

    Data in batches (`tf.data.Dataset`, generators, loaders), ragged and sparse tensors, several replicas and
    `run_eagerly=True` are left to `model.fit`.

    Args:
      model: a compiled model.
      x: features: an array, tensor or DataFrame of N rows, or a structure of them.
      y: targets, likewise.
      batch_size: rows in a batch, 32 by default.
      epochs: the number of the last epoch.
      verbose: 0 is silent, 1 or "auto" shows a progress bar, 2 a line for each epoch.
      callbacks: Keras callbacks.
      validation_split: the share of rows, the last ones, that are not learnt from, but judged by after each epoch.
      validation_data: rows to judge by, `(x, y)` or `(x, y, sample_weight)`.
      shuffle: whether each pass over the rows has an order of its own.
      class_weight: the weight of each class of the targets.
      sample_weight: weights of rows, or of their steps; or a structure of them, as y has. Rows of weight 0 may hold
        anything. Weights that are all below 1e-18, or some above 1e18, are scaled: steps would be nothing or infinite.
      initial_epoch: the epoch to begin with.
      steps_per_epoch: batches in an epoch; a pass over the rows by default.
      validation_steps: batches to judge by; all by default.
      validation_batch_size: rows in such a batch; `batch_size` by default.
      validation_freq: after how many epochs each to judge, or the numbers of these epochs, counted from 1.
      seed: seed of the order of rows. If None, it follows `keras.utils.set_random_seed`.
      jit_compile: whether XLA compiles the graph. "auto" keeps to the model's `jit_compile` if that is True, which on
        GPUs is Keras' default. On CPUs it uses XLA for trainings of 2,000 steps and more without random layers (such as
        Dropout), which are slow there, and where all x are finite: XLA could not say that they cannot be learnt from.
        (Keras does not tell a model compiled with `jit_compile=False` from one compiled without; say False here.)
      augment: maps the parts of each training batch, x, y and sample_weight as far as given, to a tuple of those that
        are learnt from. It becomes part of the graph.
      drop_remainder: whether a pass leaves out the rows that do not fill a batch, and so need a graph of their own.
      dtype: what floating-point rows are cast to; `keras.config.floatx()` by default. A model whose inputs are
        float64, as for dates in seconds, needs "float64" to see all their digits.

    Returns:
      Keras' History, with the metrics of each epoch.

    Raises:
      TypeError: if the data are not rows in memory.
      ValueError: if the model is not compiled, runs eagerly or on several replicas, or an argument does not fit.
      tf.errors.InvalidArgumentError: if a row that counts cannot be learnt from, as one whose target is NaN. It says
        which, and nothing is learnt from its batch. (Where XLA has compiled the graph the loss is NaN instead.)

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(1_000, seed=0)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "silu"), tfmdn.MDNLayer(5)])
    >>> model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> history = tfmdn.fit(model, x, y, batch_size=100, epochs=20, validation_split=0.2, seed=0, verbose=0)
    >>> len(history.history["val_loss"])
    20
    """
    processes.require_usable_tensorflow()
    _check_model(model)
    batch_size = _count("batch_size", batch_size)
    steps_per_epoch = _count("steps_per_epoch", steps_per_epoch)
    validation_steps = _count("validation_steps", validation_steps)
    validation_batch_size = _count("validation_batch_size", validation_batch_size)
    epochs = validation.nonnegative_integer("epochs", epochs)
    initial_epoch = validation.nonnegative_integer("initial_epoch", initial_epoch)
    validation_freq = _judged_epochs(validation_freq)
    seed = None if seed is None else validation.nonnegative_integer("seed", seed)
    if shuffle not in (True, False):
        raise ValueError(f"`shuffle` must be True or False. Received: shuffle={shuffle!r}.")
    if jit_compile not in (True, False, "auto"):
        raise ValueError(f"`jit_compile` must be True, False or 'auto'. Received: jit_compile={jit_compile!r}.")

    rows, held_out = Rows.of(x, y, sample_weight, dtype), None
    if validation_data is not None:
        held_out = Rows.of(*keras.utils.unpack_x_y_sample_weight(validation_data), dtype=dtype)
    elif validation.proportion("validation_split", validation_split):
        rows, held_out = rows.split(validation_split)
    if class_weight is not None:
        rows = rows.with_class_weight(class_weight)
    rows, held_out = _without_junk(model, rows), held_out and _without_junk(model, held_out)
    if batch_size is None:
        batch_size = math.ceil(len(rows) / steps_per_epoch) if steps_per_epoch else 32
    if shuffle and seed is None:
        seed = random.getrandbits(32)  # Keras takes default seeds from there too

    loops = graphs.loops_of(model, augment)
    batches = Batches(rows, batch_size, seed if shuffle else None, drop_remainder)
    train = graphs.Phase(model, loops.train, batches, steps_per_epoch or len(batches), epochs, jit_compile)
    test = None
    if held_out is not None:
        batches = Batches(held_out, validation_batch_size or batch_size)
        if validation_steps is not None and validation_steps > len(batches):
            raise ValueError(
                f"`validation_steps` must be at most {len(batches)}, the number of batches of the validation data. "
                f"Received: validation_steps={validation_steps}."
            )
        test = graphs.Phase(model, loops.test, batches, validation_steps or len(batches), epochs, jit_compile)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=train.steps,
            resumes_within_epoch=True,  # for tfmdn.BackupAndRestore
            model=model,
        )
    _run_epochs(model, train, test, callbacks, initial_epoch, epochs, validation_freq)
    return model.history


def _without_junk(model: keras.Model, rows: Rows) -> Rows:
    """The rows, once and for all without what a model cannot take in those that do not count."""
    if rows.sample_weight is None or not uncounted.concerns(model):
        return rows
    x, y, sample_weight = uncounted.without_junk(model, rows.parts)
    return dataclasses.replace(rows, x=x, y=y, sample_weight=sample_weight)


def _count(name: str, value) -> int | None:
    return None if value is None else validation.positive_integer(name, value)


def _judged_epochs(validation_freq) -> int | frozenset[int]:
    """After how many epochs each to judge, or the numbers of these epochs."""
    is_collection = isinstance(validation_freq, Collection) and not isinstance(validation_freq, (str, bytes))
    numbers = list(validation_freq) if is_collection else [validation_freq]
    try:
        numbers = [validation.positive_integer("validation_freq", number) for number in numbers]
    except ValueError:
        raise ValueError(
            "`validation_freq` must be a positive integer, or a collection of the numbers of epochs, counted from 1. "
            f"Received: validation_freq={validation_freq!r}."
        ) from None
    return frozenset(numbers) if is_collection else numbers[0]


def _check_model(model: keras.Model) -> None:
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ValueError(f"`model` must be a compiled Keras model: call model.compile(...). Received: model={model!r}.")
    if model.run_eagerly:
        raise ValueError(
            "`model` must not run eagerly, because its epochs are graphs. Received: a model compiled with "
            "run_eagerly=True. Compile it without, or use model.fit."
        )
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        raise ValueError(f"`model` must have one replica. Received: {replicas} replicas. Use model.fit.")


def _run_epochs(
    model: keras.Model,
    train: graphs.Phase,
    test: graphs.Phase | None,
    callbacks: keras.callbacks.CallbackList,
    initial_epoch: int,
    epochs: int,
    validation_freq: int | Collection[int],
) -> None:
    steps_per_run = model.steps_per_execution if model.steps_per_execution > 1 else train.steps
    model.stop_training = False
    first_step = _first_step(model, callbacks, initial_epoch, train.steps)
    logs = None
    for epoch in range(first_step // train.steps, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        before = epoch * train.steps
        for start in range(max(first_step - before, 0), train.steps, steps_per_run):
            stop = min(start + steps_per_run, train.steps)
            callbacks.on_train_batch_begin(start)
            logs = train.run(before + start, before + stop)
            callbacks.on_train_batch_end(stop - 1, logs)
            if model.stop_training:
                break
        if test is not None and _is_due(epoch, validation_freq):
            val_logs = {f"val_{name}": value for name, value in _evaluate(model, test, callbacks).items()}
            logs = {**logs, **val_logs}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)


def _evaluate(model: keras.Model, test: graphs.Phase, callbacks: keras.callbacks.CallbackList) -> dict:
    callbacks.on_test_begin()
    model.reset_metrics()
    callbacks.on_test_batch_begin(0)
    logs = test.run(0, test.steps)
    callbacks.on_test_batch_end(test.steps - 1, logs)
    callbacks.on_test_end(logs)
    return logs


def _first_step(model: keras.Model, callbacks: keras.callbacks.CallbackList, initial_epoch: int, steps: int) -> int:
    """Begins the training, and returns the step that it goes on from, counted from the first of epoch 0."""
    keras_internals.set_initial_epoch(model, None)
    iterations = _iterations(model)
    callbacks.on_train_begin()
    restored_epoch = keras_internals.initial_epoch(model)  # as BackupAndRestore has set it
    keras_internals.set_initial_epoch(model, None)
    if restored_epoch is None:
        return initial_epoch * steps
    # A backup names its epoch alone. How many steps of it were done, the optimizer knows.
    return max(restored_epoch * steps, initial_epoch * steps + _iterations(model) - iterations)


def _iterations(model: keras.Model) -> int:
    return int(model.optimizer.iterations) if isinstance(model.optimizer, keras.optimizers.Optimizer) else 0


def _is_due(epoch: int, validation_freq: int | Collection[int]) -> bool:
    if isinstance(validation_freq, int):
        return (epoch + 1) % validation_freq == 0
    return epoch + 1 in validation_freq
