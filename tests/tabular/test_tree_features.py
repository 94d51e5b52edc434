"""Members that see the predictions of trees: when they are tried, what they see, and how much they count."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from cases import serving_alone

import tfmdn
from tfmdn.layers.features import TreeEmbedding
from tfmdn.tabular import encoding, folds, targets, trainings, tree_features
from tfmdn.tabular.composition import Composition

pytestmark = pytest.mark.usefixtures("quick_graphs")
SMALL = {"num_components": 2, "n_estimators": 2, "max_steps": 200, "hidden_units": (8,), "random_state": 0}
ROWS = 240
RNG = np.random.default_rng(0)
X = RNG.uniform(0.0, 20.0, (ROWS, 3))
Y = np.floor(X[:, 0]) % 4 + 0.1 * RNG.normal(size=ROWS)
FRAME = pd.DataFrame({"gaps": np.where(RNG.random(ROWS) < 0.2, np.nan, X[:, 1]), "text": RNG.choice(["a", "b"], ROWS)})
TWO_WITH_GAPS = np.where(RNG.random((ROWS, 2)) < 0.2, np.nan, np.stack([Y, (FRAME["text"] == "a") + X[:, 2]], 1))


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
def test_what_is_kept(kind, members, monkeypatch):
    weigh(kind, monkeypatch)
    regressor = fitted(trees=True)
    parts = Composition.of(regressor.model_)
    assert parts.ensemble.num_members == len(regressor.best_steps_) == len(regressor.held_out_scores_) == members
    weights = np.exp(parts.ensemble.member_log_weights)
    np.testing.assert_allclose(weights, {"both": [0.125, 0.125, 0.375, 0.375]}.get(kind, [0.5, 0.5]))
    assert any(isinstance(layer, TreeEmbedding) for layer in parts.encoding.layers) == (kind != "none")
    assert "weight of" in regressor.findings_[-1]
    # Rows of other predictions of trees, which members without trees do not see.
    rows = tf.constant([[0.3, 1.0, 1.0, 1.0, 1.0, 0.1], [0.3, 1.0, 1.0, -2.0, -1.0, 0.5]], tf.float64)
    assert (np.diff(parts.ensemble(rows).mean()) != 0.0) == (kind != "none")


def leave_out(sees_trees, patch):
    """Makes the members diverge that see trees, or those that do not."""
    train = trainings.train

    def train_others(workshop, lesson, schedule, progress, kind, target):
        if kind.sees_trees == sees_trees:
            raise trainings.Diverged("It diverged.")
        return train(workshop, lesson, schedule, progress, kind, target)

    patch.setattr(trainings, "train", train_others)


def test_a_kind_that_diverges_is_left_out(monkeypatch, capsys):
    leave_out(True, monkeypatch)
    parts = Composition.of(fitted(trees=True, verbose=1).model_)
    assert "Members that see trees are left out: It diverged." in capsys.readouterr().out
    assert parts.ensemble.num_members == 2
    assert not any(isinstance(layer, TreeEmbedding) for layer in parts.encoding.layers)


def test_it_answers_the_same_everywhere(monkeypatch, tmp_path):
    leave_out(False, monkeypatch)
    regressor = fitted(FRAME, TWO_WITH_GAPS, trees=True, n_estimators=1, max_steps=25)
    expected = regressor.predict(FRAME)
    regressor.save(tmp_path / "regressor.keras")
    np.testing.assert_array_equal(tfmdn.MDNRegressor.load(tmp_path / "regressor.keras").predict(FRAME), expected)
    with serving_alone():
        tfmdn.export_saved_model(regressor.model_, tmp_path / "exported")
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    raw = {name: tf.constant(column) for name, column in regressor.model_inputs(FRAME).items()}
    np.testing.assert_allclose(served(**raw)["mean"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "num_folds"), [(1, 10), (3, 10), (120, 2)])
def test_groups_are_in_one_fold(size, num_folds, monkeypatch):
    seen = []
    monkeypatch.setattr(TreeEmbedding, "cross_fit", lambda _layer, x, y, own_folds, weights: seen.append(own_folds))
    parts = folds.parts(ROWS, np.random.default_rng(0), np.arange(ROWS) // size)
    tree_features.learned(X, Y, targets.target_format(Y, intervals=False), np.ones(ROWS), parts, seed=0)
    assert len(np.unique(seen[0])) == num_folds
    for group in np.split(seen[0], ROWS // size):
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
    found = [float(fitted(y=y, trees=True).findings_[-1].split()[-1]) for y in (Y, RNG.normal(size=ROWS))]
    assert found[0] > 0.9
    assert found[1] < 0.7
