"""`TreeEmbedding` against scikit-learn's own predictions, and that no row's feature has seen its target."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

import tfmdn
from tfmdn.layers import tree_fits, tree_tensors

pytestmark = pytest.mark.usefixtures("quick_graphs")

SMALL = {"num_trees": 24, "learning_rate": 0.4, "num_leaves": 6, "rows_per_leaf": 3, "num_folds": 3, "seed": 0}
KINDS = {"boosted": {"num_extra_trees": 0}, "extra": {"num_trees": 0, "num_extra_trees": 5, "rows_per_extra_leaf": 2}}
KINDS["both"] = {**KINDS["extra"], "num_trees": 24}
COLUMNS = {"boosted": 2, "extra": 4, "both": 6}  # of two outputs
every_kind = pytest.mark.parametrize("kind", KINDS)


def data_of(n=90, d=2):
    """Features on a grid, some of them missing, and targets of `d` outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).round(1)
    y = np.stack([np.sin(3.0 * x[:, 0]) + x[:, output % 3] for output in range(d)], 1) + rng.normal(0.0, 0.6, (n, d))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


X, Y = data_of()
MISSING = np.where(np.random.default_rng(1).random(Y.shape) < 0.2, [np.nan, np.inf], Y)
FOLDS = np.arange(len(X)) % 3
WEIGHTS = np.random.default_rng(2).integers(0, 3, len(X)).astype(float)


def layer_of(kind="boosted", **kwargs):
    return tfmdn.features.TreeEmbedding(**{"dtype": "float64", **SMALL, **KINDS[kind], **kwargs})


@functools.cache
def fitted(kind):
    """A layer that has learnt, and what it returned of the rows."""
    layer = layer_of(kind)
    return layer, layer.cross_fit(X, Y, FOLDS)


def rows_for(layer, largest=np.inf):
    """Rows of all kinds: values on thresholds and just beside them, far and infinite ones, missing ones."""
    thresholds = np.unique(np.concatenate([forest.numbers.numpy() for forest in layer.forests]))[::7]
    values = np.concatenate([thresholds, np.nextafter(thresholds, -np.inf), np.nextafter(thresholds, np.inf)])
    values = np.concatenate([values, [np.inf, -np.inf, 1e300, -1e300, np.nan, np.nan, 0.0, -0.0, 5e-324]])
    values = np.clip(values, -largest, largest)
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(values) for _ in range(3)], 1)


# Against scikit-learn


class Boosted:
    """One model of scikit-learn as `SMALL` has it, and as many of its trees as are best."""

    num_columns = 1

    def __init__(self, seed):
        self.make = functools.partial(
            HistGradientBoostingRegressor,
            learning_rate=0.4,
            max_leaf_nodes=6,
            min_samples_leaf=3,
            early_stopping=False,
            random_state=seed,
        )

    def cross_fit(self, y, weights):
        fits = [self.make(max_iter=24).fit(X[rows], y[rows], weights[rows]) for rows in learners(y, weights)]
        stages = np.stack([list(model.staged_predict(X)) for model in fits])  # of the folds
        own = np.take_along_axis(stages, FOLDS[np.newaxis, np.newaxis], 0)[0]
        counts = np.isfinite(y)
        count = np.argmin(np.square(own[:, counts] - y[counts]) @ weights[counts])
        assert 1 < count < 23, "not one at an end, for the sake of the test"
        self.make = functools.partial(self.make, max_iter=count + 1)
        return own[count][:, np.newaxis]

    def fit(self, y, weights):
        rows = np.isfinite(y) & (weights > 0)
        self.model = self.make().fit(X[rows], y[rows], weights[rows])

    def predict(self, x):
        return self.model.predict(x)[:, np.newaxis]


class Extra(Boosted):
    num_columns = 2

    def __init__(self, seed):
        self.make = functools.partial(
            ExtraTreesRegressor, 5, min_samples_leaf=2, max_features=0.5, bootstrap=False, random_state=seed
        )

    def cross_fit(self, y, weights):
        columns = np.empty((len(X), 2))
        for fold, rows in enumerate(learners(y, weights)):
            self.model = self.make().fit(X[rows], y[rows], weights[rows])
            columns[fold == FOLDS] = self.predict(X[fold == FOLDS])
        return columns

    def predict(self, x):
        values = [tree.predict(x.astype("float32")) for tree in self.model.estimators_]
        return np.stack([np.mean(values, 0), np.std(values, 0)], 1)


def learners(y, weights):
    return [np.flatnonzero((fold != FOLDS) & np.isfinite(y) & (weights > 0)) for fold in range(3)]


def by_sklearn(kind, y, weights, rows):
    """What scikit-learn's models say of the training rows, `[n, T]`, and of other rows."""
    seeds = iter(np.random.default_rng(0).integers(2**31, size=100).tolist())
    columns, others = [], []
    for own in [Boosted, Extra] if kind == "both" else [{"boosted": Boosted, "extra": Extra}[kind]]:
        models = [own(next(seeds)) for _ in y.T]
        crossed = [model.cross_fit(column, weights) for model, column in zip(models, y.T)]
        for model, column in zip(models, y.T):
            model.fit(column, weights)
        answers = [model.predict(rows) for model in models]
        columns += [found[:, index] for index in range(own.num_columns) for found in crossed]
        others += [found[:, index] for index in range(own.num_columns) for found in answers]
    return np.stack(columns, 1), np.stack(others, 1)


@pytest.mark.parametrize("y", [Y, MISSING], ids=["known", "missing"])
@pytest.mark.parametrize("weights", [np.ones(len(X)), WEIGHTS], ids=["alike", "weighted"])
@every_kind
def test_predictions_are_those_of_sklearn(kind, weights, y):
    layer = layer_of(kind)
    columns = layer.cross_fit(X, y, FOLDS, weights)
    rows = rows_for(layer, np.inf if kind == "boosted" else 1e30)  # extra trees know no others
    cross_fitted, expected = by_sklearn(kind, y, weights, rows)
    outputs = layer(rows).numpy()
    assert outputs.shape[1] == columns.shape[1] == COLUMNS[kind]
    if kind != "extra":
        np.testing.assert_array_equal(columns[:, :2], cross_fitted[:, :2])
        np.testing.assert_array_equal(outputs[:, :2], expected[:, :2])
    # Those of extra trees are added in any order, and a standard deviation next to 0 has few digits.
    np.testing.assert_allclose(columns, cross_fitted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(outputs[:, :-2], expected[:, :-2], rtol=1e-12)
    np.testing.assert_allclose(outputs[:, -2:], expected[:, -2:], rtol=1e-7, atol=1e-7)


def test_compiled():
    layer, _ = fitted("both")
    rows = rows_for(layer)
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(rows), layer(rows), rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(tf.function(layer, jit_compile=True)(rows)[:, :2], layer(rows)[:, :2])


def test_trees_are_fitted_by_and_by(monkeypatch):
    expected = layer_of(num_trees=40).cross_fit(X, Y, FOLDS)
    monkeypatch.setattr(tree_fits, "FIRST_TREES", 8)
    monkeypatch.setattr(tree_fits, "WORTH", 0.0)
    np.testing.assert_array_equal(layer_of(num_trees=40).cross_fit(X, Y, FOLDS), expected)
    monkeypatch.setattr(tree_fits, "WORTH", np.inf)  # more are never worth it
    np.testing.assert_array_equal(
        layer_of(num_trees=40).cross_fit(X, Y, FOLDS), layer_of(num_trees=8).cross_fit(X, Y, FOLDS)
    )


@pytest.mark.parametrize("kind", ["boosted", "extra"])
def test_rows_of_weight_0_are_not_learnt_from_for_new_rows_either(kind):
    weights = (np.arange(len(X)) % 3 > 0).astype(float)
    layer, expected = layer_of(kind), layer_of(kind)
    layer.adapt(X, Y, FOLDS, weights)
    counted = weights > 0
    expected.adapt(X[counted], Y[counted], FOLDS[counted])
    np.testing.assert_allclose(layer(X), expected(X), rtol=1e-6, atol=1e-6)


def test_extra_trees_of_a_part_of_the_rows():
    few = layer_of("extra", rows_per_extra_tree=10)
    few.adapt(X, Y, FOLDS)
    assert few.forests[0].left.shape[0] < fitted("extra")[0].forests[0].left.shape[0] / 3


def test_infinite_features_are_far_ones():
    for kind, largest in [("boosted", 1e300), ("extra", 1e30)]:
        x = np.where(X > 1.0, np.inf, X)
        columns = layer_of(kind).cross_fit(x, Y, FOLDS)
        np.testing.assert_array_equal(columns, layer_of(kind).cross_fit(np.where(X > 1.0, largest, X), Y, FOLDS))


def test_single_precision():
    rows = rows_for(fitted("boosted")[0]).astype("float32")
    layer = layer_of(dtype="float32")
    layer.adapt(X, Y, FOLDS)
    assert layer(rows).dtype == "float32"
    np.testing.assert_array_equal(layer(rows), np.float32(fitted("boosted")[0](np.float64(rows))))


def test_many_features():
    split = [40_000, 0, 0], [0.5, 0.0, 0.0], [False] * 3, [1, 0, 0], [2, 0, 0], [0.0, 1.0, 2.0]
    tree = tree_tensors.Tree(*map(np.array, split))
    forest = tree_tensors.forest_of([(10.0, [tree, tree]), (0.0, [tree])])
    x = np.zeros((3, 40_001))
    x[1:, -1] = 1.0, np.nan
    totals, _ = tree_tensors.sums(forest, tf.constant(x))
    assert totals.numpy().tolist() == [[12.0, 14.0, 14.0], [1.0, 2.0, 2.0]]


# Honest folds


def test_a_rows_features_have_not_seen_its_folds_targets(monkeypatch):
    # Of all folds is only how many trees are best, one number.
    best_size = tree_fits._best_size
    monkeypatch.setattr(tree_fits, "_best_size", lambda *arguments: best_size(*arguments) and 5)
    columns = layer_of("both").cross_fit(X, Y, FOLDS)
    for fold in range(3):
        own = fold == FOLDS
        others = layer_of("both").cross_fit(X, Y + 100.0 * own[:, np.newaxis], FOLDS)
        np.testing.assert_array_equal(others[own], columns[own])
        assert np.all(others[~own, :4].mean(0) > columns[~own, :4].mean(0) + 10.0)


def test_folds_at_random():
    x, y = np.arange(10.0)[:, np.newaxis], np.eye(10)[:, :5]
    # A mean alone: it is 0 for those in the fold of the one target that is not.
    first, second, other = (layer_of(num_trees=1, rows_per_leaf=10, seed=seed).cross_fit(x, y) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)
    for columns in (first, other):
        assert set(np.sum(columns == 0.0, 0)) == {3, 4}
        assert np.all(np.diag(columns) == 0.0)
    assert layer_of(num_folds=5, seed=None).cross_fit(x[:3], y[:3, 0]).shape == (3, 1)


# As a Keras layer


def test_config_round_trip():
    layer = layer_of("both", rows_per_extra_tree=7)
    config = layer.get_config()
    assert {**SMALL, **KINDS["both"], "rows_per_extra_tree": 7}.items() <= config.items()
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == config


def test_shapes_as_stated():
    layer, _ = fitted("both")
    for shape in [(3,), (2, 3), (2, 4, 3), (0, 3)]:
        outputs = layer(np.ones(shape))
        assert outputs.shape == (*shape[:-1], 6)
        assert layer.compute_output_shape(shape) == outputs.shape
    assert layer(keras.KerasTensor((None, 5, 3))).shape == (None, 5, 6)
    np.testing.assert_array_equal(layer(X.reshape(9, 10, 3)), tf.reshape(layer(X), (9, 10, 6)))


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
        (
            {"num_trees": 0, "num_extra_trees": 0},
            "`num_trees` or `num_extra_trees` must be above 0. Received: 0 for both.",
        ),
        ({"learning_rate": 0.0}, "Received: learning_rate=0.0."),
        ({"num_leaves": 1}, "`num_leaves` must be 2 or more. Received: num_leaves=1."),
        ({"rows_per_leaf": 0}, "Received: rows_per_leaf=0."),
        ({"num_extra_trees": 1.5}, "Received: num_extra_trees=1.5."),
        ({"rows_per_extra_leaf": 0}, "Received: rows_per_extra_leaf=0."),
        ({"rows_per_extra_tree": 0}, "Received: rows_per_extra_tree=0."),
        ({"num_folds": 1}, "Received: num_folds=1."),
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
        ((X, Y, 0 * FOLDS), "Received: none outside of fold 0 for output 0."),
        ((X, Y * [1.0, np.nan], FOLDS), "Received: none outside of fold 0 for output 1."),
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
