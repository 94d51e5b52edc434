"""`TreeEmbedding` against scikit-learn's own predictions, and that no row's feature has seen its target."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

import tfmdn
from tfmdn.layers import tree_tensors

pytestmark = pytest.mark.usefixtures("quick_graphs")

SMALL = {"num_trees": 9, "num_leaves": 6, "rows_per_leaf": 3, "num_folds": 3, "seed": 0, "dtype": "float64"}
KINDS = {"boosted": {}, "extra": {"num_trees": 0, "num_extra_trees": 5, "num_extra_leaves": 12}}
KINDS["both"] = {**KINDS["extra"], "num_trees": 9}
every_kind = pytest.mark.parametrize("kind", KINDS)


def data_of(n=90, d=2):
    """Features on a grid, some of them missing, and targets of `d` outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).round(1)
    y = np.stack([np.sin(3.0 * x[:, 0]) + x[:, output % 3] for output in range(d)], 1) + rng.normal(0.0, 0.1, (n, d))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


X, Y = data_of()
FOLDS = np.arange(len(X)) % 3
WEIGHTS = np.random.default_rng(2).integers(0, 3, len(X)).astype(float)


def layer_of(kind="boosted", **kwargs):
    return tfmdn.features.TreeEmbedding(**{**SMALL, **KINDS[kind], **kwargs})


@functools.cache
def fitted(kind, new_rows="mean"):
    """A layer that has learnt, and what it returned of the rows."""
    layer = layer_of(kind, new_rows=new_rows)
    return layer, layer.cross_fit(X, Y, FOLDS)


def regressor(kind, seed):
    """As `SMALL` and `KINDS` have it."""
    if kind == "extra":
        return ExtraTreesRegressor(5, max_leaf_nodes=12, random_state=seed)
    return HistGradientBoostingRegressor(
        max_iter=9, learning_rate=0.06, max_leaf_nodes=6, min_samples_leaf=3, early_stopping=False
    )


def by_sklearn(kind, rows, new_rows="mean", weights=None):
    """What scikit-learn's models say of the training rows, `[n, T]`, and of other rows."""
    folds = [0, 1, 2] if new_rows == "mean" else [0, 1, 2, None]
    seeds = iter(np.random.default_rng(0).integers(2**31, size=100))
    cross_fitted, others = [], []
    for own in ["boosted", "extra"] if kind == "both" else [kind]:
        crossed, answers = np.empty(Y.shape), []
        for fold in folds:
            for output in range(Y.shape[1]):
                learns = (fold != FOLDS) & np.isfinite(Y[:, output]) & (True if weights is None else weights > 0)
                model = regressor(own, int(next(seeds)))
                model.fit(X[learns], Y[learns, output], None if weights is None else weights[learns])
                answers.append(model.predict(rows))
                if fold is not None:
                    crossed[fold == FOLDS, output] = model.predict(X[fold == FOLDS])
        answers = np.reshape(answers, (len(folds), Y.shape[1], len(rows)))
        cross_fitted.append(crossed)
        others.append(answers[-1].T if new_rows == "refit" else answers.mean(0).T)
    return np.concatenate(cross_fitted, 1), np.concatenate(others, 1)


def rows_for(layer, largest=np.inf):
    """Rows of all kinds: values on thresholds and just beside them, far and infinite ones, missing ones."""
    thresholds = np.unique(np.concatenate([forest.numbers.numpy() for forest in layer._forests]))[::7]
    values = np.concatenate([thresholds, np.nextafter(thresholds, -np.inf), np.nextafter(thresholds, np.inf)])
    values = np.concatenate([values, [largest, -largest, 1e30, -1e30, np.nan, np.nan, 0.0, -0.0, 5e-324]])
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(values) for _ in range(3)], 1)


# Against scikit-learn


@pytest.mark.parametrize("new_rows", ["mean", "refit"])
@every_kind
def test_predictions_are_those_of_sklearn(kind, new_rows):
    layer, columns = fitted(kind, new_rows)
    rows = rows_for(layer, np.inf if kind == "boosted" else 1e30)  # extra trees know no others
    cross_fitted, expected = by_sklearn(kind, rows, new_rows)
    np.testing.assert_array_equal(columns[:, :2], cross_fitted[:, :2])
    np.testing.assert_allclose(columns, cross_fitted, rtol=1e-12)  # extra trees are added in any order
    np.testing.assert_allclose(layer(rows), expected, rtol=1e-12)
    if (kind, new_rows) == ("boosted", "refit"):
        np.testing.assert_array_equal(layer(rows), expected)


def test_compiled():
    layer, _ = fitted("both")
    rows = rows_for(layer)
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(rows), layer(rows), rtol=1e-14)


def test_infinite_features_are_far_ones():
    for kind, largest in [("boosted", 1e300), ("extra", 1e30)]:
        x = np.where(X > 1.0, np.inf, X)
        columns = layer_of(kind).cross_fit(x, Y, FOLDS)
        np.testing.assert_array_equal(columns, layer_of(kind).cross_fit(np.where(X > 1.0, largest, X), Y, FOLDS))


def test_weights_and_missing_targets(monkeypatch):
    missing = Y.copy()
    missing[::4, 0], missing[1::5, 1], missing[7, 1] = np.nan, np.nan, np.inf
    layer = layer_of()
    columns = layer.cross_fit(X, missing, FOLDS, WEIGHTS)
    monkeypatch.setitem(globals(), "Y", missing)
    cross_fitted, expected = by_sklearn("boosted", X, weights=WEIGHTS)
    np.testing.assert_array_equal(columns, cross_fitted)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-12)


def test_single_precision():
    rows = rows_for(fitted("boosted")[0]).astype("float32")
    layer = layer_of(dtype="float32")
    layer.adapt(X, Y, FOLDS)
    assert layer(rows).dtype == "float32"
    np.testing.assert_array_equal(layer(rows), np.float32(fitted("boosted")[0](np.float64(rows))))


def test_many_features():
    tree = tree_tensors.Tree(
        *map(np.array, ([40_000, 0, 0], [0.5, 0.0, 0.0], [0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 2]))
    )
    forest = tree_tensors.forest_of([(10.0, [tree, tree])])
    x = np.zeros((3, 40_001))
    x[1:, -1] = 1.0, np.nan
    assert tree_tensors.sums(forest, tf.constant(x)).numpy().tolist() == [[12.0, 14.0, 14.0]]


# Honest folds


def test_a_rows_features_have_not_seen_its_folds_targets():
    _, columns = fitted("both")
    for fold in range(3):
        own = fold == FOLDS
        others = layer_of("both").cross_fit(X, Y + 100.0 * own[:, np.newaxis], FOLDS)
        np.testing.assert_array_equal(others[own], columns[own])
        assert np.all(others[~own, :2] > columns[~own, :2] + 10.0)
        assert np.all(others[~own, 2:].mean(0) > columns[~own, 2:].mean(0) + 10.0)


def test_folds_at_random():
    layers = [layer_of(num_folds=5) for _ in range(2)]
    x, y = np.arange(20.0)[:, np.newaxis], np.eye(20)
    first, second = (layer.cross_fit(x, y[:, 3]) for layer in layers)
    np.testing.assert_array_equal(first, second)
    assert np.any(first != layer_of(num_folds=5, seed=1).cross_fit(x, y[:, 3]))
    # A mean is the baseline: those of another one are in the fold.
    baselines = layer_of(num_folds=5, rows_per_leaf=20).cross_fit(x, y)
    assert [np.sum(column == 0.0) for column in baselines.T] == [4] * 20
    assert np.all(np.diag(baselines) == 0.0)
    assert layer_of(num_folds=5, seed=None).cross_fit(x[:3], y[:3, 0]).shape == (3, 1)


# As a Keras layer


def test_config_round_trip():
    layer = layer_of("both", new_rows="refit", learning_rate=0.5)
    config = layer.get_config()
    assert {**SMALL, **KINDS["both"], "new_rows": "refit", "learning_rate": 0.5}.items() <= {
        **config,
        "dtype": "float64",
    }.items()
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == config


def test_shapes_as_stated():
    layer, _ = fitted("both")
    for shape in [(3,), (2, 3), (2, 4, 3), (0, 3)]:
        outputs = layer(np.ones(shape))
        assert outputs.shape == (*shape[:-1], 4)
        assert layer.compute_output_shape(shape) == outputs.shape
    assert layer(keras.KerasTensor((None, 5, 3))).shape == (None, 5, 4)
    np.testing.assert_array_equal(layer(X.reshape(9, 10, 3)), tf.reshape(layer(X), (9, 10, 4)))


def test_files_need_no_sklearn(monkeypatch, tmp_path):
    layer, _ = fitted("both")
    rows = rows_for(layer)
    model = keras.Sequential([keras.Input((3,), dtype="float64"), layer])
    model.save(tmp_path / "model.keras")
    model.export(str(tmp_path / "model"), verbose=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(rows), layer(rows))
    exported = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_array_equal(exported.serve(rows), layer(rows))
    with pytest.raises(ImportError, match="sklearn"):
        layer_of().adapt(X, Y)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_trees": -1}, "Received: num_trees=-1."),
        ({"num_trees": 0}, "`num_trees` or `num_extra_trees` must be above 0. Received: 0 for both."),
        ({"learning_rate": 0.0}, "Received: learning_rate=0.0."),
        ({"num_leaves": 1}, "`num_leaves` must be 2 or more. Received: num_leaves=1."),
        ({"rows_per_leaf": 0}, "Received: rows_per_leaf=0."),
        ({"num_extra_trees": 1.5}, "Received: num_extra_trees=1.5."),
        ({"num_extra_leaves": 1}, "Received: num_extra_leaves=1."),
        ({"num_folds": 1}, "Received: num_folds=1."),
        ({"new_rows": "last"}, "`new_rows` must be one of 'mean', 'refit'. Received: new_rows='last'."),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.features.TreeEmbedding(**arguments)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X[:, 0], Y), r"`x` must be rows of features, \[n, F\]. Received: x of shape \(90,\)."),
        ((X[:0], Y[:0]), r"Received: x of shape \(0, 3\)."),
        ((X, Y[:5]), r"`y` must be targets of the 90 rows, \[n\] or \[n, d\]. Received: shape \(5, 2\)."),
        ((X, Y[..., np.newaxis]), r"Received: shape \(90, 2, 1\)."),
        ((X, Y, FOLDS[:5]), r"`folds` must be integers, one for each of the 90 rows. Received: shape \(5,\) of int64."),
        ((X, Y, FOLDS / 2.0), r"Received: shape \(90,\) of float64."),
        ((X, Y, FOLDS, -WEIGHTS), "`sample_weight` must be a finite number for each of the 90 rows"),
        ((X, Y, 0 * FOLDS), "Received: none outside of fold 0 for the outputs"),
        ((X, Y * [1.0, np.nan], FOLDS), r"Received: none outside of fold 0 for the outputs \[1\]."),
    ],
)
def test_wrong_data(data, message):
    with pytest.raises(ValueError, match=message):
        layer_of().adapt(*data)


def test_it_learns_once_and_before_it_is_called():
    with pytest.raises(ValueError, match=r"Received: a layer that has learnt before\. Make another one\."):
        fitted("boosted")[0].adapt(X, Y)
    for call in (lambda layer: layer(X), lambda layer: layer.compute_output_shape((None, 3))):
        with pytest.raises(ValueError, match=r"Received: a call before. Call `cross_fit\(x, y\)`"):
            call(layer_of())
    with pytest.raises(ValueError, match="3"):
        fitted("boosted")[0](np.ones((2, 4)))
