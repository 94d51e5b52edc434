"""Strategies of tf.distribute: what a model learns and says is what one process on the same batches does."""

import functools
import pathlib

import keras
import numpy as np
import pytest
import strategies
import tensorflow as tf
from cases import two_replicas
from strategies import MODELS, results, results_of_files, write_files

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")


def assert_results_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@functools.cache
def results_of_one_process(name):
    return results(tf.distribute.get_strategy(), name)


# Two workers have the ensemble.
@pytest.mark.by_default("functional")
@pytest.mark.parametrize("name", MODELS)
def test_two_replicas_are_one_process(name):
    assert_results_equal(results(two_replicas(), name), results_of_one_process(name))


def results_of_bare_losses(strategy):
    """Two heads, weights, and what Keras calls with the mixture itself, or with its mean."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((1,))
        model = keras.Model(inputs, {"a": tfmdn.MDNLayer(2)(inputs), "b": tfmdn.MDNLayer(2, 2)(inputs)})
        model.compile(
            keras.optimizers.SGD(0.01),
            loss={"a": lambda y, d: -d.log_prob(y), "b": lambda y, d: tf.norm(y - d.mean(), axis=-1) - d.log_prob(y)},
            loss_weights={"a": 1.0, "b": 0.5},
            metrics={"a": [lambda y, d: d.stddev()]},
            weighted_metrics={"b": [lambda y, d: tf.reduce_sum(d.stddev(), -1)]},
            steps_per_execution=2,
            jit_compile=False,
        )
    x, y = tfmdn.datasets.inverse_sinusoid().sample(32, seed=0)
    y, weights = {"a": y, "b": np.stack([y, -y], -1)}, {"a": np.linspace(0, 1, 32), "b": np.linspace(1, 0, 32)}
    history = model.fit(x, y, sample_weight=weights, epochs=2, batch_size=8, shuffle=False, verbose=0).history
    evaluation = model.evaluate(x, y, sample_weight=weights, batch_size=8, verbose=0, return_dict=True)
    return {**history, **{f"test_{name}": value for name, value in evaluation.items()}, **model.predict(x, verbose=0)}


def test_bare_losses_of_several_heads():
    assert_results_equal(results_of_bare_losses(two_replicas()), results_of_bare_losses(tf.distribute.get_strategy()))


def test_two_workers_are_one_process(processes, tmp_path):
    write_files(tmp_path)
    for worker in processes.run(pathlib.Path(strategies.__file__), tmp_path, num_workers=2):
        assert worker.returncode == 0, worker.stderr
    workers = [dict(np.load(tmp_path / f"worker-{index}.npz")) for index in range(2)]
    for name, value in workers[0].items():
        np.testing.assert_array_equal(workers[1][name], value, err_msg=name)
    one_process = results_of_files(tf.distribute.get_strategy(), tmp_path)
    for name in ("functional", "ensemble"):
        one_process |= results_of_one_process(name)
    assert_results_equal(workers[0], one_process)
    assert [file.name for file in (tmp_path / "chief").iterdir()] == ["model.keras"]
    saved = keras.saving.load_model(tmp_path / "chief" / "model.keras", compile=False)
    for index, weights in enumerate(saved.get_weights()):
        np.testing.assert_array_equal(weights, workers[0][f"functional/weights/{index}"])


def test_without_tf_config_there_is_one_worker(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy = tfmdn.MultiWorkerMirroredStrategy()
    assert strategy.is_chief
    assert strategy.num_replicas_in_sync == 1
