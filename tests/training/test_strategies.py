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


def assert_results_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@functools.cache
def results_of_one_process(name):
    return results(tf.distribute.get_strategy(), name)


@pytest.mark.by_default("ensemble")
@pytest.mark.parametrize("name", MODELS)
def test_two_replicas_are_one_process(name):
    assert_results_equal(results(two_replicas(), name), results_of_one_process(name))


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
    saved = keras.saving.load_model(tmp_path / "chief" / "model.keras")
    for index, weights in enumerate(saved.get_weights()):
        np.testing.assert_array_equal(weights, workers[0][f"functional/weights/{index}"])


def test_without_tf_config_there_is_one_worker(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy = tfmdn.MultiWorkerMirroredStrategy()
    assert strategy.is_chief
    assert strategy.num_replicas_in_sync == 1
