"""What the examples share: their command line, their table over seeds, and where their pictures go."""

from __future__ import annotations

import argparse
import io
import pathlib
import time
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import PIL.Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLORS = 96


def parse_arguments(description: str, **options: dict) -> argparse.Namespace:
    """The command line of an example: `quick`, `seeds` and `output`, the folder of its pictures, which is made.

    Args:
      description: the docstring of the example.
      **options: what else it takes, each a name and the arguments of `add_argument`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less data and less training, for a look")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="the pictures are of the first (default: 0)")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--output", type=pathlib.Path, default=ROOT / "outputs", help="folder of the pictures")
    folder.add_argument(
        "--tracked",
        dest="output",
        action="store_const",
        const=ROOT / "examples" / "figures",
        help="draw the pictures anew that the README shows",
    )
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    return arguments


def over_seeds(run: Callable[[int], tuple[dict[str, float], Any]], seeds: list[int]) -> Any:
    """Prints figures for each seed, and their mean and standard deviation if there are several.

    Args:
      run: of a seed gives its figures, and what the pictures are drawn of.
      seeds: one or more.

    Returns:
      What the pictures of the first seed are drawn of.
    """
    rows, drawn = [], []
    for seed in seeds:
        start = time.perf_counter()
        figures, to_draw = run(seed)
        rows.append(figures)
        drawn = drawn or [to_draw]
        print(f"seed {seed}, {time.perf_counter() - start:.0f} s")
        for name, value in figures.items():
            print(f"  {name:<56} {value:.5g}")
    if len(rows) > 1:
        print("\nmean and standard deviation of the seeds")
        for name in rows[0]:
            values = np.array([row[name] for row in rows])
            print(f"  {name:<56} {values.mean():.5g} +- {values.std(ddof=1):.2g}")
    return drawn[0]


def save(figure: plt.Figure, path: pathlib.Path, dpi: int = 80) -> None:
    """Writes a picture of few colours, which keeps the file small, and says where it is."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi)
    plt.close(figure)
    PIL.Image.open(picture).convert("RGB").quantize(COLORS).save(path, optimize=True)
    print(f"Figure: {path}")
