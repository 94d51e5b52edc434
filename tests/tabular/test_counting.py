"""Rows of tables that do not count may hold anything."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import tfmdn
from tfmdn.tabular import counting, tables

pytestmark = pytest.mark.usefixtures("quick_graphs")

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
Y = X[:, 0] + RNG.normal(5.0, 1.0, size=N)
COUNTS = np.arange(N) % 4 > 0
JUNK_X, JUNK_Y = X.copy(), Y.copy()
JUNK_X[~COUNTS], JUNK_Y[~COUNTS] = np.resize([np.inf, np.nan, 1e300, -np.inf], (2, 15)).T, np.nan
SMALL = {"num_components": 1, "n_estimators": 2, "max_steps": 10, "hidden_units": (4,), "random_state": 0}


def fitted(x, y, sample_weight=None, **arguments):
    return tfmdn.MDNRegressor(**{**SMALL, **arguments}).fit(x, y, sample_weight)


def test_rows_that_do_not_count():
    expected = fitted(X[COUNTS], Y[COUNTS])
    probe = X[:5]
    found = fitted(JUNK_X, JUNK_Y, COUNTS * 2.0**1000)
    np.testing.assert_array_equal(found.predict(probe), expected.predict(probe))
    score = expected.score(X[COUNTS], Y[COUNTS])
    evaluation = expected.evaluate(X[COUNTS], Y[COUNTS])
    for scale in (2.0**-1000, 1.0, 2.0**1000):
        assert expected.score(JUNK_X, JUNK_Y, scale * COUNTS) == pytest.approx(score, rel=1e-6)
        found = expected.evaluate(JUNK_X, JUNK_Y, scale * COUNTS)
        for name, value in evaluation.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-7)
    assert expected.score(JUNK_X, np.ma.masked_array(JUNK_Y, ~COUNTS)) == pytest.approx(score, rel=1e-6)
    for bad in (-1.0, np.nan, np.inf):
        weights = COUNTS.astype(float)
        weights[1] = bad
        for ask in (expected.fit, expected.score, expected.evaluate):
            with pytest.raises(ValueError, match="`sample_weight` must be a finite number for each"):
                ask(X, Y, weights)


TABLES = {
    "array": np.array,
    "lists": np.ndarray.tolist,
    "pandas": lambda x: pd.DataFrame(x, columns=["a", "b"]),
    "polars": lambda x: pl.DataFrame(x, schema=["a", "b"]),
    "pyarrow": lambda x: pa.table({"a": x[:, 0], "b": x[:, 1]}),
    "mapping": lambda x: {"a": x[:, 0].tolist(), "b": pd.Series(x[:, 1])},
    "sparse": scipy.sparse.csr_array,
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_kind(kind):
    def numbers(table):
        if isinstance(table, dict):
            return np.stack([np.asarray(column) for column in table.values()], 1)
        if hasattr(table, "itercolumns"):
            return np.stack([column.to_numpy() for column in table.itercolumns()], 1)
        return table.toarray() if hasattr(table, "toarray") else np.asarray(table)

    labels = np.where(COUNTS, "a", None)
    x, y, weights, groups = counting.without_junk(TABLES[kind](JUNK_X), JUNK_Y, COUNTS, False, labels)
    assert type(x) is type(TABLES[kind](X))
    np.testing.assert_array_equal(numbers(x)[COUNTS], X[COUNTS])
    np.testing.assert_array_equal(numbers(x)[~COUNTS], np.tile(X[1], (15, 1)))
    np.testing.assert_array_equal(y[~COUNTS], Y[1])
    assert set(groups) == {"a"}
    assert weights is COUNTS


def test_masked_features_are_missing():
    mask = np.zeros((N, 2), bool)
    mask[7, 1] = True
    masked = np.ma.masked_array(X, mask)
    expected = np.where(mask, np.nan, X)
    np.testing.assert_array_equal(tables.dense(masked), expected)
    np.testing.assert_array_equal(tables.dense(np.ma.masked_array(np.ones((2, 2), int), True)), np.full((2, 2), np.nan))
    texts = tables.dense(np.ma.masked_array([["a", "b"]], [[False, True]]))
    assert texts.tolist() == [["a", None]]
    days = np.ma.masked_array(np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), [True, False])
    columns = tables.table_of({"a": masked[:, 1], "b": np.arange(N)}).columns
    np.testing.assert_array_equal(columns[0], expected[:, 1])
    assert np.isnat(tables.table_of({"day": days}).columns[0]).tolist() == [True, False]
    rows = counting.rows_of(masked, np.array([7, 7]))
    np.testing.assert_array_equal(tables.dense(rows), expected[[7, 7]])


def test_masked_targets():
    mask = np.zeros((N, 2), bool)
    mask[3], mask[5, 1] = True, True
    y = np.ma.masked_array(np.stack([Y, -Y], 1), mask)
    _, found, weights, _ = counting.without_junk(X, y, None, False)
    assert np.flatnonzero(weights == 0).tolist() == [3]
    assert np.isnan(found[5]).tolist() == [False, True]
    np.testing.assert_array_equal(found[3], [Y[0], -Y[0]])
    _, found, weights, _ = counting.without_junk(X, y, None, True)  # of half a pair nothing is known
    assert np.flatnonzero(weights == 0).tolist() == [3, 5]
    _, found, _, _ = counting.without_junk(X, np.ma.masked_array(np.array([[1, 2]] * N, object), mask), None, False)
    assert found[5].tolist() == [1, None]
    kept, known = counting.that_count(X, y, False)
    assert len(kept) == len(known) == N - 1
    assert counting.that_count(X, Y, False) == (X, Y)
