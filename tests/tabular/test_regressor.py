"""`MDNRegressor`: scikit-learn's contract, what each method returns, files, repeatability, and hard targets."""

import concurrent.futures
import copy
import dataclasses
import functools
import itertools
import pickle
import random
import sys

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
import tensorflow as tf
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import tfmdn
from tfmdn.distributions import tensors
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import chunks, plans, progress, workshop
from tfmdn.tabular import regressor as regressor_lib
from tfmdn.tabular.layout import Layout
from tfmdn.tabular.recipe import Recipe

pytestmark = pytest.mark.usefixtures("quick_graphs")
X, Y = (part.astype(np.float64) for part in tfmdn.datasets.inverse_sinusoid().sample(60, seed=0))
TWO = np.stack([Y, X[:, 0] - Y], 1)
POSITIVE = np.exp(Y / 5)
# Batches of one size are traced once, for tables of any number of rows.
SMALL = {
    "num_components": 2,
    "n_estimators": 2,
    "max_steps": 20,
    "batch_size": 8,
    "hidden_units": (8,),
    "random_state": 0,
}
TINY = {**SMALL, "n_estimators": 1}


def fitted(x=X, y=Y, sample_weight=None, settings=TINY, **arguments):
    return tfmdn.MDNRegressor(**{**settings, **arguments}).fit(x, y, sample_weight=sample_weight)


@pytest.fixture(autouse=True, scope="module")
def every_workshop():
    """Is kept, and so no graph is traced twice."""
    most, workshop.MOST_IDLE = workshop.MOST_IDLE, 100
    yield
    workshop.MOST_IDLE = most


@pytest.fixture(scope="module")
def regressor():
    return of_outputs("n")


@pytest.fixture(scope="module")
def tiny():
    return fitted()


# scikit-learn's contract

NO_REPETITIONS = (
    "A weight is not a repetition of the row where batches are drawn at random, as with scikit-learn's MLPRegressor. "
    "A weight of 0 is a removal: test_a_weight_of_0_is_a_removal."
)


QUICK = {**TINY, "max_steps": 5}


@parametrize_with_checks(
    # Without a `network`: the address of a function would be part of the tests' names.
    # Of one kind of head: most checks have targets of few whole numbers, for which another would be traced, and longer.
    [tfmdn.MDNRegressor(**QUICK, support=None, atoms=None, resolution=None)],
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": NO_REPETITIONS for kind in ("dense", "sparse")
    },
)
def test_contract(estimator, check, request):
    if request.node.get_closest_marker("xfail") and not request.config.getoption("exhaustive"):
        pytest.xfail(NO_REPETITIONS)
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_dict_unchanged,
        estimator_checks.check_dont_overwrite_parameters,
        estimator_checks.check_methods_sample_order_invariance,
    ],
)
def test_contract_with_whole_numbers_as_targets(check):
    check("MDNRegressor", tfmdn.MDNRegressor(**QUICK))


def test_pipelines_searches_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), tfmdn.MDNRegressor(**QUICK))
    seeds = {"mdnregressor__random_state": [0, 1]}  # one graph serves both
    search = GridSearchCV(pipeline, seeds, cv=2, refit=False, error_score="raise").fit(X, Y)
    scores = cross_val_score(pipeline.set_params(**search.best_params_), X, Y, cv=2)
    assert scores.mean() == pytest.approx(search.best_score_)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert pipeline.fit(X, Y).predict(X, quantiles=[0.1, 0.9]).shape == (60, 2)


# What each method returns

OUTPUTS = {"n": (Y, (), ()), "n1": (Y[:, None], (1,), ()), "n2": (TWO, (2,), (2,))}


@functools.cache
def of_outputs(name):
    return fitted(y=OUTPUTS[name][0], settings=SMALL)


@pytest.fixture(scope="module", params=OUTPUTS)
def outputs(request):
    return of_outputs(request.param), *OUTPUTS[request.param]


def test_shapes(outputs):
    regressor, y, output_shape, event_shape = outputs
    assert regressor.predict(X).shape == (60, *output_shape)
    assert [part.shape for part in regressor.predict(X, return_std=True)] == [(60, *output_shape)] * 2
    mixture = regressor.predict_dist(X)
    assert (mixture.batch_shape, mixture.event_shape, mixture.dtype) == ((60,), event_shape, tf.float64)
    assert regressor.predict_quantiles(X, [0.1, 0.5, 0.9]).shape == (60, *event_shape, 3)
    assert regressor.predict_interval(X).shape == (60, *event_shape, 2)
    assert regressor.sample(X, 7).shape == (60, 7, *event_shape)
    assert regressor.sample(X).shape == (60, 1, *event_shape)
    assert isinstance(regressor.score(X, y), float)


def test_answers_are_the_mixture_s(outputs):
    regressor, y, output_shape, event_shape = outputs
    mixture = regressor.predict_dist(X)
    mean, std = regressor.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, regressor.predict(X))
    np.testing.assert_allclose(mean, mixture.mean().numpy().reshape(60, *output_shape), rtol=1e-12)
    np.testing.assert_allclose(std, mixture.stddev().numpy().reshape(60, *output_shape), rtol=1e-12)
    levels = [0.05, 0.5, 0.95]
    quantiles = regressor.predict_quantiles(X, levels)
    np.testing.assert_allclose(np.moveaxis(quantiles, -1, 0), mixture.quantile(levels), rtol=1e-9)
    np.testing.assert_allclose(mixture.cdf(quantiles[..., 0]), np.full((60, *event_shape), 0.05), rtol=1e-6)
    assert np.all(np.diff(quantiles) > 0)
    np.testing.assert_allclose(regressor.predict_interval(X, coverage=0.9), quantiles[..., [0, 2]], rtol=1e-9)
    np.testing.assert_array_equal(regressor.predict(X, quantiles=[0.05, 0.5, 0.95]), quantiles)
    log_prob, weights = mixture.log_prob(y.reshape(60, *event_shape)), np.arange(60.0)
    assert regressor.score(X, y) == pytest.approx(np.mean(log_prob))
    assert regressor.score(X, y, sample_weight=weights) == pytest.approx(np.average(log_prob, weights=weights))


def test_conformal_answers(outputs):
    regressor, y, _, event_shape = outputs
    # Scores of the held-out rows, which both members have not learnt from.
    scores, all_scores = regressor._conformal.low, regressor.predict_dist(X).cdf(y.reshape(60, *event_shape)).numpy()
    assert len(scores) == 6
    distance = np.abs(scores[:, np.newaxis] - all_scores.reshape(60, -1)).max(-1)
    assert len(set(distance.argmin(1))) == 6
    assert distance.min(1).max() < 1e-6
    assert np.isfinite(regressor.predict_interval(X, 0.5, conformal=True)).all()
    assert np.isinf(regressor.predict_interval(X, 0.9, conformal=True)).all()
    # Of rows of one's own as many as these are at most beyond an end.
    ends = regressor.predict_interval(X, 0.8, conformal=(X, y))
    assert ends.shape == (60, *event_shape, 2)
    is_outside = (ends[..., 0] > y.reshape(60, *event_shape)) | (ends[..., 1] < y.reshape(60, *event_shape))
    assert (is_outside.sum(0) <= 0.2 * 61).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"conformal": "yes"}, TypeError, r"`conformal` must be True, False or a pair \(X, y\).*Received: str"),
        ({"conformal": (X, X, Y)}, TypeError, "Received: tuple"),
        ({"conformal": (X[:5], Y)}, ValueError, "the same number of rows"),
        ({"coverage": 1.0, "conformal": True}, ValueError, "`coverage`"),
    ],
)
def test_conformal_answers_that_cannot_be_given(regressor, arguments, error, message):
    with pytest.raises(error, match=message):
        regressor.predict_interval(X, **arguments)


def test_an_evaluation_and_a_report_are_of_the_answers(regressor, tmp_path):
    weights = np.arange(60.0)
    evaluation = regressor.evaluate(X, Y, sample_weight=weights)
    assert evaluation.num_rows == 59
    assert evaluation["nll"] == pytest.approx(-regressor.score(X, Y, sample_weight=weights))
    assert evaluation["skill"] < 1.0
    regressor.report(X, Y, tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    low, high = regressor.predict_interval(X, coverage=0.9).T
    assert f"<strong>{np.sum((low <= Y) & (high >= Y))} of 60</strong>" in content
    assert "<h4>x</h4>" in content
    with pytest.raises(ValueError, match="`y` must have the 1 outputs"):
        regressor.report(X, TWO, tmp_path / "report.html")


def test_draws(regressor):
    draws = regressor.sample(X, 2000, random_state=1)
    np.testing.assert_array_equal(regressor.sample(X, 2000, random_state=1), draws)
    assert not np.array_equal(regressor.sample(X, 2000, random_state=2), draws)
    mean, std = regressor.predict(X, return_std=True)
    np.testing.assert_array_less(np.abs(draws.mean(1) - mean), 4.5 * std / np.sqrt(2000))


def test_any_number_of_rows_gets_the_same_answers(regressor, monkeypatch):
    rows = np.random.default_rng(0).normal(scale=5.0, size=(700, 1))
    monkeypatch.setattr(chunks, "MANY_ROWS", 300)
    mixture, draws = regressor.predict_dist(rows), regressor.sample(rows, 3, random_state=0)
    assert mixture.batch_shape == (700,)
    assert draws.shape == (700, 3)
    for part in (slice(0, 1), slice(290, 310), slice(600, 700)):
        np.testing.assert_allclose(regressor.predict(rows[part]), mixture.mean()[part], rtol=1e-5, atol=1e-6)
    assert regressor.score(rows, rows[:, 0]) == pytest.approx(np.mean(mixture.log_prob(rows[:, 0])))
    assert mixture.member_sizes == regressor.predict_dist(X).member_sizes


def test_fitted_attributes(regressor):
    assert regressor.num_components_ == 2
    assert regressor.n_steps_ == 20
    assert regressor.n_features_in_ == 1
    assert regressor.held_out_scores_.shape == (2,)
    assert isinstance(regressor.model_, tfmdn.Ensemble)
    assert regressor.predict_dist(X).decompose().epistemic.shape == (60,)


def test_pandas_in_and_out(tmp_path):
    frame = pd.DataFrame({"a": X[:, 0], "b": np.arange(60.0)}, index=range(100, 160))
    targets = pd.DataFrame(TWO, columns=["u", "v"], index=frame.index)
    regressor = fitted(frame, targets, settings=QUICK, covariance="diag")
    prediction = regressor.predict(frame[3:5])
    assert list(prediction.columns) == ["u", "v"]
    assert list(prediction.index) == [103, 104]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert isinstance(regressor.predict(frame.to_numpy()[3:5], return_std=True)[1], np.ndarray)
    pd.testing.assert_frame_equal(regressor.predict(frame[["b", "a"]][3:5]), prediction)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        regressor.predict(frame.rename(columns={"b": "c"}))
    regressor.save(tmp_path / "regressor")
    pd.testing.assert_frame_equal(tfmdn.MDNRegressor.load(tmp_path / "regressor").predict(frame[3:5]), prediction)
    series = fitted(frame, targets["u"], settings=QUICK)
    assert (series.predict(frame).name, list(series.feature_names_in_)) == ("u", ["a", "b"])
    assert list(series.predict_interval(frame, coverage=0.9).columns) == [0.05, 0.95]
    assert list(series.predict(frame, quantiles=[0.1, 0.9]).columns) == [0.1, 0.9]
    assert "u" in str(series.evaluate(frame, targets["u"]))


# Copies and files


def saved_and_loaded(regressor, path):
    regressor.save(path / "regressor.keras")
    return tfmdn.MDNRegressor.load(path / "regressor.keras")


def dumped_by_joblib(regressor, path):
    joblib.dump(regressor, path / "regressor.joblib")
    return joblib.load(path / "regressor.joblib")


COPIES = {
    "save": saved_and_loaded,
    "pickle": lambda regressor, path: pickle.loads(pickle.dumps(regressor)),
    "joblib": dumped_by_joblib,
    "deepcopy": lambda regressor, path: copy.deepcopy(regressor),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_predict_the_same(tiny, copied, tmp_path):
    again = copied(tiny, tmp_path)
    np.testing.assert_array_equal(again.predict(X), tiny.predict(X))
    assert again.score(X, Y) == tiny.score(X, Y)
    for name in ("held_out_scores_", "best_steps_", "stopped_by_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tiny, name))
    assert again._typical_values == tiny._typical_values == [sorted(Y)]
    assert again._conformal.to_config() == tiny._conformal.to_config()
    for name, value in tiny.get_params().items():
        assert list(np.atleast_1d(getattr(again, name))) == list(np.atleast_1d(value))


def kinds_of(value):
    """The types of what a structure is made of."""
    if isinstance(value, dict):
        value = list(value.values())
    parts = value if isinstance(value, (list, tuple)) else []
    return {type(value)}.union(*map(kinds_of, parts))


def test_pickles_are_of_plain_types(tiny):
    """Skops asks which types it may load: no more than the regressor's own is to be named."""
    table = fitted(pd.DataFrame({"x": X[:, 0], "text": np.where(Y > 0.0, "a", "b")}))
    for regressor in (tiny, table):
        kinds = kinds_of(regressor.__getstate__())
        assert kinds <= {bool, bytes, dict, float, int, list, np.ndarray, str, tuple, type(None)}
    assert sklearn.base.clone(table).__getstate__() == sklearn.base.clone(table).get_params()


@pytest.fixture(scope="module")
def of_own_network():
    return fitted(network=seeded)


@pytest.mark.by_default("saved_and_loaded")
@pytest.mark.parametrize("copied", [saved_and_loaded, COPIES["pickle"]])
def test_copies_of_other_networks_predict_the_same(of_own_network, copied, tmp_path):
    again = copied(of_own_network, tmp_path)
    np.testing.assert_array_equal(again.predict(X), of_own_network.predict(X))
    assert again.network is (None if copied is saved_and_loaded else seeded)


def test_clones_are_not_fitted(regressor, tmp_path):
    clone = sklearn.base.clone(regressor)
    assert clone.get_params() == regressor.get_params()
    for ask in (lambda: clone.predict(X), lambda: clone.score(X, Y), lambda: clone.save(tmp_path / "regressor")):
        with pytest.raises(NotFittedError):
            ask()


def test_a_seed_is_saved_and_a_generator_is_not(tiny, tmp_path):
    original = tiny.random_state
    try:
        for random_state, expected in ((np.int64(7), 7), (np.random.RandomState(0), None)):
            tiny.random_state = random_state
            assert saved_and_loaded(tiny, tmp_path).random_state == expected
    finally:
        tiny.random_state = original


def test_other_files_are_refused(regressor, tmp_path):
    (tmp_path / "text").write_text("hello")
    regressor.model_.save(tmp_path / "model.keras")
    for name in ("text", "model.keras"):
        with pytest.raises(ValueError, match=r"Expected a file that MDNRegressor\.save wrote"):
            tfmdn.MDNRegressor.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nothing"):
        tfmdn.MDNRegressor.load(tmp_path / "nothing")


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_damaged_files_are_refused(regressor, tmp_path, place):
    regressor.save(tmp_path / "regressor")
    content = bytearray((tmp_path / "regressor").read_bytes())
    start = int(place * len(content))
    content[start : start + 50] = bytes(255 - byte for byte in content[start : start + 50])
    (tmp_path / "regressor").write_bytes(content)
    with pytest.raises(ValueError, match=r"The file is damaged|Expected a file"):
        tfmdn.MDNRegressor.load(tmp_path / "regressor")


NAMES = {"integers": np.int64(3), "tuples": ("a", "b"), "text": "t", "dates": pd.Timestamp("2026-01-01")}


@pytest.mark.by_default("tuples", "dates")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_of_targets_are_saved(tmp_path, name):
    regressor = fitted(pd.DataFrame(X), pd.Series(Y, name=name))
    again = saved_and_loaded(regressor, tmp_path).predict(pd.DataFrame(X))
    assert regressor.predict(pd.DataFrame(X)).name == name
    assert again.name == (str(name) if isinstance(name, pd.Timestamp) else name)


def test_arguments_of_numpy(tmp_path):
    numbers = {"num_components": np.int64(2), "max_steps": np.int64(20), "n_estimators": np.int32(1)}
    regressor = fitted(settings={**SMALL, **numbers, "hidden_units": np.array([8]), "batch_size": np.int64(32)})
    expected = fitted(settings={**SMALL, "n_estimators": 1, "batch_size": 32})
    np.testing.assert_array_equal(regressor.predict(X), expected.predict(X))
    assert saved_and_loaded(regressor, tmp_path).num_components_ == 2


def test_a_save_that_fails_leaves_the_earlier_file(regressor, tmp_path, monkeypatch):
    regressor.save(tmp_path / "regressor")
    earlier = (tmp_path / "regressor").read_bytes()
    monkeypatch.setattr(tfmdn.MDNRegressor, "_metadata", lambda self: {"unknown to JSON": object()})
    with pytest.raises(TypeError, match="JSON"):
        regressor.save(tmp_path / "regressor")
    assert (tmp_path / "regressor").read_bytes() == earlier
    assert [path.name for path in tmp_path.iterdir()] == ["regressor"]


def test_the_model_is_exported(tiny, tmp_path):
    tfmdn.export_saved_model(tiny.model_, tmp_path / "saved_model")
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    # As many rows as `predict` has in a batch: products of other matrices are rounded otherwise.
    rows = np.resize(X, (256, 1))
    served = loaded.signatures["serving_default"](x=tf.constant(rows))
    np.testing.assert_allclose(served["mean"][: len(X)], tiny.predict(X), rtol=1e-5)


# Repeatability


def test_the_seed_alone_decides(regressor, tiny):
    next_random_numbers()  # those that are global
    np.testing.assert_array_equal(fitted(settings=SMALL).predict(X), regressor.predict(X))
    np.testing.assert_array_equal(fitted(random_state=np.random.RandomState(0)).predict(X), tiny.predict(X))
    assert np.abs(fitted(random_state=1).predict(X) - tiny.predict(X)).max() > 1e-3


def test_a_network_that_takes_a_seed_gets_one_from_the_random_state(of_own_network):
    np.testing.assert_array_equal(fitted(network=seeded).predict(X), of_own_network.predict(X))
    seeds = []

    def noting(seed):
        seeds.append(seed)
        if len(seeds) % 2 == 0:
            raise KeyboardInterrupt
        return seeded(seed)

    for random_state in (0, 0, 1):
        with pytest.raises(KeyboardInterrupt):
            fitted(network=noting, n_estimators=2, random_state=random_state)
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4


@pytest.mark.exhaustive
def test_threads_do_not_disturb_each_other(tiny):
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for predictions in threads.map(lambda _: fitted().predict(X), range(6)):
            np.testing.assert_array_equal(predictions, tiny.predict(X))


def next_random_numbers():
    return [random.random(), np.random.random(), float(keras.random.normal(())), float(tf.random.normal(()))]  # noqa: NPY002


def test_global_random_states_stay_as_they_are():
    keras.utils.set_random_seed(5)
    expected = next_random_numbers()
    keras.utils.set_random_seed(5)
    regressor = fitted(x_noise=1.0, y_noise=1.0)
    regressor.sample(X, 2, random_state=0)
    assert next_random_numbers() == expected


# Datasets


def test_a_dataset_of_few_rows_is_their_table(tiny):
    weights = np.arange(60.0)
    rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(25)
    np.testing.assert_array_equal(tfmdn.MDNRegressor(**TINY).fit(rows).predict(X), tiny.predict(X))
    weighted = tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(7)
    expected = fitted(sample_weight=weights).predict(X)
    np.testing.assert_array_equal(tfmdn.MDNRegressor(**TINY).fit(weighted).predict(X), expected)
    for arguments in ((rows, Y), (rows, None, weights), (X,)):
        with pytest.raises(ValueError, match=r"A dataset has y and|requires y to be passed"):
            tfmdn.MDNRegressor(**TINY).fit(*arguments)


def test_features_are_standardised_some_rows_at_a_time(tiny, monkeypatch):
    monkeypatch.setattr(workshop, "CHUNK", 25)
    np.testing.assert_array_equal(fitted().predict(X), tiny.predict(X))


# Choices


def test_the_number_of_components_is_chosen_by_held_out_likelihood(monkeypatch):
    monkeypatch.setattr(regressor_lib, "AUTO_COMPONENTS", (1, 2))
    fits, fit = {}, Recipe.fit
    monkeypatch.setattr(Recipe, "fit", lambda self, *data: fits.setdefault(self.num_components, fit(self, *data)))
    regressor = fitted(num_components="auto", max_steps=50)
    scores = {count: trained.scores.mean() for count, trained in fits.items()}
    assert list(scores) == [1, 2]
    assert regressor.num_components_ == min(scores, key=scores.get)
    assert regressor.model_ is fits[regressor.num_components_].model


def dropping_out():
    return keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dropout(0.5)])


def seeded(seed):
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(4, "tanh", kernel_initializer=initializer)


CHOICES = {
    "a network with dropout": {"network": dropping_out},
    "noise on the features": {"x_noise": 2.0},
    "noise on the targets": {"y_noise": 2.0},
    "family": {"family": "laplace"},
}


@pytest.mark.by_default("a network with dropout")
@pytest.mark.parametrize("arguments", CHOICES.values(), ids=CHOICES)
def test_choices_change_the_result(tiny, arguments):
    other = fitted(**arguments)
    assert np.isfinite(other.score(X, Y))
    assert np.abs(other.predict(X) - tiny.predict(X)).max() > 1e-3


@pytest.mark.parametrize(
    ("num_rows", "num_features", "units", "averaged"),
    [(400, 2, [128, 128], 50), (4_999, 1, [128, 128], 50), (5_000, 2, [96] * 4, 100), (5_000, 3, [128, 128], 50)],
)
def test_one_or_two_features_of_many_rows_have_more_layers(num_rows, num_features, units, averaged):
    x, y = np.zeros((num_rows, num_features)), np.zeros(num_rows)
    design = Recipe()._settled(*x.shape, y)._design(x, Layout(num_features), y, TargetFormat())
    assert (design.hidden_units, design.averaged) == (tuple(units), averaged)


@pytest.mark.by_default("60-60-50", "300-300-75")
@pytest.mark.parametrize(
    ("num_rows", "min_deep_rows", "steps"),
    [(60, 61, 25), (60, 60, 50), (300, 301, 75), (300, 300, 75), (800, 800, 100)],
)
def test_more_rows_are_learnt_from_for_longer(num_rows, min_deep_rows, steps, monkeypatch):
    for name, value in {"PASSES": 2, "MOST_STEPS": 100, "MIN_DEEP_ROWS": min_deep_rows}.items():
        monkeypatch.setattr(plans, name, value)
    monkeypatch.setattr(plans, "SHALLOW", dataclasses.replace(plans.SHALLOW, longest=25))
    monkeypatch.setattr(plans, "DEEP", dataclasses.replace(plans.DEEP, longest=50))
    x, y = tfmdn.datasets.inverse_sinusoid().sample(num_rows, seed=0)
    assert fitted(x, y, max_steps="auto", batch_size=8, patience=10_000).n_steps_ == steps


@pytest.mark.parametrize(
    ("max_steps", "batch_size", "num_held_out", "steps"),
    [(4_000, 32, 46, 25), (4_036, 128, 861, 50), (12_000, 128, 5_000, 100), (1_000, 128, 5_000, 25), (20, 8, 6, 20)],
)
def test_many_rows_judge_less_often(max_steps, batch_size, num_held_out, steps):
    assert plans.steps_per_epoch(max_steps, batch_size, num_held_out) == steps


def test_limits_give_way_where_many_outputs_are_correlated():
    y = np.random.default_rng(0).uniform(size=(400, 4))
    settled = Recipe()._settled(len(y), 2, y)
    assert (settled.covariance, settled.support) == ("full", None)
    assert Recipe()._settled(len(y), 2, y[:, :3]).support == "auto"


def test_calibration_is_a_choice(tiny):
    assert (tiny.model_.scale_temperature.numpy() != 1.0).all()
    assert (fitted(calibrate=False).model_.scale_temperature.numpy() == 1.0).all()
    few = fitted(X[:39], Y[:39])
    assert (few.model_.scale_temperature.numpy() == 1.0).all()


def test_positive_targets():
    regressor = fitted(y=POSITIVE, family="lognormal")
    assert np.all(regressor.predict_quantiles(X, [0.001]) > 0)
    assert np.isfinite(regressor.score(X, POSITIVE))


def test_correlated_outputs():
    mixture = of_outputs("n2").predict_dist(X)
    correlations = tensors.parameters(mixture.components_distribution)["scale_tril"][..., 1, 0].numpy()
    is_background = np.arange(correlations.shape[-1]) % 3 == 2  # of each member
    assert np.all(np.abs(correlations[:, ~is_background]) > 1e-6)
    assert np.all(correlations[:, is_background] == 0.0)


@pytest.mark.parametrize("can_redraw", [False, True])
def test_progress_tells_the_truth(can_redraw, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: can_redraw)
    regressor = fitted(max_steps=60, verbose=1)
    assert regressor.n_steps_ == 50  # a multiple of 25, of which each is one epoch
    assert (regressor.stopped_by_, len(regressor.best_steps_)) == ("max_steps", 1)
    output = capsys.readouterr().out
    assert output.count("\n") <= 6
    for phase in ("preparing a table of 60 x 1, ", "50 of at most 50 steps, best held-out loss ", "calibrating, "):
        assert (phase in output) or can_redraw
    loss = regressor.held_out_scores_.mean()
    best = f"best weights of step {regressor.best_steps_[0]} kept, held-out loss {loss:.4f}, "
    assert output.splitlines()[-1].startswith(f"Ended after all 50 steps; {best}")


@pytest.fixture
def clock(monkeypatch):
    """A clock on which each epoch takes ten seconds, and nothing else any time."""
    seconds, judge = [0.0], tfmdn.EnsembleEarlyStopping.on_epoch_end

    def ten_seconds_later(self, epoch, logs=None):
        seconds[0] += 10.0
        judge(self, epoch, logs)

    monkeypatch.setattr(progress, "now", lambda: seconds[0])
    monkeypatch.setattr(tfmdn.EnsembleEarlyStopping, "on_epoch_end", ten_seconds_later)
    return seconds


def test_training_stops_when_its_time_is_over(clock, capsys):
    for max_seconds, num_steps in ((20.0, 50), (1e-3, 25)):
        stopped, expected = (
            fitted(max_seconds=max_seconds, max_steps=75, verbose=1),
            fitted(max_steps=num_steps),
        )
        assert (stopped.n_steps_, stopped.stopped_by_) == (num_steps, "max_seconds")
        np.testing.assert_array_equal(stopped.predict(X), expected.predict(X))
        assert f"Stopped by max_seconds after {num_steps} of at most 75 steps; best weights" in capsys.readouterr().out
    assert fitted(max_seconds=30.5, max_steps=75).stopped_by_ == "max_steps"


def test_several_numbers_of_components_share_the_time(clock, monkeypatch, capsys):
    monkeypatch.setattr(regressor_lib, "AUTO_COMPONENTS", (1, 2))
    for max_seconds, lines in ((25.0, ["50 of at most 75", "25 of at most 75"]), (10.0, ["25 of at most 75"])):
        regressor = fitted(num_components="auto", max_seconds=max_seconds, max_steps=75, verbose=1)
        output = [line for line in capsys.readouterr().out.splitlines() if "Stopped" in line]
        assert [line.partition("after ")[2].partition(" steps")[0] for line in output] == lines
        assert regressor.num_components_ in (1, len(lines))


def test_a_weight_of_0_is_a_removal():
    kept = np.random.default_rng(0).random(60) < 0.7
    weighted = fitted(sample_weight=np.where(kept, 2.5, 0.0))
    np.testing.assert_array_equal(weighted.predict(X), fitted(X[kept], Y[kept]).predict(X))


def test_weights_count_in_early_stopping_too():
    is_far = np.arange(60) % 2 == 0
    regressor = fitted(y=np.where(is_far, 100.0, Y), sample_weight=np.where(is_far, 1e-9, 1.0))
    near = fitted(X[~is_far], Y[~is_far])
    assert regressor.held_out_scores_.max() < near.held_out_scores_.max() + 1.0
    assert regressor.score(X[~is_far], Y[~is_far]) > near.score(X[~is_far], Y[~is_far]) - 0.5


@pytest.mark.exhaustive
def test_networks_of_several_architectures():
    sizes = itertools.cycle([3, 4])
    regressor = fitted(y=Y + 1000.0, n_estimators=4, network=lambda: keras.layers.Dense(next(sizes), "tanh"))
    assert len(regressor.model_.member_variables) > len(fitted(n_estimators=4).model_.member_variables)
    for mixture in regressor.model_.members(X):
        np.testing.assert_allclose(mixture.mean(), np.full(60, 1000.0), atol=np.ptp(Y))


def test_only_kernels_decay():
    def network():
        return keras.Sequential(
            [
                keras.layers.Dense(4, name="bias_free", use_bias=False, kernel_initializer="ones"),
                keras.layers.LayerNormalization(),
            ]
        )

    regressor = fitted(network=network, learning_rate=1e-7, weight_decay=3e6)
    values = {variable.name: np.abs(variable).max() for variable in regressor.model_.trainable_variables}
    assert [value for name, value in values.items() if name.endswith("gamma")] == [pytest.approx(1.0, abs=1e-3)]
    assert all(value < 0.9 for name, value in values.items() if name.endswith("kernel")), values


def test_limits_as_an_array():
    as_array, as_pair = (
        Recipe(support=support)._settled(*X.shape, POSITIVE)._design(X, Layout(1), POSITIVE, TargetFormat())
        for support in (np.array([0.0, 5000.0]), (0.0, 5000.0))
    )
    assert as_array == as_pair
    assert dict(as_array.head)["support"] == (0.0, 5000.0)


def test_computes_in_the_dtype_of_keras():
    keras.config.set_floatx("float64")
    regressor = fitted()
    assert regressor.held_out_scores_.dtype == np.float64
    assert np.isfinite(regressor.score(X, Y))


# Errors

REFUSED = {
    "num_components": ({"num_components": 0}, "`num_components` must be a positive integer"),
    "num_components as text": ({"num_components": "many"}, "`num_components` must be a positive integer or 'auto'"),
    "family": ({"family": "cauchy"}, "`family` must be one of"),
    "covariance": ({"covariance": "banded"}, "`covariance` must be one of"),
    "n_estimators": ({"n_estimators": 0}, "`n_estimators` must be a positive integer"),
    "network": ({"network": 5}, "`network` must be a function"),
    "network as a model": ({"network": keras.Sequential([keras.layers.Dense(3)])}, "`network` must be a function"),
    "hidden_units": ({"hidden_units": 64}, "`hidden_units` must be a list"),
    "hidden_units as text": ({"hidden_units": "many"}, "`hidden_units` must be a list of positive integers or 'auto'"),
    "a layer without units": ({"hidden_units": (8, 0)}, "`hidden_units` must be a positive integer"),
    "learning_rate": ({"learning_rate": 0.0}, "`learning_rate` must be"),
    "weight_decay": ({"weight_decay": -0.1}, "`weight_decay` must be"),
    "batch_size": ({"batch_size": 0}, "`batch_size` must be a positive integer"),
    "batch_size as text": ({"batch_size": "all"}, "`batch_size` must be a positive integer or 'auto'"),
    "max_steps": ({"max_steps": 0}, "`max_steps` must be a positive integer"),
    "max_steps as text": ({"max_steps": "many"}, "`max_steps` must be a positive integer or 'auto'"),
    "patience": ({"patience": 2.5}, "`patience` must be a positive integer"),
    "max_seconds": ({"max_seconds": 0}, "`max_seconds` must be"),
    "min_scale": ({"min_scale": 0.0}, "`min_scale` must be"),
    "background": ({"background": 1.0}, "`background` must be"),
    "x_noise": ({"x_noise": -1.0}, "`x_noise` must be"),
    "y_noise": ({"y_noise": -1.0}, "`y_noise` must be"),
    "noise on positive targets": ({"y_noise": 1.0, "family": "lognormal"}, "family='lognormal' excludes"),
    # Others have a graph of the lognormal family, which this would lose.
    "targets that the family excludes": ({"family": "gamma"}, "targets greater than 0"),
    "targets whose squares are infinite": ({"y": 1e160 * Y}, "`y` must not have numbers beyond 1e.100. Received: "),
    "features whose squares are infinite": ({"x": 1e200 * X}, "`X` must not have numbers beyond 1e.100. Received: "),
    "a network of nothing": ({"network": lambda: None}, "`network` must return a new Keras model.*Received: NoneType"),
    "a network that is shared": (
        {"network": itertools.repeat(keras.layers.Dense(3)).__next__, "n_estimators": 2},
        "`network` must return a new Keras model.*Received: the same model",
    ),
    # So many steps are compiled by XLA, under which the loss cannot raise.
    "a learning rate that is too large": (
        {"learning_rate": 1e30, "max_steps": 2_000, "patience": 50},
        "Training diverged.*Received: learning_rate=1e.30",
    ),
    "no weights": ({"sample_weight": np.eye(60)[0]}, "`sample_weight` must not be zero for at least 2 rows"),
    "negative weights": ({"sample_weight": -np.ones(60)}, "`sample_weight` must be .*0 or more"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_by_fit(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fitted(**arguments)


def interrupted():
    raise KeyboardInterrupt


FAILING = {
    "refused weights": ({"sample_weight": np.eye(60)[0]}, ValueError),
    "a network of nothing": ({"network": lambda: None}, TypeError),
    "an interrupt": ({"network": interrupted}, KeyboardInterrupt),
}


@pytest.mark.parametrize(("arguments", "error"), FAILING.values(), ids=FAILING)
def test_a_fit_that_fails_leaves_the_earlier_one(tiny, arguments, error):
    regressor = copy.copy(tiny)
    regressor.set_params(network=arguments.get("network"))
    features = pd.DataFrame(np.hstack([X, X]), columns=["a", "b"])
    with pytest.raises(error):
        regressor.fit(features, TWO, arguments.get("sample_weight"))
    np.testing.assert_array_equal(regressor.predict(X), tiny.predict(X))
    assert regressor.score(X, Y) == tiny.score(X, Y)
    assert not hasattr(regressor, "feature_names_in_")


QUESTIONS = {
    "a quantile of 0": (lambda r: r.predict_quantiles(X, [0.0, 0.5]), "`quantiles` must be a list of numbers between"),
    "quantiles and std": (lambda r: r.predict(X, True, [0.5]), "Either `return_std` or `quantiles`"),
    "one quantile": (lambda r: r.predict_quantiles(X, 0.5), "`quantiles` must be a list"),
    "coverage": (lambda r: r.predict_interval(X, 1.0), "`coverage` must lie between 0 and 1"),
    "no draws": (lambda r: r.sample(X, 0), "`num_samples` must be a positive integer"),
    "other features": (lambda r: r.predict(np.zeros((3, 2))), "X has 2 features"),
    "other outputs": (lambda r: r.score(X, TWO), r"`y` must have the 1 outputs.*Received: y of shape \(60, 2\)"),
    "other rows": (lambda r: r.score(X, Y[1:]), "must have the same number of rows"),
    "NaN": (lambda r: r.score(X, np.full(60, np.nan)), "contains NaN"),
    "gaps": (lambda r: r.predict([[0.0], [np.nan]]), "no number was missing in the array .* NaN in row 1, column 0"),
}


@pytest.mark.parametrize(("ask", "message"), QUESTIONS.values(), ids=QUESTIONS)
def test_questions_that_are_refused(regressor, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(regressor)


# Hard targets


@pytest.mark.by_default("1e-06-0.0")
@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e6)])
def test_the_units_of_the_targets_do_not_matter(tiny, scale, shift):
    y = Y * scale + shift
    other = fitted(y=y)
    np.testing.assert_allclose((other.predict(X) - shift) / scale, tiny.predict(X), atol=1e-5)
    assert other.score(X, y) + np.log(scale) == pytest.approx(tiny.score(X, Y), abs=1e-6)


def with_an_outlier():
    y = Y.copy()
    y[3] = 1e4 * y.std()
    return y


HARD = {
    "an outlier": (X, with_an_outlier()),
    "a constant": (X, np.full(60, 7.0)),
    "duplicated rows": (np.repeat(X[:6], 10, 0), np.repeat(Y[:6], 10)),
    "ten rows": (X[:10], Y[:10]),
    "two rows": (X[:2], Y[:2]),
    "a constant feature": (np.ones((60, 1)), Y),
    "dates in seconds": (1.7e9 + X, Y),
}


@pytest.mark.by_default("an outlier", "a constant", "two rows", "dates in seconds")
@pytest.mark.parametrize(("x", "y"), HARD.values(), ids=HARD)
def test_densities_stay_finite(x, y):
    regressor = fitted(x, y, network=None)
    mixture = regressor.predict_dist(X)
    assert np.isfinite(regressor.score(x, y))
    for answer in (mixture.log_prob(Y), mixture.mean(), mixture.stddev(), regressor.predict_interval(X)):
        assert np.all(np.isfinite(answer))


def test_dates_are_known_to_the_second():
    x = 1.7e9 + 1e3 * X
    regressor, expected = fitted(x, network=None), fitted(1e3 * X, network=None)
    np.testing.assert_allclose(regressor.predict(x), expected.predict(1e3 * X), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(regressor.score(x, Y), expected.score(1e3 * X, Y), atol=1e-3)


def test_a_lognormal_outlier_hundreds_of_scales_away():
    """In standard units it is the exponential of a number beyond 88, which float32 does not have."""
    y = np.exp(1e-2 * Y)
    y[3] = np.exp(10.0)
    regressor = fitted(y=y, family="lognormal")
    inner = np.delete(np.arange(60), 3)
    assert np.isfinite(regressor.score(X, y))
    assert regressor.score(X[inner], y[inner]) > fitted(y=np.exp(1e-2 * Y), family="lognormal").score(X, y) - 1.0


def test_an_outlier_leaves_the_bulk_alone(tiny):
    inner = np.delete(np.arange(60), 3)
    other = fitted(y=with_an_outlier())
    assert other.score(X[inner], Y[inner]) > tiny.score(X[inner], Y[inner]) - 0.5


@pytest.mark.exhaustive
def test_comes_near_the_best_likelihood_that_is_possible():
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(1000, seed=1)
    regressor = tfmdn.MDNRegressor(n_estimators=3, max_steps=600, hidden_units=(64, 64), random_state=0).fit(x, y)
    assert -regressor.score(*problem.sample(4000, seed=2)) < problem.best_nll + 0.3
