"""Where the time of a default `MDNRegressor`'s fit goes: in learning, in judging, and in the rest.

    python benchmarks/times.py                                      # made-up tables, to the end of their trainings
    python benchmarks/times.py --tables plain limits --steps 200    # what a step costs
    python benchmarks/times.py --data DATA --tables power-plant     # a table of uci/ in DATA, split 0

Seconds are those of the processor, which differ little while others use it too, and on the wall. "rest" is what is made
once: graphs, trees, calibration. The median step is told apart from the first ones, in which TensorFlow compiles.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import collections
import pathlib
import time

import large
import numpy as np
import tasks

import tfmdn
from tfmdn.callbacks import early_stopping
from tfmdn.training import graphs

TEST_ROWS = 10_000


def plain(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """16 features, targets without limits."""
    x = rng.normal(size=(rows, 16))
    return x, x[:, 0] + np.sin(2.0 * x[:, 1]) + 0.5 * rng.normal(size=rows)


def limits(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, folded into 0 to 4: targets with an end on either side."""
    x, y = plain(rng, rows)
    return x, np.abs(np.mod(y + 2.0, 8.0) - 4.0)


MADE_UP = {
    "plain": (10_700, plain),
    "limits": (10_700, limits),
    "large": (300_000, lambda rng, rows: large.table(rng, rows, 20)),
}


def load(name: str, data: pathlib.Path | None) -> tasks.Data:
    """A made-up table, or split 0 of one in `data`."""
    if name in MADE_UP:
        rows, sample = MADE_UP[name]
        return tasks.Data(*sample(np.random.default_rng(0), rows), *sample(np.random.default_rng(1), TEST_ROWS))
    found = {task.dataset: task for task in tasks.folder_tasks(data / "uci", [0])}
    return found[name].load()


class Clock:
    """The processor's time in calls of methods, by what they do."""

    def __init__(self):
        self.seconds = collections.defaultdict(list)

    def watch(self, kind: type, name: str, word: str) -> None:
        """Measures each call of a method from now on, in all objects of that kind."""
        method = getattr(kind, name)

        def timed(*arguments, **named):
            start = time.process_time()
            result = method(*arguments, **named)
            self.seconds[word].append(time.process_time() - start)
            return result

        setattr(kind, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(MADE_UP))
    parser.add_argument("--data", type=pathlib.Path, help="the folder of shared data")
    parser.add_argument("--steps", type=int, default=None, help="max_steps; XLA is used then, too")
    options = parser.parse_args()
    if options.steps:
        graphs.XLA_STEPS = 1
    clock = Clock()
    clock.watch(graphs.Phase, "run", "learning")
    clock.watch(early_stopping.EnsembleEarlyStopping, "on_epoch_end", "judging")
    for name in options.tables:
        data = load(name, options.data)
        clock.seconds.clear()
        wall, start = time.perf_counter(), time.process_time()
        regressor = tfmdn.MDNRegressor(max_steps=options.steps or "auto", random_state=0).fit(data.x, data.y)
        total, wall = time.process_time() - start, time.perf_counter() - wall
        learning, judging = clock.seconds["learning"], clock.seconds["judging"]
        rest = total - sum(learning) - sum(judging)
        print(f"{name}, {len(data.x):,} x {data.x.shape[1]}: {total:.1f} CPU s, {wall:.1f} s", end=" = ")
        print(f"learning {sum(learning):.1f} ({len(learning)} x {1e3 * np.median(learning):.0f} ms)", end=" + ")
        print(f"judging {sum(judging):.1f} ({1e3 * np.median(judging):.0f} ms each) + rest {rest:.1f}", end="; ")
        score = regressor.score(data.x_test, data.y_test)
        print(f"{regressor.n_steps_:,} steps, log-likelihood of other rows {score:.4f}", flush=True)


if __name__ == "__main__":
    main()
