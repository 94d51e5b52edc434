"""Which rows judge which members, and `MDNRegressor.fit(groups=...)`."""

import numpy as np
import pytest
import sklearn
import tensorflow as tf
from sklearn.model_selection import GroupKFold, cross_val_score

import tfmdn
from tfmdn.ensembles import calibration
from tfmdn.tabular import folds

pytestmark = pytest.mark.usefixtures("quick_graphs")
SIZES = {
    "many alike": np.full(60, 4),
    "unequal": np.arange(1, 30),
    "a large one": np.append(np.full(40, 3), 120),
    "fewer than parts": np.full(12, 20),
    "few": np.array([50, 40, 60, 30, 20]),
    "few and a large one": np.array([200, 20, 30]),
    "two": np.array([60, 140]),
    "rows by themselves": np.ones(90, int),
}


@pytest.mark.parametrize("num_members", [1, 2, 3, 10, 13])
@pytest.mark.parametrize("num_rows", [2, 9, 30, 40, 203])
def test_a_tenth_of_the_rows_judges_each_member(num_rows, num_members):
    held_out, first_half = folds.folds(num_rows, num_members, np.random.default_rng(0))
    assert np.all(held_out >= first_half)
    assert np.ptp([first_half.sum(0), (held_out & ~first_half).sum(0)], axis=0).max() <= 1
    counts = held_out.sum(0)
    assert np.all((counts >= 1) & (abs(counts - num_rows / 10) <= 2)), counts
    if num_rows >= folds.MIN_CALIBRATED:  # two members for each row, or the only one
        assert held_out.sum(1).max() >= min(2, num_members)
        rows, members = calibration.judges(held_out)
        assert len(rows) >= num_rows // 20
        assert np.all(members.sum(1) == min(2, num_members))


@pytest.mark.parametrize("num_members", [1, 2, 10, 13])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_groups_stay_together(sizes, num_members):
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    num_rows, first = len(groups), [np.flatnonzero(groups == group)[0] for group in range(len(sizes))]
    parts = folds.parts(num_rows, np.random.default_rng(1), groups)
    held_out, first_half = folds.folds(num_rows, num_members, np.random.default_rng(1), groups)
    np.testing.assert_array_equal(parts, parts[first][groups])
    np.testing.assert_array_equal(held_out, held_out[first][groups])
    if len(sizes) > 5:
        np.testing.assert_array_equal(first_half, first_half[first][groups])
    assert np.all(first_half.any(0) & (held_out & ~first_half).any(0))
    counts, share = held_out.sum(0), num_rows / min(20, len(sizes))
    assert np.all((counts > 0) & (counts <= 4.0 * share) & (counts < num_rows)), counts
    loads = np.bincount(parts)
    assert len(loads) == min(20, len(sizes))
    smallest = loads[loads <= max(1.5 * share, sizes.min())]
    assert np.ptp(smallest) <= sizes.max()
    judges, _ = calibration.judges(held_out)  # raises if no row is judged by two members
    assert len(judges)
    if num_members == 10:  # the parts that members are judged by are the first ones
        judging = np.unique(parts[held_out.any(1)])
        np.testing.assert_array_equal(judging, np.arange(len(judging)))


@pytest.mark.parametrize("num_rows", [20, 203])
def test_rows_without_groups_are_in_equal_parts(num_rows):
    counts = np.bincount(folds.parts(num_rows, np.random.default_rng(0)))
    assert len(counts) == (10 if num_rows == 20 else 20)
    assert np.ptp(counts) <= 1


def test_of_a_large_part_some_rows_are_held_out(monkeypatch):
    monkeypatch.setattr(folds, "MAX_HELD_OUT", 30)
    held_out, first_half = folds.folds(1_000, 10, np.random.default_rng(0))
    assert (set(held_out.sum(0)), set(first_half.sum(0))) == ({60}, {30})


LABELS = {
    "numbers": [7, 7, -1, 3],
    "decimals": [0.5, 0.5, 0.1, 0.2],
    "text": ["b", "b", "a", "c"],
    "objects": [("b", 1), ("b", 1), "a", 3],
    "dates": np.array(["2024-02-01", "2024-02-01", "2023-01-01", "2025-01-01"], "datetime64[D]"),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(labels):
    if isinstance(labels, list) and isinstance(labels[0], tuple):
        labels = np.array([*labels, None], object)[:-1]
    first, second, *others = folds.group_numbers(labels, 4)
    assert first == second
    assert len({first, *others}) == 3


REFUSED = {
    "too few": (np.zeros(3), r"label for each of the 60 rows.* Received: shape \(3,\)"),
    "columns": (np.zeros((60, 2)), r"Received: shape \(60, 2\)"),
    "one": (np.zeros(60), "at least 2 groups, in rows that count. Received: one group"),
    "NaN": (np.append(np.arange(59.0), np.nan), "1 labels that are missing"),
    "None": (np.array(["a", None] * 30, object), "30 labels that are missing"),
}
X, GROUPS = np.linspace(0.0, 1.0, 60)[:, np.newaxis], np.repeat(list("abcdef"), 10)
Y = np.sin(6.0 * X[:, 0])


def tiny(**arguments):
    settings = {"num_components": 1, "n_estimators": 2, "max_steps": 20, "hidden_units": (8,), "random_state": 0}
    return tfmdn.MDNRegressor(**{**settings, **arguments})


@pytest.mark.parametrize(("groups", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        tiny().fit(X, Y, groups=groups)


def test_groups_of_a_dataset_are_refused():
    with pytest.raises(ValueError, match=r"for a table in memory\. Received: a dataset"):
        tiny().fit(tf.data.Dataset.from_tensors((X, Y)), groups=GROUPS)


def test_a_group_is_held_out_as_a_whole(monkeypatch):
    held_out = []
    found = calibration.judges
    monkeypatch.setattr(calibration, "judges", lambda rows: held_out.append(rows) or found(rows))
    weights = np.where(np.arange(60) == 5, 0.0, 1.0)  # a row of the first group does not count
    tiny().fit(X, Y, weights, GROUPS)
    rows = held_out[0]
    assert rows.shape == (59, 2)
    for label in "abcdef":
        assert (rows[GROUPS[weights > 0] == label] == rows[GROUPS[weights > 0] == label][0]).all()


def test_groups_are_passed_on_by_scikit_learn():
    with sklearn.config_context(enable_metadata_routing=True):
        regressor = tiny().set_fit_request(groups=True)
        scores = cross_val_score(regressor, X, Y, cv=GroupKFold(2), params={"groups": GROUPS}, error_score="raise")
    assert np.isfinite(scores).all()
