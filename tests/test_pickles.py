"""What is public goes to other processes: pickles of it are the same."""

import copy
import pickle

import cloudpickle
import keras
import numpy as np
import pytest

import tfmdn
from tfmdn import datasets, metrics

X = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
Y = X[:, 0]
PICKLES = [copy.deepcopy, *(lambda it, way=way: pickle.loads(way.dumps(it)) for way in (pickle, cloudpickle))]
PROBLEMS = {
    "inverse_sinusoid": datasets.inverse_sinusoid,
    "bishop_inverse": lambda: datasets.bishop_inverse("normal", 0.08),
    "robot_arm": lambda: datasets.robot_arm(missing=0.3),
    "correlated_normals": datasets.correlated_normals,
    "tobit": datasets.tobit,
    "rounded_normal": datasets.rounded_normal,
    "censored_weibull": datasets.censored_weibull,
}


def test_every_problem_is_in_the_table():
    problems = {name for name in vars(datasets) if callable(getattr(datasets, name)) and name.islower()}
    assert problems == {*PROBLEMS, "read_table"}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems(name):
    problem = PROBLEMS[name]()
    x, y = problem.sample(3, seed=0)
    for pickled in PICKLES:
        again = pickled(problem)
        np.testing.assert_array_equal(again.sample(3, seed=0)[1], y)
        np.testing.assert_array_equal(again.log_prob(x, y), problem.log_prob(x, y))
        if name != "correlated_normals":  # of arrays, which do not compare as one
            assert again == problem == PROBLEMS[name]()
            assert again != datasets.robot_arm(lengths=(0.7, 0.2))


def test_functions_losses_and_metrics():
    for pickled in PICKLES:
        assert pickled(tfmdn.crps) is tfmdn.crps
        assert pickled(tfmdn.CRPS(missing="ignore")).get_config() == tfmdn.CRPS(missing="ignore").get_config()
        assert pickled(metrics.CRPS(name="one")).get_config() == metrics.CRPS(name="one").get_config()


@pytest.mark.usefixtures("quick_graphs")
def test_a_trained_model_and_its_callbacks(tmp_path):
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(2)])
    model.compile("sgd", tfmdn.crps)
    health = tfmdn.ComponentHealth((X, Y))
    callbacks = [health, tfmdn.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True, monitor="loss")]
    tfmdn.fit(model, X, Y, verbose=0, callbacks=callbacks)
    for pickled in PICKLES[1:]:
        again, checkpoints = pickled(callbacks)
        assert again.history == health.history
        assert checkpoints.model is again.model
        np.testing.assert_allclose(again.model(X).mean(), model(X).mean(), rtol=1e-6)
