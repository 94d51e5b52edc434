"""How figures are drawn: matplotlib, which is imported at the last moment, and what the figures have in common.

Shapes in comments: n points or rows, m positions, s pieces of a line.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

import numpy as np

from tfmdn.plots.columns import Column, shortened

CATEGORY = 0.4  # half of the width of a category, whose middles are 1 apart
DARK, MEDIUM, LIGHT, DATA = "#31688e", "#8fb0cb", "0.85", "0.7"
# Beside the colours, for those who cannot tell them apart. Short dashes and dots are of components and of the truth.
LINE_STYLES = ("-", (0, (8, 1.5)), (0, (8, 1.5, 1, 1.5)))
COMPONENT = {"linestyle": (0, (6, 3)), "linewidth": 0.9}
TRUTH = {"linestyle": ":", "linewidth": 1.5}
LAYOUT = 1.15  # how much larger axes may be at first than in the end, when their labels have room


def _matplotlib(module: str):
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError("tfmdn.plots needs matplotlib: pip install 'tfmdn[plots]'.") from error


def require_matplotlib() -> None:
    """Raises ImportError if there is none, before what is to be drawn is computed."""
    _matplotlib("figure")


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator:
    """A new figure of that size in inches, for a file: in one style whatever the user's is, and without `pyplot`.

    As SVG its texts stay texts, and the same data give the same file, if that is written within the context.
    """
    own = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    with _matplotlib("style").context(["default", own, {"svg.fonttype": "none", "svg.hashsalt": "tfmdn"}]):
        yield _matplotlib("figure").Figure((width, height), layout="constrained")


def axes(ax):
    """The axes, or those of a new figure."""
    return _matplotlib("pyplot").subplots(layout="constrained")[1] if ax is None else ax


def date_formatter(ax):
    """Labels of an axis of dates that say no more than they must."""
    return _matplotlib("dates").ConciseDateFormatter(ax.xaxis.get_major_locator())


def labelled(ax, x: str, y: str):
    """The axes, with these labels."""
    ax.set(xlabel=plain(x), ylabel=plain(y))
    return ax


def plain(text: str) -> str:
    """A text for matplotlib in which dollars are dollars, and do not enclose a formula."""
    return text.replace("$", r"\$")


def colors(count: int, colormap: str = "viridis", first: float = 0.0, last: float = 0.85) -> np.ndarray:
    """Colours that differ in lightness as well, `[count, 4]`."""
    return _matplotlib("pyplot").get_cmap(colormap)(np.linspace(first, last, count))


def points(ax, x: np.ndarray, y: np.ndarray, color: str, label: str, scale: float = 1.0) -> None:
    """Adds points, the smaller the more there are."""
    size = scale * float(np.clip(10_000 / len(x), 2, 12))
    ax.scatter(x, y, s=size, color=color, linewidths=0, alpha=0.7, rasterized=True, label=label)


def legend(ax, **kwargs) -> None:
    """Adds a legend in which points can be seen, however small they are, and room for it if it would hide data.

    The room is above, and part of the data's limits: axes whose limits have been set stay as they are.
    """
    box = _legend(ax, **kwargs).get_window_extent()
    if not ax.get_autoscaley_on() or ax.get_yscale() != "linear" or not _is_over_data(ax, box):
        return
    columns = max(1, int(ax.bbox.width / (LAYOUT * box.width)))
    box = _legend(ax, **kwargs, loc="upper left", ncols=columns).get_window_extent()
    low, high = ax.get_ylim()
    share = min(0.5, LAYOUT * box.height / ax.bbox.height)
    ax.update_datalim([[0.0, low + (high - low) / (1.0 - share)]], updatex=False)
    ax.autoscale_view(scalex=False)


def _legend(ax, **kwargs):
    added = ax.legend(**kwargs)
    for handle in added.legend_handles:
        if hasattr(handle, "set_sizes"):
            handle.set(sizes=[20.0], alpha=1.0)
    return added


def _is_over_data(ax, box) -> bool:
    """Whether a box, in pixels, has a part of what is drawn: areas, bars, points, or lines that have an end."""
    polygons = _matplotlib("collections").PolyCollection
    areas = [(area, path) for area in ax.collections if isinstance(area, polygons) for path in area.get_paths()]
    areas += [(bar, bar.get_path()) for bar in ax.patches]
    lines = [(line, line.get_path()) for line in ax.lines if line.get_transform() is ax.transData]
    points = [points for points in ax.collections if not isinstance(points, polygons)]
    return (
        any(artist.get_transform().transform_path(path).intersects_bbox(box) for artist, path in areas)
        or any(line.get_transform().transform_path(path).intersects_bbox(box, filled=False) for line, path in lines)
        or any(box.count_contains(each.get_offset_transform().transform(each.get_offsets())) for each in points)
    )


def in_order(ax, column: Column, distinct: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Where the values of a column stand on the x axis, from left to right, and their rows.

    Args:
      ax: the axes. Of dates or texts the x axis becomes one, by matplotlib's own converters.
      column: the values of rows.
      distinct: whether each position comes once.

    Returns:
      Positions `[m]`, and the row of each.
    """
    positions = _positions(ax, column)
    rows = np.unique(positions, return_index=True)[1] if distinct else np.argsort(positions, kind="stable")
    rows = rows[np.isfinite(positions[rows])]
    return positions[rows], rows


def spread(ax, column: Column, times: int = 1) -> np.ndarray:
    """Where points of the values of a column stand on the x axis, so many times: `[times n]`.

    Those of a category lie beside each other, at the same places each time.
    """
    positions = np.tile(_positions(ax, column), times)
    if column.categories:
        positions += np.random.default_rng(0).uniform(-CATEGORY, CATEGORY, len(positions))
    return positions


def _positions(ax, column: Column) -> np.ndarray:
    """Where values stand on the x axis, `[n]`; NaN if they do not."""
    if column.categories:
        ax.xaxis.update_units(list(column.categories))
        places, names = (
            ax.convert_xunits(list(column.categories)),
            [plain(shortened(name)) for name in column.categories],
        )
        is_long = sum(map(len, names)) > 40
        ax.set_xticks(places, names, rotation="vertical" if is_long else "horizontal")
        ax.set_xlim(-0.6, max(places) + 0.6)
    elif column.values.dtype.kind == "M":
        ax.xaxis.update_units(column.values)
        ax.xaxis.set_major_locator(_matplotlib("dates").AutoDateLocator(minticks=3, maxticks=8))
        ax.xaxis.set_major_formatter(date_formatter(ax))
    return np.asarray(ax.convert_xunits(column.values), np.float64)


def heat_map(ax, x: np.ndarray, y: np.ndarray, values: np.ndarray, **kwargs):
    """Adds a cell for each value `[m, n]`, and returns the mesh."""
    if len(x) == 1:  # matplotlib would know no width
        x, values = np.array([x[0] - CATEGORY, x[0] + CATEGORY]), np.repeat(values, 2, 1)
    return ax.pcolormesh(x, y, values, **{"cmap": "Greys", "shading": "nearest", "rasterized": True, **kwargs})


def extend(colored) -> str:
    """At which end a bar of colours has values beyond it."""
    return "max" if colored.norm.vmax < np.nanmax(colored.get_array()) else "neither"


def as_steps(x: np.ndarray, *lines: np.ndarray) -> list[np.ndarray]:
    """The middles of categories `[m]` and the lines above them as short level lines, with NaN between them."""
    x = np.stack([x - CATEGORY, x + CATEGORY, np.full(len(x), np.nan)], -1)
    return [x.ravel(), *(np.repeat(line, 3) for line in lines)]


def _segments(x: np.ndarray, y: np.ndarray, values: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of a line `[s, 2, 2]` and their values `[s]`: between the points, or of half such a width at each."""
    if half:
        return np.stack([np.stack([x + side, y], -1) for side in (-half, half)], 1), values
    points = np.stack([x, y], -1)  # [n, 2]
    return np.stack([points[:-1], points[1:]], 1), 0.5 * (values[:-1] + values[1:])


def add_fading_line(
    ax, x, y, weights: np.ndarray, num_components: int, color: np.ndarray, is_category: bool = False
) -> None:
    """Adds a line through points, the wider and the more opaque the larger the weight `[n]` of its component there."""
    opacity = np.minimum(num_components * weights, 1.0)
    segments, between = _segments(x, y, weights, CATEGORY * is_category)
    colors = np.tile(color, (len(between), 1))
    colors[:, -1] = _segments(x, y, opacity, CATEGORY * is_category)[1]
    lines = _matplotlib("collections").LineCollection(segments, linewidths=0.5 + 3.5 * np.sqrt(between), colors=colors)
    ax.add_collection(lines, autolim=False)
    ax.update_datalim(np.stack([x, y], -1)[opacity > 0.2])


def add_strip(
    ax,
    x: np.ndarray,
    y: float,
    probabilities: np.ndarray,
    colormap,
    is_category: bool = False,
    is_vertical: bool = False,
) -> None:
    """Adds a strip at one y, of the colours of probabilities `[n]`: the last of the colour map is that of 1."""
    segments, between = _segments(x, np.full(len(x), y), probabilities, 0.5 * is_category)
    segments = segments[:, :, ::-1] if is_vertical else segments
    ax.add_collection(
        _matplotlib("collections").LineCollection(
            segments, linewidths=6.0, colors=colormap(between), antialiaseds=False
        )
    )


def hexagons(ax, x: np.ndarray, y: np.ndarray, **kwargs):
    """Adds counts of points in hexagons, and returns them: one in ten is as dark as can be."""
    added = ax.hexbin(x, y, **{"gridsize": 60, "cmap": "Greys", "mincnt": 1, "linewidths": 0.2, **kwargs})
    if not {"bins", "norm", "vmin", "vmax"} & set(kwargs):
        added.set_clim(0.0, np.quantile(np.asarray(added.get_array()), 0.9))
    return added


def add_stems(ax, y: float, heights: np.ndarray, colors: np.ndarray, name: str) -> None:
    """Adds a line upwards from one y for each row, with a head at the height `[n]`."""
    for height, color in zip(heights, colors):
        ax.plot([y, y], [0.0, height], color=color, linewidth=1.5, marker="o", markevery=[1])
    ax.plot([], [], color="0.4", linewidth=1.5, marker="o", label=plain(f"P({name} = {y:.4g})"))


def add_contours(ax, x: np.ndarray, y: np.ndarray, values: np.ndarray, levels: np.ndarray, names: list[str]) -> None:
    """Adds lines where values `[m, n]` are as high as a level, each with its name."""
    rising, places = np.unique(levels, return_index=True)
    lines = ax.contour(x, y, values, levels=rising, colors=DARK, linewidths=1.2)
    ax.clabel(lines, fmt={level: names[place] for level, place in zip(lines.levels, places)})


def add_cross(ax, x: float, y: float, label: str) -> None:
    """Adds a point that can be told from all others, and a legend that says what it is."""
    ax.plot(x, y, "x", color="#d62728", markersize=9, markeredgewidth=2, label=label)
    ax.legend()
