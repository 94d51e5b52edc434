"""What is left after a kill, a lost worker and a full disk."""

import contextlib
import functools
import pathlib
import resource
import signal

import faulty_training
import interrupted_training
import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import serving_alone, two_replicas

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")
X, Y = tfmdn.datasets.inverse_sinusoid().sample(96, seed=0)


# kill -9


def assert_undisturbed(folder, num_workers=1):
    for worker in range(num_workers):
        resumed = dict(np.load(folder / f"resumed-{worker}.npz"))
        undisturbed = dict(np.load(folder / f"undisturbed-{worker}.npz"))
        assert resumed.keys() == undisturbed.keys()
        for name, value in undisturbed.items():
            np.testing.assert_allclose(resumed[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_killed_process_goes_on(processes, tmp_path):
    training = functools.partial(processes.run, pathlib.Path(faulty_training.__file__), tmp_path)
    backup = tmp_path / "backup" / "training.npz"
    (killed,) = training("batch")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert np.load(backup)["position"].tolist() == [2, 3]  # batch 15 of 6 in each epoch
    (killed,) = training("write")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert np.load(backup)["position"].tolist() == [3, 2]
    (complete,) = training("nowhere")
    assert complete.returncode == 0, complete.stderr
    assert_undisturbed(tmp_path)
    assert list(backup.parent.iterdir()) == []


def test_kills_at_random_moments_leave_whole_files_to_go_on_from(processes, request, tmp_path):
    training = functools.partial(processes.run, pathlib.Path(interrupted_training.__file__))
    folder, moments = tmp_path / "killed", np.random.default_rng(0)
    folder.mkdir()
    kills = 20 if request.config.getoption("--exhaustive") else 5
    epochs = 2 * kills
    (complete,) = training(folder, epochs, 0)
    assert complete.returncode == 0, complete.stderr
    expected = dict(np.load(folder / "ended.npz"))
    for path in (folder / "ended.npz", folder / "backup" / "training.npz"):
        path.unlink()
    positions = [0]
    for _ in range(kills):
        (killed,) = training(folder, epochs, moments.uniform(0.01, 3.0))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        epoch, batch = np.load(folder / "backup" / "training.npz")["position"].tolist()
        positions.append(interrupted_training.BATCHES * epoch + batch)
        model = keras.models.load_model(folder / "model.keras", compile=False)
        model.load_weights(folder / "best.weights.h5")
    assert positions == sorted(set(positions))  # each has gone on from the one before
    (complete,) = training(folder, epochs, 0)
    assert complete.returncode == 0, complete.stderr
    for name, value in np.load(folder / "ended.npz").items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
    found = {path.name for path in (*folder.iterdir(), *(folder / "backup").iterdir())}
    assert found == {"backup", "training.npz", "model.keras", "best.weights.h5", "ended.npz"}  # no drafts are left


@pytest.mark.exhaustive
def test_a_killed_worker_ends_the_others_and_all_go_on(processes, tmp_path):
    training = functools.partial(processes.run, pathlib.Path(faulty_training.__file__), tmp_path)
    survivor, killed = training("batch", num_workers=2)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert survivor.returncode == 1
    assert "UnavailableError" in survivor.stderr
    for worker in training("nowhere", num_workers=2):
        assert worker.returncode == 0, worker.stderr
    assert_undisturbed(tmp_path, num_workers=2)


class Interruption(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    def __init__(self, at_step):
        super().__init__()
        self.at_step = at_step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) >= self.at_step:
            raise Interruption


def model_of(strategy=None, policy="float32", **compile_arguments):
    with (strategy or tf.distribute.get_strategy()).scope():
        keras.utils.set_random_seed(1)
        layers = [
            keras.layers.Dense(8, "tanh", dtype=policy),
            keras.layers.BatchNormalization(synchronized=True, dtype=policy),
            keras.layers.Dropout(0.2, dtype=policy),
            tfmdn.MDNLayer(3, dtype=policy),
        ]
        model = keras.Sequential([keras.Input((1,)), *layers])
        optimizer = keras.optimizers.AdamW(0.01, use_ema=True)
        loss = tfmdn.NegativeLogLikelihood()
        model.compile(optimizer, loss, metrics=["mae"], jit_compile=False, **compile_arguments)
    return model


def fit(model, *callbacks):
    return model.fit(X, Y, batch_size=16, epochs=4, shuffle=False, verbose=0, callbacks=list(callbacks)).history


def stopping():
    """It ends with the weights of the first epoch."""
    return keras.callbacks.EarlyStopping("loss", patience=3, min_delta=100.0, restore_best_weights=True)


@pytest.mark.by_default("3-16-{'steps_per_execution': 2}")
@pytest.mark.parametrize(
    ("save_freq", "at_step", "arguments"),
    [
        ("epoch", 15, {}),
        (6, 14, {"policy": "mixed_bfloat16"}),  # as many batches as an epoch has: the last one is left out as well
        (3, 16, {"steps_per_execution": 2}),
        (5, 16, {"replicas": 2}),
    ],
    ids=str,
)
def test_backups_restore_everything(save_freq, at_step, arguments, tmp_path):
    arguments = dict(arguments)
    strategy = two_replicas() if arguments.pop("replicas", 1) > 1 else None
    undisturbed = model_of(strategy, **arguments)
    expected = fit(undisturbed, stopping())
    interrupted, early = model_of(strategy, **arguments), stopping()
    backup = tfmdn.BackupAndRestore(tmp_path, save_freq, callbacks=[early])
    with pytest.raises(Interruption):
        fit(interrupted, early, backup, Interrupt(at_step))
    resumed, early = model_of(strategy, **arguments), stopping()
    backup = tfmdn.BackupAndRestore(tmp_path, save_freq, callbacks=[early])
    history = fit(resumed, early, backup)
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    for actual, weights in zip(resumed.get_weights(), undisturbed.get_weights()):
        np.testing.assert_allclose(actual, weights, rtol=1e-6, atol=1e-6)
    assert list(tmp_path.iterdir()) == []


def compiled(*layers):
    model = keras.Sequential(layers)
    model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    return model


def test_a_finished_training_is_not_repeated(tmp_path):
    models = [compiled(keras.Input((1,)), tfmdn.MDNLayer(3)) for _ in range(2)]
    histories = [fit(model, tfmdn.BackupAndRestore(tmp_path, delete_checkpoint=False)) for model in models]
    assert histories[1] == {}
    for again, weights in zip(models[1].get_weights(), models[0].get_weights()):
        np.testing.assert_array_equal(again, weights)


def test_what_backups_refuse(tmp_path):
    with pytest.raises(ValueError, match="save_freq=0"):
        tfmdn.BackupAndRestore(tmp_path, save_freq=0)
    with pytest.raises(ValueError, match="needs a built model"):
        fit(compiled(tfmdn.MDNLayer(3)), tfmdn.BackupAndRestore(tmp_path))
    fit(compiled(keras.Input((1,)), tfmdn.MDNLayer(3)), tfmdn.BackupAndRestore(tmp_path, delete_checkpoint=False))
    with pytest.raises(ValueError, match="another model or optimizer"):
        fit(compiled(keras.Input((1,)), tfmdn.MDNLayer(4)), tfmdn.BackupAndRestore(tmp_path))


# A full disk


@contextlib.contextmanager
def full_disk(num_bytes=2_000):
    """No file can grow beyond `num_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@functools.cache
def small_model():
    return compiled(keras.Input((1,)), tfmdn.MDNLayer(3))


@functools.cache
def small_regressor():
    return tfmdn.MDNRegressor(1, n_estimators=1, hidden_units=(4,), max_steps=2, random_state=0).fit(X, Y)


def train_with(callback, epochs=1):
    small_model().fit(X, Y, epochs=epochs, verbose=0, callbacks=[callback])


def save_as_saved_model(path):
    with serving_alone():
        tfmdn.export_saved_model(small_model(), path)


SAVING = {
    "model.keras": lambda path: train_with(tfmdn.ModelCheckpoint(path)),
    "training.npz": lambda path: train_with(
        tfmdn.BackupAndRestore(path.parent, delete_checkpoint=False), epochs=2 if path.exists() else 1
    ),
    "regressor": lambda path: small_regressor().save(path),
    "saved_model": save_as_saved_model,
}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", SAVING)
def test_a_full_disk_leaves_the_last_file(name, tmp_path):
    path = tmp_path / name
    SAVING[name](path)
    before = contents(tmp_path)
    assert path.exists()
    with full_disk(), pytest.raises((OSError, tf.errors.OpError)):
        SAVING[name](path)
    assert contents(tmp_path) == before
