"""What `MDNRegressor(fallback=True)` gains off the data and costs on it, both from one fit of each split.

    python benchmarks/fallback.py --data FOLDER --datasets energy --suites gap,tail,uci --splits 0-3

Prints, for each split, the test NLL without the fallback and with it, and the mean probability that a row is novel.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import copy
import dataclasses
import itertools
import pathlib

import numpy as np
import quality
import tasks
from tables import print_table

import tfmdn
from tfmdn.tabular.composition import Composition


def measured(task: tasks.Task, **settings) -> tuple[float, float, float]:
    """The NLL without and with the fallback, and the mean novelty of the test rows."""
    data = task.load()
    honest = tfmdn.MDNRegressor(fallback=True, random_state=task.split, **settings).fit(data.x, data.y[:, 0])
    parts = Composition.of(honest.model_)
    without = copy.copy(honest)
    without.model_ = dataclasses.replace(parts, fallback=None).model()
    novelty = parts.fallback.novelty_of(data.x_test).numpy().mean()
    return *(-each.score(data.x_test, data.y_test[:, 0]) for each in (without, honest)), float(novelty)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of data sets, see quality.py")
    parser.add_argument("--datasets", type=quality.names, help="some of them")
    parser.add_argument("--suites", type=quality.names, default=quality.FOLDER_SUITES)
    parser.add_argument("--splits", type=quality.integers, help="splits, or features")
    parser.add_argument("--max-steps", type=int, help="of each training; default: as many as it takes")
    options = parser.parse_args()
    settings = {} if options.max_steps is None else {"max_steps": options.max_steps}
    found = itertools.chain(
        tasks.folder_tasks(options.data, options.splits), tasks.off_data_tasks(options.data, options.splits)
    )
    rows = {}
    for task in found:
        if task.suite in options.suites and task.dataset in (options.datasets or [task.dataset]):
            scores = measured(task, **settings)
            print(task.suite, task.dataset, task.split, *(f"{score:.4f}" for score in scores), flush=True)
            rows.setdefault((task.suite, task.dataset), []).append(scores)
    means = [[*key, str(len(scores)), *(f"{mean:.4f}" for mean in np.mean(scores, 0))] for key, scores in rows.items()]
    print_table("Means", ["suite", "data set", "splits", "NLL without", "with", "novelty"], means)


if __name__ == "__main__":
    main()
