"""How the examples' pictures look, and how they are written: PNG, SVG or PDF, for light pages and for dark ones."""

from __future__ import annotations

import argparse
import colorsys
import io
import pathlib
import re

import matplotlib
import numpy as np
import PIL.Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, ListedColormap, to_rgba, to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

FORMATS = ("png", "svg", "pdf")
COLORS = 128
DARK, LIGHT = 0.08, 0.92  # the lightness of a dark page, and of its text
DATA, MODEL, TRUTH, OTHER = "0.55", "tab:blue", "tab:orange", "tab:green"

plt.rcParams.update(
    {
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        # Fonts go with the picture: a PDF's as TrueType, an SVG's as outlines.
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "tfmdn",
    }
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--format` and `--dark`."""
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default: png)")
    parser.add_argument("--dark", action="store_true", help="write each picture for dark pages, too: NAME_dark")


def save(figure: plt.Figure, arguments: argparse.Namespace, name: str, dpi: int = 100) -> None:
    """Writes a picture into the folder `output`, says where it is, and closes the figure.

    Args:
      figure: what is drawn.
      arguments: the command line: `output`, `format` and `dark`.
      name: of the file, without the ending.
      dpi: points to the inch of a PNG, and of the parts of an SVG or a PDF that are made of points.
    """
    path = arguments.output / f"{name}.{arguments.format}"
    write(figure, path, dpi)
    if arguments.dark:
        darken(figure)
        write(figure, path.with_stem(f"{name}_dark"), dpi)
    plt.close(figure)


def write(figure: plt.Figure, path: pathlib.Path, dpi: int) -> None:
    """Writes a picture, the same for the same figure; a PNG has few colours, which keeps it small."""
    if path.suffix == ".png":
        picture = io.BytesIO()
        figure.savefig(picture, dpi=dpi)
        PIL.Image.open(picture).convert("RGB").quantize(COLORS).save(path, optimize=True)
    else:
        figure.savefig(path, dpi=dpi, metadata={"CreationDate" if path.suffix == ".pdf" else "Date": None})
    if path.suffix == ".svg":
        path.write_text(re.sub(r' d="[^"]*"', _rounded, path.read_text()))
    print(f"Figure: {path}")


def _rounded(path: re.Match) -> str:
    """The outline of an SVG in hundredths of a point, which keeps the file small."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", path[0])


# Dark pages


def darken(figure: plt.Figure) -> None:
    """Turns light colours to dark ones and dark ones to light, whatever has them; hues stay.

    Colour maps are turned if they begin light, as the page is: where there is nothing they show the page.
    """
    figure.canvas.draw()  # which makes ticks and their labels
    for artist in figure.findobj(include_self=True):
        if isinstance(artist, Line2D):
            colors = artist.get_color(), artist.get_markerfacecolor(), artist.get_markeredgecolor()
            line, face, edge = map(_turned, colors)
            artist.set(color=line, markerfacecolor=face, markeredgecolor=edge)
        elif isinstance(artist, Text):
            artist.set_color(_turned(artist.get_color()))
        elif isinstance(artist, Patch):
            face, edge = _turned(artist.get_facecolor()), _turned(artist.get_edgecolor())
            artist.set(facecolor=face, edgecolor=edge)
        elif isinstance(artist, Collection) and artist.get_array() is not None:
            artist.set_cmap(_turned_map(artist.get_cmap()))
        elif isinstance(artist, Collection):
            face, edge = (
                [_turned(color) for color in to_rgba_array(colors)]
                for colors in (artist.get_facecolor(), artist.get_edgecolor())
            )
            artist.set(facecolor=face, edgecolor=edge)


def _turned(color) -> tuple[float, float, float, float]:
    red, green, blue, alpha = to_rgba(color)
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    return *colorsys.hls_to_rgb(hue, LIGHT - (LIGHT - DARK) * lightness, saturation), alpha


def _turned_map(colormap: Colormap) -> Colormap:
    colors = colormap(np.linspace(0, 1, 256))
    is_light = colors[0, :3].sum() > colors[-1, :3].sum()
    return ListedColormap([_turned(color) for color in colors]) if is_light else colormap
