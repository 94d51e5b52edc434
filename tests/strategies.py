"""What every strategy is asked to train: python strategies.py FOLDER does so as one of the workers of `TF_CONFIG`."""

from __future__ import annotations

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import tfmdn

BATCH_SIZE = 32


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.mixture = keras.layers.Dense(8, "tanh"), tfmdn.MDNLayer(3)

    def call(self, x):
        return self.mixture(self.hidden(x))


def sequential():
    # Without an Input: Keras builds it from the first batch.
    normalization = keras.layers.BatchNormalization(synchronized=True)
    return keras.Sequential([keras.layers.Dense(8, "tanh"), normalization, tfmdn.MDNLayer(3)])


def functional():
    first, second = keras.Input((1,), name="first"), keras.Input((1,), name="second")
    hidden = keras.layers.Dense(8, "tanh")(keras.layers.Concatenate()([first, second]))
    return keras.Model({"first": first, "second": second}, tfmdn.MDNLayer(3, event_shape=2)(hidden))


def ensemble():
    networks = [keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "tanh"), tfmdn.MDNLayer(3)])] * 2
    return tfmdn.Ensemble([keras.models.clone_model(network) for network in networks])


MODELS = {"sequential": sequential, "functional": functional, "subclassed": Subclassed, "ensemble": ensemble}


def bare_loss(y, mixture):
    """What Keras calls as it is, and a `Loss` of tfmdn's is not."""
    return -mixture.log_prob(y)


def compiled(strategy: tf.distribute.Strategy, name: str) -> keras.Model:
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = MODELS[name]()
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            loss=bare_loss if name == "functional" else tfmdn.NegativeLogLikelihood(),
            metrics=["mae", bare_loss if name == "functional" else tfmdn.metrics.NegativeLogLikelihood()],
            jit_compile=False,
        )
    return model


def data(name: str, num_rows: int, seed: int) -> tuple:
    x, y = tfmdn.datasets.inverse_sinusoid().sample(num_rows, seed=seed)
    return ({"first": x, "second": x**2}, np.stack([y, x[:, 0]], -1)) if name == "functional" else (x, y[:, np.newaxis])


def results(strategy: tf.distribute.Strategy, name: str, callbacks=()) -> dict[str, np.ndarray]:
    """Everything that fit, evaluate and predict say, and the weights at the end."""
    model = compiled(strategy, name)
    arrays = {"batch_size": BATCH_SIZE, "verbose": 0}
    # The last batch has 5 rows, and one replica more of them than the other.
    held_out = *data(name, 37, seed=2), np.linspace(0, 1, 37)
    x, y = data(name, 96, seed=0)
    history = model.fit(
        x, y, epochs=3, shuffle=False, validation_data=held_out, callbacks=list(callbacks), **arrays
    ).history
    x, y, weight = held_out
    evaluation = model.evaluate(x, y, sample_weight=weight, return_dict=True, **arrays)
    return {
        **{f"{name}/history/{metric}": np.array(values) for metric, values in history.items()},
        **{f"{name}/evaluation/{metric}": np.array(value) for metric, value in evaluation.items()},
        f"{name}/prediction": model.predict(x, **arrays),
        **{f"{name}/weights/{i}": weights for i, weights in enumerate(model.get_weights())},
    }


def write_files(folder: pathlib.Path) -> None:
    """Two files of 64 rows each."""
    for number in range(2):
        x, y = tfmdn.datasets.inverse_sinusoid().sample(64, seed=number)
        np.savetxt(folder / f"rows-{number}.csv", np.column_stack([x, y]), delimiter=",")


def rows_of_files(folder: pathlib.Path) -> tf.data.Dataset:
    """Half of each batch is of each file, for one process as for two workers that read one file each."""
    files = tf.data.Dataset.list_files(str(folder / "rows-*.csv"), shuffle=False)
    lines = files.interleave(tf.data.TextLineDataset, cycle_length=2, block_length=BATCH_SIZE // 2)
    rows = lines.map(lambda line: tf.stack(tf.io.decode_csv(line, [0.0, 0.0])))
    return rows.map(lambda row: (row[:1], row[1:])).batch(BATCH_SIZE)


def results_of_files(strategy: tf.distribute.Strategy, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """A training on files, of an MDNLayer that has adapted to them."""
    dataset = rows_of_files(folder)
    model = compiled(strategy, "sequential")
    model.layers[-1].adapt(dataset)
    history = model.fit(dataset, epochs=3, validation_data=dataset, verbose=0).history
    return {
        **{f"files/history/{metric}": np.array(values) for metric, values in history.items()},
        **{f"files/weights/{i}": weights for i, weights in enumerate(model.get_weights())},
    }


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    strategy = tfmdn.MultiWorkerMirroredStrategy()
    files = [tfmdn.ModelCheckpoint(folder / "chief" / "model.keras"), tfmdn.BackupAndRestore(folder / "chief")]
    every_result = {
        **results_of_files(strategy, folder),
        **results(strategy, "functional", files),
        **results(strategy, "ensemble"),
    }
    np.savez(folder / f"worker-{strategy.cluster_resolver.task_id}.npz", **every_result)


if __name__ == "__main__":
    main()
