"""Members that start as a Gaussian mixture of features and targets: they are there where they can, and count."""

import numpy as np
import pytest

import tfmdn
from tfmdn import datasets

PROBLEM = datasets.correlated_normals(1, num_features=2, num_targets=2, smallest_scale=0.02, seed=3)
pytestmark = pytest.mark.usefixtures("quick_graphs")


def test_correlated_targets_are_learnt_in_a_few_steps():
    x, y = PROBLEM.sample(300, seed=0)
    regressor = tfmdn.MDNRegressor(
        num_components=2, n_estimators=1, hidden_units=[4], max_steps=25, trees=False, random_state=0
    ).fit(x, y)
    (finding,) = [finding for finding in regressor.findings_ if "joint mixture" in finding]
    assert float(finding.split()[-1]) > 0.5
    x, y = PROBLEM.sample(500, seed=1)
    assert np.mean(PROBLEM.log_prob(x, y)) - regressor.score(x, y) < 0.1
