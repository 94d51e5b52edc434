"""Figures of what a mixture density network predicts: densities, draws, components and intervals against x.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. `model` is anything that returns a
`Mixture` when it is called with rows of x: a Keras model, a `tfmdn.Ensemble`, a regressor's `predict_dist`,
`lambda x: model(x).marginal(0)`. It can also be a `Mixture` of one row for each of x. The rows are computed some at a
time, so that there can be very many; floats are cast to Keras' default.

Needs matplotlib (extra `plots`), which is imported when something is drawn.

Shapes in comments: n rows, m values of y, K components, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.plots import data as data_lib
from tfmdn.plots import style as style_lib
from tfmdn.plots.data import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID_SIZE = 250_000  # densities computed at once


def density(model: Model, x: ArrayLike, y: ArrayLike, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """The density p(y | x) as a heat map.

    A limit with a probability of its own is a strip, the darker the higher that probability: black for 1. Of targets
    that are rounded to a grid the probabilities of its values are shown.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`, in any order.
      y: where the density is computed for each x, `[m]`.
      ax: axes to draw on. None means those of a new figure, with a bar that explains the colours.
      **kwargs: passed on to `ax.pcolormesh`, in place of what is chosen here. By default the darkest colour
        stands for the peaks of one row in four, and the peaks of the others are lighter.

    Returns:
      The axes.

    Raises:
      ValueError: if x has several features, or if the events are vectors.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), tfd.Normal(x, 0.5))
    >>> ax = tfmdn.plots.density(model, x=np.linspace(-1, 1, 50), y=np.linspace(-3, 3, 60))
    >>> ax.collections[0].get_array().shape
    (60, 50)
    """
    x, y = data_lib.column("x", x), np.unique(data_lib.column("y", y))
    probs = data_lib.evaluate(  # [m, n]
        lambda mixture: mixture.prob(y[:, np.newaxis]), model, x, max(1, GRID_SIZE // len(y))
    )
    given = x
    x, order = np.unique(given, return_index=True)
    limits = {} if "norm" in kwargs else {"vmin": 0.0, "vmax": np.nanquantile(probs.max(0), 0.75)}
    options = {"cmap": "Greys", "shading": "nearest", "rasterized": True, **limits, **kwargs}
    axes = style_lib.axes(ax)
    mesh = axes.pcolormesh(x, y, probs[:, order], **options)
    for limit, probabilities in data_lib.atoms(model, given):
        style_lib.add_strip(axes, x, limit, probabilities[order], mesh.cmap)
    if ax is None:
        axes.figure.colorbar(mesh, label="p(y | x)", extend="max" if mesh.norm.vmax < probs.max() else "neither")
    return style_lib.labelled(axes, "x", "y")


def slices(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    truth: ArrayLike | None = None,
    components: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The density p(y | x) along y for a few x: a curve for each, and its components.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`.
      y: where the density is computed, `[m]`.
      truth: the targets of the rows, `[n]`: each is marked by a vertical line in the colour of its curve.
      components: whether each component's density times its weight is drawn, as a dashed line.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if x has several features, if the events are vectors, or if there is not one truth for each x.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), tfd.Normal(x, 0.5))
    >>> ax = tfmdn.plots.slices(model, x=[0.0, 1.0], y=np.linspace(-3, 3, 60), truth=[0.1, 0.8])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['x = 0', 'x = 1', 'component', 'truth']
    """
    x, y = data_lib.column("x", x), np.sort(data_lib.column("y", y))
    truth = None if truth is None else data_lib.column("truth", truth, len(x))
    parts = data_lib.evaluate(lambda mixture: data_lib.weighted_densities(mixture, y), model, x)  # [m, n, K]
    ax, colors = style_lib.axes(ax), style_lib.colors(len(x))
    for row, color in enumerate(colors):
        style = style_lib.LINE_STYLES[row % len(style_lib.LINE_STYLES)]
        ax.plot(y, parts[:, row].sum(-1), color=color, linestyle=style, linewidth=2, label=f"x = {x[row]:.4g}")
    if components:
        for row, color in enumerate(colors):
            ax.plot(y, parts[:, row], color=color, **style_lib.COMPONENT)
        ax.plot([], [], color="0.4", label="component", **style_lib.COMPONENT)
    if truth is not None:
        for value, color in zip(truth, colors):
            ax.axvline(value, color=color, **style_lib.TRUTH)
        ax.plot([], [], color="0.4", label="truth", **style_lib.TRUTH)
    ax.set_ylim(bottom=0.0)
    ax.legend(ncols=1 + len(x) // 10)
    return style_lib.labelled(ax, "y", "p(y | x)")


def components(model: Model, x: ArrayLike, parameter: str = "loc", ax: Axes | None = None) -> Axes:
    """One parameter of each component against x, as a line that fades where the component has little weight.

    A line is the wider the larger the weight, and opaque where that is at least the mean of all, 1 / K.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`, in any order.
      parameter: "prob", which is the weight, or a parameter that the components have: "loc" or "scale", which is the
        standard deviation if they are normal; "df" of Student's t. Those of positive components are of log y.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes. Their limits are those of the lines where they can be seen.

    Raises:
      ValueError: if x has several features, if the events are vectors, or if there is no such parameter.

    Example:

    >>> x = np.linspace(-1, 1, 50)
    >>> ax = tfmdn.plots.components(tfmdn.MDNLayer(3), x, "prob")
    >>> len(ax.collections)
    3
    """
    x = data_lib.column("x", x)
    weights, values = data_lib.evaluate(  # [n, K] each
        lambda mixture: data_lib.weights_and_parameter(mixture, parameter), model, x
    )
    order, ax = np.argsort(x), style_lib.axes(ax)
    for k, color in enumerate(style_lib.colors(weights.shape[1])):
        style_lib.add_fading_line(ax, x[order], values[order, k], weights[order, k], weights.shape[1], color)
    ax.autoscale_view()
    return style_lib.labelled(ax, "x", f"{'weight' if parameter == 'prob' else parameter} of each component")


def draws(
    model: Model,
    x: ArrayLike,
    y: ArrayLike | None = None,
    num_samples: int = 1,
    seed: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws from p(y | x) as points, over the data if there are targets.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`.
      y: the targets of the rows, `[n]`.
      num_samples: number of draws for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if x has several features, if the events are vectors, or if there is not one target for each x.

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(100, seed=0)
    >>> ax = tfmdn.plots.draws(tfmdn.MDNLayer(3), x, y, num_samples=2, seed=1)
    >>> [len(points.get_offsets()) for points in ax.collections]
    [100, 200]
    """
    x = data_lib.column("x", x)
    y = None if y is None else data_lib.column("y", y, len(x))
    drawn = data_lib.draws(model, x, num_samples, seed)
    ax = style_lib.axes(ax)
    if y is not None:
        style_lib.points(ax, x, y, style_lib.DATA, "data", scale=3.0)
    style_lib.points(ax, *drawn, style_lib.DARK, "draws")
    style_lib.legend_of_points(ax)
    return style_lib.labelled(ax, "x", "y")


def hexbin(
    model: Model,
    x: ArrayLike,
    num_samples: int = 1,
    seed: int | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draws from p(y | x), counted in hexagons: what `draws` shows, where so many points would hide each other.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`.
      num_samples: number of draws for each row.
      seed: an integer, for which the draws are the same at each call; or None.
      ax: axes to draw on. None means those of a new figure, with a bar that explains the colours.
      **kwargs: passed on to `ax.hexbin`, in place of what is chosen here.

    Returns:
      The axes.

    Raises:
      ValueError: if x has several features, or if the events are vectors.

    Example:

    >>> ax = tfmdn.plots.hexbin(tfmdn.MDNLayer(3), x=np.linspace(-1, 1, 500), num_samples=10, seed=1)
    >>> int(ax.collections[0].get_array().sum())
    5000
    """
    drawn = data_lib.draws(model, data_lib.column("x", x), num_samples, seed)
    axes = style_lib.axes(ax)
    hexagons = axes.hexbin(*drawn, **{"gridsize": 60, "cmap": "Greys", "mincnt": 1, "linewidths": 0.2, **kwargs})
    if ax is None:
        axes.figure.colorbar(hexagons, label="draws")
    return style_lib.labelled(axes, "x", "y")


def fan(
    model: Model,
    x: ArrayLike,
    coverages: Sequence[float] = (0.5, 0.8, 0.95),
    y: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The median and central intervals, one within the other, against x.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`, in any order.
      coverages: the probabilities of the intervals, strictly between 0 and 1: one or several.
      y: the targets of the rows, `[n]`, drawn as points.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if x has several features, if the events are vectors, if there is not one target for each x, or if a
        coverage is not between 0 and 1.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), tfd.Normal(x, 0.5))
    >>> ax = tfmdn.plots.fan(model, x=np.linspace(-1, 1, 50), coverages=[0.5, 0.9])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['90 %', '50 %', 'median']
    """
    x = data_lib.column("x", x)
    y = None if y is None else data_lib.column("y", y, len(x))
    coverages = sorted((validation.fraction("coverages", each) for each in np.ravel(coverages).tolist()), reverse=True)
    tails = [0.5 - 0.5 * coverage for coverage in coverages]
    levels = [*tails, 0.5, *(1.0 - tail for tail in reversed(tails))]
    order = np.argsort(x)
    bounds = data_lib.evaluate(lambda mixture: mixture.quantile(levels), model, x)[:, order]  # [L, n]
    ax = style_lib.axes(ax)
    for row, (coverage, color) in enumerate(zip(coverages, style_lib.colors(len(coverages), "Blues", 0.2, 0.6))):
        label = f"{100 * coverage:.4g} %"
        ax.fill_between(x[order], bounds[row], bounds[-1 - row], color=color, linewidth=0, label=label)
    ax.plot(x[order], bounds[len(coverages)], color="#08306b", linewidth=1.5, label="median")
    if y is not None:
        style_lib.points(ax, x, y, "0.3", "data")
    style_lib.legend_of_points(ax)
    return style_lib.labelled(ax, "x", "y")
