"""The models that are shipped still load and are as good as their README says."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfmdn

FOLDER = pathlib.Path(__file__).parents[1] / "saved_models"


def test_inverse_sinusoid():
    model = tf.saved_model.load(str(FOLDER / "inverse_sinusoid"))
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(20_000, seed=123)
    log_prob = model.signatures["log_prob"](x=tf.constant(x), y=tf.constant(y))["log_prob"]
    assert -float(np.mean(log_prob)) == pytest.approx(problem.best_nll, abs=0.035)


def test_every_model_is_described():
    described = (FOLDER / "README.md").read_text()
    assert all(f"| {path.name} |" in described for path in FOLDER.iterdir() if path.is_dir())
