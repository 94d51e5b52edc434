"""crepes: conformal intervals and predictive systems around an MDNRegressor, scaled by its own standard deviation."""

import numpy as np
import pytest

import tfmdn

crepes = pytest.importorskip("crepes")


class Spread:
    """How difficult a row is: the standard deviation, as docs/tools/crepes.md has it."""

    def __init__(self, fitted):
        self.fitted = fitted

    def apply(self, X):
        return np.ravel(self.fitted.predict(X, return_std=True)[1])


def test_intervals_as_wide_as_the_rows_are_difficult(regressor, calibration, test):
    wrapped = crepes.WrapRegressor(regressor)
    wrapped.calibrate(*calibration, de=Spread(regressor))
    intervals = wrapped.predict_int(test[0], confidence=0.9)
    mean, std = regressor.predict(test[0], return_std=True)
    np.testing.assert_allclose(intervals.mean(1), mean)
    factors = np.ptp(intervals, axis=1) / std
    np.testing.assert_allclose(factors, factors[0])
    assert np.mean((intervals[:, 0] <= test[1]) & (test[1] <= intervals[:, 1])) == pytest.approx(0.9, abs=0.05)


def test_predictive_systems(regressor, calibration, test):
    wrapped = crepes.WrapRegressor(regressor)
    wrapped.calibrate(*calibration, de=Spread(regressor), cps=True, seed=0)
    ranks = wrapped.predict_p(test[0], test[1])
    assert np.mean(ranks < 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.05)
    intervals = wrapped.predict_int(test[0], confidence=0.9)
    assert np.mean((intervals[:, 0] <= test[1]) & (test[1] <= intervals[:, 1])) == pytest.approx(0.9, abs=0.05)
    mean, std = regressor.predict(test[0], return_std=True)
    crps = wrapped.cps.evaluate(mean, test[1], sigmas=std, metrics=["CRPS"])["CRPS"]
    # Little is to be gained on a model that is right.
    own = tfmdn.crps(test[1], regressor.predict_dist(test[0])).numpy().mean()
    assert crps == pytest.approx(own, rel=0.1)


def test_a_frame(of_frame, frame, small):
    wrapped = crepes.WrapRegressor(tfmdn.MDNRegressor(**small))
    wrapped.fit(*frame)
    np.testing.assert_array_equal(wrapped.predict(frame[0]), of_frame.predict(frame[0]))
    wrapped.calibrate(*frame, de=Spread(wrapped.learner))
    intervals, y = wrapped.predict_int(frame[0], confidence=0.9), frame[1].to_numpy()
    assert np.mean((intervals[:, 0] <= y) & (y <= intervals[:, 1])) == pytest.approx(0.9, abs=0.02)
