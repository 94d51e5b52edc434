"""How good densities are by default: `tfmdn.MDNRegressor()` against other estimators of p(y | x), by one scorer.

    python benchmarks/quality.py --data FOLDER       # every cell that is not yet in the results, then the tables
    python benchmarks/quality.py --report --figures FOLDER
    python benchmarks/quality.py --quick             # a tiny instance of everything, to see that it runs

Six suites. "known": problems whose true density is known, scored by the excess NLL, which is the model's NLL minus
that of the truth on the same 10,000 fresh rows, for several n and seeds. "coarse": the same with targets that are cut
off, rounded, censored or partly missing. "tables": made-up tables of targets as real ones are (coarse.py), scored by
the excess NLL and the coverage of 90 % intervals. tfmdn alone learns the latter two. "uci": each data set in FOLDER
on its fixed splits (the layout is described in tasks.py), scored in the target's units by NLL, RMSE, coverage of 90 %
intervals and CRPS. "gap" and "tail": the same data sets, by the same scores, off the data that was learnt from: the
middle third, or both ends, of one feature is left out, and each feature is a split.

A cell is one method on one split. Each adds a line to the results as soon as it is done, and is skipped from then on
unless its configuration changes; a cell that failed is tried again. Several processes may write to one file. Methods
whose package is not installed are left out: pip install "tfmdn[benchmarks]" brings all of them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable

import numpy as np

# PyTorch's compiler, which its optimizers load, crashes the process if TensorFlow was there first.
with contextlib.suppress(ImportError):
    import torch._dynamo  # noqa: F401
import coarse
import peers
import quality_report
import scoring
import tasks

import tfmdn

RESULTS = pathlib.Path(__file__).parent / "results" / "quality.jsonl"
SIZES = (400, 1600, 6400, 25600)
SEEDS = range(10)
FOLDER_SUITES = ("uci", *tasks.OFF_DATA)
SUITES = ("known", "coarse", "tables", *FOLDER_SUITES)


def config_hash(method: peers.Method) -> str:
    # Objects count by the name of their class: a repr may hold an address.
    text = json.dumps(method.config(), sort_keys=True, default=lambda value: type(value).__qualname__)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def versions(method: peers.Method) -> dict[str, str]:
    found = {package: importlib.metadata.version(package) for package in method.packages}
    if "tfmdn" in found:
        found["tfmdn"] += f"+{source_hash()}"
    return found


def source_hash() -> str:
    """Which state of tfmdn's own code is measured."""
    files = sorted(pathlib.Path(tfmdn.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def installed(methods: dict[str, peers.Method]) -> dict[str, peers.Method]:
    """The methods that can run here. Says which cannot."""
    found = {}
    for name, method in methods.items():
        try:
            method.load()
            found[name] = method
        except ImportError as error:
            print(f"{name}: not installed ({error})", flush=True)
    return found


def run_cell(task: tasks.Task, method: peers.Method, seed: int) -> dict:
    """Trains and scores. The time is that of training alone."""
    data = task.load()
    start, cpu_start = time.perf_counter(), time.process_time()
    if task.is_coarse:
        fitted = method.fit_estimator(data.x, data.y, seed, **data.arguments)
    else:
        fitted = method.fit(data.x, data.y, seed)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    if task.is_coarse:
        scores = scoring.coarse_scores(fitted, data)
    elif data.limit is None:
        scores = scoring.score(fitted(data.x_test), data.y_test)
    else:
        nll = scoring.nll(fitted(data.x_test), data.y_test)
        scores = {"nll": nll, "excess": nll - data.limit}
    return {**scores, "seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}


def run(cells: Iterable[tuple[tasks.Task, str]], methods: dict[str, peers.Method], path: pathlib.Path) -> int:
    """Runs the cells that are not in the results at `path` yet, and returns how many it ran."""
    hashes = {name: config_hash(method) for name, method in methods.items()}
    finished = {key_of(record) for record in quality_report.read(path)}
    count = 0
    for task, name in cells:
        cell = {**identity(task), "method": name, "config": hashes[name]}
        if key_of(cell) in finished:
            continue
        try:
            outcome = run_cell(task, methods[name], seed=task.split)
        except Exception as error:
            traceback.print_exc()
            outcome = {"error": repr(error)}
        append(
            path,
            {**cell, **outcome, "versions": versions(methods[name]), "time": time.strftime("%FT%TZ", time.gmtime())},
        )
        print(quality_report.line_of({**cell, **outcome}), flush=True)
        count += 1
        free_memory()
    return count


def cells(chosen: Iterable[tasks.Task], methods: dict[str, peers.Method]) -> list[tuple[tasks.Task, str]]:
    """Each task with each method that can learn it."""
    pairs = itertools.product(chosen, methods)
    return [(task, name) for task, name in pairs if methods[name].takes_coarse or not task.is_coarse]


def identity(task: tasks.Task) -> dict:
    return {field: getattr(task, field) for field in ("suite", "dataset", "split", "n")}


def key_of(record: dict) -> tuple:
    return tuple(record[field] for field in ("suite", "dataset", "split", "n", "method", "config"))


def append(path: pathlib.Path, record: dict) -> None:
    """Adds one line, in one write, so that several processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        # A process that was killed may have left half a line.
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        start = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(start + json.dumps(record).encode() + b"\n")


def free_memory() -> None:
    """Lets go of the graphs of the Keras models that are no longer used."""
    import keras

    keras.utils.clear_session(free_memory=True)


def integers(text: str) -> list[int]:
    """ "0,2,5-7" -> [0, 2, 5, 6, 7]."""
    spans = [list(map(int, span.split("-"))) for span in text.split(",")]
    return sorted({number for span in spans for number in range(span[0], span[-1] + 1)})


def names(text: str) -> list[str]:
    return text.split(",")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help=f"folder of data sets, for {', '.join(FOLDER_SUITES)}")
    parser.add_argument("--suites", type=names, default=SUITES, help=f"some of {','.join(SUITES)}")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="file of one JSON object a line")
    parser.add_argument("--methods", type=names, help=f"some of {','.join(peers.METHODS)}")
    known = ",".join([*tasks.PROBLEMS, *coarse.TABLES])
    parser.add_argument("--datasets", type=names, help=f"some of {known} and of the folders in --data")
    parser.add_argument("--splits", type=integers, help='seeds or splits, like "0,3-5"; default: 10 seeds, all splits')
    parser.add_argument("--sizes", type=integers, default=SIZES, help="training rows of the known problems")
    parser.add_argument("--no-dequantize", action="store_true", help="report targets of few values only as they are")
    parser.add_argument("--report", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--figures", type=pathlib.Path, help="folder to draw the two pictures in")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    unknown = set(options.methods or ()) - set(peers.METHODS)
    unknown_suites = set(options.suites) - set(SUITES)
    if unknown_suites:
        parser.error(f"--suites must be some of {', '.join(SUITES)}. Received: {', '.join(sorted(unknown_suites))}.")
    if unknown:
        parser.error(f"--methods must be some of {', '.join(peers.METHODS)}. Received: {', '.join(sorted(unknown))}.")
    return options


def tasks_of(options: argparse.Namespace) -> list[tasks.Task]:
    seeds = options.splits or SEEDS
    chosen = [*tasks.known_tasks(tasks.PROBLEMS, seeds, options.sizes), *tasks.table_tasks(seeds)]
    if options.data:
        chosen += tasks.folder_tasks(options.data, options.splits, not options.no_dequantize)
        chosen += tasks.off_data_tasks(options.data, options.splits, not options.no_dequantize)
    chosen = [task for task in chosen if task.suite in options.suites]
    if options.datasets is not None:
        unknown = set(options.datasets) - {task.dataset for task in chosen}
        if unknown:
            raise SystemExit(f"No such data set: {', '.join(sorted(unknown))}. Is --data right?")
        chosen = [task for task in chosen if task.dataset in options.datasets]
    return chosen


def quick(methods: dict[str, peers.Method], folder: pathlib.Path) -> None:
    """Every method on a problem of each suite that it can learn, twice: the second time nothing is left to do."""
    write_folder(folder / "data" / "made-up")
    chosen = [
        *tasks.known_tasks(["inverse_sinusoid", "censored_weibull"], [0], [200], test_rows=500),
        *itertools.islice(tasks.table_tasks([0], n=200, test_rows=200), 1),
        *tasks.folder_tasks(folder / "data", dequantize=False),
        *itertools.islice(tasks.off_data_tasks(folder / "data", [0], dequantize=False), 1),
    ]
    path = folder / "quality.jsonl"
    pairs = cells(chosen, methods)
    counts = [run(pairs, methods, path) for _ in range(2)]
    quality_report.report(path, folder)
    failed = [record for record in quality_report.read(path, failures=True) if "error" in record]
    if failed or counts != [len(pairs), 0]:
        raise SystemExit(f"{len(failed)} cells failed, {counts} cells ran of {len(pairs)}.")


def write_folder(path: pathlib.Path) -> None:
    """A data set of 120 rows, two features and a target of integers, with one split."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    path.mkdir(parents=True)
    np.savetxt(path / "data.txt", np.column_stack([x, np.round(x[:, 0] + rng.normal(size=120))]))
    for name, numbers in {
        "index_features": [0, 1],
        "index_target": [2],
        "n_splits": [1],
        "index_train_0": range(100),
        "index_test_0": range(100, 120),
    }.items():
        np.savetxt(path / f"{name}.txt", list(numbers), fmt="%d")


def main() -> None:
    options = parse()
    # Sweeps over methods repeat their packages' warnings hundreds of times.
    warnings.filterwarnings("ignore", module="sklearn|skpro|ngboost|torch")
    known = peers.QUICK if options.quick else peers.METHODS
    if not options.report:
        methods = installed({name: known[name] for name in options.methods or known})
        if options.quick:
            with tempfile.TemporaryDirectory() as folder:
                quick(methods, pathlib.Path(folder))
            return
        run(cells(tasks_of(options), methods), methods, options.results)
    quality_report.report(options.results, options.figures)


if __name__ == "__main__":
    main()
