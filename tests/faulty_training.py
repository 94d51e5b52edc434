"""A training that a fault ends: python faulty_training.py FOLDER PLACE, where PLACE is one of

- `batch`: the process, or the second worker of `TF_CONFIG`, is killed in the middle of the third epoch;
- `write`: the process is killed when half of a backup is written;
- `nowhere`: it goes on to its end. A second training, which nothing has disturbed, follows for comparison.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys

import keras
import numpy as np
import tensorflow as tf

import tfmdn

BATCHES = 6  # of an epoch


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 2 * BATCHES + 4:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_write(number: int) -> None:
    """Kills the process in the middle of the given call of np.savez."""
    complete, calls = np.savez, []

    def savez(path, **arrays):
        calls.append(path)
        complete(path, **arrays)
        if len(calls) == number:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    np.savez = savez


def model_of(strategy: tf.distribute.Strategy) -> keras.Model:
    with strategy.scope():
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(8, "tanh"), keras.layers.Dropout(0.2), tfmdn.MDNLayer(3)]
        model = keras.Sequential([keras.Input((1,)), *layers])
        model.compile(
            keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"], jit_compile=False
        )
    return model


def train(strategy: tf.distribute.Strategy, *callbacks: keras.callbacks.Callback) -> dict[str, np.ndarray]:
    model = model_of(strategy)
    x, y = tfmdn.datasets.inverse_sinusoid().sample(16 * BATCHES, seed=0)
    fit_arguments = {"batch_size": 16, "epochs": 5, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, callbacks=list(callbacks), **fit_arguments).history
    weights = {f"weights/{index}": weights for index, weights in enumerate(model.get_weights())}
    return {**weights, **{f"history/{name}": np.array(values) for name, values in history.items()}}


def slow_learning() -> keras.callbacks.Callback:
    """A callback with a progress of its own: it counts epochs without a better loss."""
    return keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=2, min_delta=100.0)


def main() -> None:
    folder, place = pathlib.Path(sys.argv[1]), sys.argv[2]
    strategy = tfmdn.MultiWorkerMirroredStrategy()
    worker = strategy.cluster_resolver.task_id or 0
    schedule = slow_learning()
    callbacks = [schedule, tfmdn.BackupAndRestore(folder / "backup", save_freq=5, callbacks=[schedule])]
    if place == "batch" and worker == strategy.num_replicas_in_sync - 1:
        callbacks.append(Kill())
    if place == "write":
        kill_at_write(2)
    resumed = train(strategy, *callbacks)
    undisturbed = train(strategy, slow_learning())
    np.savez(folder / f"resumed-{worker}.npz", **resumed)
    np.savez(folder / f"undisturbed-{worker}.npz", **undisturbed)


if __name__ == "__main__":
    main()
