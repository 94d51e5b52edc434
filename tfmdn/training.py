"""What `model.fit` cannot do: many steps compiled into one graph, and early stopping for each member of an ensemble.

Shapes in comments: M members, V held-out rows, S steps, B batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmdn import validation
from tfmdn.ensemble import Ensemble


class EnsembleEarlyStopping(keras.callbacks.Callback):
    """Keeps the best weights of each member of an `Ensemble`, and stops when no member has improved for long.

    Each member is judged at the end of every epoch by the negative log-likelihood of rows of its own, which it must not
    learn from: give them `sample_weight` 0 in that member's column. All members get their own best weights when
    training ends.

    The members are judged with broader scales than they have. An ensemble is broader than its members, so they may
    train on a little where they alone would already overfit.

    With an optimizer that averages the weights (`use_ema=True`), put
    `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` before this callback: the averages are then judged and kept.

    Args:
      x: features, an array or a structure of arrays of n rows.
      y: targets `[n, *E]`.
      held_out: which rows each member is judged by, booleans `[n, M]`.
      patience: how many epochs without any member's improvement end the training.
      scale_temperature: factor of the scales while judging.
      verbose: whether to print when training stops.

    Raises:
      ValueError: if `held_out` does not fit x and the ensemble, or leaves a member without rows.

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

    def __init__(self, x, y, held_out, patience: int = 10, scale_temperature: float = 1.25, verbose: bool = False):
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
        rows, weights = _padded_rows(held_out)
        own_rows = keras.tree.map_structure(lambda part: np.asarray(part)[rows], (x, y))
        self._held_out = keras.tree.map_structure(tf.convert_to_tensor, (*own_rows, weights))
        self._num_members = held_out.shape[1]

    def on_train_begin(self, logs=None):
        if not isinstance(self.model, Ensemble) or self.model.num_members != self._num_members:
            raise ValueError(
                f"`held_out` has columns for {self._num_members} members. Received: {self.model.name}, "
                f"{getattr(self.model, 'num_members', 'not an Ensemble')}."
            )
        self._best = [tf.Variable(variable) for variable, _ in self.model.member_variables]
        self._best_scores = tf.Variable(tf.fill([self.model.num_members], float("inf")))
        self._waited = 0
        self._judge = _compiled(self._keep_better, self.model.jit_compile)

    def _keep_better(self, x, y, row_weights):
        scores = self.model.member_scores(x, y, row_weights, self.scale_temperature)
        better = scores < self._best_scores
        self._best_scores.assign(tf.where(better, scores, self._best_scores))
        for best, (variable, members) in zip(self._best, self.model.member_variables):
            chosen = tf.reshape(better[members], [-1] + [1] * (len(variable.shape) - 1))
            best.assign(tf.where(chosen, variable, best))
        return scores, tf.reduce_any(better)

    def on_epoch_end(self, epoch, logs=None):
        scores, any_better = self._judge(*self._held_out)
        if logs is not None:
            logs["val_loss"] = float(tf.reduce_mean(scores))
        self._waited = 0 if any_better else self._waited + 1
        if self._waited >= self.patience:
            self.model.stop_training = True
            if self.verbose:
                print(f"Epoch {epoch + 1}: no member improved for {self.patience} epochs.")

    def on_train_end(self, logs=None):
        for best, (variable, _) in zip(self._best, self.model.member_variables):
            variable.assign(best)

    @property
    def best_scores(self) -> np.ndarray:
        """The best score of each member `[M]`, in nats for each row."""
        return self._best_scores.numpy()


def _padded_rows(held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of each member `[M, V]`, filled up to the same length, and weights that leave out the filling."""
    counts = held_out.sum(0)
    rows = np.zeros((len(counts), counts.max()), np.int64)
    for member, column in enumerate(held_out.T):
        rows[member] = np.resize(np.flatnonzero(column), rows.shape[1])
    weights = (np.arange(rows.shape[1]) < counts[:, np.newaxis]) / counts[:, np.newaxis]
    return rows, weights.astype(np.float32)


def fit_in_memory(
    model: keras.Model,
    data: tuple,
    batch_size: int,
    epochs: int,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
    seed: int = 0,
    augment: Callable | None = None,
) -> keras.callbacks.History:
    """Trains a compiled model on rows in memory, each epoch of `steps_per_epoch` steps in one graph.

    Small networks spend most of `fit` between the steps; here there is nothing between them. Every row is seen once
    before any is seen again, in an order that depends on the seed alone.

    Args:
      model: a built and compiled model. Whether XLA compiles the graph is the model's `jit_compile`.
      data: arrays `(x, y)` or `(x, y, sample_weight)` of n rows, or structures of them.
      batch_size: rows in a batch; all rows if there are fewer.
      epochs: the number of epochs, after each of which the callbacks are called.
      steps_per_epoch: the number of batches in an epoch.
      callbacks: Keras callbacks. They are told of epochs, not of batches.
      verbose: 1 shows Keras' progress bar.
      seed: seed of the order of rows.
      augment: maps the parts of a batch to those that are learnt from, or None.

    Returns:
      Keras' History, with the metrics of each epoch.

    Raises:
      ValueError: if the model is not built or not compiled, or if the parts of the data differ in their rows.
    """
    if not (model.built and model.compiled):
        raise ValueError(
            "`model` must be built and compiled: call it on data, and model.compile(...). "
            f"Received: {model.name}, built={model.built}, compiled={model.compiled}."
        )
    data = keras.tree.map_structure(tf.convert_to_tensor, data)
    num_rows, *others = [part.shape[0] for part in keras.tree.flatten(data)]
    if set(others) - {num_rows}:
        raise ValueError(f"The parts of `data` must have the same rows. Received: {[num_rows, *others]} rows.")
    batches = _batches(num_rows, min(batch_size, num_rows), np.random.default_rng(seed))
    model.optimizer.build(model.trainable_variables)
    run = _compiled(_run_steps, model.jit_compile)
    callbacks = keras.callbacks.CallbackList(
        callbacks, add_history=True, add_progbar=verbose != 0, verbose=verbose, epochs=epochs, steps=1, model=model
    )
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_train_batch_begin(0)
        order = tf.stack([next(batches) for _ in range(steps_per_epoch)])
        model.reset_metrics()
        logs = {name: float(value) for name, value in run(model, data, order, augment).items()}
        callbacks.on_train_batch_end(0, logs)
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    model.optimizer.finalize_variable_values(model.trainable_variables)  # to the averages, if it keeps any
    callbacks.on_train_end()
    return model.history


def _compiled(function: Callable, jit_compile: bool) -> Callable:
    # A partial of its own: TensorFlow would count the traces of all trainings together, and warn of too many.
    return tf.function(functools.partial(function), jit_compile=jit_compile, autograph=False)


def _run_steps(model, data, order, augment):
    """Trains on the rows of each batch of `order` `[S, B]`; the metrics after the last."""

    def step(index):
        # Not a slice of a flat order: its size would not be static for XLA, which then computes on all rows.
        rows = tf.gather(order, index)
        batch = keras.tree.map_structure(lambda part: tf.gather(part, rows), data)
        model.train_step(batch if augment is None else augment(*batch))
        return [index + 1]

    tf.while_loop(lambda index: index < tf.shape(order)[0], step, [0])
    return model.get_metrics_result()


def _batches(num_rows: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers of batches without end: one permutation of the rows after the other."""
    waiting = np.empty(0, np.int32)
    while True:
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(num_rows).astype(np.int32)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]
