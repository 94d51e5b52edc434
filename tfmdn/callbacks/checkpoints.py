"""Callbacks that write files for the case that a training is killed, a disk full or a worker gone."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tfmdn import files, keras_internals, validation, versions
from tfmdn.callbacks import backups


class BackupAndRestore(keras.callbacks.Callback):
    """Backs up a training, so that the same command continues it after a `kill -9`, a crash or a lost machine.

    It stands in for `keras.callbacks.BackupAndRestore`, which writes over its only file, forgets the metrics and the
    other callbacks, and repeats all batches of an epoch that it has saved in the middle. Here

    - one file holds everything: weights, the state of the optimizer, of dropout and of the metrics, and the history;
      it is replaced at once, so that a complete one is there at any time;
    - after a backup in the middle of an epoch the batches that were learnt from are read and left out. If the data come
      in the same order, the training ends as if nothing had happened;
    - under `tfmdn.MultiWorkerMirroredStrategy` the chief writes, and at the start all workers take up the chief's
      state: they need no common disk.

    Put it last in the list of callbacks. The model must be built.

    A dataset that ends with each epoch continues at its place. One that repeats without end, cut into epochs by
    `steps_per_epoch`, begins anew. `tf.data` shuffles anew as well, unless `reshuffle_each_iteration=False`.

    Args:
      backup_dir: the folder for the file, `training.npz`.
      save_freq: "epoch", or the number of batches between backups.
      callbacks: callbacks whose progress is backed up as well, such as the best value and weights that
        `EarlyStopping` has seen: their attributes that are numbers or lists of arrays.
      delete_checkpoint: whether the backup is deleted when the training ends. Otherwise the same command then
        trains no further.

    Raises:
      ValueError: if an argument is invalid; when training begins, if the model is not built or the backup is of
        another one.

    Example:

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3)])
    >>> model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(200, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backup = tfmdn.BackupAndRestore(folder, save_freq=5)
    ...     history = model.fit(x, y, epochs=2, shuffle=False, verbose=0, callbacks=[backup])
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int = "epoch",
        callbacks: Iterable[keras.callbacks.Callback] = (),
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        self.path = pathlib.Path(backup_dir) / "training.npz"
        self.save_freq = save_freq if save_freq == "epoch" else validation.positive_integer("save_freq", save_freq)
        self.callbacks = list(callbacks)
        self.delete_checkpoint = delete_checkpoint

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a built model: give it a keras.Input, or call it on a batch before fit. "
                f"Received: model={self.model.name!r}."
            )
        self._epoch, self._batch, self._since_backup = 0, 0, 0
        content = self._content()
        self._backup = backups.arrays(content, self.path) if content else None
        if self._backup:
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_variables)
            self._epoch, self._batch = self._backup["position"].tolist()
            keras_internals.set_initial_epoch(self.model, self._epoch)
            if not self._batch or self.params.get("resumes_within_epoch"):
                self._restore_variables()

    def on_epoch_begin(self, epoch, logs=None):
        if self._backup is None:
            self._epoch, self._batch = epoch, 0
            return
        # Only here: other callbacks forget their progress when training begins.
        history = {name: self._backup[f"history/{name}"].tolist() for name in self._names("history/")}
        self.model.history.history.update(history)
        self.model.history.epoch = list(range(epoch))
        for number, callback in enumerate(self.callbacks):
            backups.set_progress(
                callback, {name: self._backup[f"{number}/{name}"] for name in self._names(f"{number}/")}
            )
        if self._batch and not self.params.get("resumes_within_epoch"):  # as tfmdn.fit does
            self._skip_batches()
            return
        if self._batch:
            self._restore_variables()  # the metrics, once more: they have just been reset
        self._backup = None

    def on_train_batch_end(self, batch, logs=None):
        if self._backup is not None:  # while batches are left out
            keras_internals.require_call_of(self._is_skipping)
            return
        self._since_backup += batch + 1 - self._batch
        self._batch = batch + 1
        # After the last batch of an epoch its end is still to come.
        if self.save_freq != "epoch" and self._since_backup >= self.save_freq and self._batch != self.params["steps"]:
            self._since_backup = 0
            self._save(self._epoch, self._batch, self.model.history.history)

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch" or self._since_backup >= self.save_freq:
            self._since_backup = 0
            seen = self.model.history.history  # without this epoch: Keras' History is told after all others
            self._save(epoch + 1, 0, {name: [*seen.get(name, []), value] for name, value in (logs or {}).items()})

    def on_train_end(self, logs=None):
        keras_internals.set_initial_epoch(self.model, None)  # of the next call of fit, otherwise
        if self.delete_checkpoint and self._writes:
            self.path.unlink(missing_ok=True)

    @property
    def _writes(self) -> bool:
        return self.model.distribute_strategy.extended.should_checkpoint

    def _variables(self) -> list[keras.Variable]:
        metrics = self.model.metrics_variables if self._batch else []
        return [*self.model.variables, *self.model.optimizer.variables, *metrics]

    def _save(self, epoch: int, batch: int, history: dict) -> None:
        self._batch = batch
        # On every worker: what metrics count is summed over all of them when it is read.
        state = {f"variable/{number}": backups.array(variable) for number, variable in enumerate(self._variables())}
        if not self._writes:
            return
        state["position"] = np.array([epoch, batch])
        state[versions.STAMP] = np.array(json.dumps(versions.stamp()))
        state |= {f"history/{name}": np.array(values) for name, values in history.items()}
        for number, callback in enumerate(self.callbacks):
            state |= {f"{number}/{name}": value for name, value in backups.progress(callback).items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacement(self.path) as draft:
            np.savez(draft, **state)

    def _content(self) -> bytes:
        """The chief's file, or nothing."""
        strategy = self.model.distribute_strategy
        # An empty file is a damaged backup, and not none.
        content = (self.path.read_bytes() or b" ") if self._writes and self.path.exists() else b""
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return content
        # As int32, the smallest type that can be gathered; a first word, as TensorFlow crashes if it gathers nothing.
        words = np.frombuffer(np.int32(len(content)).tobytes() + content + bytes(-len(content) % 4), np.int32)
        from_chief = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(words[: None if context.replica_id_in_sync_group == 0 else 0])
        )
        words = strategy.gather(from_chief, axis=0).numpy()
        return words[1:].tobytes()[: words[0]]

    def _names(self, prefix: str) -> list[str]:
        return [name.removeprefix(prefix) for name in self._backup if name.startswith(prefix)]

    def _restore_variables(self) -> None:
        values = [self._backup[f"variable/{number}"] for number in self._names("variable/")]
        variables = self._variables()
        shapes, expected = [value.shape for value in values], [tuple(variable.shape) for variable in variables]
        if shapes != expected:
            raise ValueError(
                f"The backup at {str(self.path)!r} is of another model or optimizer. Remove it to train anew. "
                f"Expected variables of the shapes {expected}. Received: {shapes}."
            )
        for variable, value in zip(variables, values):
            variable.assign(value)

    def _skip_batches(self) -> None:
        """Lets the next calls of the model's `train_function` read their batches only."""
        left = self._batch

        def skip(iterator):
            nonlocal left
            self._is_skipping = True
            if left == self._batch:
                # Learnt from, once more: that makes Keras create the state that it creates late. All of it is restored.
                train(iterator)
                self._restore_variables()
            else:
                for _ in range(min(left, self.model.steps_per_execution)):
                    next(iterator)
            left -= self.model.steps_per_execution
            if left <= 0:
                keras_internals.replace_train_function(self.model, train)
                self._backup = None
            return self.model.get_metrics_result()

        self._is_skipping = False
        train = keras_internals.replace_train_function(self.model, skip)


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):
    """`keras.callbacks.ModelCheckpoint`, whose files are complete ones only.

    Keras' own writes over the file that is there: when the disk is full or the process killed, nothing is left. This
    one replaces the file when the new one is complete. Under a strategy of several workers the chief alone writes.

    Args:
      filepath: a local path, with placeholders as in Keras' class.
      **kwargs: the other arguments of Keras' class.

    Example:

    >>> checkpoint = tfmdn.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True)
    """

    def on_train_batch_end(self, batch, logs=None):
        with _complete_files(self.model):
            super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        with _complete_files(self.model):
            super().on_epoch_end(epoch, logs)


@contextlib.contextmanager
def _complete_files(model: keras.Model) -> Iterator[None]:
    """Lets the methods of a model that save it replace files when they are complete, and write on the chief alone."""
    # What Keras' class does before it calls one of them has no public names. The methods have.
    savers = {name: getattr(model, name) for name in ("save", "save_weights")}
    for name, save in savers.items():
        setattr(model, name, functools.partial(_save_completely, model, save))
    try:
        yield
    finally:
        for name in savers:
            delattr(model, name)  # the method of the class comes back to light


def _save_completely(model: keras.Model, save: Callable, filepath: str | os.PathLike, **kwargs) -> None:
    if model.distribute_strategy.extended.should_checkpoint:
        with files.replacement(filepath) as draft:
            save(draft, **kwargs)
