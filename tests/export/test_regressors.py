"""Ensembles and regressors in LiteRT and ONNX: from columns as they are in tables to what their Mixture answers."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
import runtimes
import sklearn.exceptions
import tensorflow as tf

import tfmdn
from tfmdn.export import endpoints
from tfmdn.export.raw_inputs import NO_DATE, raw_inputs
from tfmdn.tabular import folds, storage, tree_features

pytestmark = pytest.mark.usefixtures("quick_graphs")
RNG = np.random.default_rng(0)
ROWS = 120
SMALL = {"num_components": 2, "n_estimators": 1, "max_steps": 15, "hidden_units": (8,), "random_state": 0}
LEVELS = np.array([1e-3, 0.05, 0.5, 0.9], "float32")

HOURS = pd.Timestamp("1969-06-01") + pd.to_timedelta(RNG.integers(0, 3 * 365 * 24, ROWS), unit="h")
FRAME = pd.DataFrame(
    {
        "number": RNG.normal(size=ROWS).astype("float32"),
        "year": RNG.integers(1990, 2020, ROWS),
        "with gaps": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(size=ROWS).astype("float32")),
        "flag": RNG.random(ROWS) < 0.5,
        "color": RNG.choice(["red", "green", "blue", None], ROWS),
        "city": [f"city {number}" for number in np.arange(ROWS) % 30],
        "when": HOURS.where(RNG.random(ROWS) < 0.9),
        "written": HOURS.strftime("%Y-%m-%dT%H:%M:%S"),
        "constant": 1.0,
    }
)
X = np.stack([RNG.uniform(0.0, 20.0, ROWS), RNG.normal(2000.0, 0.01, ROWS), RNG.normal(size=ROWS)], 1).astype("float32")
Y = np.floor(X[:, 0]) % 4 + 0.1 * RNG.normal(size=ROWS)
PAIR = np.stack([FRAME["number"] + (FRAME["color"] == "red"), HOURS.hour / 24 + RNG.normal(size=ROWS)], 1)


def ensemble():
    networks = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(8), tfmdn.MDNLayer(3)]) for _ in range(3)]
    ensemble = tfmdn.Ensemble(networks)
    ensemble.scale_temperature.assign([0.5, 1.0, 2.0])
    return ensemble


def fitted(x, y, **arguments):
    return tfmdn.MDNRegressor(**{**SMALL, "trees": False, **arguments}).fit(x, y)


# With texts that were not there, and more that is missing.
NEW = FRAME.assign(city="elsewhere", color=np.where(np.arange(ROWS) % 5 == 0, "violet", FRAME["color"]))
NEW.loc[:20, "written"] = NEW.loc[10:40, "color"] = None
GAPS = np.where(X > 19.0, np.nan, X)

# What is exported, rows for it, and the signatures that are tried by default in LiteRT and in ONNX; None: in the other
# alone, as columns are.
CASES = {
    "ensemble": (ensemble, RNG.normal(size=(ROWS, 3)).astype("float32"), "quantile", "sample"),
    "array, trees, limits": (
        lambda: fitted(GAPS, np.exp(Y), trees=True, support=(0.0, None)),
        GAPS,
        "log_prob",
        "quantile",
    ),
    "columns, outputs, fallback": (
        lambda: fitted(FRAME, PAIR, fallback=True),
        NEW,
        "serving_default",
        None,
    ),
    "columns, atoms": (
        lambda: fitted(FRAME, np.maximum(Y - 1.0, 0.0), support=(0.0, None), atoms=True),
        NEW,
        None,
        "log_prob",
    ),
}
SIGNATURES = ["serving_default", "log_prob", "quantile", "sample"]


@pytest.fixture(autouse=True, scope="module")
def few_trees():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"MOST_TREES": 4, "FEWEST_TREES": 4, "EXTRA_TREES": 2}.items():
            patch.setattr(tree_features, name, value)
        # The ensemble has factors.
        patch.setattr(folds, "MIN_CALIBRATED", ROWS + 1)
        yield


@functools.cache
def built(case):
    return CASES[case][0]()


def inputs_of(case, form):
    """The arguments of a signature for the rows of a case."""
    made, x, *_ = CASES[case]
    x = x if made is ensemble else built(case).model_inputs(x, format=form)
    return x if isinstance(x, dict) else {"x": x}


@functools.cache
def mixture_of(case):
    """What the model says of the rows, in float64 where it computes so."""
    model, x = built(case), CASES[case][1]
    if isinstance(model, keras.Model):
        return model(x)
    x = model.model_inputs(x)
    return model.model_({key: tf.constant(value) for key, value in x.items()} if isinstance(x, dict) else x)


def check(runtime, case, signature, form):
    mixture, x = mixture_of(case), inputs_of(case, form)
    scale = float(np.max(mixture.stddev()))
    if signature == "serving_default":
        received = runtime.ask(signature, **x)
        for key, expected in {"mean": mixture.mean(), "stddev": mixture.stddev()}.items():
            np.testing.assert_allclose(received[key], expected, rtol=1e-5, atol=1e-5 * scale, err_msg=key)
        return
    if signature == "log_prob":
        y = np.float32(mixture.sample(seed=0))
        expected = mixture.log_prob(y.astype(mixture.dtype.name))
        np.testing.assert_allclose(runtime.ask(signature, **x, y=y)["log_prob"], expected, rtol=1e-5, atol=1e-4)
        return
    if signature == "quantile":
        received, expected = runtime.ask(signature, **x, q=LEVELS)["quantile"], mixture.quantile(np.float64(LEVELS))
        np.testing.assert_allclose(received, expected, rtol=1e-6, atol=1e-4 * scale)
        return
    noise = np.random.default_rng(1)
    uniform = noise.uniform(size=(200, *mixture.batch_shape)).astype("float32")
    normal = noise.normal(size=(200, *mixture.shape)).astype("float32")
    draws = runtime.ask(signature, **x, uniform=uniform, normal=normal)["sample"]
    np.testing.assert_allclose(draws.mean(0), mixture.mean(), atol=6.0 * scale / 200**0.5)


@pytest.mark.by_default(*(f"{case}-{signature}" for case, (*_, signature, _) in CASES.items() if signature))
@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("case", CASES)
def test_litert(tmp_path, monkeypatch, case, signature):
    found = endpoints.portable_endpoints(built(case))
    alone = endpoints.Endpoints({signature: found.by_name[signature]}, {})
    monkeypatch.setattr(endpoints, "portable_endpoints", lambda model: alone)  # to convert all takes longer
    tfmdn.export_litert(built(case), tmp_path / "model.tflite")
    check(runtimes.LiteRT(tmp_path / "model.tflite"), case, signature, "litert")


@pytest.mark.by_default(*(f"{case}-{signature}" for case, (*_, signature) in CASES.items() if signature))
@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("case", CASES)
def test_onnx(tmp_path, case, signature):
    pytest.importorskip("tf2onnx")
    tfmdn.export_onnx(built(case), tmp_path / f"{signature}.onnx", signature)
    check(runtimes.ONNX(tmp_path), case, signature, "onnx")


def test_columns_are_as_each_format_has_them():
    regressor = built("columns, outputs, fallback")
    rows = FRAME[:3].assign(color=["red", "violet", None], when=[HOURS[0], pd.NaT, HOURS[2]])
    seconds = np.array([value.timestamp() for value in HOURS[:3]])
    assert tfmdn.export.categories(regressor)["color"] == ("", "blue", "green", "red")
    coded, raw = (regressor.model_inputs(rows, format=form) for form in ("litert", "onnx"))
    np.testing.assert_array_equal(coded["color"], [3, -1, 0])
    np.testing.assert_array_equal(raw["color"], ["red", "violet", ""])
    np.testing.assert_array_equal(coded["when"], [seconds[0], NO_DATE, seconds[2]])
    np.testing.assert_array_equal(raw["when"], [seconds[0], np.nan, seconds[2]])
    for given in (coded, raw):
        np.testing.assert_array_equal(given["written"], seconds)
    assert {name: column.dtype.name for name, column in coded.items()} == {
        name: column.code_dtype for name, column in raw_inputs(regressor.model_).items()
    }
    with pytest.raises(ValueError, match="must be one of 'saved_model', 'litert', 'onnx'"):
        regressor.model_inputs(rows, format="pdf")


def test_text_that_is_neither_a_category_nor_a_date():
    text, number = keras.Input((), dtype="string", name="text"), keras.Input((), name="number")
    lengths = keras.layers.Lambda(lambda text: tf.cast(tf.strings.length(text), "float32"), output_shape=())(text)
    hidden = keras.ops.stack([lengths, number], axis=-1)
    model = keras.Model({"text": text, "number": number}, tfmdn.MDNLayer(2)(hidden))
    with pytest.raises(ValueError, match=r"make numbers of it before.*\['text'\]"):
        tfmdn.export_litert(model, "model.tflite")


@pytest.mark.parametrize("form", ["saved_model", "litert", "onnx"])
def test_a_regressor_writes_each_format(monkeypatch, form):
    """What the functions write is what they are tried with above, and in tests/tabular/test_raw_tables.py."""
    assert storage.FORMATS[form] is getattr(tfmdn, f"export_{form}")
    received = {}
    write = lambda model, path, **options: received.update(options, model=model, path=path)  # noqa: E731
    monkeypatch.setitem(storage.FORMATS, form, write)
    regressor = built("columns, outputs, fallback")
    regressor.export("mine", form, signature="quantile")
    assert received == {"model": regressor.model_, "path": "mine", "signature": "quantile"}


def test_there_is_no_such_format(tmp_path):
    regressor = built("columns, outputs, fallback")
    with pytest.raises(ValueError, match="must be one of 'saved_model', 'litert', 'onnx'"):
        regressor.export(tmp_path / "model", format="pdf")
    with pytest.raises(sklearn.exceptions.NotFittedError):
        tfmdn.MDNRegressor().export(tmp_path / "model")
