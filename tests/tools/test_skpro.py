"""skpro: its own tests of estimators and distributions pass on ours, and the numbers are the mixture's."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.model_selection import KFold
from test_house import ROOT

import tfmdn

pytest.importorskip("skpro")
from skpro.metrics import CRPS, LogLoss
from skpro.metrics.survival import SPLL
from skpro.utils import check_estimator

from tfmdn.integrations.skpro import MDNProbaRegressor, MixtureDistribution

tfd = tfp.distributions
PUBLIC = [MDNProbaRegressor, MixtureDistribution]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ours", PUBLIC)
def test_their_own_tests(ours):
    results = check_estimator(ours, verbose=False)
    assert len(results) > 50
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


@pytest.mark.parametrize("ours", PUBLIC)
def test_documented(ours):
    assert "Args:" in ours.__doc__
    for file in ("docs/models.md", "CHANGELOG.md"):
        assert re.search(rf"`[^`\n]*\b{ours.__name__}\b", (ROOT / file).read_text())


@pytest.fixture(scope="module")
def estimator(regressor, train):
    x, y = train
    return MDNProbaRegressor(tfmdn.MDNRegressor(**regressor.get_params())).fit(pd.DataFrame(x), pd.DataFrame({"y": y}))


def test_it_says_what_the_regressor_says(estimator, test):
    x, y, regressor = pd.DataFrame(test[0][:50], index=range(100, 150)), test[1][:50], estimator.regressor_
    mean, std = regressor.predict(x, return_std=True)
    np.testing.assert_allclose(estimator.predict(x), mean)
    np.testing.assert_allclose(estimator.predict_var(x), std**2)
    np.testing.assert_allclose(estimator.predict_interval(x, coverage=0.9), regressor.predict_interval(x), rtol=1e-6)
    predicted, mixture = estimator.predict_proba(x), regressor.predict_dist(x)
    y_frame = pd.DataFrame({"y": y}, index=x.index)
    np.testing.assert_allclose(predicted.log_pdf(y_frame)["y"], mixture.log_prob(y))
    np.testing.assert_allclose(CRPS()(y_frame, predicted), tfmdn.crps(y, mixture).numpy().mean())
    np.testing.assert_allclose(LogLoss()(y_frame, predicted), -mixture.log_prob(y).numpy().mean())
    one = predicted.loc[107, "y"]
    np.testing.assert_allclose(one.cdf(y[7]), mixture.cdf(y)[7])
    np.testing.assert_allclose(one.ppf(0.3), mixture.quantile([0.3])[0, 7])


def test_a_frame_of_text_and_dates(frame, small):
    table, target = frame
    fitted = MDNProbaRegressor(tfmdn.MDNRegressor(**small)).fit(table, target.to_frame())
    predicted = fitted.predict_proba(table)
    # Costs of 0 have a probability, others a density.
    zeros = predicted.pmf(0.0 * target.to_frame())
    assert (zeros.to_numpy() > 0.0).any()
    np.testing.assert_allclose(zeros["cost"], fitted.regressor_.predict_dist(table).prob_of(0.0))
    parts = predicted.pdf(target.to_frame())["cost"], predicted.pmf(target.to_frame())["cost"]
    exact = np.exp(fitted.regressor_.predict_dist(table).log_prob(target.to_numpy()).numpy())
    np.testing.assert_allclose(sum(parts), exact)
    assert (np.minimum(*parts) == 0.0).all()


def test_several_outputs_are_joint(of_two, train, test):
    x, y = train
    targets = pd.DataFrame({"a": y, "b": x[:, 2] - y})
    fitted = MDNProbaRegressor(tfmdn.MDNRegressor(**of_two.get_params())).fit(pd.DataFrame(x), targets)
    rows = pd.DataFrame(test[0][:4])
    predicted = fitted.predict_proba(rows)
    mixture = fitted.regressor_.predict_dist(rows)
    drawn = predicted.sample(4000)
    for row in range(4):
        np.testing.assert_allclose(drawn.xs(row, level=1).cov(), mixture.covariance()[row], rtol=0.2, atol=0.3)
    b = predicted.iloc[[3, 1], [1]]
    np.testing.assert_allclose(b.mean()["b"], mixture.mean().numpy()[[3, 1], 1])
    np.testing.assert_allclose(b.pdf(0.5)["b"], np.exp(mixture.marginal(1).log_prob(0.5).numpy())[[3, 1]])


def test_censored_targets_are_at_least_what_they_are(train, small):
    x, y = pd.DataFrame(train[0]), 2.0 * train[0][:, 0] + np.random.default_rng(0).normal(size=200)
    y = pd.DataFrame({"y": y})
    seen, censored = y.clip(upper=1.0), (y > 1.0).astype(int)
    estimator = MDNProbaRegressor(tfmdn.MDNRegressor(**small))
    aware, naive = estimator.clone().fit(x, seen, censored), estimator.clone().fit(x, seen)
    rows = pd.DataFrame([[1.5, 0.0, 0.0]])  # the targets' mean is 3
    assert aware.predict(rows).loc[0, "y"] > 1.5
    assert naive.predict(rows).loc[0, "y"] < 1.3
    predicted = aware.predict_proba(x[:50])
    expected = np.where(y[:50] > 1.0, predicted.surv(1.0), predicted.pdf(y[:50]))
    assert SPLL()(seen[:50], predicted, C_true=censored[:50]) == pytest.approx(-np.log(expected).mean(), rel=1e-6)
    assert aware.regressor.intervals is False


def test_several_censored_outputs(train, small):
    x, y = pd.DataFrame(train[0]), pd.DataFrame({"a": train[1], "b": train[0][:, 2] + train[1][::-1]})
    censored = pd.DataFrame({"a": y["a"] > 1.0, "b": False}).astype(int)
    fitted = MDNProbaRegressor(tfmdn.MDNRegressor(**small)).fit(x, y.assign(a=y["a"].clip(upper=1.0)), censored)
    rows = pd.DataFrame([[1.5, 0.0, 0.0]])
    assert list(fitted.predict(rows)) == list(fitted.predict_proba(rows).columns) == ["a", "b"]
    assert fitted.predict(rows).loc[0, "a"] > 1.2


@pytest.mark.parametrize("kind", [tfd.Normal, tfd.Laplace, tfd.Logistic])
def test_energy_is_an_expected_distance(kind):
    probs, loc, scale = (tf.constant(values, tf.float64) for values in ([0.3, 0.7], [-1.0, 2.0], [0.5, 0.5]))
    one = tfmdn.Mixture(tfd.Categorical(probs=probs), kind(loc, scale))
    distribution = MixtureDistribution(one)
    grid = np.linspace(-15.0, 15.0, 4001)
    density = np.exp(one.log_prob(grid).numpy())
    cdf = one.cdf(grid).numpy()
    to_half = scipy.integrate.simpson(density * np.abs(grid - 0.5), x=grid)
    np.testing.assert_allclose(distribution.energy(0.5), to_half, rtol=1e-4)
    np.testing.assert_allclose(distribution.energy(), 2 * scipy.integrate.simpson(cdf * (1 - cdf), x=grid), rtol=1e-4)
    np.testing.assert_allclose(distribution.ppf(distribution.cdf(0.7)), 0.7)
    np.testing.assert_allclose(distribution.surv(0.7), 1.0 - distribution.cdf(0.7))
    assert distribution.surv(12.0) > 0.0  # right in the tail, where 1 - cdf is rounded
    np.testing.assert_allclose(distribution.pdfnorm(), scipy.integrate.simpson(density**2, x=grid), rtol=0.1)
    np.testing.assert_allclose(distribution.pdfnorm(3), scipy.integrate.simpson(density**3, x=grid), rtol=0.1)


def test_searches_find_the_settings_by_name(train, small):
    from skpro.model_selection import GridSearchCV

    x, y = pd.DataFrame(train[0]), pd.DataFrame({"y": train[1]})
    settings = {"regressor__max_steps": [1, 100]}
    estimator = MDNProbaRegressor(tfmdn.MDNRegressor(**small))
    search = GridSearchCV(estimator, KFold(2), settings, scoring=CRPS(), backend="None").fit(x, y)
    assert search.best_params_ == {"regressor__max_steps": 100}


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="batch shape"):
        MixtureDistribution(tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([2, 3, 1])), tfd.Normal(0.0, [1.0])))
