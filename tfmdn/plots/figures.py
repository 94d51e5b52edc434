"""Figures of a mixture density network: what it predicts, and how good that is.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. `model` is anything that returns a
`Mixture` when it is called with rows of x: a Keras model, a `tfmdn.Ensemble`, a regressor's `predict_dist`,
`lambda x: model(x).marginal(0)`. It can also be a `Mixture` of one row for each of x. The rows are computed some at a
time, so that there can be very many; floats are cast to Keras' default.

Needs matplotlib (extra `plots`), which is imported when something is drawn.

Shapes in comments: n rows, m values of y, K components, L levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfmdn import validation
from tfmdn.plots import data as data_lib
from tfmdn.plots import style as style_lib

GRID_SIZE = 250_000  # densities computed at once
BAND = 0.99
BAND_LABEL = "99 % band if calibrated"


# What is predicted


def density(model, x, y, ax=None, **kwargs):
    """The density p(y | x) as a heat map.

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
    probs = data_lib.of_scalars(  # [m, n]
        lambda mixture: mixture.prob(y[:, np.newaxis]), model, x, max(1, GRID_SIZE // len(y))
    )
    x, order = np.unique(x, return_index=True)
    limits = {} if "norm" in kwargs else {"vmin": 0.0, "vmax": np.nanquantile(probs.max(0), 0.75)}
    options = {"cmap": "Greys", "shading": "nearest", "rasterized": True, **limits, **kwargs}
    axes = style_lib.axes(ax)
    mesh = axes.pcolormesh(x, y, probs[:, order], **options)
    if ax is None:
        axes.figure.colorbar(mesh, label="p(y | x)", extend="max" if mesh.norm.vmax < probs.max() else "neither")
    return style_lib.labelled(axes, "x", "y")


def slices(model, x, y, truth=None, components: bool = True, ax=None):
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
    parts = data_lib.of_scalars(lambda mixture: data_lib.weighted_densities(mixture, y), model, x)  # [m, n, K]
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


def components(model, x, parameter: str = "loc", ax=None):
    """One parameter of each component against x, as a line that fades where the component has little weight.

    A line is the wider the larger the weight, and opaque where that is at least the mean of all, 1 / K.

    Args:
      model: a model or a `Mixture` of scalar events.
      x: the rows, `[n]` or `[n, 1]`, in any order.
      parameter: "prob", which is the weight, or a parameter that the components have: "loc" or "scale", which is the
        standard deviation if they are normal; "df" of Student's t. Those of lognormal components are of log y.
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
    weights, values = data_lib.of_scalars(  # [n, K] each
        lambda mixture: data_lib.weights_and_parameter(mixture, parameter), model, x
    )
    order, ax = np.argsort(x), style_lib.axes(ax)
    for k, color in enumerate(style_lib.colors(weights.shape[1])):
        style_lib.add_fading_line(ax, x[order], values[order, k], weights[order, k], weights.shape[1], color)
    ax.autoscale_view()
    return style_lib.labelled(ax, "x", f"{'weight' if parameter == 'prob' else parameter} of each component")


def draws(model, x, y=None, num_samples: int = 1, seed: int | None = None, ax=None):
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


def hexbin(model, x, num_samples: int = 1, seed: int | None = None, ax=None, **kwargs):
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


def fan(model, x, coverages: Sequence[float] = (0.5, 0.8, 0.95), y=None, ax=None):
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
    bounds = data_lib.of_scalars(lambda mixture: mixture.quantile(levels), model, x)[:, order]  # [L, n]
    ax = style_lib.axes(ax)
    for row, (coverage, color) in enumerate(zip(coverages, style_lib.colors(len(coverages), "Blues", 0.2, 0.6))):
        label = f"{100 * coverage:.4g} %"
        ax.fill_between(x[order], bounds[row], bounds[-1 - row], color=color, linewidth=0, label=label)
    ax.plot(x[order], bounds[len(coverages)], color="#08306b", linewidth=1.5, label="median")
    if y is not None:
        style_lib.points(ax, x, y, "0.3", "data")
    style_lib.legend_of_points(ax)
    return style_lib.labelled(ax, "x", "y")


# How good it is


def error_vectors(y_true, y_pred, ax=None, **kwargs):
    """Arrows from true points of a plane to the predicted ones.

    Args:
      y_true: `[n, 2]`.
      y_pred: `[n, 2]`: predictions, draws, or a `Mixture`, which stands for its mean.
      ax: axes to draw on. None means those of a new figure.
      **kwargs: passed on to `ax.quiver`, in place of what is chosen here.

    Returns:
      The axes.

    Raises:
      ValueError: if the points are not of a plane, or not as many.

    Example:

    >>> ax = tfmdn.plots.error_vectors(y_true=[[0.0, 0.0], [1.0, 0.0]], y_pred=[[0.1, 0.0], [1.0, 0.3]])
    >>> ax.collections[0].U.tolist(), ax.collections[0].V.tolist()
    ([0.1, 0.0], [0.0, 0.3])
    """
    y_true, y_pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    if y_true.shape != (len(y_pred), 2) or y_pred.shape != y_true.shape or not len(y_true):
        raise ValueError(
            "`y_true` and `y_pred` must be points of a plane, of shape [n, 2] with n of 1 or more. "
            f"Received: y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}."
        )
    ax = style_lib.axes(ax)
    options = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "width": 0.004, "color": style_lib.DARK, **kwargs}
    ax.quiver(*y_true.T, *(y_pred - y_true).T, **options)
    ax.update_datalim(y_pred)  # quiver itself only sees to the true points
    ax.set_aspect("equal", adjustable="datalim")
    ax.autoscale_view()
    return style_lib.labelled(ax, "first coordinate", "second coordinate")


def pit_histogram(model, x, y, bins: int = 20, ax=None):
    """The histogram of the probability integral transform: flat if the model is calibrated.

    A hump in the middle: the predicted distributions are too wide. High ends: they are too narrow. A slope: they are
    too high or too low. A calibrated model has each bar end in the band with a probability of 99 %.

    Args:
      model: a model or a `Mixture`. The coordinates of vector events count like targets of their own, and for the band
        like independent ones.
      x: the rows, of any shape that the model takes.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.
      bins: number of bins.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if the targets do not fit, or if none counts.

    Example:

    >>> x, y = np.zeros((1000, 1)), np.random.default_rng(0).normal(size=1000)
    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=x), tfd.Normal(x, 1.0))
    >>> ax = tfmdn.plots.pit_histogram(model, x, y, bins=5)
    >>> [round(float(bar.get_height()), 3) for bar in ax.containers[0]]
    [1.005, 1.125, 0.97, 0.995, 0.905]
    """
    bins = validation.positive_integer("bins", bins)
    transform = data_lib.integral_transform(model, x, y)
    counts, edges = np.histogram(transform, bins, (0.0, 1.0))
    to_density = bins / len(transform)
    band = to_density * data_lib.binomial_interval(len(transform), 1.0 / bins, BAND)
    ax = style_lib.axes(ax)
    ax.bar(edges[:-1], to_density * counts, 1.0 / bins, align="edge", color=style_lib.MEDIUM, edgecolor="white")
    ax.hlines(band, 0.0, 1.0, color="0.2", linestyle="--", label=BAND_LABEL)
    ax.axhline(1.0, color="0.2", linewidth=1)
    ax.set_xlim(0.0, 1.0)
    ax.legend(loc="lower center")
    return style_lib.labelled(ax, "predicted probability of a smaller target", "density")


def reliability(model, x, y, ax=None, **kwargs):
    """The share of targets that lie in the central intervals, against the probability of the intervals.

    The line of a calibrated model is the diagonal; above it the predicted intervals are too wide, below it too narrow.
    At each probability the calibrated model lies in the band with a probability of 99 %.

    Args:
      model: a model or a `Mixture`. The coordinates of vector events count like targets of their own, and for the band
        like independent ones.
      x: the rows, of any shape that the model takes.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.
      ax: axes to draw on, also those of another model, for a second line. None means those of a new figure.
      **kwargs: passed to `Axes.plot` for the line of the model, such as `label` and `color`.

    Returns:
      The axes.

    Raises:
      ValueError: if the targets do not fit, or if none counts.

    Example:

    >>> x, y = np.zeros((1000, 1)), np.random.default_rng(0).normal(size=1000)
    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=x), tfd.Normal(x, 2.0))
    >>> ax = tfmdn.plots.reliability(model, x, y, label="too wide")
    >>> [round(float(share), 2) for share in ax.lines[-1].get_ydata()[[0, 50, 100]]]
    [0.0, 0.84, 1.0]
    """
    distance = np.sort(np.abs(2.0 * data_lib.integral_transform(model, x, y) - 1.0))
    count, nominal = len(distance), np.linspace(0.0, 1.0, 101)
    observed = np.searchsorted(distance, nominal, side="right") / count
    low, high = data_lib.binomial_interval(count, nominal, BAND) / count
    ax = style_lib.axes(ax)
    if BAND_LABEL not in ax.get_legend_handles_labels()[1]:  # the first model on these axes
        ax.fill_between(nominal, low, high, color=style_lib.LIGHT, linewidth=0, label=BAND_LABEL)
        ax.plot([0.0, 1.0], [0.0, 1.0], color="0.4", linewidth=1, linestyle="--")
        ax.text(0.3, 0.7, "too wide", color="0.5", ha="center")
        ax.text(0.7, 0.3, "too narrow", color="0.5", ha="center")
        kwargs = {"color": style_lib.DARK, **kwargs}
    ax.plot(nominal, observed, **{"linewidth": 2, "label": "model", **kwargs})
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    ax.legend(loc="upper left")
    return style_lib.labelled(ax, "probability of the central interval", "observed share inside")


def training_curves(history, ax=None):
    """Each quantity that training has logged, by epoch: solid lines, and dashed ones for the validation data.

    Args:
      history: what `fit` returns, or a dictionary of lists. Quantities of different units are better drawn on axes of
        their own, from parts of the `history` dictionary. Names that begin with `val_` are of the validation data. A
        list that is m times shorter than the longest has one value for each m epochs, as validation has by `fit`'s
        `validation_freq`; the figure is right if that divides the number of epochs.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if there is nothing to draw.

    Example:

    >>> ax = tfmdn.plots.training_curves({"loss": [2.0, 1.5], "val_loss": [2.1, 1.7]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['loss', 'val_loss']
    """
    curves = getattr(history, "history", history)
    if not isinstance(curves, Mapping) or not any(map(len, curves.values())):
        raise ValueError(
            "`history` must be what `fit` returns, after at least one epoch, or a dictionary of lists. "
            f"Received: history={history!r}."
        )
    longest = max(map(len, curves.values()))
    epochs = 1 + np.asarray(getattr(history, "epoch", range(longest)))
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    colors = dict(zip(quantities, style_lib.colors(len(quantities))))
    ax = style_lib.axes(ax)
    for name, values in curves.items():
        quantity, every = name.removeprefix("val_"), longest // max(1, len(values))
        at = epochs[epochs % every == 0][: len(values)]
        ax.plot(at, values, color=colors[quantity], linestyle="-" if name == quantity else "--", label=name)
    ax.legend()
    return style_lib.labelled(ax, "epoch", quantities[0] if len(quantities) == 1 else "")
