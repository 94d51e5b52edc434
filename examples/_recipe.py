"""Runs a recipe, and saves what it shows: recipes are scripts as keras.io has them, without a command line.

python examples/_recipe.py examples/recipes/non_function_mapping.py             # into outputs
python examples/_recipe.py examples/recipes/non_function_mapping.py --tracked   # the pictures that git holds
"""

from __future__ import annotations

import argparse
import os
import pathlib
import runpy

import _quiet  # noqa: F401
import matplotlib.pyplot as plt
from _pictures import add_options, save

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "outputs", help="of the pictures, and the models")
    parser.add_argument("--tracked", action="store_true", help="draw the pictures anew that git holds")
    add_options(parser)
    arguments = parser.parse_args()
    recipe, models = arguments.recipe.resolve(), arguments.output.resolve()
    models.mkdir(parents=True, exist_ok=True)
    arguments.output = models
    if arguments.tracked:
        arguments.output, arguments.dark = ROOT / "examples" / "figures", True
    plt.show = lambda: save(plt.gcf(), arguments, recipe.stem)
    os.chdir(models)
    runpy.run_path(str(recipe), run_name="__main__")


if __name__ == "__main__":
    main()
