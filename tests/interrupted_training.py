"""A training with all callbacks that write, which goes on from files: interrupted_training.py FOLDER EPOCHS DELAY.

It kills itself after the time that so many batches take, unless that is 0, wherever it is then: mostly while it writes,
which it does after each batch.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import threading
import time

import keras
import numpy as np
import tensorflow as tf

import tfmdn

BATCHES = 4  # of an epoch
X, Y = tfmdn.datasets.inverse_sinusoid().sample(8 * BATCHES, seed=0)


class Deadline(keras.callbacks.Callback):
    """Kills the process some time after it has gone on: after so many times as long as a batch takes."""

    def __init__(self, batches: float, backup: pathlib.Path):
        super().__init__()
        self.batches, self.backup, self.before, self.ends = batches, backup, changed(backup), []

    def on_train_batch_end(self, batch, logs=None):
        if changed(self.backup) != self.before:
            self.ends.append(time.monotonic())
        if len(self.ends) == 2:
            seconds = self.batches * (self.ends[1] - self.ends[0])
            threading.Thread(target=self._kill, args=(seconds,), daemon=True).start()

    def _kill(self, seconds: float) -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)


def changed(path: pathlib.Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def main() -> None:
    folder, epochs, delay = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    backup = folder / "backup" / "training.npz"
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)])
    model.compile(keras.optimizers.Adam(0.01), loss=tfmdn.NegativeLogLikelihood(), jit_compile=False)
    early = keras.callbacks.EarlyStopping("loss", patience=1000, restore_best_weights=True)
    callbacks = [
        early,
        tfmdn.ModelCheckpoint(folder / "model.keras", save_freq=1),
        tfmdn.ModelCheckpoint(folder / "best.weights.h5", "loss", save_best_only=True, save_weights_only=True),
        tfmdn.BackupAndRestore(folder / "backup", save_freq=1, callbacks=[early], delete_checkpoint=False),
        *([Deadline(delay, backup)] if delay else []),
    ]
    arguments = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    history = model.fit(X, Y, callbacks=callbacks, **arguments).history
    np.savez(folder / "ended.npz", *model.get_weights(), loss=history["loss"])


if __name__ == "__main__":
    main()
