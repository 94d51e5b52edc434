"""MAPIE: conformal intervals around an MDNRegressor."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

import tfmdn

mapie_regression = pytest.importorskip("mapie.regression")


class Quantile(RegressorMixin, BaseEstimator):
    """One quantile of a fitted regressor as an estimator, as docs/tools/mapie.md has it."""

    is_fitted = True  # what MAPIE looks for

    def __init__(self, regressor, level):
        self.regressor, self.level = regressor, level

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.ravel(self.regressor.predict_quantiles(X, [self.level]))


def coverage(intervals, y):
    low, high = intervals[:, 0, 0], intervals[:, 1, 0]
    return np.mean((low <= y) & (y <= high)), high - low


def test_split_conformal(regressor, calibration, test):
    conformal = mapie_regression.SplitConformalRegressor(regressor, confidence_level=0.9, prefit=True)
    points, intervals = conformal.conformalize(*calibration).predict_interval(test[0])
    np.testing.assert_array_equal(points, regressor.predict(test[0]))
    covered, widths = coverage(intervals, test[1])
    assert covered == pytest.approx(0.9, abs=0.05)
    np.testing.assert_allclose(widths, widths[0])  # the same for every row


def test_conformalized_quantiles(regressor, calibration, test):
    parts = [Quantile(regressor, level) for level in (0.05, 0.95, 0.5)]
    conformal = mapie_regression.ConformalizedQuantileRegressor(parts, confidence_level=0.9, prefit=True)
    points, intervals = conformal.conformalize(*calibration).predict_interval(test[0])
    np.testing.assert_array_equal(points, regressor.predict_quantiles(test[0], [0.5])[:, 0])
    covered, widths = coverage(intervals, test[1])
    assert covered == pytest.approx(0.9, abs=0.05)
    # Both ends are the quantiles, moved by one number each.
    own = regressor.predict_interval(test[0])
    np.testing.assert_allclose(np.ptp(intervals[:, :, 0] - own, axis=0), 0.0, atol=1e-9)
    spread = 0.5 + np.abs(test[0][:, 1])
    assert np.corrcoef(widths, spread)[0, 1] > 0.5  # wide where the noise is


def test_cross_conformal_clones_and_fits(train, test, small):
    estimator = tfmdn.MDNRegressor(**small)
    conformal = mapie_regression.CrossConformalRegressor(estimator, confidence_level=0.9, cv=3)
    _, intervals = conformal.fit_conformalize(*train).predict_interval(test[0][:200])
    assert coverage(intervals, test[1][:200])[0] == pytest.approx(0.9, abs=0.07)


def test_a_frame(of_frame, frame):
    # MAPIE would have the regressor itself predict zeros, to see whether it is fitted: it has columns of text.
    conformal = mapie_regression.SplitConformalRegressor(Quantile(of_frame, 0.5), confidence_level=0.9, prefit=True)
    _, intervals = conformal.conformalize(*frame).predict_interval(frame[0])
    # Of the rows themselves it is the share that is asked for.
    assert coverage(intervals, frame[1].to_numpy())[0] == pytest.approx(0.9, abs=0.02)
