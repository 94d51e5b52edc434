"""The layers for numeric features against scikit-learn and NumPy, and as Keras layers."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.preprocessing
import tensorflow as tf

import tfmdn
from tfmdn import keras_internals
from tfmdn.layers import embeddings, features

pytestmark = pytest.mark.usefixtures("quick_graphs")
LAYERS = {
    "Standardization": {"margin": 0.5},
    "PeriodicEmbedding": {"num_frequencies": 3, "units": 5, "frequency_scale": 0.7},
    "PiecewiseLinearEmbedding": {"num_bins": 6},
    "NoiseRegularization": {"factor": 0.5, "seed": 3},
    "Products": {},
}
ADAPTED = [name for name in LAYERS if name not in ("PeriodicEmbedding", "Products")]
# The number of outputs of three features.
WIDTHS = {
    "Standardization": 3,
    "PeriodicEmbedding": 3 * (1 + 5),
    "PiecewiseLinearEmbedding": 3 * (1 + 6),
    "NoiseRegularization": 3,
    "Products": 3 + 6,
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_adapted_layer = pytest.mark.parametrize("name", ADAPTED)

X = np.random.default_rng(0).normal([3.0, -100.0, 0.0], [2.0, 0.1, 50.0], (200, 3)).astype("float32")


def layer_of(name, x=X, **kwargs):
    """The layer as the table has it, adapted to x where it learns from data."""
    layer = getattr(features, name)(**{**LAYERS[name], **kwargs})
    if name in ADAPTED and x is not None:
        layer.adapt(x)
    return layer


def statistics(layer):
    return [variable.numpy() for variable in layer.non_trainable_variables if variable.dtype != "uint32"]


# All of them as Keras layers


def test_every_layer_is_in_the_table():
    own = (
        "tfmdn.layers.embeddings",
        "tfmdn.layers.features",
        "tfmdn.layers.products",
    )  # the others are those of test_raw_columns
    assert {name for name in features.__all__ if getattr(features, name).__module__ in own} == set(LAYERS)


@every_layer
def test_config_round_trip(name):
    layer = layer_of(name, trainable=False)
    assert {**LAYERS[name], "trainable": False}.items() <= layer.get_config().items()
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@every_layer
def test_shapes_as_stated(name):
    for shape in [(2, 3), (2, 4, 3), (2, 4, 5, 3)]:
        layer = layer_of(name)
        outputs = layer(np.ones(shape, "float32"))
        assert outputs.shape == (*shape[:-1], WIDTHS[name])
        assert layer.compute_output_shape(shape) == outputs.shape
        assert layer(keras.KerasTensor((None, *shape[1:]))).shape == (None, *shape[1:-1], WIDTHS[name])


@every_layer
def test_each_row_is_treated_by_itself(name):
    layer = layer_of(name)
    expected = layer(X[:24])
    np.testing.assert_allclose(
        tf.reshape(layer(X[:24].reshape(2, 3, 4, 3)), expected.shape), expected, rtol=1e-6, atol=1e-6
    )
    bad = X[:3].copy()
    bad[1, 1] = np.nan
    assert not np.isnan(np.asarray(layer(bad))[[0, 2]]).any()
    assert np.isnan(layer(bad)[1]).any()


@every_layer
@pytest.mark.parametrize(
    ("policy", "dtype"), [("float64", "float64"), ("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")]
)
def test_dtype_policies(name, policy, dtype):
    layer = layer_of(name, X / 10, dtype=policy)
    outputs = layer(X / 10, training=True) if name == "NoiseRegularization" else layer(X / 10)
    assert outputs.dtype == dtype
    assert np.all(np.isfinite(tf.cast(outputs, "float32")))


@every_layer
def test_whole_numbers_are_numbers(name):
    layer = layer_of(name)
    whole = np.array([[1, -100, 40], [5, -101, 0]])
    np.testing.assert_allclose(layer(whole), layer(whole.astype("float32")))
    np.testing.assert_allclose(layer(tf.constant(whole)), layer(whole.astype("float32")))


def test_float64_has_its_digits():
    seconds = 1.7e9 + np.arange(50.0)[:, np.newaxis]
    layer = layer_of("Standardization", seconds, dtype="float64")
    np.testing.assert_allclose(layer(seconds), scipy.stats.zscore(seconds), atol=1e-6)
    layer = layer_of("PiecewiseLinearEmbedding", seconds, dtype="float64", num_bins=7)
    expected = piecewise_linear(seconds[:, 0], seconds[:, 0], 7)
    np.testing.assert_allclose(layer(seconds)[:, 1:], expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_begins_behind_the_scaling(policy):
    rows = X * [1e6, 1.0, 1e-6]
    for name in ("Standardization", "PiecewiseLinearEmbedding"):
        half, single = layer_of(name, rows, dtype=policy)(rows), layer_of(name, rows)(rows)
        if name == "PiecewiseLinearEmbedding":  # the features themselves are beside their bins, as they are
            half, single = half[:, 3:], single[:, 3:]
        np.testing.assert_allclose(tf.cast(half, "float32"), single, atol=0.02)


@every_layer
def test_saved_and_exported(name, tmp_path):
    model = keras.Sequential([keras.Input((3,)), layer_of(name), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), model(X))
    if name in ADAPTED:
        for learnt, original in zip(statistics(again.layers[0]), statistics(model.layers[0])):
            np.testing.assert_array_equal(learnt, original)
    model.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(X), model(X), rtol=1e-5, atol=1e-5)


@pytest.mark.by_default("graph")
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_all_in_a_functional_model_that_is_fitted(jit_compile):
    inputs = keras.Input((3,))
    standardized = layer_of("Standardization")(inputs)
    z = scipy.stats.zscore(X)
    noisy = layer_of("NoiseRegularization", z)(standardized)
    embedded = [layer_of("PeriodicEmbedding")(noisy), layer_of("PiecewiseLinearEmbedding", z)(noisy)]
    hidden = keras.layers.Dense(8, "tanh")(keras.layers.Concatenate()(embedded))
    model = keras.Model(inputs, tfmdn.MDNLayer(2)(hidden))
    model.compile(keras.optimizers.Adam(0.01), tfmdn.NegativeLogLikelihood(), jit_compile=jit_compile)
    losses = model.fit(X, np.sin(3.0 * z[:, 0]), batch_size=50, epochs=15, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    assert losses[-1] < losses[0] - 0.2


@every_layer
def test_masks_pass_through(name):
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, layer_of(name)(keras.layers.Masking()(inputs)))
    outputs = model(np.array([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]))
    np.testing.assert_array_equal(keras_internals.mask_of(outputs), [[True, False]])


# adapt


def as_dataset(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(7)


def as_pairs(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(7)


def as_weighted(x):
    return tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)), np.ones(len(x)))).batch(7)


def as_sequences(x):
    return x.reshape(5, -1, 3)


@every_adapted_layer
@pytest.mark.parametrize("container", [tf.convert_to_tensor, as_dataset, as_pairs, as_weighted, as_sequences, list])
def test_adapt_takes_any_container(name, container):
    for same, original in zip(statistics(layer_of(name, container(X))), statistics(layer_of(name)), strict=True):
        np.testing.assert_array_equal(same, original)


@every_adapted_layer
def test_adapt_before_and_after_build(name):
    layer = layer_of(name, None)
    layer(X[:2])
    assert layer.built
    layer.adapt(X + 100.0)
    layer.adapt(X)  # anew, not on top of what was learnt
    for late, early in zip(statistics(layer), statistics(layer_of(name)), strict=True):
        np.testing.assert_array_equal(late, early)


@every_adapted_layer
def test_values_that_are_not_finite_do_not_count(name):
    bad = np.full((9, 3), np.nan, "float32")
    bad[0], bad[1] = np.inf, -np.inf
    for dirty, clean in zip(statistics(layer_of(name, np.concatenate([bad, X]))), statistics(layer_of(name))):
        np.testing.assert_allclose(dirty, clean, rtol=1e-6)


@every_adapted_layer
@pytest.mark.parametrize("kind", ["scale", "constant", "one row", "outlier"])
def test_any_finite_data_gives_finite_features(name, kind):
    rows = {
        "scale": X * [1e-30, 1e30, 1e-6],
        "constant": np.full((10, 3), [0.1, -1e8, 0.0], "float32"),
        "one row": X[:1],
        "outlier": np.concatenate([X, X[:1] + 1e9]),
    }[kind].astype("float32")
    for outputs in (layer_of(name, rows)(rows), layer_of(name, rows)(rows, training=True)):
        assert np.all(np.isfinite(outputs))


@every_adapted_layer
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((5, 2)), "was built for 3 features. Received: x with 2 features"),
        (
            np.stack([np.ones(5), np.full(5, np.nan), [np.inf] * 5], -1),
            r"finite value of every feature.*columns \[1 2\]",
        ),
        (np.zeros((0, 3)), r"needs rows of features.*Received: x of shape \(0, 3\)"),
        (np.zeros(3), r"needs rows of features.*Received: x of shape \(3,\)"),
        (5.0, r"needs rows of features.*Received: x of shape \(\)"),
        (tf.data.Dataset.from_tensor_slices(np.zeros((0, 3))).batch(2), "needs rows of features"),
    ],
    ids=["width", "nan", "empty", "vector", "number", "empty dataset"],
)
def test_bad_data_for_adapt(name, x, message):
    layer = layer_of(name)
    with pytest.raises(ValueError, match=message):
        layer.adapt(x)


@every_layer
def test_the_width_must_be_known_and_stay(name):
    with pytest.raises(ValueError, match=r"needs a known size. Received: input_shape=\(None, None\)"):
        layer_of(name, None).build((None, None))
    layer = layer_of(name)
    layer(X[:2])
    with pytest.raises(ValueError, match="expected axis -1"):
        layer(np.ones((2, 4)))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Standardization", {"margin": -1.0}, "`margin` must be a finite number, 0 or greater. Received: margin=-1.0."),
        ("PeriodicEmbedding", {"num_frequencies": 0}, "Received: num_frequencies=0."),
        ("PeriodicEmbedding", {"units": 1.5}, "Received: units=1.5."),
        ("PeriodicEmbedding", {"frequency_scale": 0.0}, "Received: frequency_scale=0.0."),
        ("PiecewiseLinearEmbedding", {"num_bins": 0}, "`num_bins` must be a positive integer. Received: num_bins=0."),
        ("NoiseRegularization", {"factor": -0.1}, "Received: factor=-0.1."),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        getattr(features, name)(**arguments)
    assert message in str(error.value)


# Standardization


def test_standardization_is_that_of_scikit_learn():
    scaler = sklearn.preprocessing.StandardScaler().fit(X.astype("float64"))
    for margin in (None, 0.0, 2.0):
        layer = layer_of("Standardization", margin=margin)
        np.testing.assert_allclose(layer.location, scaler.mean_, rtol=1e-6)
        np.testing.assert_allclose(layer.scale, scaler.scale_, rtol=1e-6)
        np.testing.assert_allclose(layer(X), scaler.transform(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("margin", [None, 0.0, 0.5, 3.0])
def test_features_beyond_the_margin_are_held_at_its_rim(margin):
    layer = layer_of("Standardization", margin=margin)
    z = scipy.stats.zscore(X.astype("float64"))
    far = X.mean(0) + X.std(0) * np.linspace(-20.0, 20.0, 41)[:, np.newaxis]
    reach = np.inf if margin is None else margin
    expected = np.clip((far - X.mean(0)) / X.std(0), z.min(0) - reach, z.max(0) + reach)
    np.testing.assert_allclose(layer(far.astype("float32")), expected, rtol=1e-3, atol=1e-3)
    assert np.all(np.isfinite(layer(np.array([[np.inf, -np.inf, 0.0]])))) == (margin is not None)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e8, 1e-20])
def test_a_constant_feature_becomes_0(constant):
    rows = np.full((30, 1), constant, "float32")
    layer = layer_of("Standardization", rows, margin=1.0)
    np.testing.assert_array_equal(layer(rows), np.zeros((30, 1)))
    assert np.all(np.abs(layer(rows + 1e12)) <= 1.0)


def test_without_adapt_features_pass_unchanged():
    np.testing.assert_array_equal(layer_of("Standardization", None)(X), X)
    np.testing.assert_array_equal(layer_of("NoiseRegularization", None)(X, training=True), X)
    outputs = np.asarray(layer_of("PiecewiseLinearEmbedding", None)(X))
    np.testing.assert_array_equal(outputs, np.concatenate([X, np.zeros((200, 18))], 1))


# PeriodicEmbedding


def test_periodic_embedding_is_its_formula():
    layer = layer_of("PeriodicEmbedding")
    z = np.random.default_rng(1).normal(size=(50, 3)).astype("float32")
    outputs = np.asarray(layer(z))
    np.testing.assert_array_equal(outputs[:, :3], z)
    frequencies, kernel = (np.asarray(weight, np.float64) for weight in (layer.frequencies, layer.kernel))
    layer.bias.assign(np.linspace(-1.0, 1.0, 15).reshape(3, 5))
    outputs = np.asarray(layer(z))
    for feature in range(3):
        angles = 2.0 * np.pi * z[:, [feature]] * frequencies[feature]
        raw = np.concatenate([np.sin(angles), np.cos(angles)], 1) @ kernel[feature] + layer.bias.numpy()[feature]
        block = outputs[:, 3 + 5 * feature : 3 + 5 * (feature + 1)]
        np.testing.assert_allclose(block, np.maximum(raw, 0.0), atol=1e-4)


def test_periodic_embedding_starts_with_the_stated_spread():
    layer = features.PeriodicEmbedding(num_frequencies=200, units=50, frequency_scale=0.3)
    layer.build((None, 20))
    assert np.std(layer.frequencies) == pytest.approx(0.3, rel=0.05)
    # The waves have a mean square of 1/2: so have the sums of 400 of them.
    assert np.std(layer.kernel) == pytest.approx(400**-0.5, rel=0.02)
    assert [weight.path.split("/")[-1] for weight in layer.trainable_weights] == ["frequencies", "kernel", "bias"]


# PiecewiseLinearEmbedding


def piecewise_linear(z, column, num_bins):
    """The embedding of values z of one feature, by loops."""
    edges = np.unique(column)
    if len(edges) > num_bins + 1:
        edges = np.unique(np.quantile(column, np.linspace(0.0, 1.0, num_bins + 1)))
    outputs = np.zeros((len(z), num_bins))
    for row, value in enumerate(z):
        for bin, (low, high) in enumerate(itertools.pairwise(edges)):
            outputs[row, bin] = -0.5 if value <= low else 0.5 if value >= high else (value - low) / (high - low) - 0.5
    return outputs


@pytest.mark.parametrize("num_bins", [1, 2, 7, 16])
@pytest.mark.parametrize("kind", ["continuous", "few values", "two values", "constant", "ties"])
def test_piecewise_linear_embedding_by_loops(kind, num_bins):
    rng = np.random.default_rng(2)
    column = {
        "continuous": rng.normal(size=300),
        "few values": rng.choice([0.0, 1.0, 4.0, 6.0], 300),
        "two values": rng.choice([0.0, 1.0], 300),
        "constant": np.full(300, 3.0),
        "ties": np.where(rng.random(300) < 0.7, 0.0, rng.normal(size=300)),
    }[kind].astype("float32")
    layer = layer_of("PiecewiseLinearEmbedding", column[:, np.newaxis], num_bins=num_bins)
    z = np.concatenate([column, np.linspace(-9.0, 9.0, 101)]).astype("float32")
    outputs = np.asarray(layer(z[:, np.newaxis]))
    np.testing.assert_array_equal(outputs[:, 0], z)
    np.testing.assert_allclose(outputs[:, 1:], piecewise_linear(z, column.astype("float64"), num_bins), atol=1e-4)


def test_bins_of_very_many_rows_are_those_of_a_sample(monkeypatch):
    monkeypatch.setattr(embeddings, "MOST_ROWS", 2_000)
    column = np.random.default_rng(0).normal(size=50_000)
    layer = layer_of("PiecewiseLinearEmbedding", column[:, np.newaxis], num_bins=4)
    # The standard error of a share of 2,000 rows is at most 0.011.
    np.testing.assert_allclose(scipy.stats.norm.cdf(layer.starts[0, 1:]), [0.25, 0.5, 0.75], atol=0.05)


def test_piecewise_linear_features_stand_side_by_side():
    outputs = np.asarray(layer_of("PiecewiseLinearEmbedding")(X))
    for feature in range(3):
        block = outputs[:, 3 + 6 * feature : 3 + 6 * (feature + 1)]
        expected = piecewise_linear(X[:, feature], X[:, feature].astype("float64"), 6)
        np.testing.assert_allclose(block, expected, atol=1e-2 if feature == 1 else 1e-4)  # -100 +- 0.1 has few digits


def test_bins_of_values_that_float32_hardly_tells_apart():
    for column in (1e6 + np.arange(40) / 16.0, np.arange(40) * 1e-44, np.repeat([0.0, 1e-42], 20)):
        rows = column.astype("float32")[:, np.newaxis]
        outputs = np.asarray(layer_of("PiecewiseLinearEmbedding", rows)(rows))
        assert np.all(np.abs(outputs[:, 1:]) <= 0.5)


# NoiseRegularization


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("rows", "size"), [(100, 1), (1000, 3)])
def test_bandwidth_is_the_rule_of_thumb(factor, rows, size):
    x = np.random.default_rng(0).normal(size=(rows, size)) * np.arange(1.0, size + 1)
    layer = features.NoiseRegularization(factor)
    layer.adapt(x)
    np.testing.assert_allclose(layer.bandwidth, factor * x.std(0) * rows ** (-1.0 / (4 + size)), rtol=1e-5)


def test_each_feature_counts_its_own_values():
    x = np.random.default_rng(0).normal(size=(100, 2))
    x[:60, 1] = np.nan
    expected = [np.std(x[:, 0]) * 100 ** (-1 / 6), np.std(x[60:, 1]) * 40 ** (-1 / 6)]
    np.testing.assert_allclose(layer_of("NoiseRegularization", x, factor=1.0).bandwidth, expected, rtol=1e-5)


def test_noise_is_normal_of_the_bandwidth_and_only_in_training():
    layer = layer_of("NoiseRegularization")
    x = np.zeros((5000, 3), "float32")
    for quiet in (layer(x), layer(x, training=False)):
        np.testing.assert_array_equal(quiet, x)
    noise = np.asarray(layer(x, training=True)) / layer.bandwidth.numpy()
    for column in noise.T:
        assert scipy.stats.kstest(column, "norm").pvalue > 1e-4
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(3), atol=0.06)
    assert not np.array_equal(noise, np.asarray(layer(x, training=True)) / layer.bandwidth.numpy())


def test_noise_repeats_with_its_seed():
    draws = [np.asarray(layer_of("NoiseRegularization", seed=seed)(X, training=True)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(*(layer_of("NoiseRegularization", seed=None)(X, training=True) for _ in range(2)))


def test_noise_on_the_targets_of_a_dataset():
    y = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    noise = layer_of("NoiseRegularization", y)
    dataset = tf.data.Dataset.from_tensor_slices((X[:64], y)).batch(16).map(lambda x, y: (x, noise(y, training=True)))
    first, second = (np.concatenate([batch for _, batch in dataset]) for _ in range(2))
    assert not np.any(first == second)
    assert not np.any(first[:16] - y[:16] == first[16:32] - y[16:32])
    assert np.std(first - y) == pytest.approx(float(np.mean(noise.bandwidth)), rel=0.2)
