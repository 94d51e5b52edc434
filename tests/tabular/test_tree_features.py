"""Members that see the predictions of trees: when they are tried, what they see, and how much they count."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfmdn
from tfmdn.layers.features import TreeEmbedding
from tfmdn.tabular import encoding, targets, tree_features
from tfmdn.tabular.composition import Composition

pytestmark = pytest.mark.usefixtures("quick_graphs")
SMALL = {"num_components": 2, "n_estimators": 2, "max_steps": 10, "hidden_units": (8,), "random_state": 0}
ROWS = 120
RNG = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "number": RNG.normal(size=ROWS),
        "gaps": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(size=ROWS)),
        "text": RNG.choice(["a", "b", "c"], ROWS),
    }
)
TWO = np.stack([np.floor(2.0 * X["number"]), (X["text"] == "a") + RNG.normal(size=ROWS)], 1)
Y = TWO[:, 0]
TWO_WITH_GAPS = np.where(RNG.random(TWO.shape) < 0.2, np.nan, TWO)


@pytest.fixture(autouse=True, scope="module")
def few_trees():
    """Are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_features, "MOST_TREES", 20)
        patch.setattr(tree_features, "FEWEST_TREES", 20)
        patch.setattr(tree_features, "EXTRA_TREES", 5)
        yield


def fitted(x=X, y=Y, **arguments):
    return tfmdn.MDNRegressor(**{**SMALL, **arguments}).fit(x, y)


def weigh(kind, patch):
    """Makes one kind, or both alike, as likely as can be."""
    shares = {"trees": [1.0, 0.0], "none": [0.0, 1.0], "both": [0.25, 0.75]}[kind]
    patch.setattr("tfmdn.tabular.stacked.stacking.kind_weights", lambda *_: np.array(shares))


@pytest.mark.parametrize(("kind", "members"), [("trees", 2), ("none", 2), ("both", 4)])
def test_what_is_kept_answers_everywhere(kind, members, monkeypatch, tmp_path):
    weigh(kind, monkeypatch)
    regressor = fitted(y=TWO_WITH_GAPS, trees=True)
    parts = Composition.of(regressor.model_)
    assert parts.ensemble.num_members == len(regressor.best_steps_) == len(regressor.held_out_scores_) == members
    weights = np.exp(parts.ensemble.member_log_weights)
    np.testing.assert_allclose(weights, {"both": [0.125, 0.125, 0.375, 0.375]}.get(kind, [0.5, 0.5]))
    assert any(isinstance(layer, TreeEmbedding) for layer in parts.encoding.layers) == (kind != "none")
    assert "weight of" in regressor.findings_[-1]
    expected = regressor.predict(X)
    regressor.save(tmp_path / "regressor.keras")
    np.testing.assert_array_equal(tfmdn.MDNRegressor.load(tmp_path / "regressor.keras").predict(X), expected)
    if kind != "trees":
        return  # to export takes seconds
    tfmdn.export_saved_model(regressor.model_, tmp_path / "exported")
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    raw = {name: tf.constant(column) for name, column in regressor.model_inputs(X).items()}
    np.testing.assert_allclose(served(**raw)["mean"], expected, rtol=1e-5, atol=1e-6)


def test_members_without_trees_do_not_see_them(monkeypatch):
    x = X[["number"]].to_numpy()
    for kind, sees in (("none", False), ("trees", True)):
        weigh(kind, monkeypatch)
        ensemble = Composition.of(fitted(x, trees=True).model_).ensemble
        rows = np.array([[0.3, 1.0, 1.0, 0.1], [0.3, -2.0, -1.0, 0.5]])
        means = ensemble(tf.constant(rows)).mean().numpy()
        assert (means[0] != means[1]) == sees


def test_the_rows_that_are_learnt_from_have_columns_of_trees_that_have_not_seen_them(monkeypatch):
    x, rows = X[["number"]].to_numpy(), np.arange(ROWS)
    seen = {}

    def cross_fit(layer, x, y, folds, weights):
        seen["folds"] = folds
        return original(layer, x, y, folds, weights)

    original = TreeEmbedding.cross_fit
    monkeypatch.setattr(TreeEmbedding, "cross_fit", cross_fit)
    for size, num_folds in ((3, 10), (60, 2)):
        tfmdn.MDNRegressor(**SMALL, trees=True).fit(x, Y, groups=rows // size)
        assert len(np.unique(seen["folds"])) == num_folds
        for group in np.split(seen["folds"], ROWS // size):
            assert len(set(group)) == 1


def test_where_columns_of_trees_stand():
    layout = encoding.Layout(numbers=2, indicators=1, indicated=(3,))
    trees = tree_features.TreeFeatures(None, np.full((4, 2), 9.0))
    found = trees.beside(np.arange(16.0).reshape(4, 4), layout)
    np.testing.assert_array_equal(found[0], [0.0, 1.0, 9.0, 9.0, 2.0, 3.0])
    wider = layout.with_trees(2)
    numbers, indicators, indicated, _ = wider.parts(found)
    np.testing.assert_array_equal(numbers[0], [0.0, 1.0, 9.0, 9.0])
    assert (indicators[0], indicated[0], wider.num_features) == (2.0, 3.0, 6)


def columns_of(y, weights=1.0):
    """What trees say of targets `[n, d]` by two features, standardised; None if there are none."""
    x, parts = np.random.default_rng(1).normal(size=(len(y), 2)), np.arange(len(y)) % 20
    form = targets.target_format(y, intervals=False)
    found = tree_features.learned(x, y, form, np.full(len(y), weights), parts, seed=0)
    return found and (found.columns - found.columns.mean(0)) / found.columns.std(0)


def test_units_of_targets_and_weights_do_not_matter():
    y = RNG.normal(size=(60, 1))
    expected = columns_of(y)
    for scale, weights in [(1.0, 1e-6), (1e-40, 1.0), (1e40, 1.0)]:
        np.testing.assert_allclose(columns_of(scale * y, weights), expected, atol=1e-5)


def test_outputs_that_few_folds_know():
    """As of one laboratory alone. Two parts make a fold."""
    y = RNG.normal(size=(60, 2))
    y[np.arange(60) % 20 >= 4, 1] = np.nan
    assert np.isfinite(columns_of(y)).all()
    y[np.arange(60) % 20 >= 2, 1] = np.nan
    assert columns_of(y) is None


@pytest.mark.parametrize(
    ("trees", "shape", "num_outputs", "is_default", "max_seconds", "expected"),
    [
        ("auto", (tree_features.MIN_ROWS, 5), 1, True, None, True),
        ("auto", (tree_features.MIN_ROWS - 1, 5), 1, True, None, False),
        ("auto", (tree_features.MIN_ROWS, 5), 1, False, None, False),
        ("auto", (tree_features.MIN_ROWS, 5), tree_features.MOST_OUTPUTS + 1, True, None, False),
        ("auto", (1_000_000, 5), 1, True, 1_000.0, True),
        ("auto", (1_000_000, 5), 1, True, 5.0, False),
        ("auto", (1_000, tree_features.MIN_FEATURES - 1), 1, True, None, False),
        (False, (1_000, 5), 1, True, None, False),
        (True, (60, 5), 1, False, 0.1, True),
        (True, (39, 5), 1, True, None, False),
    ],
)
def test_when_trees_are_tried(trees, shape, num_outputs, is_default, max_seconds, expected):
    assert tree_features.are_tried(trees, shape, num_outputs, is_default, max_seconds) == expected


@pytest.mark.parametrize("trees", ["always", 2, None])
def test_refused(trees):
    with pytest.raises(ValueError, match=r"`trees` must be True, False or 'auto'\. Received: trees="):
        fitted(trees=trees)


def test_held_out_rows_tell_whether_trees_help():
    """A staircase is found by trees at once. Of targets that are noise they say nothing."""
    x, noise = RNG.uniform(0.0, 20.0, (400, 1)), RNG.normal(size=400)
    weights = []
    for y in (np.floor(x[:, 0]) % 4 + 0.1 * noise, noise):
        regressor = fitted(x, y, trees=True, max_steps=200, batch_size=64)
        weights.append(float(regressor.findings_[-1].split()[-1]))
    assert weights[0] > 0.9
    assert weights[1] < 0.7
