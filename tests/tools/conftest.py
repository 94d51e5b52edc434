"""What the tests of tools share: a table of numbers of known distribution, one of several kinds, and small fits."""

import numpy as np
import pytest
from test_readme import table_of_a_reader

import tfmdn

SMALL = {"num_components": 2, "n_estimators": 2, "max_steps": 100, "hidden_units": (16,), "random_state": 0}


def rows(count, seed):
    """Features `[n, 3]` and targets: 2 x0 + (0.5 + |x1|) noise; the third says nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    return x, 2.0 * x[:, 0] + (0.5 + np.abs(x[:, 1])) * rng.normal(size=count)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, quick_graphs):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def train():
    return rows(200, seed=0)


@pytest.fixture(scope="session")
def calibration():
    return rows(400, seed=1)


@pytest.fixture(scope="session")
def test():
    return rows(1000, seed=2)


@pytest.fixture(scope="session")
def regressor(train):
    return tfmdn.MDNRegressor(**SMALL).fit(*train)


@pytest.fixture(scope="session")
def frame():
    """Numbers, text, categories, dates and durations, and a Series of targets."""
    reader = table_of_a_reader()
    return reader["table"], reader["target"]


@pytest.fixture(scope="session")
def of_frame(frame):
    return tfmdn.MDNRegressor(**SMALL).fit(*frame)


@pytest.fixture(scope="session")
def of_two(train):
    """Of two outputs."""
    x, y = train
    return tfmdn.MDNRegressor(**SMALL).fit(x, np.stack([y, x[:, 2] - y], 1))
