"""`MDNRegressor(fallback=...)`: what it says of rows that are unlike the table."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import tfmdn
from tfmdn.layers import extrapolation

pytestmark = pytest.mark.usefixtures("quick_graphs")

SMALL = {"num_components": 2, "n_estimators": 2, "max_steps": 25, "hidden_units": (8,), "random_state": 0}
TINY = {**SMALL, "n_estimators": 1}


def table(n=200):
    """Two numbers, the first with a gap about 0, and a target that follows the second."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    x[:, 0] += 2.0 * np.sign(x[:, 0])
    return x, 100.0 + 10.0 * x[:, 1] + rng.normal(size=n)


@pytest.fixture(scope="module")
def fits():
    x, y = table()
    return [tfmdn.MDNRegressor(**SMALL, fallback=fallback).fit(x, y) for fallback in (False, True)]


def test_it_changes_what_is_said_off_the_data_alone(fits):
    without, honest = fits
    x, y = table()
    changes = [np.max(np.abs(honest.predict(rows) - without.predict(rows))) for rows in (x[:50], [[0.0, 0.0]])]
    assert changes[0] < 0.5
    assert without.score(x, y) - honest.score(x, y) < 0.005
    layer = honest.model_.layers[-1]
    assert isinstance(layer, extrapolation.Extrapolation)
    gap = np.array([[0.0, 2.0]])
    assert layer.novelty_of(gap).numpy() > 0.99
    # Half is what the networks say, most of the rest is the regression, which is right.
    expected = 0.5 * without.predict(gap) + 0.4 * 120.0 + 0.1 * y.mean()
    assert honest.predict(gap) == pytest.approx(expected, rel=0.02)
    draws = honest.sample([[1e5, 0.0]], 1000, random_state=0)[0]
    assert scipy.stats.ks_2samp(draws, y).pvalue > 1e-3
    low, high = honest.predict_interval([[1e5, 0.0]], 0.5, conformal=True)[0]
    assert y.min() < low < y.mean() < high < y.max()


def test_the_model_says_the_same_and_is_saved(fits, tmp_path):
    _, honest = fits
    rows, y = np.array([[0.0, 0.0], [2.0, 1.0], [50.0, 0.0]]), np.array([100.0, 110.0, 90.0])
    expected = honest.predict_dist(rows).log_prob(y)
    np.testing.assert_allclose(honest.model_(rows).log_prob(y), expected, rtol=1e-6)
    honest.save(tmp_path / "regressor.tfmdn")
    again = tfmdn.MDNRegressor.load(tmp_path / "regressor.tfmdn")
    np.testing.assert_array_equal(again.predict_dist(rows).log_prob(y), expected)
    assert honest.predict_dist(rows).decompose().epistemic.shape == (3,)


def test_of_a_table_it_sees_the_numbers():
    x, y = table(100)
    frame = pd.DataFrame({"color": np.where(x[:, 1] > 0, "red", "blue"), "size": x[:, 0]})
    frame.loc[0, "size"] = np.nan
    regressor = tfmdn.MDNRegressor(**TINY, fallback=0.002).fit(frame, y)
    layer = next(layer for layer in regressor.model_.layers if isinstance(layer, extrapolation.Extrapolation))
    assert (layer.novelty, layer.num_features) == (0.002, 1)
    assert np.isfinite(regressor.predict(pd.DataFrame({"color": ["green"], "size": [0.0]}))).all()
    colors = tfmdn.MDNRegressor(**TINY, fallback=True).fit(frame[["color"]], y)
    assert not any(isinstance(layer, extrapolation.Extrapolation) for layer in colors.model_.layers)


def targets_with_gaps(y):
    return np.where(np.arange(len(y))[:, np.newaxis] % 3 == [0, 1], np.nan, np.stack([y, -y], 1))


TARGETS = {
    "partly missing": (targets_with_gaps, {}),
    "intervals": (lambda y: np.stack([y, np.where(y > 105, np.inf, y)], 1), {"intervals": True}),
}


@pytest.mark.parametrize(("change", "settings"), TARGETS.values(), ids=TARGETS)
def test_of_every_form_of_targets(change, settings):
    x, y = table(30)
    regressor = tfmdn.MDNRegressor(**TINY, fallback=True, **settings).fit(x, change(y))
    assert np.isfinite(regressor.score(np.concatenate([x, [[0.0, 0.0], [1e6, 0.0]]]), change(np.append(y, [90, 95]))))


@pytest.mark.parametrize("fallback", [2, 0.0, "yes"])
def test_a_share_lies_between_0_and_1(fallback):
    with pytest.raises((ValueError, TypeError), match="fallback"):
        tfmdn.MDNRegressor(fallback=fallback).fit(*table())
