"""Anybody's table as columns with names, before anybody has looked at the values.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import collections
import dataclasses
import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

# What a sparse matrix may take as float64, in bytes.
MAX_DENSE = 2**30
# What is shown of many names.
MAX_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns `[n]`, each a Series of narwhals or an array.

    Attributes:
      names: their names.
      columns: the columns.
      is_named: whether the names are the user's, by which columns are found again, or stand for places.
      has_numerals: whether numbers are written as text, as NumPy does with arrays of numbers and text.
    """

    names: Sequence[Hashable]
    columns: Sequence[Any]
    is_named: bool = True
    has_numerals: bool = False

    def check_size(self, least: int) -> None:
        """Raises ValueError in scikit-learn's words if there are no columns, or fewer rows than `least`."""
        shape = (len(self.columns[0]) if self.columns else 0, len(self.columns))
        for size, minimum, what in ((shape[1], 1, "feature"), (shape[0], least, "sample")):
            if size < minimum:
                raise ValueError(
                    f"Found array with {size} {what}(s) (shape={shape}) while a minimum of {minimum} is required by "
                    "MDNRegressor."
                )


def is_plain(X: Any) -> bool:
    """Whether X is, or means to be, an array of numbers without names, of which scikit-learn says what is wrong.

    So is pandas' frame of numbers without text for names, whose columns go by their places in scikit-learn.
    """
    if isinstance(X, np.ndarray):
        return _holds_numbers(X)
    if isinstance(X, Mapping):
        return False
    if not isinstance(X, (list, tuple)):
        frame = _frame_of(X)
        if frame is not None:
            return (
                bool(frame.columns) and not any(isinstance(name, str) for name in frame.columns) and _is_numeric(frame)
            )
    try:
        return _holds_numbers(np.asarray(X))
    except ValueError:  # lists of several lengths
        return True


def _holds_numbers(array: np.ndarray) -> bool:
    """Whether an array holds numbers, or nothing that could be a table."""
    if array.dtype.kind == "O":
        kinds = set(map(type, array.flat))
        return all(issubclass(kind, (numbers.Real, type(None))) and kind is not np.timedelta64 for kind in kinds)
    return array.dtype.kind in "biufc" or not array.ndim


def _is_numeric(frame) -> bool:
    import narwhals as nw

    return all(
        dtype == nw.Boolean or (dtype.is_numeric() and not dtype.is_decimal()) for dtype in frame.schema.values()
    )


def dense(X: Any) -> Any:
    """X itself, or what a masked array, a sparse matrix or pandas' sparse columns are when they are written out.

    Raises:
      ValueError: if that takes more than `MAX_DENSE` bytes.
    """
    if isinstance(X, np.ma.MaskedArray) and not X.dtype.names:
        return filled(X)
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        _check_dense_size(X.shape)
        return X.toarray()
    sparse = {}
    if hasattr(X, "iloc") and hasattr(X, "dtypes") and hasattr(X, "columns"):
        sparse = {name: dtype.subtype for name, dtype in X.dtypes.items() if type(dtype).__name__ == "SparseDtype"}
    if not sparse:
        return X
    _check_dense_size((len(X), len(sparse)))
    return X.astype(sparse)


def filled(values: np.ma.MaskedArray) -> np.ndarray:
    """A masked array, with what stands for missing values of its kind where it is masked."""
    kind = values.dtype.kind
    if kind in "mM":
        return values.filled(np.array("NaT", values.dtype))
    if kind in "biuf":
        return values.astype(np.float64).filled(np.nan)
    return np.where(np.ma.getmaskarray(values), None, values.data.astype(object))


def _check_dense_size(shape: tuple[int, ...]) -> None:
    size = 8.0 * np.prod(shape, dtype=np.float64)
    if size > MAX_DENSE:
        raise ValueError(
            f"A sparse X is written out, which must not take more than {MAX_DENSE / 2**30:.3g} GiB. Received: "
            f"{shape[0]:,} rows of {shape[-1]:,} features, which take {size / 2**30:.3g} GiB. Select features before, "
            "or combine them, as by sklearn.decomposition.TruncatedSVD."
        )


def table_of(X: Any) -> Table:
    """X, of which `dense` has been taken, as a table.

    Raises:
      ValueError: if it has not two dimensions, or names occur twice.
      TypeError: if its rows are not there yet.
    """
    if isinstance(X, Mapping):
        return _of_mapping(X)
    frame = None if isinstance(X, (np.ndarray, list, tuple)) else _frame_of(X)
    if frame is not None:
        return Table(list(frame.columns), list(frame.iter_columns()))
    array = X if isinstance(X, np.ndarray) else _array_of(X)
    if array.dtype.names:
        return _of_mapping({name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead. Received: shape {array.shape}. Reshape your data "
            "either using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it "
            "contains a single sample."
        )
    names = [f"column_{place}" for place in range(array.shape[1])]
    return Table(names, list(array.T), is_named=False, has_numerals=array.dtype.kind in "US")


def _array_of(X) -> np.ndarray:
    array = np.asarray(X)
    # NumPy makes text of numbers that stand beside text.
    return np.array(X, dtype=object) if isinstance(X, (list, tuple)) and array.dtype.kind not in "biuf" else array


def _of_mapping(X: Mapping) -> Table:
    _check_names(list(X))
    columns = [_column_of(values) for values in X.values()]
    for name, column in zip(X, columns):
        shape = np.shape(column)
        if len(shape) != 1:
            raise ValueError(f"Columns must be one-dimensional. Received: column {name!r} of shape {shape}.")
    sizes = {name: len(column) for name, column in zip(X, columns)}
    if len(set(sizes.values())) > 1:
        usual = collections.Counter(sizes.values()).most_common(1)[0][0]
        other = next(name for name, size in sizes.items() if size != usual)
        raise ValueError(
            f"Columns must have the same number of rows. Received: {sizes[other]} in column {other!r}, {usual} in most."
        )
    return Table(list(X), columns)


def _column_of(values):
    if isinstance(values, np.ma.MaskedArray):
        return filled(values)
    if isinstance(values, (np.ndarray, list, tuple)):
        return _array_of(values)
    import narwhals as nw

    column = nw.from_native(values, series_only=True, pass_through=True)
    return column if isinstance(column, nw.Series) else np.asarray(values)


def _frame_of(X):
    """The frame as narwhals', None of what is none."""
    try:
        import narwhals as nw
    except ImportError as error:
        raise ImportError("Tables other than arrays need narwhals: pip install 'tfmdn[sklearn]'.") from error

    if nw.dependencies.is_pandas_like_dataframe(X):
        _check_names(list(X.columns))
    elif nw.dependencies.is_pyarrow_table(X):
        _check_names(X.column_names)
    frame = nw.from_native(X, pass_through=True, allow_series=True)
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(
            f"X must be a table whose rows are in memory. Received: {type(X).__module__}.{type(X).__qualname__}. "
            "Give X.collect() of Polars, X.compute() of Dask, X.toPandas() of Spark."
        )
    if isinstance(frame, nw.DataFrame):
        return frame
    is_other_table = hasattr(X, "__arrow_c_stream__") and not isinstance(frame, nw.Series)
    return nw.DataFrame.from_arrow(X, backend="pyarrow") if is_other_table else None


def _check_names(names: list[Hashable]) -> None:
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"Each column must have a name of its own. Received more than once: {listed(twice)}.")


def listed(names: Sequence[Hashable]) -> str:
    """Names for a message, not more than one cares to read."""
    shown = ", ".join(map(repr, names[:MAX_SHOWN]))
    return shown if len(names) <= MAX_SHOWN else f"{shown} and {len(names) - MAX_SHOWN} more"
