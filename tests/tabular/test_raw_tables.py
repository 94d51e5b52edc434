"""Tables as they come: every kind of column, in every library, file and export."""

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf
from cases import serving_alone
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import tfmdn
from tfmdn.tabular import encoded_categories, encoding, folds, inputs, streams
from tfmdn.tabular.composition import Composition
from tfmdn.tabular.progress import Progress

pytestmark = pytest.mark.usefixtures("quick_graphs")
TINY = {"num_components": 2, "n_estimators": 1, "max_steps": 25, "hidden_units": (8,), "random_state": 0}
ROWS = 120
RNG = np.random.default_rng(0)


def with_gaps(values, missing=None):
    return [missing if number % 7 == 3 else value for number, value in enumerate(values)]


HOURS = pd.to_timedelta(RNG.integers(0, 3 * 365 * 24, ROWS), unit="h")
MANY = [f"city {number}" for number in np.arange(ROWS) % 30]
COLUMNS = {
    "number": RNG.normal(size=ROWS),
    "number with gaps": with_gaps(RNG.normal(size=ROWS), np.nan),
    "integer": pd.array(with_gaps(RNG.integers(0, 9, ROWS)), "Int64"),
    "boolean": pd.array(with_gaps(RNG.random(ROWS) < 0.5), "boolean"),
    "category": pd.Categorical(with_gaps(RNG.choice(["low", "high"], ROWS))),
    "category of numbers": pd.Categorical(RNG.choice([1, 2, 5], ROWS)),
    "text": RNG.choice(["red", "green", "blue"], ROWS),
    "text with gaps": with_gaps(RNG.choice(["a", "b"], ROWS)),
    "text of many kinds": MANY,
    "date": pd.Timestamp("2020-01-01") + HOURS,
    "date with a zone": pd.Series(with_gaps(pd.Timestamp("2020-01-01") + HOURS, pd.NaT)).dt.tz_localize("UTC"),
    "date as text": (pd.Timestamp("2021-03-01") + HOURS).strftime("%Y-%m-%d"),
    "duration": pd.to_timedelta(RNG.integers(0, 1000, ROWS), unit="s"),
}
USELESS = {"constant": 1.0, "no value": np.nan, "name": [f"name {number}" for number in range(ROWS)]}
X = pd.DataFrame({**COLUMNS, **USELESS})
Y = X["number"].to_numpy() + (X["text"] == "red") + X["date"].dt.hour / 24


@pytest.fixture(scope="module")
def regressor():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "MIN_CALIBRATED", ROWS + 1)  # has nothing to do with columns
        return tfmdn.MDNRegressor(**TINY).fit(X, Y)


@pytest.fixture(scope="module")
def models(regressor, tmp_path_factory):
    """What answers with means: functions of frames."""
    folder = tmp_path_factory.mktemp("models")
    regressor.save(folder / "regressor.keras")
    with serving_alone():
        tfmdn.export_saved_model(regressor.model_, folder / "saved_model")
    served = tf.saved_model.load(folder / "saved_model").signatures["serving_default"]
    loaded = tfmdn.MDNRegressor.load(folder / "regressor.keras")

    def raw(frame):
        return {name: tf.constant(column) for name, column in regressor.model_inputs(frame).items()}

    return {
        "pandas": lambda frame: regressor.predict(frame).to_numpy(),
        "other order": lambda frame: regressor.predict(frame[frame.columns[::-1]]).to_numpy(),
        "polars": lambda frame: regressor.predict(pl.from_pandas(frame)),
        "pyarrow": lambda frame: regressor.predict(pa.Table.from_pandas(frame)),
        "loaded": lambda frame: loaded.predict(frame).to_numpy(),
        ".keras": lambda frame: loaded.model_(raw(frame)).mean().numpy(),
        "SavedModel": lambda frame: served(**raw(frame))["mean"].numpy(),
    }


@pytest.fixture(scope="module")
def answers(models):
    """What each model answers for the table, and for ones of which one column is turned upside down: by rows `[n]`."""
    frames = [X, *(X.assign(**{column: turned(X[column])}) for column in COLUMNS)]
    together = pd.concat(frames, ignore_index=True)
    return {name: np.split(predict(together), len(frames)) for name, predict in models.items()}


def turned(column):
    return column.iloc[::-1].set_axis(column.index)


@pytest.mark.parametrize(("number", "column"), list(enumerate(COLUMNS, 1)), ids=COLUMNS)
def test_each_kind_of_column_counts_everywhere(answers, number, column):
    expected = answers["pandas"][number]
    assert np.abs(expected - answers["pandas"][0]).max() > 1e-6
    for name, found in answers.items():
        np.testing.assert_allclose(found[number], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_says_nothing_is_left_out(regressor, models):
    assert regressor.findings_[:3] == (
        "Column 'no value' has no value and is left out",
        "Column 'constant' has the same value in every row and is left out",
        "Column 'name' has 120 different texts in 120 rows and is left out",
    )
    frame = X.assign(constant=7.0, name="somebody else", **{"no value": "now there is one"})
    np.testing.assert_array_equal(models["pandas"](frame), models["pandas"](X))


def test_unseen_categories_and_new_gaps_are_answered(regressor):
    frame = X.assign(text="violet", number=np.nan, date=pd.NaT, **{"date as text": None, "category": None})
    assert np.isfinite(regressor.predict(frame)).all()
    # An unseen one is as one that has no text, and neither is an arbitrary one of those that were seen.
    unseen = [regressor.predict(X.assign(text=text)) for text in ("violet", None)]
    np.testing.assert_array_equal(*unseen)


def test_an_array_of_numbers_with_gaps(tmp_path):
    x = np.stack([X["number"], X["number with gaps"], np.full(ROWS, np.nan)], 1)
    regressor = tfmdn.MDNRegressor(**TINY).fit(x, Y)
    assert regressor.findings_[0] == "Column 2 has no value and is left out"
    assert regressor.model_.input.shape == (None, 3)
    regressor.save(tmp_path / "regressor.keras")
    for model in (regressor.model_, keras.models.load_model(tmp_path / "regressor.keras")):
        np.testing.assert_allclose(model(x).mean(), regressor.predict(x), rtol=1e-6)
    moved = x.copy()
    moved[:, 1] = np.where(np.isnan(x[:, 1]), 0.0, np.nan)
    assert np.abs(regressor.predict(moved) - regressor.predict(x)).max() > 1e-6


def test_scikit_learn_s_tools_take_frames():
    frame = X[["number", "text", "text with gaps", "date"]]
    pipeline = make_pipeline(
        FunctionTransformer(lambda rows: rows.drop(columns="date")), tfmdn.MDNRegressor(**TINY)
    ).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"mdnregressor__patience": [25]}, cv=2, error_score="raise").fit(frame, Y)
    best = search.best_estimator_
    importance = permutation_importance(best, frame, Y, n_repeats=2, random_state=0)
    assert importance.importances_mean[-1] == 0.0  # the date is dropped
    assert np.abs(importance.importances_mean[:2]).min() > 0.0
    assert partial_dependence(best, frame, ["number"], grid_resolution=5)["average"].shape == (1, 5)
    dependence = partial_dependence(best, frame, ["text"], categorical_features=["text"])
    assert dependence["grid_values"][0].tolist() == ["blue", "green", "red"]


def test_tables_are_encoded_some_rows_at_a_time(regressor, monkeypatch):
    raw, model = regressor.model_inputs(X), Composition.of(regressor.model_).encoding
    expected = encoding.features(model, raw)
    monkeypatch.setattr(encoding, "CHUNK", 50)
    np.testing.assert_array_equal(encoding.features(model, raw), expected)


def test_a_dataset_of_columns_is_read_as_their_table():
    frame = X[["number", "number with gaps", "text", "text with gaps", "date as text"]]
    columns = {name: column if name.startswith("number") else column.fillna("") for name, column in frame.items()}
    features, _, _ = streams.sample(tf.data.Dataset.from_tensor_slices((columns, Y)).batch(50), 0, Progress())
    (columns, found), (expected_columns, expected) = (
        inputs.learned(tfmdn.MDNRegressor(), table) for table in (features, frame)
    )
    assert list(columns) == list(expected_columns)
    assert list(found) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


def test_a_table_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match=r"must have a column that says something.*'name' has 120 different texts"):
        tfmdn.MDNRegressor(**TINY).fit(X[list(USELESS)], Y)


CATEGORIES = {
    "rare ones are one category": (["a"] * 5 + ["b"] * 5 + ["c", "d", "e"], 3),
    "too few of them are like unseen ones": (["a"] * 5 + ["b"] * 5 + ["c", "d"], 2),
    "no text is a category": (["a"] * 5 + [""] * 5, 2),
    "but not if it is rare": (["a"] * 5 + ["b"] * 5 + [""], 2),
}


@pytest.mark.parametrize(("texts", "size"), CATEGORIES.values(), ids=CATEGORIES)
def test_categories(texts, size):
    given = keras.Input((), dtype="string")
    found = encoded_categories.encoded("column", given, np.array(texts, object))
    assert found.size == size
    numbers = keras.Model(given, found.numbers)(tf.constant([*texts, "unseen"])).numpy()[:, 0]
    known = [text for text in ("", "a", "b") if texts.count(text) >= 3]
    others = size - len(known) - 1  # 0 if rare ones are a category, -1 if not
    expected = {text: number + others + 1 for number, text in enumerate(known)}
    assert numbers.tolist() == [expected.get(text, others) for text in [*texts, "unseen"]]
