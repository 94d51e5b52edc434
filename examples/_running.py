"""What the examples share: their command line, and their table over seeds. Their pictures are `_pictures`'."""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Callable
from typing import Any

import _pictures
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]


def parse_arguments(description: str, **options: dict) -> argparse.Namespace:
    """The command line of an example: `quick`, `seeds`, and how pictures are saved, into a folder which is made.

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
        action="store_true",
        help="draw the pictures anew that git holds, light and dark",
    )
    _pictures.add_options(parser)
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option)
    arguments = parser.parse_args()
    if arguments.tracked:
        arguments.output, arguments.dark = ROOT / "examples" / "figures", True
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
