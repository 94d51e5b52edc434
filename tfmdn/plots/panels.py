"""The figures of a report, each as an image for its page.

Shapes in comments: n rows, V values of a feature, d outputs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tfmdn.plots import diagnostics, page
from tfmdn.plots import style as style_lib
from tfmdn.plots.columns import Column, shortened
from tfmdn.plots.effects import Effect

OUTSIDE = "#c0392b"
SMALL = (3.6, 2.7)  # inches, at which texts are as large as the page's on a phone
FEW_VALUES = 5


def reliability(output) -> str:
    """The share of targets in intervals, against their probability."""
    with style_lib.figure(3.6, 3.3) as figure:
        rows = np.arange(len(output.y))
        diagnostics.reliability(output.mixture, rows, output.y, figure.subplots(), intervals=output.form.intervals)
        return page.image(figure, "The share of targets inside of central intervals, against their probability.")


def transform(output) -> str:
    """The histogram of the probability integral transform."""
    with style_lib.figure(3.6, 3.3) as figure:
        rows, bins = np.arange(len(output.y)), 20 if output.is_known.sum() >= 200 else 10
        diagnostics.pit_histogram(
            output.mixture, rows, output.y, bins, figure.subplots(), intervals=output.form.intervals
        )
        return page.image(figure, "Histogram of the predicted probabilities of smaller targets.")


def predictions(name: str, quantiles: np.ndarray, ends: np.ndarray) -> str:
    """The medians, intervals and targets of rows one beside the other.

    Args:
      name: the name of the output.
      quantiles: of the levels 0.05, 0.25, 0.5, 0.75 and 0.95: `[n, 5]`.
      ends: the ends of the targets, `[2, n]`.
    """
    place, (low, high) = np.arange(len(quantiles)), ends
    bottom, top = _limits(quantiles, ends)
    is_outside = (high < quantiles[:, 0]) | (low > quantiles[:, -1])
    colors = np.where(is_outside, OUTSIDE, "#1d2630")
    with style_lib.figure(5.4, 3.5) as figure:
        ax = figure.subplots()
        for first, last, color, label in ((0, 4, "#d5e1ea", "90 % interval"), (1, 3, "#a9c3d6", "50 % interval")):
            ax.vlines(place, quantiles[:, first], quantiles[:, last], color=color, linewidth=2.5, label=label)
        ax.plot(place, quantiles[:, 2], "_", color=style_lib.DARK, markersize=4, markeredgewidth=1.5, label="median")
        is_value = low == high
        ax.scatter(place[is_value], low[is_value], s=9, c=colors[is_value], zorder=3, label="target")
        for row in np.flatnonzero(~is_value):
            ax.plot([place[row]] * 2, np.clip(ends[:, row], bottom, top), color=colors[row], linewidth=1)
        ax.set(ylim=(bottom, top), xlim=(-1, len(place)), xlabel="rows, by predicted median", xticks=[])
        ax.set_ylabel(shortened(name), parse_math=False)
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=8)
        return page.image(figure, f"Predicted medians and intervals of {name}, and the targets.")


def _limits(quantiles: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    """Where the axis ends: at the farthest target, and not at the farthest interval."""
    finite = ends[np.isfinite(ends)]
    low = min(finite.min(), np.quantile(quantiles[:, 0], 0.05))
    high = max(finite.max(), np.quantile(quantiles[:, -1], 0.95))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def limits_of(quantiles: Iterable[np.ndarray]) -> tuple[float, float]:
    """The limits of an axis for several effects `[V, 3]`."""
    values = np.concatenate([np.ravel(each) for each in quantiles])
    margin = 0.05 * np.ptp(values) or 1.0
    return values.min() - margin, values.max() + margin


def effect(effect: Effect, output: int, name: str, limits: tuple[float, float]) -> str:
    """What a feature does to the median and to the 80 % interval of an output.

    Args:
      effect: what the feature does.
      output: the number of the output.
      name: its name.
      limits: the limits of its axis.
    """
    quantiles = effect.quantiles[:, output]  # [V, 3]
    is_category = bool(effect.column.categories)
    height = 0.9 + 0.22 * max(3, len(quantiles)) if is_category else SMALL[1]
    with style_lib.figure(SMALL[0], height) as figure:
        (_categories if is_category else _line)(figure, effect.column, quantiles, limits, shortened(name))
        return page.image(figure, f"The predicted median and 80 % interval of {name} for values of {effect.name}.")


def _categories(figure, column: Column, quantiles: np.ndarray, limits, name: str) -> None:
    ax, labels = figure.subplots(), [shortened(text) or "(empty)" for text in column.values]
    _points(ax, np.arange(len(labels)), quantiles, is_horizontal=True)
    ax.set(xlim=limits, ylim=(len(labels) - 0.5, -0.5))
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_xlabel(name, parse_math=False)


def _line(figure, column: Column, quantiles: np.ndarray, limits, name: str) -> None:
    known = column.is_known
    if not known.all() and known.any():
        ax, beside = figure.subplots(1, 2, sharey=True, width_ratios=[5, 1])
        _points(beside, np.zeros(1), quantiles[-1:])
        beside.set(xlim=(-0.5, 0.5))
        beside.set_xticks([0], ["missing"])
    else:
        ax = figure.subplots()
    values, (low, median, high) = column.values[known], quantiles[known].T
    if len(values) > 2:
        ax.fill_between(values, low, high, color="#d5e1ea", linewidth=0)
        ax.plot(values, median, color=style_lib.DARK, marker="o", markersize=3)
    else:
        _points(ax, values, quantiles[known])
        ax.margins(x=0.5)
    if values.dtype.kind == "f" and len(values) <= FEW_VALUES:
        ax.set_xticks(values)
    elif values.dtype.kind == "M":
        ax.xaxis.set_major_formatter(style_lib.date_formatter(ax))
    ax.set(ylim=limits, xlabel=column.unit)
    ax.set_ylabel(name, parse_math=False)


def _points(ax, places: np.ndarray, quantiles: np.ndarray, is_horizontal: bool = False) -> None:
    """Medians with their intervals `[V, 3]`."""
    low, median, high = quantiles.T
    lines, (x, y) = (ax.hlines, (median, places)) if is_horizontal else (ax.vlines, (places, median))
    lines(places, low, high, color="#a9c3d6", linewidth=5)
    ax.plot(x, y, "o", color=style_lib.DARK, markersize=5)
