"""Figures of draws from what a mixture density network predicts, for the rows as they are.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. What `model` and `x` may be,
`tfmdn.plots` says.

Shapes in comments: n rows, S samples.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tfmdn.plots import data as data_lib
from tfmdn.plots import outputs
from tfmdn.plots import style as style_lib
from tfmdn.plots.data import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draws(
    model: Model,
    x: Any,
    y: ArrayLike | None = None,
    num_samples: int = 1,
    seed: int | None = None,
    feature: Hashable = None,
    output: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws from p(y | x) as points, over the data if there are targets.

    They are of the rows as they are: `feature` only says against which feature they are shown. The points of a category
    lie beside each other.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: rows of features: a frame, an array `[n]` or `[n, F]`, or a dictionary of arrays, in any order.
      y: the targets of the rows, `[n]`, or `[n, d]` with an `output` of d.
      num_samples: number of draws for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      feature: which feature stands on the axis, by its name or number; needed if there are several.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if there are several features and `feature` is not one of them, or several outputs and `output` is not
        one of them, or if there is not one target for each row.

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(100, seed=0)
    >>> ax = tfmdn.plots.draws(tfmdn.MDNLayer(3), x, y, num_samples=2, seed=1)
    >>> [len(points.get_offsets()) for points in ax.collections]
    [100, 200]
    """
    number, label = outputs.chosen(output, model, y)
    said, column, name = data_lib.of_rows(model, x, feature, number)
    y = None if y is None else outputs.of_targets("y", y, len(said.rows), number)
    drawn, ax = said.draws(num_samples, seed), style_lib.axes(ax)  # [S, n]
    if y is not None:
        style_lib.points(ax, style_lib.spread(ax, column), y, style_lib.DATA, "data", scale=3.0)
    style_lib.points(ax, style_lib.spread(ax, column, num_samples), drawn.ravel(), style_lib.DARK, "draws")
    style_lib.legend(ax)
    return style_lib.labelled(ax, name, label)


def hexbin(
    model: Model,
    x: Any,
    num_samples: int = 1,
    seed: int | None = None,
    feature: Hashable = None,
    output: int | str | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draws from p(y | x), counted in hexagons: what `draws` shows, where so many points would hide each other.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: rows of features: a frame, an array `[n]` or `[n, F]`, or a dictionary of arrays, in any order.
      num_samples: number of draws for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      feature: which feature stands on the axis, by its name or number; needed if there are several.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure, with a bar that explains the colours.
      **kwargs: passed on to `ax.hexbin`, in place of what is chosen here. By default one hexagon in ten is as dark as
        can be, so that those of a limit, which many draws equal, do not make all others pale.

    Returns:
      The axes.

    Raises:
      ValueError: if there are several features and `feature` is not one of them, or several outputs and `output` is not
        one of them.

    Example:

    >>> ax = tfmdn.plots.hexbin(tfmdn.MDNLayer(3), x=np.linspace(-1, 1, 500), num_samples=10, seed=1)
    >>> int(ax.collections[0].get_array().sum())
    5000
    """
    number, label = outputs.chosen(output, model)
    said, column, name = data_lib.of_rows(model, x, feature, number)
    drawn, axes = said.draws(num_samples, seed).ravel(), style_lib.axes(ax)
    positions = style_lib.spread(axes, column, num_samples)
    is_known = np.isfinite(positions)
    hexagons = style_lib.hexagons(axes, positions[is_known], drawn[is_known], **kwargs)
    if ax is None:
        axes.figure.colorbar(hexagons, label="draws", extend=style_lib.extend(hexagons))
    return style_lib.labelled(axes, name, label)
