"""Whether the default test suite notices what the full products of tests notice: a mutation check with Cosmic Ray.

    python -m pytest -n 2 --cov=tfmdn --cov-report= --cov-context=test
    python benchmarks/mutation.py --number 80 --output mutants.json

The first command notes in the file .coverage which test runs which line (packages pytest-cov and cosmic-ray, extra
`benchmarks`). The second draws lines that some test runs from the modules below, changes one operator or number in
each, and runs those tests of the default suite that run the line. Where they all pass, it runs all cases of these tests
with `--exhaustive`, and what that option adds to their files. The mutants that the latter kill, and not the former, are
what the default suite lost. Many that survive both are no faults: an optimisation left out, a constant that is a matter
of taste.

Every mutant lives in a copy of the checkout.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import difflib
import json
import os
import pathlib
import queue
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import coverage
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODULES = ("tfmdn/distributions/*.py", "tfmdn/scores/*.py", "tfmdn/ensembles/calibration.py")
# Without those that only replace names, and those that make code which does not run.
LEFT_OUT = ("Variable", "RemoveDecorator", "BitAnd", "BitOr", "BitXor", "LShift", "RShift")
TIMEOUT = 1200.0  # seconds for the tests of one mutant: an endless loop is noticed too


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of the code, and the tests that run the line."""

    path: str
    line: int
    operator: str
    occurrence: int
    tests: tuple[str, ...]

    def code(self) -> str:
        return mutate_code((ROOT / self.path).read_text(), plugins.get_operator(self.operator)(), self.occurrence)

    def change(self) -> str:
        before, after = (ROOT / self.path).read_text().splitlines(), self.code().splitlines()
        return "\n".join(line for line in difflib.ndiff(before, after) if line[0] in "-+")


def mutants(contexts: coverage.CoverageData, number: int, seed: int) -> list[Mutant]:
    """So many mutants, each of another line: first a line is drawn, then what to change there."""
    by_line = collections.defaultdict(list)
    for path in sorted(path for pattern in MODULES for path in ROOT.glob(pattern)):
        tests = contexts.contexts_by_lineno(str(path))
        for operator, occurrence, line in _positions(path.read_text()):
            names = tuple(sorted({name.rpartition("|")[0] for name in tests.get(line, ()) if name}))
            if names:
                by_line[str(path.relative_to(ROOT)), line].append((operator, occurrence, names))
    draw = random.Random(seed)
    lines = draw.sample(sorted(by_line), min(number, len(by_line)))
    return [Mutant(path, line, *draw.choice(by_line[path, line])) for path, line in lines]


def _positions(code: str) -> Iterator[tuple[str, int, int]]:
    """Operator, number of the occurrence, and line of all that can be changed."""
    tree = get_ast(code)
    for name in sorted(plugins.operator_names()):
        if any(part in name for part in LEFT_OUT):
            continue
        operator, occurrence = plugins.get_operator(name)(), 0
        for node in ast_nodes(tree):
            for (line, _), _ in operator.mutation_positions(node):
                yield name, occurrence, line
                occurrence += 1


def collected(*options: str) -> set[str]:
    """The names of the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {line for line in lines if "::" in line}
    assert names, "pytest collected nothing"
    return names


def outcome(folder: pathlib.Path, tests: list[str], *options: str) -> str:
    """The first test that fails, "time" if they take too long, or "" if all pass."""
    names = folder / "tests.txt"
    names.write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options, f"@{names}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "time"
    if result.returncode == 0:
        return ""
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"pytest ended with {result.returncode}: {result.stdout[-300:]}"


def further_tests(names: list[str], default: set[str], full: set[str]) -> list[str]:
    """The further cases of tests of the default suite, and the tests in their files that it leaves out altogether."""
    functions, all_functions = ({name.partition("[")[0] for name in part} for part in (names, default))
    files = {function.partition("::")[0] for function in functions}

    def is_further(name: str) -> bool:
        function = name.partition("[")[0]
        return function in functions or (function not in all_functions and function.partition("::")[0] in files)

    return sorted(filter(is_further, full - default))


def check(mutant: Mutant, folder: pathlib.Path, default: set[str], full: set[str]) -> dict:
    """What kills a mutant: of the default suite, and if that is nothing, of the full products."""
    original = (folder / mutant.path).read_text()
    (folder / mutant.path).write_text(mutant.code())
    try:
        by_default = [name for name in mutant.tests if name in default]
        killed_by = {"default": outcome(folder, by_default) if by_default else ""}
        if not killed_by["default"]:
            others = further_tests(by_default, default, full)
            killed_by["full"] = outcome(folder, others, "--exhaustive") if others else ""
    finally:
        (folder / mutant.path).write_text(original)
    return {"path": mutant.path, "line": mutant.line, "change": mutant.change(), "killed_by": killed_by}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coverage", type=pathlib.Path, default=ROOT / ".coverage", help="which test runs which line")
    parser.add_argument("--number", type=int, default=80, help="the number of mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn")
    parser.add_argument("--processes", type=int, default=2, help="mutants that are tested at the same time")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="where the results go, as JSON")
    arguments = parser.parse_args()

    contexts = coverage.CoverageData(str(arguments.coverage))
    contexts.read()
    drawn = mutants(contexts, arguments.number, arguments.seed)
    default, full = collected(), collected("--exhaustive")
    results = []
    with tempfile.TemporaryDirectory() as root:
        folders: queue.Queue[pathlib.Path] = queue.Queue()
        for number in range(arguments.processes):
            folder = pathlib.Path(root, str(number))
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "outputs", "__pycache__"))
            folders.put(folder)

        def in_some_folder(mutant: Mutant) -> dict:
            folder = folders.get()
            try:
                return check(mutant, folder, default, full)
            finally:
                folders.put(folder)

        with concurrent.futures.ThreadPoolExecutor(arguments.processes) as pool:
            for result in pool.map(in_some_folder, drawn):
                results.append(result)
                arguments.output.write_text(json.dumps(results, indent=1))
                print(json.dumps(result), flush=True)
    by_default = sum(bool(result["killed_by"]["default"]) for result in results)
    by_full = by_default + sum(bool(result["killed_by"].get("full")) for result in results)
    print(f"{len(results)} mutants. The full products kill {by_full}, the default suite {by_default} of these.")


if __name__ == "__main__":
    main()
