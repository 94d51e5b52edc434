"""The layers for columns as they are: missing values, categories, dates. Against scikit-learn, pandas and NumPy."""

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn.impute
import sklearn.preprocessing
import tensorflow as tf

from tfmdn.layers import features
from tfmdn.tabular import network

pytestmark = pytest.mark.usefixtures("quick_graphs")
RNG = np.random.default_rng(0)
NUMBERS = np.where(RNG.random((60, 3)) < 0.3, np.nan, RNG.normal([5.0, -3.0, 0.0], size=(60, 3)))
SIZES = [2, 5, 1]
CATEGORIES = RNG.integers([0, -1, -1], SIZES, (60, 3))
TIMES = pd.DatetimeIndex(RNG.integers(-(10**16), 10**16, 60).astype("datetime64[us]"))
SECONDS = TIMES.to_numpy().astype("int64") / 1e6
TEXTS = TIMES.strftime("%Y-%m-%d %H:%M:%S.%f").to_numpy(object)
# Arguments, inputs, and the number of outputs of each row.
LAYERS = {
    "Imputation": ({}, NUMBERS, 3),
    "MissingIndicator": ({"indices": [0, 2]}, NUMBERS, 2),
    "CategoryIndicators": ({"sizes": SIZES}, CATEGORIES, 8),
    "CategoryEmbedding": ({"sizes": SIZES, "units": 4, "seed": 3}, CATEGORIES, 12),
    "Calendar": ({"cycles": ["year", "month", "week", "day"]}, SECONDS, 12),
    "DateParsing": ({}, TEXTS, None),
}
ADAPTED = ("Imputation", "CategoryIndicators")


def layer_of(name, **kwargs):
    """The layer as the table has it, adapted where it learns from data."""
    arguments, inputs, _ = LAYERS[name]
    layer = getattr(features, name)(**{**arguments, **kwargs})
    if name in ADAPTED:
        layer.adapt(inputs)
    return layer


def test_every_layer_is_in_the_table():
    others = {
        f"tfmdn.layers.{name}" for name in ("embeddings", "features", "products", "trees")
    }  # have tests elsewhere
    assert {name for name in features.__all__ if getattr(features, name).__module__ not in others} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_as_a_keras_layer(name):
    arguments, inputs, width = LAYERS[name]
    layer = layer_of(name, trainable=False)
    outputs = np.asarray(layer(inputs))
    expected = inputs.shape if width is None else (60, width)
    assert outputs.shape == layer.compute_output_shape(inputs.shape) == expected
    nested = inputs.reshape(3, 20, *inputs.shape[1:])
    np.testing.assert_allclose(layer(nested), outputs.reshape(3, 20, *expected[1:]), rtol=1e-6, atol=1e-6)
    symbol = layer(keras.KerasTensor((None, *inputs.shape[1:]), "string" if inputs.dtype == object else "float64"))
    assert symbol.shape == (None, *expected[1:])
    assert symbol.dtype == outputs.dtype

    assert {**arguments, "trainable": False}.items() <= layer.get_config().items()
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    for policy, dtype in [("float64", "float64"), ("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")]:
        assert layer_of(name, dtype=policy)(inputs).dtype == dtype


def whole_model():
    columns = {"x": ((3,), "float64"), "kind": ((3,), "float64"), "time": ((), "float64"), "text": ((), "string")}
    inputs = {name: keras.Input(shape, name=name, dtype=dtype) for name, (shape, dtype) in columns.items()}
    outputs = [layer_of(name, dtype="float64")(inputs["x"]) for name in ("Imputation", "MissingIndicator")]
    outputs += [layer_of(name, dtype="float64")(inputs["kind"]) for name in ("CategoryIndicators", "CategoryEmbedding")]
    outputs += [layer_of("Calendar")(inputs["time"]), layer_of("Calendar")(layer_of("DateParsing")(inputs["text"]))]
    return keras.Model(inputs, keras.layers.Concatenate(dtype="float64")(outputs))


def test_saved_and_exported(tmp_path):
    model = whole_model()
    rows = {"x": NUMBERS, "kind": CATEGORIES.astype(float), "time": SECONDS, "text": TEXTS}
    rows = {name: tf.constant(column) for name, column in rows.items()}
    outputs = np.asarray(model(rows))
    assert outputs.dtype == "float64"
    np.testing.assert_allclose(outputs[:, -24:-12], outputs[:, -12:], atol=1e-9)  # times, as numbers and as text
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(rows), outputs)
    model.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(rows), outputs, rtol=1e-12)


def test_compiled_by_xla():
    layers = {name: layer_of(name) for name in LAYERS if name != "DateParsing"}

    @tf.function(jit_compile=True)
    def compiled():
        return {name: layer(LAYERS[name][1]) for name, layer in layers.items()}

    for name, outputs in compiled().items():
        np.testing.assert_allclose(outputs, layers[name](LAYERS[name][1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("MissingIndicator", {"indices": [0, -1]}, "Received: indices=-1."),
        ("CategoryIndicators", {"sizes": []}, "list of at least one positive integer. Received: sizes=[]."),
        ("CategoryIndicators", {"sizes": 3}, "list of at least one positive integer. Received: sizes=3."),
        ("CategoryEmbedding", {"sizes": [2, 0]}, "Received: sizes=0."),
        ("CategoryEmbedding", {"sizes": [2], "units": 0}, "Received: units=0."),
        ("Calendar", {"cycles": "year"}, "`cycles` must be a list of different names"),
        ("Calendar", {"cycles": ["day", "day"]}, "Received: ['day', 'day']."),
        ("Calendar", {"cycles": []}, "Received: []."),
        ("Calendar", {"cycles": ["hour"]}, "`cycles` must be one of 'year', 'month', 'week', 'day'. Received"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        getattr(features, name)(**arguments)
    assert message in str(error.value)


def test_bad_widths():
    for name in ("CategoryIndicators", "CategoryEmbedding"):
        with pytest.raises(ValueError, match=rf"{name} has the sizes of 3 categories. Received: inputs with 2\."):
            getattr(features, name)(SIZES).build((None, 2))
    with pytest.raises(ValueError, match=r"`indices` must be an integer from -2 to 1\. Received: indices=2"):
        features.MissingIndicator([0, 2]).build((None, 2))


# Missing values


def test_missing_values_as_scikit_learn_treats_them():
    layer = layer_of("Imputation", dtype="float64")
    imputer = sklearn.impute.SimpleImputer(strategy="median").fit(NUMBERS)
    new = np.array([[np.nan, 2.0, np.nan], [np.inf, np.nan, 1.0]])
    np.testing.assert_array_equal(layer(NUMBERS), imputer.transform(NUMBERS))
    np.testing.assert_array_equal(layer(new)[0], imputer.transform(new[:1])[0])
    np.testing.assert_array_equal(layer(new)[1], [np.inf, imputer.statistics_[1], 1.0])
    np.testing.assert_array_equal(features.Imputation()(new)[0], [0.0, 2.0, 0.0])
    indicator = sklearn.impute.MissingIndicator(features="all").fit(NUMBERS)
    np.testing.assert_array_equal(layer_of("MissingIndicator")(NUMBERS), indicator.transform(NUMBERS)[:, [0, 2]])
    assert features.MissingIndicator([])(NUMBERS).shape == (60, 0)


# Categories


def test_indicators_are_those_of_scikit_learn_minus_their_means():
    encoder = sklearn.preprocessing.OneHotEncoder(
        categories=[range(size) for size in SIZES], sparse_output=False, handle_unknown="ignore"
    )
    indicators = encoder.fit(np.maximum(CATEGORIES, 0)).transform(CATEGORIES)
    np.testing.assert_array_equal(features.CategoryIndicators(SIZES)(CATEGORIES), indicators)
    known = np.repeat(CATEGORIES >= 0, SIZES, axis=1)
    expected = np.where(known, indicators - indicators.sum(0) / known.sum(0), 0.0)
    layer = layer_of("CategoryIndicators")
    np.testing.assert_allclose(layer(CATEGORIES), expected, atol=1e-6)
    np.testing.assert_allclose(np.mean(layer(CATEGORIES), 0), np.zeros(8), atol=1e-6)  # as is an unknown one


def test_a_category_of_which_nothing_is_known():
    layer = features.CategoryIndicators([2, 3])
    layer.adapt([[0, -1], [1, -1]])
    np.testing.assert_array_equal(layer(np.array([[1.0, 2.0]])), [[-0.5, 0.5, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize("name", ["CategoryIndicators", "CategoryEmbedding"])
def test_unknown_numbers_give_0(name):
    unknown = np.array([[-1.0, np.nan, -np.inf], [2.0, 5.0, np.inf], [0.5, 1e30, -0.5]])
    np.testing.assert_array_equal(layer_of(name)(unknown), np.zeros((3, LAYERS[name][2])))


def test_embedding_looks_up_vectors():
    layer = layer_of("CategoryEmbedding")
    outputs = np.asarray(layer(CATEGORIES))
    starts = np.cumsum([0, *SIZES[:-1]])
    for row, numbers in zip(outputs, CATEGORIES):
        vectors = [
            layer.kernel[start + number] if number >= 0 else np.zeros(4) for start, number in zip(starts, numbers)
        ]
        np.testing.assert_allclose(row, np.concatenate(vectors), rtol=1e-6)
    layer = features.CategoryEmbedding([500], units=16)
    assert np.mean(np.sum(layer(np.arange(500)[:, np.newaxis]) ** 2, 1)) == pytest.approx(1.0, rel=0.1)


def test_embeddings_of_several_members_at_once():
    layer = layer_of("CategoryEmbedding")
    layer.build((None, 3))
    kernels = tf.random.stateless_normal((2, 8, 4), (0, 0))

    def call(kernel):
        with keras.StatelessScope([(layer.kernel, kernel)]):
            return layer(CATEGORIES)

    def squares(run):
        with tf.GradientTape() as tape:
            tape.watch(kernels)
            total = tf.reduce_sum(run(kernels) ** 2)
        return total, tape.gradient(total, kernels)

    together = squares(lambda kernels: tf.vectorized_map(call, kernels))
    by_loop = squares(lambda kernels: tf.stack([call(kernel) for kernel in tf.unstack(kernels)]))
    for same, expected in zip(together, by_loop):
        np.testing.assert_allclose(same, expected, rtol=1e-5)


def test_tables_draw_new_vectors():
    layer = layer_of("CategoryEmbedding", seed=network.ANY_SEED)
    layer.build((None, 3))
    draws = []
    for seed in (1, 1, 2):
        network.draw([layer], np.random.default_rng(seed))
        draws.append(layer.kernel.numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.any(draws[0] == draws[2])


# The calendar


def positions(times):
    """Where times are in each cycle, from 0 to 1, as pandas knows: `[n, 4]`."""
    day = np.asarray((times - times.normalize()) / pd.Timedelta(days=1))
    year = (times.day_of_year - 1 + day) / np.where(times.is_leap_year, 366, 365)
    return np.stack([year, (times.day - 1 + day) / times.days_in_month, (times.day_of_week + day) / 7, day], -1)


@pytest.mark.parametrize("kind", ["every day", "microseconds"])
def test_calendar_is_that_of_pandas(kind):
    if kind == "every day":
        times = pd.date_range("1600-01-01", "2400-12-31", unit="us")
    else:
        times = pd.DatetimeIndex(RNG.integers(-(10**16), 10**16, 2000).astype("datetime64[us]"))
    outputs = np.asarray(layer_of("Calendar")(times.to_numpy().astype("int64") / 1e6)).reshape(-1, 4, 3)
    expected = positions(times)
    np.testing.assert_allclose(outputs[..., 0], expected * [365.2425, 365.2425 / 12, 7, 24], atol=1e-8)
    np.testing.assert_allclose(outputs[..., 1], np.sin(2 * np.pi * expected), atol=1e-8)
    np.testing.assert_allclose(outputs[..., 2], np.cos(2 * np.pi * expected), atol=1e-8)


def test_cycles_join_where_they_end():
    new_years = np.arange("1890", "2110", dtype="datetime64[Y]").astype("datetime64[s]").astype(float)
    before, after = (np.asarray(features.Calendar(["year", "month", "day"])(new_years + step)) for step in (-1.0, 0.0))
    np.testing.assert_allclose(before[:, [1, 2, 4, 5, 7, 8]], after[:, [1, 2, 4, 5, 7, 8]], atol=1e-4)
    np.testing.assert_allclose(before[:, [0, 3, 6]], [[365.2425, 365.2425 / 12, 24.0]] * len(before), atol=1e-3)
    np.testing.assert_array_equal(after[:, [0, 3, 6]], np.zeros((len(after), 3)))


def test_times_that_are_none():
    times = np.array([np.nan, np.inf, -np.inf, 1e300, 2.0**53, 0.0])
    outputs = np.asarray(layer_of("Calendar")(times))
    assert np.isnan(outputs[:-1]).all()
    assert np.isfinite(outputs[-1]).all()
    np.testing.assert_array_equal(features.Calendar(["day"])(np.array([-1e-9, 86400 - 1e-9]))[:, 0] <= 24.0, True)


# Dates in text


def parsed(texts):
    return np.asarray(features.DateParsing()(tf.constant(texts)))


@pytest.mark.parametrize("offset", ["", "Z", "+00:00", "-00:30", "+05:30", "-11:00", "+0530", "-03"])
def test_texts_are_read_as_pandas_does(offset):
    times = pd.DatetimeIndex(RNG.integers(-8e9, 8e9, 40).astype("datetime64[s]"))
    formats = [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y/%m/%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S.25",
        "%Y-%m-%d %H:%M:%S.000001",
    ]
    if not offset:
        formats += ["%Y-%m-%d", "%Y/%m/%d", "%Y-%m"]
    texts = [text + offset for format in formats for text in times.strftime(format)]
    # Without an offset pandas' timestamps are those of UTC, too.
    seconds = [pd.Timestamp(text).timestamp() for text in texts]
    np.testing.assert_allclose(parsed(texts), seconds, rtol=0, atol=1e-6)


def test_every_day_and_no_other_is_read():
    days = np.arange("1896-01-01", "2005-01-01", dtype="datetime64[D]")
    np.testing.assert_array_equal(parsed(days.astype(str)), days.astype("datetime64[s]").astype(float))
    names = [
        f"{year}-{month:02}-{day:02}" for year in (1900, 2000, 2023, 2024) for month in range(14) for day in range(33)
    ]
    days = pd.to_datetime(names, format="%Y-%m-%d", errors="coerce")
    np.testing.assert_array_equal(np.isnan(parsed(names)), days.isna())
    assert parsed(["0001-01-01", "9999-12-31"]).tolist() == [-62135596800.0, 253402214400.0]


def test_what_is_no_date():
    texts = ["", " ", "x", "nan", "2024", "20240101", "2024-1-1", "24-01-01", "2024/01", "2024/01-01", "2024-01-01T"]
    texts += ["2024-01-01T24:00", "2024-01-01T12", "2024-01-01 12:60", "2024-01-01 12:00:60", "2024-01-01 12:00:00."]
    texts += ["2024-01-01 12:00+25:00", "2024-01-01+01:00", "2024-01-01 12:00 UTC", " 2024-01-01", "2024-01-01\n"]
    texts += ["2024-01-01 12:00:00,5", "-2024-01-01", "\u0661\u0669\u0667\u0660-\u0660\u0661-\u0660\u0661", b"\xff\xfe"]
    assert np.isnan(parsed(texts)).all()
