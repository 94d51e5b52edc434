"""The tasks of the speed benchmark: what is trained or drawn by whom, how large it is, and what is measured."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import speed_peers
import tasks

WIDE_METHODS = (
    "floor",
    "tfmdn",
    "tfmdn.fit",
    "keras-mdn-layer",
    "tfp.layers",
    "torch",
    "torch.distributions",
    "zuko",
    "jax",
)
SMALL_METHODS = (*WIDE_METHODS, "floor-50", "tfmdn-50", "keras-mdn-layer-50", "tfp.layers-50")
QUALITY_METHODS = ("tfmdn.fit-averaged", "tfmdn-averaged", *WIDE_METHODS[1:], "jax-averaged")
SEEDS = (0, 1, 2)
GOAL = 0.02  # nats above the NLL of the truth
SMALL = speed_peers.Problem((128, 128, 128), num_components=20, size=1, batch_size=128, steps_per_epoch=100)
WIDE = speed_peers.Problem((512, 512), num_components=64, size=16, batch_size=4096, steps_per_epoch=4)


@dataclasses.dataclass(frozen=True)
class Axis:
    """One quantity that grows, and what is trained at each of its values."""

    name: str
    values: tuple[int, ...]
    methods: tuple[str, ...]
    problem: Callable[[int], speed_peers.Problem]
    rows: Callable[[int], int] = lambda value: 10_000
    epochs: Callable[[int], int] = lambda value: 3


def growing(**fields) -> speed_peers.Problem:
    sizes = {"num_components": 20, "size": 1, "batch_size": 1000, "steps_per_epoch": 20, **fields}
    return speed_peers.Problem((128, 128, 128), **sizes)


def passing(rows: int) -> speed_peers.Problem:
    return growing(steps_per_epoch=min(rows // 1000, 100))


def passes(rows: int) -> int:
    return max(1, rows // 100_000)


ROWS = tuple(10**power for power in range(3, 8))
AXES = (
    Axis("rows", ROWS, ("tfmdn-stream",), passing, epochs=passes),
    Axis("rows", ROWS, ("tfmdn.fit",), passing, epochs=passes, rows=lambda rows: rows),
    Axis("K", (1, 3, 10, 30, 100, 300, 1000), ("floor", "tfmdn"), lambda k: growing(num_components=k)),
    Axis("D", (1, 4, 16, 64, 256), ("floor", "tfmdn"), lambda size: growing(size=size)),
    Axis("replicas", (1, 2), ("tfmdn-replicas",), lambda count: growing(batch_size=1000 * count, replicas=count)),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large everything is; by default as large as the tables say."""

    small: speed_peers.Problem = SMALL
    small_rows: int = 12_800
    small_epochs: int = 10
    wide: speed_peers.Problem = WIDE
    wide_rows: int = 16_384
    wide_features: int = 32
    wide_epochs: int = 5
    conditions: int = 1000
    draws: int = 1000
    draw_repeats: int = 5
    quality_rows: int = 102_400
    test_rows: int = tasks.TEST_ROWS
    # The likeliest to be the best comes first: the others are tried for no longer than it took.
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 3e-4)
    axes: tuple[Axis, ...] = AXES


# As small as it gets, to see that everything runs.
QUICK_METHODS = tuple(name for name in speed_peers.METHODS if not name.endswith("-50") and name != "tfmdn-averaged")
QUICK = Sizes(
    small=speed_peers.Problem((8,), 3, 1, batch_size=20, steps_per_epoch=2),
    small_rows=100,
    small_epochs=1,
    wide=speed_peers.Problem((8,), 3, 2, batch_size=50, steps_per_epoch=2),
    wide_rows=100,
    wide_features=4,
    wide_epochs=1,
    conditions=10,
    draws=10,
    draw_repeats=1,
    quality_rows=100,
    test_rows=100,
    learning_rates=(1e-3,),
    axes=tuple(
        dataclasses.replace(axis, values=(value,), rows=lambda value: 1000, epochs=lambda value: 1)
        for axis, value in zip(AXES, (1000, 1000, 2, 2, 2))
        if axis.name != "D"  # trained as K is
    ),
)


class Benchmark:
    """The tasks, each a method that yields a record for each method or cell.

    Args:
      sizes: how large everything is.
      workers: the `speed_processes.Workers` to use.
      folder: where to write the data that the workers read.
      methods: the only methods to run; None means all.
      rounds: how often the processes take turns.
      max_seconds: after which a training towards the quality is given up.
    """

    def __init__(self, sizes, workers, folder, methods=None, rounds=5, max_seconds=40.0):
        self.sizes, self.workers, self.folder = sizes, workers, folder
        self.methods, self.rounds, self.max_seconds = methods, rounds, max_seconds

    def small(self) -> Iterator[dict]:
        x, y, *_ = known_data(self.sizes.small_rows, self.sizes.test_rows)
        problem, epochs = self.sizes.small, self.sizes.small_epochs
        return self._training(SMALL_METHODS, problem, epochs, self._saved("small", x=x, y=y))

    def wide(self) -> Iterator[dict]:
        problem, epochs = self.sizes.wide, self.sizes.wide_epochs
        data = self._saved(
            "wide", **noise(x=(self.sizes.wide_rows, self.sizes.wide_features), y=(self.sizes.wide_rows, problem.size))
        )
        return self._training(WIDE_METHODS, problem, epochs, data)

    def _training(self, names, problem, epochs, data):
        start = {"problem": dataclasses.asdict(problem), "data": data}
        return self._in_turn(names, start, epochs, epochs * problem.steps_per_epoch)

    def sample(self) -> Iterator[dict]:
        arrays = noise(
            logits=(self.sizes.conditions, 20), loc=(self.sizes.conditions, 20, 2), scale=(self.sizes.conditions, 20, 2)
        )
        arrays["scale"] = np.exp(arrays["scale"])
        start = {"num_draws": self.sizes.draws, "data": self._saved("sample", **arrays)}
        return self._in_turn(speed_peers.SAMPLERS, start, self.sizes.draw_repeats, self.sizes.draw_repeats)

    def _in_turn(self, names: Iterable[str], start: dict, repeats: int, steps: int) -> Iterator[dict]:
        """Seconds for one of `steps`, for each round of each method, all of them in one sitting."""
        with contextlib.ExitStack() as stack:
            running, records = {}, {}
            for name in self._chosen(names):
                worker = stack.enter_context(self.workers.open(name))
                try:
                    records[name] = {"method": name, "seconds": [], **worker.ask("start", method=name, **start)}
                    running[name] = worker
                except (ImportError, RuntimeError) as error:
                    yield failure(name, error)
            for _ in range(self.rounds):
                for name, worker in list(running.items()):
                    try:
                        answer = worker.ask("round", method=name, repeats=repeats)
                        records[name]["seconds"].append(answer["seconds"] / steps)
                    except RuntimeError as error:
                        del running[name]
                        yield failure(name, error)
        yield from (records[name] for name in running)

    def quality(self) -> Iterator[dict]:
        x, y, x_test, y_test, limit = known_data(self.sizes.quality_rows, self.sizes.test_rows)
        data = self._saved("quality", x=x, y=y, x_test=x_test, y_test=y_test)
        for name in self._chosen(QUALITY_METHODS):
            with self.workers.open(name) as worker:
                try:
                    start = worker.ask("start", method=name, data=data, problem=dataclasses.asdict(self.sizes.small))
                    runs = list(self._runs(worker, name, data, limit + GOAL))
                    yield {"method": name, **summary(runs), "runs": runs, **start}
                except (ImportError, RuntimeError) as error:
                    yield failure(name, error)

    def _runs(self, worker, name: str, data: str, goal: float) -> Iterator[dict]:
        """The first seed at every learning rate, then the other seeds at the fastest one."""

        def run(rate, seed, max_seconds):
            problem = dataclasses.replace(self.sizes.small, learning_rate=rate, seed=seed)
            answer = worker.ask(
                "quality",
                method=name,
                data=data,
                problem=dataclasses.asdict(problem),
                goal=goal,
                max_seconds=max_seconds,
            )
            return {"learning_rate": rate, "seed": seed, **answer}

        best, fastest = None, self.max_seconds
        for rate in self.sizes.learning_rates:
            found = run(rate, SEEDS[0], fastest)
            yield found
            if found["seconds"] is not None and found["seconds"] < fastest:
                best, fastest = rate, found["seconds"]
        if best is not None:
            for seed in SEEDS[1:]:
                yield run(best, seed, self.max_seconds)

    def growth(self) -> Iterator[dict]:
        for axis in self.sizes.axes:
            for value in axis.values:
                problem, rows = axis.problem(value), axis.rows(value)
                data = self._saved("growth", **noise(x=(rows, 1), y=(rows, problem.size)))
                steps = axis.epochs(value) * problem.steps_per_epoch
                for method in self._chosen(axis.methods):
                    cell = {"method": method, "axis": axis.name, "value": value}
                    try:
                        with self.workers.open(method) as worker:
                            worker.ask("start", method=method, data=data, problem=dataclasses.asdict(problem))
                            seconds = worker.ask("round", method=method, repeats=axis.epochs(value))["seconds"]
                            yield {**cell, "seconds": seconds, "steps": steps, **worker.ask("peak")}
                    except (ImportError, RuntimeError) as error:
                        yield {**cell, **failure(method, error)}

    def _chosen(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.methods is None or name in self.methods]

    def _saved(self, name: str, **arrays: np.ndarray) -> str:
        path = self.folder / f"{name}.npz"
        np.savez(path, **arrays)
        return str(path)


TASKS = ("small", "wide", "sample", "quality", "growth")


def known_data(rows: int, test_rows: int) -> tuple:
    """Ha's inverse sinusoid: x and y, test rows of each, and the NLL of the truth on these, in standard units."""
    data = tasks.load_known("inverse_sinusoid", 0, rows, test_rows)
    scale_x, scale_y = data.x.std(), data.y.std()
    arrays = data.x / scale_x, data.y / scale_y, data.x_test / scale_x, data.y_test / scale_y
    return *map(np.float32, arrays), data.limit - math.log(scale_y)


def noise(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def summary(runs: list[dict]) -> dict:
    """The median time of the seeds at the fastest learning rate; None for a median that was not reached."""
    reached = [run for run in runs if run["seconds"] is not None and run["seed"] == SEEDS[0]]
    if not reached:
        return {"learning_rate": None, "seconds": None, "steps": None}
    rate = min(reached, key=lambda run: run["seconds"])["learning_rate"]
    seeds = [run for run in runs if run["learning_rate"] == rate]
    seeds.sort(key=lambda run: math.inf if run["seconds"] is None else run["seconds"])
    middle = seeds[len(seeds) // 2]
    return {"learning_rate": rate, "seconds": middle["seconds"], "steps": middle["steps"]}


def failure(method: str, error: Exception) -> dict:
    return {"method": method, "missing" if isinstance(error, ImportError) else "error": str(error)}
