"""Figures of what a mixture density network predicts along a feature: densities, components and intervals.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. What `model` and `x` may be,
`tfmdn.plots` says.

Of several features one goes through its values, from the least to the greatest in x, 200 at most, while the others are
held `at`: None for what is typical, the middle of numbers and dates and the most frequent text; an integer for the row
of x with that number; a dictionary, or a series, for values by feature, where those that it leaves out are typical.

Shapes in comments: n rows, F features, m values of y, K components, L levels.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.plots import data as data_lib
from tfmdn.plots import outputs, quantities
from tfmdn.plots import style as style_lib
from tfmdn.plots.data import Model
from tfmdn.plots.rows import At

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def density(
    model: Model,
    x: Any,
    y: ArrayLike,
    feature: Hashable = None,
    at: At = None,
    output: int | str | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """The density p(y | x) as a heat map.

    A limit with a probability of its own is a strip, the darker the higher that probability: black for 1. Of targets
    that are rounded to a grid the probabilities of its values are shown.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: rows of features: a frame, an array `[n]` or `[n, F]`, or a dictionary of arrays, in any order.
      y: where the density is computed for each x, `[m]`.
      feature: which feature stands on the axis, by its name or number; needed if there are several.
      at: what the other features are held at: None for what is typical, the number of a row, or values by feature.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure, with a bar that explains the colours.
      **kwargs: passed on to `ax.pcolormesh`, in place of what is chosen here. By default the darkest colour
        stands for the peaks of one row in four, and the peaks of the others are lighter.

    Returns:
      The axes.

    Raises:
      ValueError: if there are several features and `feature` is not one of them, or several outputs and `output` is not
        one of them.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x[:, :1]), tfd.Normal(x[:, :1], 0.5))
    >>> ax = tfmdn.plots.density(model, x=np.linspace(-1, 1, 50), y=np.linspace(-3, 3, 60))
    >>> ax.collections[0].get_array().shape
    (60, 50)
    >>> ax = tfmdn.plots.density(model, x=np.random.default_rng(0).normal(size=(9, 4)), y=[0.0, 1.0], feature=2, at=0)
    >>> ax.get_xlabel(), ax.collections[0].get_array().shape
    ('x[2]', (2, 200))
    """
    number, label = outputs.chosen(output, model)
    said, column, name = data_lib.along(model, x, feature, at, number)
    y = np.unique(data_lib.column("y", y))
    atoms = said.atoms()
    points = quantities.beside(y, [limit for limit, _ in atoms])[:, np.newaxis]
    probs = said.evaluate(lambda mixture: mixture.prob(points), len(y))  # [m, n]
    axes = style_lib.axes(ax)
    positions, order = style_lib.in_order(axes, column)
    limits = {} if "norm" in kwargs else {"vmin": 0.0, "vmax": np.nanquantile(probs.max(0), 0.75)}
    mesh = style_lib.heat_map(axes, positions, y, probs[:, order], **{**limits, **kwargs})
    for limit, probabilities in atoms:
        style_lib.add_strip(axes, positions, limit, probabilities[order], mesh.cmap, bool(column.categories))
    if ax is None:
        axes.figure.colorbar(mesh, label=style_lib.plain(f"p({label} | {name})"), extend=style_lib.extend(mesh))
    return style_lib.labelled(axes, name, label)


def components(
    model: Model,
    x: Any,
    parameter: str = "loc",
    feature: Hashable = None,
    at: At = None,
    output: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One parameter of each component against x, as a line that fades where the component has little weight.

    A line is the wider the larger the weight, and opaque where that is at least the mean of all, 1 / K.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: rows of features: a frame, an array `[n]` or `[n, F]`, or a dictionary of arrays, in any order.
      parameter: "prob", which is the weight, or a parameter that the components have: "loc" or "scale", which is the
        standard deviation if they are normal; "df" of Student's t. Those of positive components are of log y.
      feature: which feature stands on the axis, by its name or number; needed if there are several.
      at: what the other features are held at: None for what is typical, the number of a row, or values by feature.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes. Their limits are those of the lines where they can be seen.

    Raises:
      ValueError: if there are several features and `feature` is not one of them, or several outputs and `output` is not
        one of them, or if there is no such
        parameter.

    Example:

    >>> x = np.linspace(-1, 1, 50)
    >>> ax = tfmdn.plots.components(tfmdn.MDNLayer(3), x, "prob")
    >>> len(ax.collections)
    3
    """
    number, label = outputs.chosen(output, model)
    said, column, name = data_lib.along(model, x, feature, at, number)
    weights, values = said.evaluate(  # [n, K] each
        lambda mixture: quantities.weights_and_parameter(mixture, parameter)
    )
    ax = style_lib.axes(ax)
    positions, order = style_lib.in_order(ax, column)
    for k, color in enumerate(style_lib.colors(weights.shape[1])):
        line = positions, values[order, k], weights[order, k]
        style_lib.add_fading_line(ax, *line, weights.shape[1], color, bool(column.categories))
    ax.autoscale_view()
    of_each = f"{'weight' if parameter == 'prob' else parameter} of each component"
    return style_lib.labelled(ax, name, of_each if label == "y" else f"{of_each} of {label}")


def fan(
    model: Model,
    x: Any,
    coverages: Sequence[float] = (0.5, 0.8, 0.95),
    y: ArrayLike | None = None,
    feature: Hashable = None,
    at: At = None,
    output: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The median and central intervals, one within the other, against x.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: rows of features: a frame, an array `[n]` or `[n, F]`, or a dictionary of arrays, in any order.
      coverages: the probabilities of the intervals, strictly between 0 and 1: one or several.
      y: the targets of the rows, `[n]`, or `[n, d]` with an `output` of d, drawn as points. Of several features the
        points are of the rows as they are, in which the other features differ.
      feature: which feature stands on the axis, by its name or number; needed if there are several.
      at: what the other features are held at: None for what is typical, the number of a row, or values by feature.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if there are several features and `feature` is not one of them, or several outputs and `output` is not
        one of them, if there is not one target for each row, or if a coverage is not between 0 and 1.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), tfd.Normal(x, 0.5))
    >>> ax = tfmdn.plots.fan(model, x=np.linspace(-1, 1, 50), coverages=[0.5, 0.9])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['90 %', '50 %', 'median']
    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [20.0, 30.5, 41.0], "city": ["Rome", "Oslo", "Rome"]})
    >>> model = lambda table: tfmdn.Mixture(
    ...     tfd.Categorical(logits=np.zeros([len(table), 1])), tfd.Normal(table[["age"]], np.ones(1))
    ... )
    >>> ax = tfmdn.plots.fan(model, table, feature="city", at={"age": 25.0})
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['Oslo', 'Rome']
    """
    number, label = outputs.chosen(output, model, y)
    said, column, name = data_lib.along(model, x, feature, at, number)
    of_rows, of_the_data, _ = data_lib.of_rows(model, x, feature, number)
    y = None if y is None else outputs.of_targets("y", y, len(of_rows.rows), number)
    coverages = sorted((validation.fraction("coverages", each) for each in np.ravel(coverages).tolist()), reverse=True)
    tails = [0.5 - 0.5 * coverage for coverage in coverages]
    levels = [*tails, 0.5, *(1.0 - tail for tail in reversed(tails))]
    bounds = said.evaluate(lambda mixture: mixture.quantile(levels), len(levels))  # [L, n]
    ax = style_lib.axes(ax)
    positions, order = style_lib.in_order(ax, column, distinct=False)
    bounds = bounds[:, order]
    if column.categories:
        positions, *bounds = style_lib.as_steps(positions, *bounds)
    for row, (coverage, color) in enumerate(zip(coverages, style_lib.colors(len(coverages), "Blues", 0.2, 0.6))):
        of_area = f"{100 * coverage:.4g} %"
        ax.fill_between(positions, bounds[row], bounds[-1 - row], color=color, linewidth=0, label=of_area)
    ax.plot(positions, bounds[len(coverages)], color="#08306b", linewidth=1.5, label="median")
    if y is not None:
        style_lib.points(ax, style_lib.spread(ax, of_the_data), y, "0.3", "data")
    style_lib.legend(ax)
    return style_lib.labelled(ax, name, label)
