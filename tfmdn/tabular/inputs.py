"""Tables as the model takes them: a matrix of numbers, or columns by the names of its inputs.

Shapes in comments: n rows, F columns.
"""

from __future__ import annotations

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from tfmdn.tabular import tables, targets
from tfmdn.tabular.columns import Columns

# A matrix `[n, F]` in float64, or columns `[n]` of float64 or of str by the names of the model's inputs.
Inputs = np.ndarray | dict[str, np.ndarray]


def learned(estimator: BaseEstimator, X) -> tuple[Columns | None, Inputs]:
    """What is known of the columns of a table, None if it is an array of numbers, and the table.

    Args:
      estimator: what is fitted to it, which gets scikit-learn's attributes for the features.
      X: the table.

    Raises:
      ValueError: if it is no table that can be learnt from.
    """
    X = tables.dense(X)
    if tables.is_plain(X):
        X = _validated(estimator, X, ensure_min_samples=2)
        targets.check_magnitude("X", np.nan_to_num(X))
        return None, X
    columns, table = Columns.learned(X)
    names = [column.name for column in columns]
    estimator.n_features_in_ = len(names)
    vars(estimator).pop("feature_names_in_", None)
    if all(isinstance(name, str) for name in names):
        estimator.feature_names_in_ = np.array(names, object)
    return columns, table


def read(estimator: BaseEstimator, columns: Columns | None, X, can_have_gaps: bool) -> Inputs:
    """A table for a fitted estimator.

    Args:
      estimator: what is asked.
      columns: what is known of the columns, or None.
      X: the table.
      can_have_gaps: whether numbers of an array may be missing: they are not where none were while fitting.

    Raises:
      ValueError: if it is not like the table that the estimator was fitted to.
    """
    X = tables.dense(X)
    if columns is not None:
        return columns.read(X)
    X = _validated(estimator, X, reset=False)
    if not can_have_gaps and np.isnan(X).any():
        row, column = np.argwhere(np.isnan(X))[0]
        raise ValueError(
            "Input X contains NaN, but no number was missing in the array that MDNRegressor was fitted to. Received: "
            f"NaN in row {row}, column {column}. Fit it to rows with gaps, or fill them in."
        )
    return X


def _validated(estimator: BaseEstimator, X, **options) -> np.ndarray:
    """An array of numbers as scikit-learn checks it, which does not say in which row infinity stands."""
    try:
        return validate_data(estimator, X, dtype=np.float64, ensure_all_finite="allow-nan", **options)
    except ValueError as error:
        places = np.argwhere(np.isinf(np.asarray(X, np.float64))) if "infinity" in str(error) else []
        if not len(places):
            raise
        row, column = places[0]
        raise ValueError(f"{error} Received: infinity in row {row}, column {column}.") from error


def num_rows(table: Inputs) -> int:
    """The number of rows n."""
    return len(table if isinstance(table, np.ndarray) else next(iter(table.values())))


def rows_of(table: Inputs, rows: np.ndarray | slice) -> Inputs:
    """Some rows of a table."""
    return keras.tree.map_structure(lambda column: column[rows], table)
