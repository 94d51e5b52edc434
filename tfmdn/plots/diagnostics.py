"""Figures of how good a mixture density network is: errors, calibration, and how it was trained.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. What `model` and `x` may be,
`tfmdn.plots` says.

Shapes in comments: n rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.plots import data as data_lib
from tfmdn.plots import outputs
from tfmdn.plots import style as style_lib
from tfmdn.plots.data import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 0.99
BAND_LABEL = "99 % band if calibrated"


def error_vectors(y_true: ArrayLike, y_pred: ArrayLike, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Arrows from true points of a plane to the predicted ones.

    Args:
      y_true: `[n, 2]`, an array or a frame, of which the axes have their names.
      y_pred: `[n, 2]`: predictions, such as an `MDNRegressor`'s, draws, or a `Mixture`, which stands for its mean.
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
    names = outputs.names_of(y_true) or ["first coordinate", "second coordinate"]
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
    return style_lib.labelled(ax, *names)


def pit_histogram(
    model: Model, x: ArrayLike, y: ArrayLike, bins: int = 20, ax: Axes | None = None, *, intervals: bool = False
) -> Axes:
    """The histogram of the probability integral transform: flat if the model is calibrated.

    A hump in the middle: the predicted distributions are too wide. High ends: they are too narrow. A slope: they are
    too high or too low. A calibrated model has each bar end in the band with a probability of 99 %.

    Args:
      model: a model, a regressor or a `Mixture`. The coordinates of vector events count like targets of their own, and
        for the band like independent ones.
      x: the rows, of any kind that the model takes.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.
      bins: number of bins.
      ax: axes to draw on. None means those of a new figure.
      intervals: whether targets are pairs (low, high), as in `tfmdn.probability_integral_transform`.

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
    transform = data_lib.integral_transform(model, x, y, intervals)
    counts, edges = np.histogram(transform, bins, (0.0, 1.0))
    to_density = bins / len(transform)
    band = to_density * _binomial_interval(len(transform), 1.0 / bins)
    ax = style_lib.axes(ax)
    ax.bar(edges[:-1], to_density * counts, 1.0 / bins, align="edge", color=style_lib.MEDIUM, edgecolor="white")
    ax.hlines(band, 0.0, 1.0, color="0.2", linestyle="--", label=BAND_LABEL)
    ax.axhline(1.0, color="0.2", linewidth=1)
    ax.set_xlim(0.0, 1.0)
    style_lib.legend(ax)
    return style_lib.labelled(ax, "predicted probability of a smaller target", "density")


def reliability(
    model: Model, x: ArrayLike, y: ArrayLike, ax: Axes | None = None, *, intervals: bool = False, **kwargs: Any
) -> Axes:
    """The share of targets that lie in the central intervals, against the probability of the intervals.

    The line of a calibrated model is the diagonal; above it the predicted intervals are too wide, below it too narrow.
    At each probability the calibrated model lies in the band with a probability of 99 %.

    Args:
      model: a model, a regressor or a `Mixture`. The coordinates of vector events count like targets of their own, and
        for the band like independent ones.
      x: the rows, of any kind that the model takes.
      y: the targets. Those that are NaN do not count, nor do steps that the model masks.
      ax: axes to draw on, also those of another model, for a second line. None means those of a new figure.
      intervals: whether targets are pairs (low, high), as in `tfmdn.probability_integral_transform`.
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
    distance = np.sort(np.abs(2.0 * data_lib.integral_transform(model, x, y, intervals) - 1.0))
    count, nominal = len(distance), np.linspace(0.0, 1.0, 101)
    observed = np.searchsorted(distance, nominal, side="right") / count
    low, high = _binomial_interval(count, nominal) / count
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


def training_curves(history: keras.callbacks.History | Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
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
    style_lib.legend(ax)
    return style_lib.labelled(ax, "epoch", quantities[0] if len(quantities) == 1 else "")


def _binomial_interval(count: int, probability) -> np.ndarray:
    """The band of the number of successes in `count` trials of each `probability` `[*S]`: `[2, *S]`."""
    import scipy.stats  # which takes long to import

    return np.stack(scipy.stats.binom.interval(BAND, count, probability))
