"""How often intervals hold what they are to hold, on small tables: `tfmdn.MDNRegressor()` on those of small_tables.py.

    python benchmarks/coverage.py                              # made-up tables and scikit-learn's, ten splits of each
    python benchmarks/coverage.py --data FOLDER --splits 0-19  # and the small ones of a folder
    python benchmarks/coverage.py --tables twins,few --splits 0
    python benchmarks/coverage.py --report
    python benchmarks/coverage.py --quick                      # a tiny instance, to see that it runs

A cell is one table and split: its number draws the rows (of made-up tables), the fifth that is judged, and the random
numbers of the fit. Each adds a line to the results as soon as it is done, and is skipped from then on unless tfmdn's
code changes. The tables that are printed have one line for each table, and the mean of all.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import itertools
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import small_tables
from quality import append, free_memory, integers, names, source_hash
from quality_report import summary
from tables import print_table

import tfmdn

RESULTS = pathlib.Path(__file__).parent / "results" / "coverage.jsonl"
COVERAGES = (0.5, 0.8, 0.9, 0.95)
SPLITS = range(10)
# Each kind of interval that is counted, and what `predict_interval` is told for it.
INTERVALS: dict[str, dict] = {"mixture": {}, "conformal": {"conformal": True}}


def run_cell(rows: small_tables.Rows, split: int, **settings) -> dict:
    train, test = rows.split(split)
    regressor = tfmdn.MDNRegressor(random_state=split, **settings)
    start = time.process_time()
    groups = {} if train.groups is None else {"groups": train.groups}
    regressor.fit(train.x, train.y, **groups)
    cpu_seconds = time.process_time() - start
    record = {"n": len(train.y), "num_test": len(test.y), "nll": -regressor.score(test.x, test.y)}
    for kind, coverage in itertools.product(INTERVALS, COVERAGES):
        low, high = regressor.predict_interval(test.x, coverage, **INTERVALS[kind]).T
        record[f"{kind}_{coverage}"] = float(np.mean((low <= test.y) & (test.y <= high)))
    return record | {"cpu_seconds": round(cpu_seconds, 2)}


def key_of(record: dict) -> tuple:
    return tuple(record[field] for field in ("table", "split", "tfmdn"))


def read(path: pathlib.Path) -> list[dict]:
    return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def run(
    tables: dict[str, Callable[[int], small_tables.Rows]], splits: Iterable[int], path: pathlib.Path, **settings
) -> None:
    """Runs the cells that are not in the results at `path` yet."""
    finished = {key_of(record) for record in read(path)}
    for split, (name, load) in itertools.product(splits, tables.items()):
        cell = {"table": name, "split": split, "tfmdn": source_hash()}
        if key_of(cell) not in finished:
            outcome = run_cell(load(split), split, **settings)
            append(path, cell | outcome)
            print(name, split, *(f"{key} {value:.4g}" for key, value in outcome.items()), flush=True)
            free_memory()


def report(records: Sequence[dict]) -> None:
    """Prints the tables of the results: the last of each cell."""
    latest = {(record["table"], record["split"]): record for record in records}
    found = list(dict.fromkeys(table for table, _ in latest))

    def scores(table: str, score: str) -> dict[int, float]:
        cells = ((split, record) for (name, split), record in latest.items() if name == table)
        return {split: record[score] for split, record in cells if score in record}

    for kind in INTERVALS:
        fields = [f"{kind}_{coverage}" for coverage in COVERAGES]
        rows = [
            [
                table,
                f"{np.mean(list(scores(table, 'n').values())):.0f}",
                f"{len(scores(table, 'n'))}",
                *(f"{100 * summary(scores(table, field))[0]:.1f}" for field in fields),
                f"{summary(scores(table, 'nll'))[0]:.3f}",
                f"{summary(scores(table, 'cpu_seconds'))[0]:.1f}",
            ]
            for table in found
        ]
        means = [np.mean([summary(scores(table, field))[0] for table in found]) for field in (*fields, "nll")]
        rows.append(["mean", "", "", *(f"{100 * mean:.1f}" for mean in means[:-1]), f"{means[-1]:.3f}", ""])
        headers = ["", "rows", "splits", *(f"{100 * coverage:.0f} %" for coverage in COVERAGES), "NLL", "CPU s"]
        print_table(f"Coverage of intervals, {kind}", headers, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="a folder with more tables, see small_tables.py")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="file of one JSON object a line")
    parser.add_argument("--tables", type=names, help="some of the tables")
    parser.add_argument("--splits", type=integers, default=SPLITS, help='like "0,3-5"')
    parser.add_argument("--report", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def quick(tables: dict[str, Callable[[int], small_tables.Rows]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "coverage.jsonl"
        some = {name: tables[name] for name in ("few", "patients")}
        run(some, [0], path, n_estimators=2, max_steps=50)
        report(read(path))


def main() -> None:
    options = parse()
    tables = small_tables.tables(options.data)
    unknown = sorted(set(options.tables or ()) - set(tables))
    if unknown:
        raise SystemExit(f"--tables must be some of {', '.join(tables)}. Received: {', '.join(unknown)}.")
    if options.quick:
        return quick(tables)
    if not options.report:
        run({name: tables[name] for name in options.tables or tables}, options.splits, options.results)
    report(read(options.results))


if __name__ == "__main__":
    main()
