"""One model on two machines: data sharded from files, and a training that survives the loss of a machine.

Start one worker on each machine, with the same list of addresses:

    python examples/multi_worker.py --workers 10.0.0.1:2222,10.0.0.2:2222 --index 0
    python examples/multi_worker.py --workers 10.0.0.1:2222,10.0.0.2:2222 --index 1

The machines need no common disk: only the first worker, the chief, writes backups and the model. If a worker dies, the
others end with an UnavailableError within seconds. Once all have been started again with the same command, they go on
from the last backup:

    until python examples/multi_worker.py --workers ... --index ...; do sleep 5; done

Two workers on this machine, for a look:

    python examples/multi_worker.py --local 2           # about a minute on two cores
    python examples/multi_worker.py --quick             # the same with less data

In place of your own data the script writes a made-up table of deliveries to Parquet files in --data. They are read as
a stream: each worker reads its share of the files, and never holds more than some batches of rows. Of the others' files
it reads how many rows they have, and the first ones, which all workers adapt to. The columns go into the model as they
are, numbers with gaps, text and dates, so that the file that it is saved to needs nothing else. At the end the chief
prints the NLL on files that were held out: 3.449 nats per row for two workers, where the best that any model can reach
is 3.409. A training in which a worker was killed ends with the same figure.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator

import _quiet  # noqa: F401
import keras
import numpy as np
import pandas as pd
import pyarrow.parquet
import tensorflow as tf
from _deliveries import log_density, made_up

import tfmdn

ROOT = pathlib.Path(__file__).resolve().parents[1]
BATCH_SIZE = 256  # of all workers together
ROWS_IN_FILE = 4_096
TARGET = "minutes"
NUMBERS, TEXTS, DATES = ["distance", "weight"], ["city"], ["ordered"]
SPECS = {
    **{name: tf.TensorSpec([None], tf.float32) for name in NUMBERS},
    **{name: tf.TensorSpec([None], tf.string) for name in TEXTS},
    **{name: tf.TensorSpec([None], tf.float64) for name in DATES},  # seconds, of which float32 has too few
}


def write_files(folder: pathlib.Path, part: str, num_files: int, first_seed: int) -> list[pathlib.Path]:
    """Writes what is missing of `num_files` files of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{part}-{number:05d}.parquet" for number in range(num_files)]
    for number, path in enumerate(paths):
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")  # workers on one machine write the same files
            frame, minutes = made_up(first_seed + number, ROWS_IN_FILE)
            frame.assign(**{TARGET: minutes}).to_parquet(draft, row_group_size=1_024)
            draft.replace(path)
    return paths


def read_files(paths: list[pathlib.Path], index: int, num_workers: int) -> tf.data.Dataset:
    """Batches (x, y) of one worker's share of the files, the same in each epoch.

    So a training that was interrupted ends as if it had not been. All workers have as many batches: a worker that had
    one more would wait for the others forever.
    """
    shares = [paths[start::num_workers] for start in range(num_workers)]
    num_rows = [sum(pyarrow.parquet.read_metadata(path).num_rows for path in share) for share in shares]
    num_batches = min(num_rows) // BATCH_SIZE

    def batches() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        rng = np.random.default_rng(index)
        for path in shares[index]:
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1_024):
                yield columns(batch.to_pandas().sample(frac=1.0, random_state=rng))

    rows = tf.data.Dataset.from_generator(batches, output_signature=(SPECS, tf.TensorSpec([None], tf.float32)))
    options = tf.data.Options()
    # The strategy must not divide once more what a worker reads: only each batch, among as many steps as workers.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return rows.rebatch(BATCH_SIZE).take(num_batches).prefetch(tf.data.AUTOTUNE).with_options(options)


def columns(frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the model takes for a table, and the targets."""
    x = {name: frame[name].to_numpy(np.float32) for name in NUMBERS}
    x |= {name: frame[name].fillna("").to_numpy(object) for name in TEXTS}
    x |= {name: frame[name].to_numpy("datetime64[ms]").astype(np.float64) / 1_000 for name in DATES}
    return x, frame[TARGET].to_numpy(np.float32)


def first_rows(paths: list[pathlib.Path], num_rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The first rows of all files: all workers must adapt to the same ones, and not each to its own."""
    batches = [next(pyarrow.parquet.ParquetFile(path).iter_batches(num_rows)).to_pandas() for path in paths]
    return columns(pd.concat(batches))


def build(x: dict[str, np.ndarray], y: np.ndarray, num_steps: int) -> keras.Model:
    """A model of raw columns by name, which has adapted to some rows."""
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((), dtype=spec.dtype.name, name=name) for name, spec in SPECS.items()}
    numbers = np.stack([x[name] for name in NUMBERS], axis=1)
    fill, embed = tfmdn.features.Imputation(), tfmdn.features.PiecewiseLinearEmbedding(num_bins=16)
    fill.adapt(numbers)
    embed.adapt(fill(numbers))
    stacked = keras.ops.stack([inputs[name] for name in NUMBERS], axis=1)
    features = [embed(fill(stacked)), tfmdn.features.MissingIndicator([NUMBERS.index("weight")])(stacked)]
    for name in TEXTS:
        lookup = keras.layers.StringLookup(vocabulary=sorted(set(x[name]) - {""}), output_mode="one_hot")
        features.append(lookup(inputs[name][:, np.newaxis]))
    calendar = tfmdn.features.Calendar(["year", "week", "day"])
    features += [calendar(inputs[name]) for name in DATES]
    head = tfmdn.MDNLayer(8)
    head.adapt(y)
    hidden = keras.layers.Concatenate()(features)
    for _ in range(2):
        hidden = keras.layers.Dense(64, "silu")(hidden)
    model = keras.Model(inputs, head(hidden))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, num_steps))
    model.compile(optimizer, loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"])
    return model


def train(data: pathlib.Path, output: pathlib.Path, num_files: int, epochs: int) -> None:
    strategy = tfmdn.MultiWorkerMirroredStrategy()  # before TensorFlow is used for anything else
    resolver, num_workers = strategy.cluster_resolver, strategy.num_replicas_in_sync
    files = write_files(data, "train", num_files, first_seed=0)
    test_files = write_files(data, "test", 4, first_seed=10_000)
    with strategy.scope():
        model = build(*first_rows(files, 512), num_steps=epochs * num_files * ROWS_IN_FILE // BATCH_SIZE)
    backup = tfmdn.BackupAndRestore(output / "backup", save_freq=100)
    # TensorFlow cannot know how many batches files hold, and Keras warns when the first epoch has come to their end.
    warnings.filterwarnings("ignore", message="Your input ran out of data")
    batches = read_files(files, resolver.task_id or 0, num_workers)
    verbose = 2 if strategy.is_chief else 0
    model.fit(batches, epochs=epochs, shuffle=False, callbacks=[backup], verbose=verbose)
    nll, _ = model.evaluate(read_files(test_files, resolver.task_id or 0, num_workers), verbose=0)
    if strategy.is_chief:
        model.save(output / "model.keras")
        test = pd.concat(pd.read_parquet(path) for path in test_files)
        best = -log_density(test, test[TARGET].to_numpy()).mean()
        print(f"\nWorkers: {num_workers}. Test NLL: {nll:.3f} nats per row (best possible {best:.3f})")
        print(f"Model: {output / 'model.keras'}")


def start_workers(count: int) -> None:
    """Starts this command again for `count` workers on this machine, and waits for them."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in servers)
    for server in servers:
        server.close()
    command = [sys.executable, *sys.argv, "--workers", addresses, "--index"]
    workers = [subprocess.Popen([*command, str(index)]) for index in range(count)]
    statuses = [worker.wait() for worker in workers]
    if any(statuses):
        raise SystemExit("A worker has failed. The same command goes on from the last backup.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", help="address:port of every worker, with commas; or set TF_CONFIG")
    parser.add_argument("--index", type=int, help="which of them this one is, from 0")
    parser.add_argument("--local", type=int, metavar="N", help="start N workers on this machine")
    parser.add_argument("--quick", action="store_true", help="two workers on this machine, less data and fewer epochs")
    parser.add_argument("--data", type=pathlib.Path, help="folder of the Parquet files")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the backup and the model")
    arguments = parser.parse_args()
    folder = ROOT / "outputs" / ("multi_worker_quick" if arguments.quick else "multi_worker")
    num_files, epochs = (4, 5) if arguments.quick else (20, 8)

    if arguments.workers is None and (arguments.quick or arguments.local):
        start_workers(arguments.local or 2)
        return
    if arguments.workers is not None:
        task = {"type": "worker", "index": arguments.index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": arguments.workers.split(",")}, "task": task})
    train(arguments.data or folder / "data", arguments.output or folder, num_files, epochs)


if __name__ == "__main__":
    main()
