"""How figures are drawn: matplotlib, which is imported at the last moment, and what the figures have in common.

Shapes in comments: n points.
"""

from __future__ import annotations

import importlib

import numpy as np

DARK, MEDIUM, LIGHT, DATA = "#31688e", "#8fb0cb", "0.85", "0.7"
# Beside the colours, for those who cannot tell them apart. Short dashes and dots are of components and of the truth.
LINE_STYLES = ("-", (0, (8, 1.5)), (0, (8, 1.5, 1, 1.5)))
COMPONENT = {"linestyle": (0, (6, 3)), "linewidth": 0.9}
TRUTH = {"linestyle": ":", "linewidth": 1.5}


def _matplotlib(module: str):
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError("tfmdn.plots needs matplotlib: pip install 'tfmdn[plots]'.") from error


def axes(ax):
    """The axes, or those of a new figure."""
    return _matplotlib("pyplot").subplots(layout="constrained")[1] if ax is None else ax


def labelled(ax, x: str, y: str):
    """The axes, with these labels."""
    ax.set(xlabel=x, ylabel=y)
    return ax


def colors(count: int, colormap: str = "viridis", first: float = 0.0, last: float = 0.85) -> np.ndarray:
    """Colours that differ in lightness as well, `[count, 4]`."""
    return _matplotlib("pyplot").get_cmap(colormap)(np.linspace(first, last, count))


def points(ax, x: np.ndarray, y: np.ndarray, color: str, label: str, scale: float = 1.0) -> None:
    """Adds points, the smaller the more there are."""
    size = scale * float(np.clip(10_000 / len(x), 2, 12))
    ax.scatter(x, y, s=size, color=color, linewidths=0, alpha=0.7, rasterized=True, label=label)


def legend_of_points(ax) -> None:
    """Adds a legend in which points can be seen, however small they are."""
    for handle in ax.legend().legend_handles:
        if hasattr(handle, "set_sizes"):
            handle.set(sizes=[20.0], alpha=1.0)


def add_fading_line(ax, x, y, weights: np.ndarray, num_components: int, color: np.ndarray) -> None:
    """Adds a line through points, the wider and the more opaque the larger the weight `[n]` of its component there."""
    points = np.stack([x, y], -1)  # [n, 2]
    opacity = np.minimum(num_components * weights, 1.0)
    between = 0.5 * (weights[:-1] + weights[1:])
    colors = np.tile(color, (len(between), 1))
    colors[:, -1] = 0.5 * (opacity[:-1] + opacity[1:])
    segments = np.stack([points[:-1], points[1:]], 1)  # [n - 1, 2, 2]
    lines = _matplotlib("collections").LineCollection(segments, linewidths=0.5 + 3.5 * np.sqrt(between), colors=colors)
    ax.add_collection(lines, autolim=False)
    ax.update_datalim(points[opacity > 0.2])


def add_strip(ax, x: np.ndarray, y: float, probabilities: np.ndarray, colormap) -> None:
    """Adds a strip at one y, of the colours of probabilities `[n]`: the last of the colour map is that of 1."""
    points = np.stack([x, np.full(len(x), y)], -1)  # [n, 2]
    segments = np.stack([points[:-1], points[1:]], 1)
    colors = colormap(0.5 * (probabilities[:-1] + probabilities[1:]))
    ax.add_collection(
        _matplotlib("collections").LineCollection(segments, linewidths=6.0, colors=colors, antialiaseds=False)
    )
