"""Hostile mixtures of every configuration, asked everything, beside what SciPy says: a fuzz that can go on later.

    python benchmarks/fuzz.py --values 1000000            # with --seed 0; findings and state in outputs/fuzz/
    python benchmarks/fuzz.py --values 1000000 --resume   # goes on after the last configuration that is done
    python benchmarks/fuzz.py --only gamma,float64 --checks quantiles
    python benchmarks/fuzz.py --report                    # what there is by configuration and check

A value is one number that was compared with its truth. Rounds go over all configurations (family, covariance, event,
dtype, limits, what is coarse), in each of them with mixtures of 4 components in `--rows` rows in all kinds of trouble:
units from 1e-30 to 1e30, scales that differ by a million, centres far from 0 and from each other, nearly equal
components, weights of 0, limits near and far; batch shapes and merged mixtures take turns. `fuzz_mixtures` says how
tolerances follow from how well a question is conditioned. Each finding has a program of three lines.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import collections
import json
import pathlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence

import fuzz_cases
import fuzz_checks
import fuzz_further
import fuzz_layers
import fuzz_scores
import fuzz_summaries
import numpy as np
from quality import names, source_hash
from tables import print_table

FOLDER = pathlib.Path("outputs") / "fuzz"
CHECKS: dict[str, Callable[[fuzz_checks.Fuzzed], Iterator[fuzz_checks.Comparison]]] = {
    "probabilities": fuzz_checks.probabilities,
    "quantiles": fuzz_checks.quantiles,
    "moments": fuzz_summaries.moments,
    "modes": fuzz_summaries.modes,
    "regions": fuzz_summaries.regions,
    "draws": fuzz_summaries.draws,
    "invariants": fuzz_summaries.invariants,
    "scores": fuzz_scores.scores,
    "gradients": fuzz_scores.gradients,
    "layers": fuzz_layers.layers,
    "intervals": fuzz_further.intervals,
    "entropy": fuzz_further.entropy,
    "pinball": fuzz_further.pinball,
    "nothing": fuzz_further.nothing,
    "graphs": fuzz_further.graphs,
    "energy": fuzz_further.energy,
}
MOST_PROGRAMS = 2  # of one check of one configuration


def fuzz(configuration, seed: Sequence[int], num_rows: int, num_targets: int, checks: Sequence[str]) -> list[dict]:
    """The records of one configuration: one for each check, with its values and findings."""
    rng = np.random.default_rng(seed)
    case = fuzz_cases.draw(configuration, rng, num_rows, sum(seed[1:]))
    fuzzed, records = fuzz_checks.Fuzzed(case, rng, num_targets), []
    for name in checks:
        fuzzed.rng = np.random.default_rng([*seed, list(CHECKS).index(name)])  # the same with other checks and without
        try:
            for comparison in CHECKS[name](fuzzed):
                records.append({"configuration": str(configuration), **judged(comparison, case)})
        except Exception as error:
            place = traceback.format_exc().splitlines()[-6:]
            finding = {"received": f"{type(error).__name__}: {str(error)[:300]}", "program": "\n".join(place)}
            own = {"check": name, "values": 0, "wrong": 1, "findings": [finding]}
            records.append({"configuration": str(configuration), **own})
    return [record | {"seed": list(seed)} for record in records]


def judged(comparison: fuzz_checks.Comparison, case: fuzz_cases.Case) -> dict:
    wrong, findings, case = comparison.wrong(), [], comparison.case or case
    for index in map(tuple, np.argwhere(wrong)[:MOST_PROGRAMS]):
        own = {
            name: float(np.broadcast_to(getattr(comparison, name), wrong.shape)[index])
            for name in ("received", "expected", "tolerance")
        }
        program = case.program(int(index[comparison.row_axis]), f"print({comparison.question(index)})")
        findings.append({**own, "program": program})
    return {"check": comparison.check, "values": wrong.size, "wrong": int(wrong.sum()), "findings": findings}


def report(records: list[dict]) -> None:
    """Values by configuration and by check, and the findings with their programs."""
    for title in ("configuration", "check"):
        values, wrong = collections.Counter(), collections.Counter()
        for record in records:
            values[record[title]] += record["values"]
            wrong[record[title]] += record["wrong"]
        rows = [[name, f"{number:,}", str(wrong[name])] for name, number in values.items()]
        print_table(f"By {title}", [title, "values", "findings"], rows)
    for record in records:
        for finding in record["findings"]:
            name = f"{record['configuration']}, {record['check']}, seed {record['seed']}"
            print(f"\n{name}: {record['wrong']} of {record['values']}")
            print(f"# received {finding['received']}, expected {finding.get('expected')} +- {finding.get('tolerance')}")
            print(finding["program"])
    total = sum(record["values"] for record in records)
    print(f"\n{total:,} values, {sum(record['wrong'] for record in records):,} findings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1_000_000, help="how many, at least")
    parser.add_argument("--rounds", type=int, default=None, help="how many, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=64, help="mixtures of each configuration in a round")
    parser.add_argument("--targets", type=int, default=8, help="targets of each of them")
    parser.add_argument("--only", type=names, default=(), help="parts of configurations' names, such as gamma,float64")
    parser.add_argument("--checks", type=names, default=tuple(CHECKS))
    parser.add_argument("--resume", action="store_true", help="go on with what is in outputs/fuzz/")
    parser.add_argument("--report", action="store_true", help="only say what is there")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"seed-{arguments.seed}.jsonl"
    if not (arguments.resume or arguments.report):
        path.unlink(missing_ok=True)
    records = list(map(json.loads, path.read_text().splitlines())) if path.exists() else []
    if not arguments.report:
        run(arguments, path, records)
    report(records)


def run(arguments, path: pathlib.Path, records: list[dict]) -> None:
    chosen = [own for own in fuzz_cases.configurations() if all(part in str(own) for part in arguments.only)]
    done = {(record["configuration"], record["seed"][1]) for record in records}
    total, turn = sum(record["values"] for record in records), 0
    start = time.process_time()
    while total < arguments.values and turn != arguments.rounds:
        for number, configuration in enumerate(chosen):
            if (str(configuration), turn) in done:
                continue
            seed = [arguments.seed, turn, number]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of truths at infinity
                found = fuzz(configuration, seed, arguments.rows, arguments.targets, arguments.checks)
            total += sum(record["values"] for record in found)
            wrong = sum(record["wrong"] for record in found)
            if wrong:
                print(f"{configuration}: {wrong} findings in round {turn}", flush=True)
            records += found
            with path.open("a") as file:
                file.writelines(json.dumps(record | {"tfmdn": source_hash()}) + "\n" for record in found)
            if total >= arguments.values:
                break
        turn += 1
    print(f"{time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main()
