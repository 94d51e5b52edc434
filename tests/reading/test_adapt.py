"""`adapt` of every layer and metric: what does not count, how much the rest counts, and what it reads."""

import datetime
import decimal

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf

import tfmdn
from tfmdn.reading import weighted

RNG = np.random.default_rng(0)
NUM_ROWS = 60
X = np.round(RNG.normal(size=(NUM_ROWS, 2)), 1)
Y = RNG.normal(5.0, 1.0, size=NUM_ROWS)
WEIGHTS = RNG.integers(0, 4, size=NUM_ROWS).astype(float)
JUNK = [np.nan, np.inf, -999.0, 1e300]


class Batches(keras.utils.PyDataset):
    def __init__(self, *parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(part[30 * index : 30 * index + 30] for part in self.parts)


def head(**arguments):
    layer = tfmdn.MDNLayer(3, kernel_initializer="zeros", **arguments)
    layer.build((None, 2))
    return layer


FEATURES = {
    "Standardization": lambda: tfmdn.features.Standardization(dtype="float64"),
    "NoiseRegularization": lambda: tfmdn.features.NoiseRegularization(dtype="float64"),
    "Imputation": lambda: tfmdn.features.Imputation(dtype="float64"),
    "PiecewiseLinearEmbedding": lambda: tfmdn.features.PiecewiseLinearEmbedding(4, dtype="float64"),
    "CategoryIndicators": lambda: tfmdn.features.CategoryIndicators([3, 3], dtype="float64"),
}
TARGETS = {
    "head": lambda: head(dtype="float64"),
    "head with ends": lambda: head(support="auto", atoms="auto", resolution="auto", background=0.01),
    "positive head": lambda: head(family="gamma"),
    "SkillScore": lambda: tfmdn.metrics.SkillScore(max_components=2),
}
PAIRS = {
    "MarginalFallback": lambda: tfmdn.MarginalFallback(num_points=20, num_components=2),
    "Extrapolation": lambda: tfmdn.layers.Extrapolation(num_points=20, num_components=2),
}
TREES = {"TreeEmbedding": lambda: tfmdn.features.TreeEmbedding(5, num_extra_trees=2, rows_per_leaf=3, seed=0)}
EVERY = {**FEATURES, **TARGETS, **PAIRS, **TREES}
every = pytest.mark.parametrize("name", EVERY)


def learnt(name, x, y, sample_weight=None, folds=None):
    """What one of them has learnt of arrays."""
    layer = EVERY[name]()
    parts = (x,) if name in FEATURES else (y,) if name in TARGETS else (x, y)
    options = {"folds": np.arange(len(Y)) % 3 if folds is None else folds} if name in TREES else {}
    layer.adapt(*parts, sample_weight=sample_weight, **options)
    return layer


def values(layer):
    """All that it has learnt, as arrays."""
    if isinstance(layer, tfmdn.metrics.SkillScore):
        return [np.asarray(layer.reference[name]) for name in ("logits", "loc", "scale_tril")]
    start = getattr(layer, "_start", None)
    return [*layer.get_weights(), *([start.centres, start.scales, start.weights] if start else [])]


def same(found, expected, **tolerances):
    for one, other in zip(values(found), values(expected), strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 1e-12, **tolerances})


def filled(array, counts, junk=None):
    """The array with junk of all kinds where it does not count."""
    array = array.copy()
    array[~counts] = np.resize(JUNK if junk is None else junk, array[~counts].shape)
    return array


@every
def test_what_does_not_count_may_hold_anything(name):
    counts = np.arange(NUM_ROWS) % 3 > 0
    expected = learnt(name, X[counts], Y[counts], folds=(np.arange(NUM_ROWS) % 3)[counts])
    x, y, weights = filled(X, counts), filled(Y, counts), 7.0 * counts
    same(learnt(name, x, y, weights), expected)
    if name in TREES:  # which see what is missing of a feature
        return
    masked = np.ma.masked_array(x, np.stack([~counts] * 2, 1)), np.ma.masked_array(y, ~counts)
    same(learnt(name, *masked), expected)
    for data in (tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(7), Batches(x, y, weights)):
        layer = EVERY[name]()
        layer.adapt(data)
        same(layer, expected)


@every
def test_weights_of_any_scale_mean_the_same(name):
    expected = learnt(name, X, Y, WEIGHTS)
    for scale in (2.0**-1000, 2.0**1000):  # which change no digit
        same(learnt(name, X, Y, scale * WEIGHTS), expected)
    same(learnt(name, X, Y, np.full(NUM_ROWS, 1e-300)), learnt(name, X, Y))


@every
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_none(name, bad):
    weights = WEIGHTS.copy()
    weights[3] = bad
    with pytest.raises(ValueError, match=r"`sample_weight` must be .*finite"):
        learnt(name, X, Y, weights)
    with pytest.raises(ValueError, match="`sample_weight` must"):
        learnt(name, X, Y, np.ones(7))
    with pytest.raises(ValueError, match="weight above 0"):
        learnt(name, X, Y, np.zeros(NUM_ROWS))


def repeated(array):
    return np.repeat(array, WEIGHTS.astype(int), axis=0)


@pytest.mark.parametrize("name", ["Standardization", "Imputation", "CategoryIndicators"])
def test_a_weight_of_features_is_a_repeated_row(name):
    # The median may lie between two values.
    same(learnt(name, X, Y, WEIGHTS), learnt(name, repeated(X), repeated(Y)), atol=0.05 if name == "Imputation" else 0)


def test_a_weight_of_targets_is_a_repeated_row():
    found, expected = learnt("head", X, Y, WEIGHTS), learnt("head", X, repeated(Y))
    np.testing.assert_allclose(found.target_location, expected.target_location, rtol=1e-12)
    np.testing.assert_allclose(found.target_scale, expected.target_scale, rtol=1e-12)


def test_noise_goes_by_how_many_equal_rows_say_as_much():
    noise = learnt("NoiseRegularization", X, Y, WEIGHTS)
    count = WEIGHTS.sum() ** 2 / np.square(WEIGHTS).sum()
    expected = repeated(X).std(0) * count ** (-1 / 6)
    np.testing.assert_allclose(noise.bandwidth, expected, rtol=1e-12)


@pytest.mark.parametrize("levels", [[0.05, 0.1, 0.5, 0.77, 0.99]])
def test_weighted_quantiles(levels):
    rows = RNG.normal(size=(301, 2))
    rows[3, 1] = np.nan
    np.testing.assert_allclose(
        weighted.quantiles(rows, levels, np.full(301, 2.0)), np.nanquantile(rows, levels, axis=0)
    )
    counts = RNG.integers(1, 4, size=301)
    exact = np.nanquantile(np.repeat(rows, counts, axis=0), levels, axis=0)
    np.testing.assert_allclose(weighted.quantiles(rows, levels, counts), exact, atol=0.15)
    two = np.array([0.0, 10.0])
    assert weighted.quantiles(two, 0.25, np.array([3.0, 1.0])) == 0.0
    assert weighted.quantiles(two, 0.5, np.array([1e-12, 1.0])) == pytest.approx(10.0)


def test_a_sample_of_very_many_rows_keeps_their_weights():
    rng = np.random.default_rng(3)
    y, weights = rng.normal(size=100_000), rng.uniform(size=100_000) ** 8
    y[:10], weights[:10] = 100.0, 3_000.0  # ten rows that weigh more than all others
    layer = tfmdn.MDNLayer(3, dtype="float64")
    layer.adapt(y, sample_weight=weights)
    assert float(layer.target_location) == pytest.approx(np.average(y, weights=weights), rel=0.01)


def test_weights_of_steps_and_of_rows():
    y, steps = filled(Y, WEIGHTS > 0).reshape(12, 5), WEIGHTS.reshape(12, 5)
    expected = learnt("head", X, Y, WEIGHTS)
    for targets, weights in ((y, steps), (y[..., np.newaxis], steps), (y[..., np.newaxis], steps[..., np.newaxis])):
        same(learnt("head", X, targets, weights), expected)
    x = filled(X, WEIGHTS > 0).reshape(12, 5, 2)
    same(learnt("Standardization", x, Y, steps), learnt("Standardization", X, Y, WEIGHTS))
    rows = np.arange(12.0)
    same(learnt("head", X, Y.reshape(12, 5), rows), learnt("head", X, Y, np.repeat(rows, 5)))
    # Features of rows whose targets have steps: a row counts as its steps do on average.
    same(learnt("Standardization", X[:12], Y, steps), learnt("Standardization", X[:12], Y, steps.mean(1)))


FRAMES = {
    "pandas": (pd.DataFrame(X, columns=list("ab")), pd.Series(Y)),
    "pandas' nullable": (pd.DataFrame(X, columns=list("ab")).convert_dtypes(), pd.Series(Y, dtype="Float64")),
    "polars": (pl.DataFrame(X), pl.Series(Y)),
    "pyarrow": (pa.table({"a": X[:, 0], "b": X[:, 1]}), pa.chunked_array([Y[:7], Y[7:]])),
    "objects": ([list(map(decimal.Decimal, map(str, row))) for row in X], Y.astype(object)),
    "masked rows": (list(np.ma.masked_array(X, False)), np.ma.masked_array(Y, False)),
    "variables": (tf.Variable(X), keras.Variable(Y, dtype="float64")),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_and_series(kind):
    x, y = FRAMES[kind]
    same(learnt("Standardization", x, y), learnt("Standardization", X, Y))
    same(learnt("head", x, y), learnt("head", X, Y))


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan, np.ma.masked])
def test_missing_values_do_not_count(missing):
    expected = learnt("head", X, Y[1:])
    same(learnt("head", X, [missing, *Y[1:].tolist()]), expected)
    if missing is not np.ma.masked:
        same(learnt("head", X, pd.Series([missing, *Y[1:].tolist()], dtype="Float64")), expected)
    same(learnt("head", X, pl.Series([None, *Y[1:].tolist()])), expected)


DATES = pd.date_range("2020", periods=NUM_ROWS)
NO_NUMBERS = {
    "dates": [
        *(DATES.to_numpy(), pd.Series(DATES), pd.Series(DATES.tz_localize("UTC")), list(DATES), DATES.to_period()),
        *([datetime.date(2020, 1, 1)] * 3, pl.Series(DATES), np.ma.masked_array(DATES.to_numpy()), [pd.NaT] * 3),
    ],
    "durations": [
        *((DATES - DATES[0]).to_numpy(), pd.Series(DATES - DATES[0]), [datetime.timedelta(1)] * 3),
        *([np.timedelta64(1, "D"), None], pl.Series([datetime.timedelta(1)] * 3)),
    ],
    "times of day": [[datetime.time(1)] * 3],
    "complex numbers": [Y + 0j, list(Y + 1j), tf.constant(Y + 0j), pd.Series(Y + 0j), np.array([1j, None])],
    "text": [
        *(["red", "blue"], np.array(["1.0"]), tf.constant(["a"]), pd.Series(["a", None]), "red", b"red"),
        *(pd.Series(["a"], dtype="category"), np.array([b"a"]), np.array(["a"], np.dtypes.StringDType())),
    ],
    "rows of different lengths": [[[1.0, 2.0], [3.0]], np.array([[1.0], [2.0, 3.0]], object)],
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number(kind):
    for data in NO_NUMBERS[kind]:
        for name in ("head", "SkillScore", "Standardization"):
            with pytest.raises(TypeError, match=f"`adapt` needs .* that are numbers. Received.*{kind}"):
                learnt(name, data, data)


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(20)


STRUCTURES = {
    "a generator": lambda: (part for part in np.split(Y, 2)),
    "a dictionary of ['a']": lambda: {"a": Y},
    r"a dictionary of ['a', 'b']. .*dataset.map": lambda: dataset({"a": X, "b": X}, {"a": Y, "b": Y}),
    "a tuple of 2 arrays": lambda: (X, Y),
    "a ragged tensor": lambda: tf.ragged.constant([[1.0, 2.0], [3.0]]),
    "a sparse tensor": lambda: tf.sparse.from_dense(Y),
    "a sparse matrix": lambda: scipy.sparse.csr_matrix(np.eye(5)),
    "a structure of them. .*dataset.map": lambda: dataset(X, Y, {"a": Y}),
    "NoneType": lambda: None,
    "a symbolic tensor": lambda: keras.Input((2,)),
}


@pytest.mark.parametrize("received", STRUCTURES)
def test_structures_are_refused(received):
    pattern = "`adapt` needs .*Received: " + received.replace("[", r"\[").replace("]", r"\]")
    for name in ("head", "SkillScore", "Standardization"):
        with pytest.raises(TypeError, match=pattern):
            EVERY[name]().adapt(STRUCTURES[received]())


def test_datasets_that_do_not_fit():
    for name in ("head", "SkillScore", "Standardization", "MarginalFallback"):
        with pytest.raises(ValueError, match=r"repeats forever. .*repeat\(\)"):
            EVERY[name]().adapt(dataset(X, Y).repeat())
        with pytest.raises(ValueError, match="in its elements"):
            EVERY[name]().adapt(dataset(X, Y), sample_weight=WEIGHTS)
    for name, received in (("head", "a tuple of 1"), ("MarginalFallback", "a tuple of 1")):
        with pytest.raises(ValueError, match=f"batches of .*targets.*Received: elements of {received}"):
            EVERY[name]().adapt(dataset(X))
    with pytest.raises(TypeError, match=r"`adapt` needs x and y as arrays here. Received: a dataset"):
        EVERY["TreeEmbedding"]().adapt(dataset(X), Y)
