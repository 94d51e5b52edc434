"""How good densities of tables are that nobody prepared: `tfmdn.MDNRegressor()` against gradient boosting.

    python benchmarks/real_tables.py                 # every cell that is not yet in the results, then the tables
    python benchmarks/real_tables.py --tables penguins,flights --methods tfmdn --seeds 0-4
    python benchmarks/real_tables.py --report
    python benchmarks/real_tables.py --quick         # a made-up frame of all kinds of columns, to see that it runs

The tables are those of real_sources.py, the methods those of real_peers.py. A cell is one method on one table and seed:
the seed draws the fifth of the rows that are judged, and the method's random numbers. Each adds a line to the results
as soon as it is done, and is skipped from then on unless the method's configuration changes. The tables and the other
methods come with pip install "tfmdn[benchmarks]"; methods that are not installed are left out.

Scores are in the target's units, and smaller is better. "crps" is exact for methods that predict a density; for those
that predict 19 quantiles it is that of the straight lines between them. "crps_levels" is the same approximation for
all: twice the mean pinball loss of the quantiles at 0.05, 0.1, ..., 0.95. "nll" is of methods that have a density.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import real_answers
import real_peers
import real_sources
from quality import append, free_memory, installed, integers, names, source_hash
from quality_report import summary
from tables import print_table

RESULTS = pathlib.Path(__file__).parent / "results" / "real_tables.jsonl"
SEEDS = range(3)
BASELINE = "tfmdn"
LABELS = {
    "tfmdn": "tfmdn",
    "catboost-normal": "CatBoost, normal",
    "catboost-quantiles": "CatBoost, quantiles",
    "ngboost": "NGBoost",
    "lightgbm-quantiles": "LightGBM, quantiles",
}


def run_cell(table: str, method: real_peers.Method, seed: int) -> dict:
    """Trains and scores. The times are those of training alone."""
    frame, y, test_frame, test_y = real_sources.split(table, seed)
    start, cpu_start = time.perf_counter(), time.process_time()
    predict = method.fit(frame, y, real_sources.TABLES[table].dates, seed)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    scores = real_answers.scores_of(predict(test_frame), test_y)
    return {"n": len(y), **scores, "seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2)}


def identity(table: str, name: str, method: real_peers.Method, seed: int) -> dict:
    config = json.dumps(method.config(), sort_keys=True, default=str)
    digest = hashlib.sha256(config.encode()).hexdigest()[:12]
    return {"table": table, "seed": seed, "method": name, "config": digest}


def key_of(record: dict) -> tuple:
    return tuple(record[field] for field in ("table", "seed", "method", "config"))


def versions(method: real_peers.Method) -> dict[str, str]:
    found = {package: importlib.metadata.version(package) for package in method.packages if package != "tfmdn"}
    return found | ({"tfmdn": source_hash()} if "tfmdn" in method.packages else {})


def read(path: pathlib.Path) -> list[dict]:
    """The last record of each cell."""
    lines = path.read_text().splitlines() if path.exists() else ()
    return list({key_of(record): record for record in map(json.loads, lines)}.values())


def run(
    tables: Iterable[str], methods: dict[str, real_peers.Method], seeds: Iterable[int], path: pathlib.Path
) -> list[dict]:
    """Runs the cells that are not in the results at `path` yet, and returns what came of them."""
    finished = {key_of(record) for record in read(path)}
    outcomes = []
    for table, seed, name in itertools.product(tables, seeds, methods):
        cell = identity(table, name, methods[name], seed)
        if key_of(cell) in finished:
            continue
        try:
            outcomes.append(run_cell(table, methods[name], seed))
            append(path, {**cell, **outcomes[-1], "versions": versions(methods[name])})
        except Exception as error:
            traceback.print_exc()
            outcomes.append({"error": repr(error)})
        print(table, seed, name, *(f"{key} {value:.4g}" for key, value in outcomes[-1].items() if key != "error"))
        free_memory()
    return outcomes


def report(records: Sequence[dict]) -> None:
    """Prints the tables of the results: the last of each method on each table and seed."""
    latest = {(record["table"], record["method"], record["seed"]): record for record in records}
    tables = [name for name in real_sources.TABLES if any(table == name for table, _, _ in latest)]
    tables += sorted({table for table, _, _ in latest} - set(tables))
    methods = [name for name in LABELS if any(method == name for _, method, _ in latest)]

    def scores(table: str, method: str, score: str) -> dict[int, float]:
        found = ((seed, record) for (*cell, seed), record in latest.items() if cell == [table, method])
        return {seed: record[score] for seed, record in found if score in record}

    def text(table: str, method: str, score: str) -> str:
        mean, error, count = summary(scores(table, method, score))
        return f"{number(mean)} ± {number(float(f'{error:.2g}'))}" if count > 1 else number(mean) if count else ""

    def ratio(table: str, method: str, score: str) -> str:
        own, peer = scores(table, BASELINE, score), scores(table, method, score)
        mean, error, count = summary({seed: peer[seed] / own[seed] for seed in own if seed in peer})
        return f"{mean:.3f} ± {error:.3f}" if count > 1 else f"{mean:.3f}" if count else ""

    def headers(methods: Sequence[str]) -> list[str]:
        return ["", *(LABELS[method] for method in methods)]

    for title, score, cell in (
        ("CRPS", "crps", text),
        (f"CRPS, as a multiple of {BASELINE}'s", "crps", ratio),
        (f"CRPS of 19 levels, as a multiple of {BASELINE}'s", "crps_levels", ratio),
        ("NLL", "nll", text),
        ("Coverage of 90 % intervals", "coverage", text),
        ("Their width", "width", text),
        ("CPU seconds of training", "cpu_seconds", text),
    ):
        compared = [method for method in methods if cell is text or method != BASELINE]
        rows = [[table, *(cell(table, method, score) for method in compared)] for table in tables]
        print_table(title, headers(compared), rows)
    averages = [np.nanmean([summary(scores(table, method, "coverage"))[0] for table in tables]) for method in methods]
    print_table(
        "Coverage, averaged over the tables", headers(methods), [["", *(f"{100 * value:.1f} %" for value in averages)]]
    )


def number(value: float) -> str:
    """Four digits, or all of a whole number that has more."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="file of one JSON object a line")
    parser.add_argument("--tables", type=names, default=list(real_sources.TABLES), help="some of the tables")
    parser.add_argument("--methods", type=names, default=list(real_peers.METHODS), help="some of the methods")
    parser.add_argument("--seeds", type=integers, default=SEEDS, help='like "0,3-5"')
    parser.add_argument("--report", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for kind, known in (("tables", real_sources.TABLES), ("methods", real_peers.METHODS)):
        unknown = sorted(set(getattr(options, kind)) - set(known))
        if unknown:
            parser.error(f"--{kind} must be some of {', '.join(known)}. Received: {', '.join(unknown)}.")
    return options


def quick(methods: dict[str, real_peers.Method], path: pathlib.Path) -> None:
    real_sources.TABLES["made-up"] = real_sources.made_up()
    counts = [len(run(["made-up"], methods, [0], path)) for _ in range(2)]
    report(read(path))
    if counts != [len(methods), 0]:
        raise SystemExit(f"Cells failed: {counts} ran of {len(methods)}.")


def main() -> None:
    options = parse()
    warnings.filterwarnings("ignore", module="sklearn|ngboost|lightgbm")
    known = real_peers.QUICK if options.quick else real_peers.METHODS
    if not options.report:
        methods = installed({name: known[name] for name in options.methods})
        if options.quick:
            with tempfile.TemporaryDirectory() as folder:
                quick(methods, pathlib.Path(folder) / "real_tables.jsonl")
            return
        run(options.tables, methods, options.seeds, options.results)
    report(read(options.results))


if __name__ == "__main__":
    main()
