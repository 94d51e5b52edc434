"""A page in which one moves the features of a model and sees what it says: written once, and needs no server.

Shapes in comments: n rows, all points of the grid, K components, m values of y.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfmdn import files
from tfmdn.distributions.mixture import Mixture
from tfmdn.plots import bundle, outputs, reading
from tfmdn.plots import data as data_lib
from tfmdn.plots import tables as tables_lib
from tfmdn.plots.data import Model
from tfmdn.plots.rows import Rows

MOST_FEATURES = 3
MOST_NUMBERS = 8_000_000  # in a file of about 40 MB


def explorer(
    model: Model,
    x_grid: Any,
    y_grid: ArrayLike,
    path: str | os.PathLike,
    output: int | str | None = None,
) -> None:
    """Writes a page of HTML in which people explore a model: a slider for each feature, and what it says of y there.

    The page is one file that any browser opens, on a phone too; it needs no Python, no server and no network. It shows
    p(y | x) as a map and as a curve, with its modes, the smallest region of 80 %, quantiles and the mean, which are
    those that a `Mixture` answers at each point of the grid.

    Of normal components the page knows the parameters: it shows the components, and has sliders for the temperatures of
    `Mixture.temper` and for how much the region holds. Of all other families it knows the answers, and the density at
    `y_grid`, which should then have 200 values or so; of targets that are rounded to a grid the probabilities of its
    values, which `y_grid` should be.

    Args:
      model: a model or a regressor, as `tfmdn.plots` says.
      x_grid: the values of each of one to three features: an array `[n]` of the only one; a list of arrays, for a model
        of rows `[n, F]`; or a dictionary of names and values, numbers or texts, for a model of frames, which are
        pandas'. Each slider goes through the values of one, and the model is asked about all combinations.
      y_grid: values of y `[m]`, from the lowest to the highest that the page shows.
      path: the file to write. An earlier one stays as it is if that fails.
      output: which of several outputs is shown, by its number, or by its name where the names are known.

    Raises:
      ValueError: if there are no features or more than three, if a grid is no grid, if the file would be too large, if
        the model says NaN, or if there are several outputs and `output` is not one of them.
      ImportError: if `x_grid` is a dictionary, and pandas or narwhals is not installed.

    Example:

    >>> import pathlib, tempfile
    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x[:, :1]), tfd.Normal(x[:, :1], 0.5))
    >>> path = pathlib.Path(tempfile.mkdtemp(), "explorer.html")
    >>> tfmdn.plots.explorer(model, np.linspace(-1, 1, 50), np.linspace(-3, 3, 60), path)
    >>> "Most likely region" in path.read_text(encoding="utf-8")
    True
    """
    files.require_writable(path)  # before it takes its time
    number, label = outputs.chosen(output, model)
    told = described(model, x_grid, y_grid, number, label)
    title = f"What the model says of {label}"
    body = (bundle.BROWSER / "explorer_page.html").read_text(encoding="utf-8")
    body = bundle.filled(body, {"title": html.escape(title), "target": html.escape(label)})
    content = bundle.page(title, body, bundle.BROWSER / "explorer_page.js", data=told)
    with files.replacement(path) as draft:
        draft.write_text(content, encoding="utf-8")


def described(model: Model, x_grid: Any, y_grid: ArrayLike, output: int | None = None, label: str = "y") -> dict:
    """What the page is told of a model, as JSON has it: see `browser/model.js`."""
    features = _features(x_grid)
    y = np.unique(data_lib.column("y_grid", y_grid).astype(np.float64))
    if len(y) < 2 or not np.isfinite(y).all():
        raise ValueError(f"`y_grid` must have two different values or more, all finite. Received: y_grid={y_grid!r}.")
    given = [*x_grid.values()] if isinstance(x_grid, Mapping) else x_grid
    if isinstance(model, Mixture) and (len(features) > 1 or not np.array_equal(np.ravel(given), *features.values())):
        raise ValueError(
            "A `Mixture` has one row for each value of one feature, from the least to the greatest. "
            f"Received: a `Mixture`, and x_grid={x_grid!r}."
        )
    said = data_lib.Predictions(model, _rows(x_grid, features), output)
    known, numbers = tables_lib.told(said, y, MOST_NUMBERS)
    return {
        "features": [_feature(name, values) for name, values in features.items()],
        "target": {"name": label},
        "y": [float(f"{value:.7g}") for value in y],
        **known,
        "data": base64.b64encode(numbers.astype("<f4").tobytes()).decode(),
    }


def _features(x_grid: Any) -> dict[str, np.ndarray]:
    """The values of each feature, by its name."""
    if isinstance(x_grid, Mapping):
        grids = {str(name): np.asarray(values) for name, values in x_grid.items()}
    elif isinstance(x_grid, Sequence) and any(map(np.ndim, x_grid)):
        grids = {f"x[{number}]": np.asarray(values) for number, values in enumerate(x_grid)}
        grids = {"x": next(iter(grids.values()))} if len(grids) == 1 else grids
    else:
        grids = {"x": np.asarray(x_grid)}
    grids = {name: values[:, 0] if values.shape[1:] == (1,) else values for name, values in grids.items()}
    shapes = {name: values.shape for name, values in grids.items()}
    if not 1 <= len(grids) <= MOST_FEATURES:
        raise ValueError(f"`x_grid` must have one to three features. Received: {len(grids)}, of the shapes {shapes}.")
    if any(values.ndim != 1 or not len(values) for values in grids.values()):
        raise ValueError(
            "`x_grid` must have the values of each feature, `[n]`: an array for the only one, or a list or a "
            f"dictionary of arrays. Received the shapes {shapes}."
        )
    grids = {name: _distinct(values) for name, values in grids.items()}
    if not all(np.isfinite(values).all() for values in grids.values() if values.dtype.kind == "f"):
        raise ValueError(f"The values of `x_grid` must be finite. Received: x_grid={x_grid!r}.")
    return grids


def _distinct(values: np.ndarray) -> np.ndarray:
    """Numbers from the least to the greatest, and texts in their order."""
    if values.dtype.kind in "fiuM":
        return np.unique(values)
    return np.array(list(dict.fromkeys(values.tolist())), values.dtype)


def _rows(x_grid: Any, features: dict[str, np.ndarray]) -> Rows:
    """All combinations of the values; of the last feature they change the fastest."""
    columns = [column.ravel() for column in np.meshgrid(*features.values(), indexing="ij")]
    if not isinstance(x_grid, Mapping):
        return reading.rows_of(np.stack(columns, -1))
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ImportError("A dictionary as `x_grid` needs pandas: pip install 'tfmdn[tables]'.") from error
    return reading.rows_of(pd.DataFrame(dict(zip(x_grid, columns))))


def _feature(name: str, values: np.ndarray) -> dict:
    if values.dtype.kind in "fiu":
        return {"name": name, "values": [float(f"{value:.7g}") for value in values.tolist()]}
    return {"name": name, "values": list(range(len(values))), "texts": [str(value) for value in values.tolist()]}
