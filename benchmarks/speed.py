"""How fast mixture density networks train and draw: tfmdn against other packages, and how time and memory grow.

    python benchmarks/speed.py                              # every task, then the tables
    python benchmarks/speed.py --tasks small,wide,sample    # some of them
    python benchmarks/speed.py --python jax=OTHER/bin/python
    python benchmarks/speed.py --report --figures FOLDER
    python benchmarks/speed.py --quick                      # a tiny instance of everything, to see that it runs

Tasks. "small": 12,800 rows of Ha's inverse sinusoid, network 1-128-128-128, K = 20, batch 128. "wide": 16,384 rows,
network 32-512-512, K = 64, D = 16, batch 4,096. "sample": 1,000 draws for each of 1,000 conditions, K = 20, D = 2.
"quality": the seconds until the test NLL of the network of "small", on 102,400 rows, is within 0.02 of the best
possible. "growth": time and peak memory against rows, K, D and replicas.

In "small", "wide" and "sample" each method has a process of its own, in which everything is compiled before the first
round. The processes stay for all rounds and take turns, one round each, so that a change of the machine's speed meets
all of them; those that wait do nothing. Ratios are the medians over the rounds. Times of different sittings do not
compare, so a task is always run as a whole, and replaces its results of before.

In "quality" the clock starts before the network is built, so that compilation counts, and stands still while the test
NLL is computed, after every 100 steps. Imports do not count, nor what a package does only once in a process. Each
learning rate is tried on one seed, for no longer than the best of them took; the median is of three seeds at the best.

All processes run on the CPUs that this one may use, which `taskset` can restrict. Methods whose package is not
installed are left out: pip install "tfmdn[benchmarks]" brings all of them, and `--python PACKAGE=INTERPRETER` takes a
package from another environment, where tfmdn need not be installed.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import contextlib
import json
import pathlib
import platform
import tempfile
import time

import quality
import speed_peers
import speed_processes
import speed_report
import speed_tasks

RESULTS = pathlib.Path(__file__).parent / "results" / "speed"


def run(benchmark: speed_tasks.Benchmark, chosen: list[str], folder: pathlib.Path) -> None:
    """Runs the tasks. Each one's file in `folder` is written anew, after each of its records."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in chosen:
        result = {"task": task, "time": time.strftime("%FT%TZ", time.gmtime()), "machine": machine(), "records": []}
        for record in getattr(benchmark, task)():
            result["records"].append(record)
            print(f"{task} {speed_report.line_of(record)}", flush=True)
            partial = folder / f"{task}.json.partial"
            partial.write_text(json.dumps(result, indent=1))
            partial.replace(folder / f"{task}.json")


def machine() -> dict:
    return {
        "cpus": speed_processes.num_cpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "tfmdn": quality.source_hash(),
    }


def interpreter(text: str) -> tuple[str, str]:
    package, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"--python must be PACKAGE=INTERPRETER. Received: {text}.")
    return package, path


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = speed_tasks.TASKS
    parser.add_argument("--tasks", type=quality.names, default=known, help=f"some of {','.join(known)}")
    parser.add_argument("--methods", type=quality.names, help=f"some of {','.join(speed_peers.METHODS)}")
    parser.add_argument(
        "--python",
        type=interpreter,
        action="append",
        default=[],
        metavar="PACKAGE=INTERPRETER",
        help="the Python of an environment that has a package, like jax=OTHER/bin/python; may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-seconds", type=float, default=40.0, help="when a training towards the quality gives up")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of one JSON file a task")
    parser.add_argument("--report", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--figures", type=pathlib.Path, help="folder to draw the picture of the growth in")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for name, values, allowed in [
        ("--tasks", options.tasks, known),
        ("--methods", options.methods or (), speed_peers.METHODS),
    ]:
        unknown = set(values) - set(allowed)
        if unknown:
            parser.error(f"{name} must be some of {', '.join(allowed)}. Received: {', '.join(sorted(unknown))}.")
    return options


def quick(options: argparse.Namespace, folder: pathlib.Path) -> None:
    """Every task, with the methods that are installed; all but the replicas in one process."""
    methods = options.methods or speed_tasks.QUICK_METHODS
    with contextlib.closing(speed_processes.Workers(dict(options.python), shared=True)) as workers:
        run(speed_tasks.Benchmark(speed_tasks.QUICK, workers, folder, methods, 1, 0.0), options.tasks, folder)
    speed_report.report(folder, folder)
    failed = [record for task in options.tasks for record in speed_report.read(folder, task) if "error" in record]
    if failed:
        raise SystemExit(f"{len(failed)} methods or cells failed.")


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.quick:
            quick(options, folder)
            return
        if not options.report:
            workers = speed_processes.Workers(dict(options.python))
            benchmark = speed_tasks.Benchmark(
                speed_tasks.Sizes(), workers, folder, options.methods, options.rounds, options.max_seconds
            )
            run(benchmark, options.tasks, options.results)
    speed_report.report(options.results, options.figures)


if __name__ == "__main__":
    main()
