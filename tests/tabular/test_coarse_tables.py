"""Tables whose targets are tied, rounded, censored or partly missing."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfmdn
from tfmdn.tabular.recipe import Recipe

pytestmark = pytest.mark.usefixtures("quick_graphs")
RNG = np.random.default_rng(0)
N = 120
X = RNG.normal(size=(N, 2))
NOISE = RNG.normal(size=N)
AMOUNTS = np.maximum(0.0, X[:, 0] + 0.5 * NOISE)
STARS = np.clip(np.round(3.0 + X[:, 0] + 0.7 * NOISE), 1.0, 5.0)
SMALL = {
    "trees": False,
    "num_components": 2,
    "n_estimators": 2,
    "max_steps": 25,
    "hidden_units": (8,),
    "random_state": 0,
}


def fitted(y, x=X, **arguments):
    return tfmdn.MDNRegressor(**{**SMALL, **arguments}).fit(x, y)


@pytest.fixture(scope="module")
def of_amounts():
    return fitted(AMOUNTS, max_steps=200)


@pytest.fixture(scope="module")
def of_stars():
    return fitted(STARS, n_estimators=1)


def test_a_limit_that_many_targets_equal_is_an_atom(of_amounts):
    share = np.mean(AMOUNTS == 0.0)
    assert of_amounts.findings_ == (f"{share:.0%} of targets equal 0: they get a probability of their own",)
    mixture = of_amounts.predict_dist(X)
    assert float(tf.reduce_mean(mixture.prob_of(0.0))) == pytest.approx(share, abs=0.1)
    draws = of_amounts.sample(X, 500, random_state=0)
    np.testing.assert_allclose((draws == 0.0).mean(1), mixture.prob_of(np.zeros(N)), atol=0.09)
    low, high = of_amounts.predict_interval(X, 0.9).T
    has_atom = mixture.prob_of(np.zeros(N)).numpy() > 0.06
    assert (low[has_atom] == 0.0).all()
    assert ((low <= AMOUNTS) & (high >= AMOUNTS)).mean() > 0.85
    np.testing.assert_allclose(mixture.log_prob(np.zeros(N)), np.log(mixture.prob_of(np.zeros(N))), rtol=1e-6)


def test_what_lies_beyond_an_atom_that_was_found_is_possible(of_amounts):
    assert np.isfinite(of_amounts.score(X[:1], [-1.0]))


def test_counts_and_ratings_have_probabilities(of_stars):
    assert of_stars.findings_ == ("Targets are rounded to multiples of 1: each value gets a probability",)
    assert of_stars.score(X, STARS) <= 0.0
    assert set(np.unique(of_stars.sample(X, 50, random_state=0))) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert set(np.unique(of_stars.predict_quantiles(X, [0.1, 0.5, 0.9]))) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    values = np.tile(np.arange(-5.0, 12.0)[:, np.newaxis], N)
    total = of_stars.predict_dist(X).prob(values).numpy().sum(0)
    np.testing.assert_allclose(total, 1.0, atol=0.01)  # all but what the background has farther away


def test_files_and_units(of_stars, tmp_path):
    of_stars.save(tmp_path / "stars.keras")
    again = tfmdn.MDNRegressor.load(tmp_path / "stars.keras")
    assert again.findings_ == of_stars.findings_
    assert again.score(X, STARS) == pytest.approx(of_stars.score(X, STARS), rel=1e-9)
    # Probabilities have no unit, and a tenth is no binary fraction.
    tenths = fitted(STARS / 10.0, n_estimators=1)
    assert tenths.score(X, STARS / 10.0) == pytest.approx(of_stars.score(X, STARS), abs=1e-4)
    assert set(np.unique(tenths.predict_quantiles(X, [0.5]))) <= {0.1, 0.2, 0.3, 0.4, 0.5}


@pytest.mark.parametrize(
    ("y", "arguments", "atoms", "resolution"),
    [
        (AMOUNTS, {}, (True, True), None),
        (-AMOUNTS, {}, (True, True), None),
        (AMOUNTS, {"support": (0.0, None)}, (True, True), None),
        (AMOUNTS, {"support": (0.0, None), "atoms": False}, None, None),
        (AMOUNTS, {"atoms": None}, None, None),
        (AMOUNTS, {"background": 0.0}, None, None),  # without which no limits are put
        (AMOUNTS, {"y_noise": 0.1}, None, None),
        (AMOUNTS + 1.0, {"family": "gamma"}, None, None),
        (STARS, {}, (True, True), "auto"),
        (STARS, {"resolution": None, "atoms": None}, None, None),
        (STARS / 4.0, {"resolution": 0.5}, (True, True), 0.5),
        (NOISE, {}, None, None),
        (np.round(NOISE, 2), {}, None, None),  # too fine to matter
        (np.round(NOISE, 1), {}, (True, True), "auto"),
        (np.minimum(NOISE, np.sort(NOISE)[-3]), {}, None, None),  # three equal targets are no atom
        (np.stack([STARS, NOISE], 1), {}, ([True, True], [True, True]), "auto"),
        (np.stack([STARS, NOISE], 1), {"covariance": "full"}, None, None),
        (np.stack([NOISE, AMOUNTS], 1), {}, ([True, True], [True, True]), None),
    ],
)
def test_what_is_found(y, arguments, atoms, resolution):
    settled = Recipe(**arguments)._settled(*X.shape, y)
    assert (settled.atoms, settled.resolution) == (atoms, resolution)
    assert settled.covariance == ("full" if y.ndim == 2 and atoms is None else "diag")


def test_censored_targets():
    limit = np.quantile(NOISE, 0.7)
    pairs = np.stack([np.minimum(NOISE, limit), np.where(limit > NOISE, NOISE, np.inf)], 1)
    regressor = fitted(pairs, np.zeros((N, 1)), intervals=True, max_steps=300, num_components=1, n_estimators=1)
    assert regressor.findings_ == ("30% of targets are known to lie in an interval",)
    mixture = regressor.predict_dist([[0.0]])
    # Of a normal distribution the mean and the scale that are most likely, and not those of what was seen.
    found = scipy.stats.norm.fit(scipy.stats.CensoredData.right_censored(np.minimum(NOISE, limit), limit <= NOISE))
    assert float(mixture.mean()[0]) == pytest.approx(found[0], abs=0.1)
    assert float(mixture.stddev()[0]) == pytest.approx(found[1], rel=0.2)
    expected = np.where(limit > NOISE, mixture.log_prob(NOISE), mixture.log_survival_function(pairs[:, 0])).mean()
    assert regressor.score(np.zeros((N, 1)), pairs) == pytest.approx(expected, rel=1e-6)


def test_outputs_that_were_not_observed():
    y = np.stack([X[:, 0] + 0.3 * NOISE, X[:, 0] - 0.3 * NOISE], 1)
    y[RNG.random(y.shape) < 0.3] = np.nan
    y[0] = np.nan  # says nothing
    regressor = fitted(y, n_estimators=1)
    assert "were not observed" in regressor.findings_[0]
    mixture = regressor.predict_dist(X)
    assert np.isfinite(mixture.log_prob(np.nan_to_num(y))).all()
    first, second = (mixture.marginal(axis).log_prob(y[:, axis]).numpy() for axis in range(2))
    both = mixture.log_prob(y).numpy()
    expected = np.where(np.isnan(y[:, 0]), second, np.where(np.isnan(y[:, 1]), first, both))
    assert np.isnan(expected).sum() == np.isnan(y).all(1).sum() > 0
    assert regressor.score(X, y) == pytest.approx(np.nanmean(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (NOISE, {"intervals": True}, r"each target is a pair \(low, high\).*Received: y of shape \(120,\)"),
        (np.stack([NOISE, NOISE - 1.0], 1), {"intervals": True}, "The lower end of an interval must be .*in row 0"),
        (np.full((N, 2), np.inf), {"intervals": True}, "The lower end of an interval must be finite"),
        (np.full((N, 2), np.nan), {}, "a target of which anything is known. Received: 0 such rows"),
        (np.where(NOISE > 0.0, NOISE, np.nan), {}, "Input y contains NaN"),
        (np.stack([NOISE, np.full(N, np.nan)], 1), {}, "a known value of each output. Received: none of output 1"),
        (np.stack([NOISE, NOISE + 1.0], 1), {"intervals": True, "y_noise": 0.1}, "Noise is for targets that are num"),
        (np.stack([np.full(N, np.nan), np.full(N, np.inf)], 1), {}, "Input y contains infinity. NaN stands for"),
        (np.array([["1", "b"]] * N, object), {}, "`y` must hold numbers. Received: 'b' in row 0"),
        ([None, *NOISE[1:]], {}, "Input y contains NaN: 1 of 120 targets are missing"),
        (np.arange(N).astype("M8[D]"), {}, "`y` must hold numbers. Received: dates. .*total_seconds"),
        (NOISE + 1j, {}, "Complex data not supported: `y` must hold numbers"),
        (STARS, {"resolution": -1.0}, "`resolution` must be a finite number greater than 0"),
        (STARS, {"resolution": "fine"}, "`resolution` must be a number"),
        (STARS, {"atoms": "some"}, "`atoms` must be True, False"),
        (STARS, {"atoms": True, "support": None}, "they need a `support`"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        fitted(y, **arguments)


def test_what_cannot_be_scored_is_refused(of_stars):
    with pytest.raises(ValueError, match="a row of a weight above 0 of which anything is known"):
        of_stars.score(X, STARS, sample_weight=np.zeros(N))
