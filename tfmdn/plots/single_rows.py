"""Figures of what a mixture density network predicts for single rows: the density of one output, and of two together.

Each function draws on `ax`, or on the axes of a new figure, and returns the axes. What `model` and `x` may be,
`tfmdn.plots` says.

Shapes in comments: n rows, m values of y, K components, S samples.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.distributions.mixture import Mixture
from tfmdn.plots import data as data_lib
from tfmdn.plots import outputs as outputs_lib
from tfmdn.plots import quantities, reading
from tfmdn.plots import style as style_lib
from tfmdn.plots.data import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COMPONENTS = 20  # whose lines can be told apart
NUM_DRAWS = 10_000  # of which the levels of the regions are quantiles


def slices(
    model: Model,
    x: Any,
    y: ArrayLike,
    truth: ArrayLike | None = None,
    components: bool | None = None,
    feature: Hashable = None,
    output: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The density p(y | x) along y for a few rows of x: a curve for each, and its components.

    A limit with a probability of its own is a stem, whose height is that probability. Of targets that are rounded to a
    grid the probabilities of its values are shown.

    Args:
      model: a model, a regressor or a `Mixture`.
      x: the rows, of any shape that the model takes.
      y: where the density is computed, `[m]`.
      truth: the targets of the rows, `[n]`, or `[n, d]` with an `output` of d: each is marked by a vertical line in the
        colour of its curve.
      components: whether each component's density times its weight is drawn, as a dashed line. None means that it is if
        there are at most 20 of them, as one network has, and not the hundreds of an ensemble.
      feature: by which feature the rows are called in the legend, its name or number. None means the only one that
        differs between them; else they are called by their numbers, those of pandas' rows by their index.
      output: which of several outputs is shown, by its number, or by its name where the names are known.
      ax: axes to draw on. None means those of a new figure.

    Returns:
      The axes.

    Raises:
      ValueError: if there is no such feature, if there are several outputs and `output` is not one of them, or if there
        is not one truth for each row.

    Example:

    >>> model = lambda x: tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), tfd.Normal(x, 0.5))
    >>> ax = tfmdn.plots.slices(model, x=[0.0, 1.0], y=np.linspace(-3, 3, 60), truth=[0.1, 0.8])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['x = 0', 'x = 1', 'component', 'truth']
    """
    number, label = outputs_lib.chosen(output, model, truth)
    said, y = data_lib.Predictions(model, reading.rows_of(x), number), np.sort(data_lib.column("y", y))
    num_rows, names = len(said.rows), said.rows.names(feature)
    truth = None if truth is None else outputs_lib.of_targets("truth", truth, num_rows, number)
    atoms = said.atoms()
    points = quantities.beside(y, [limit for limit, _ in atoms])
    parts = said.evaluate(lambda mixture: quantities.weighted_densities(mixture, points), len(y))  # [m, n, K]
    ax, colors = style_lib.axes(ax), style_lib.colors(num_rows)
    for row, color in enumerate(colors):
        style = style_lib.LINE_STYLES[row % len(style_lib.LINE_STYLES)]
        ax.plot(y, parts[:, row].sum(-1), color=color, linestyle=style, linewidth=2, label=style_lib.plain(names[row]))
    if parts.shape[-1] <= MOST_COMPONENTS if components is None else components:
        for row, color in enumerate(colors):
            ax.plot(y, parts[:, row], color=color, **style_lib.COMPONENT)
        ax.plot([], [], color="0.4", label="component", **style_lib.COMPONENT)
    for limit, probabilities in atoms:
        style_lib.add_stems(ax, limit, probabilities, colors, label)
    if truth is not None:
        for value, color in zip(truth, colors):
            ax.axvline(value, color=color, **style_lib.TRUTH)
        ax.plot([], [], color="0.4", label="truth", **style_lib.TRUTH)
    ax.set_ylim(bottom=0.0)
    ax.legend(ncols=1 + num_rows // 10)
    return style_lib.labelled(ax, label, f"p({label} | x)")


def joint_density(
    model: Model,
    x: Any,
    y1: ArrayLike,
    y2: ArrayLike,
    outputs: tuple[int | str, int | str] = (0, 1),
    truth: ArrayLike | None = None,
    coverages: Sequence[float] = (0.5, 0.9),
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """The joint density of two outputs for one row of x, whatever the others are: a heat map, and its smallest regions.

    A line surrounds each smallest region of a given probability. Its level is that quantile of the density at 10,000
    draws (Hyndman, 1996, "Computing and graphing highest density regions"). Of targets that are rounded to a grid the
    probabilities of its values are shown, and of a limit with a probability of its own a strip: the darker, the higher
    that probability is given the other output, black for 1. There is then no such line.

    Args:
      model: a model, a regressor or a `Mixture`, of several outputs.
      x: one row, as `x[:1]` is.
      y1: where the density is computed along the first of the two outputs, `[m1]`.
      y2: and along the second, `[m2]`.
      outputs: which two, by their numbers, or by their names where these are known.
      truth: the targets of the row, all of them or the two that are shown: marked by a cross.
      coverages: the probabilities of the regions, strictly between 0 and 1: one, several, or none.
      ax: axes to draw on. None means those of a new figure, with a bar that explains the colours.
      **kwargs: passed on to `ax.pcolormesh`, in place of what is chosen here.

    Returns:
      The axes.

    Raises:
      ValueError: if x is not one row, if there are no such two outputs, if the truth does not fit, or if a coverage is
        not between 0 and 1.

    Example:

    >>> model = tfmdn.MDNLayer(3, event_shape=2)
    >>> ax = tfmdn.plots.joint_density(model, x=[[1.0, 2.0]], y1=np.linspace(-3, 3, 40), y2=np.linspace(-3, 3, 50))
    >>> ax.collections[0].get_array().shape
    (50, 40)
    """
    rows = reading.rows_of(x)
    if len(rows) != 1:
        raise ValueError(f"`x` must be one row, as `x[:1]` is. Received: {len(rows)} rows.")
    coverages = [validation.fraction("coverages", each) for each in np.ravel(coverages).tolist()]
    y1, y2 = np.unique(data_lib.column("y1", y1)), np.unique(data_lib.column("y2", y2))
    ((_, mixture),) = data_lib.mixtures(model, rows)
    chosen, labels = _two_outputs(outputs, model, mixture, truth)
    point = None if truth is None else _point(truth, mixture.event_shape[0], chosen)
    pair = mixture.marginal(chosen)
    of_each = [data_lib.Predictions(pair, rows, coordinate) for coordinate in (0, 1)]
    atoms = [one.atoms() for one in of_each]
    beside = [quantities.beside(y, [limit for limit, _ in own]) for y, own in zip((y1, y2), atoms)]
    density = pair.prob(_grid(*beside, pair.dtype)).numpy()[..., 0]  # [m2, m1]
    axes = style_lib.axes(ax)
    mesh = style_lib.heat_map(axes, y1, y2, density, **{"vmin": 0.0, **kwargs})
    for coordinate, (own, at) in enumerate(zip(atoms, beside[::-1])):
        other = pair.marginal(1 - coordinate).prob(at[:, np.newaxis]).numpy()[:, 0]
        is_likely = other > 1e-3 * other.max()  # far from all there is nothing to tell
        for limit, _ in own:
            line = [limit], at[is_likely]
            shares = np.ravel(pair.prob(_grid(*line[:: 1 if coordinate == 0 else -1], pair.dtype))) / other[is_likely]
            style_lib.add_strip(axes, at[is_likely], limit, shares, mesh.cmap, is_vertical=coordinate == 0)
    if coverages and not any(atoms) and not any(one.evaluate(quantities.is_rounded).any() for one in of_each):
        draws = pair.prob(pair.sample(NUM_DRAWS, seed=0)).numpy()
        levels = np.quantile(draws, [1.0 - coverage for coverage in sorted(coverages, reverse=True)])
        style_lib.add_contours(axes, y1, y2, density, levels, [f"{100 * c:.4g} %" for c in sorted(coverages)[::-1]])
    if point is not None:
        style_lib.add_cross(axes, *point, "truth")
    if ax is None:
        axes.figure.colorbar(mesh, label=style_lib.plain(f"p({', '.join(labels)} | x)"))
    return style_lib.labelled(axes, *labels)


def _grid(y1, y2, dtype: tf.DType) -> np.ndarray:
    """The points of a plane, of one row: `[m2, m1, 1, 2]`."""
    return np.stack(np.meshgrid(y1, y2), -1)[:, :, np.newaxis].astype(dtype.as_numpy_dtype)


def _two_outputs(outputs, model, mixture: Mixture, truth) -> tuple[list[int], list[str]]:
    """The numbers of two outputs, and what stands beside their axes."""
    if mixture.event_shape.rank != 1 or mixture.batch_shape.rank != 1 or mixture.event_shape[0] < 2:
        raise ValueError(
            "A joint density is of two outputs of one row. Received: a prediction of batch shape "
            f"{mixture.batch_shape} and event shape {mixture.event_shape}."
        )
    if len(outputs) != 2:
        raise ValueError(f"`outputs` must be two outputs. Received: outputs={outputs!r}.")
    numbers, labels = zip(*(outputs_lib.chosen(output, model, truth) for output in outputs))
    numbers = [validation.index("outputs", number, mixture.event_shape[0]) for number in numbers]
    if numbers[0] == numbers[1]:
        raise ValueError(f"`outputs` must be two different outputs. Received: outputs={outputs!r}.")
    return numbers, list(labels)


def _point(truth, num_outputs: int, chosen: list[int]) -> np.ndarray:
    """The true point of the plane, `[2]`."""
    values = np.ravel(np.asarray(truth, np.float64))
    if len(values) not in (2, num_outputs):
        raise ValueError(
            f"`truth` must have all {num_outputs} outputs of the row, or the two that are shown. "
            f"Received: truth of shape {np.shape(truth)}."
        )
    return values[chosen] if len(values) == num_outputs else values
