"""Which cases of a product of parameters run by default: a covering array. `--exhaustive` runs the whole product.

Of each test those cases run in which every pair of values of any two parameters occurs at least once. A `case` of
tests/cases.py counts as three parameters: family, covariance and event shape. With `@pytest.mark.covering(1)` every
single value occurs, with 3 every triple. `@pytest.mark.by_default("name", ...)` names the cases that run, and
`@pytest.mark.exhaustive` leaves a test, or a parameter that has the mark, to `--exhaustive` altogether. Tests that the
command line names run with all their cases.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Hashable, Sequence

import hypothesis
import pytest

PAIRS = 2
EXAMPLES = {False: 10, True: 100}  # that Hypothesis draws, without and with --exhaustive


def covering(rows: Sequence[Sequence[Hashable]], strength: int) -> list[int]:
    """The numbers of some rows in which all combinations of `strength` columns' values occur that occur in any row.

    Greedy: of the rows that add the most combinations, the first.
    """
    missing = [
        {
            (columns, tuple(row[column] for column in columns))
            for columns in itertools.combinations(range(len(row)), min(strength, len(row)))
        }
        for row in map(tuple, rows)
    ]
    chosen = []
    while any(missing):
        best = max(range(len(rows)), key=lambda number: len(missing[number]))
        chosen.append(best)
        found = set(missing[best])
        for combinations in missing:
            combinations -= found
    return sorted(chosen)


def factors(item: pytest.Function) -> tuple[Hashable, ...]:
    """The values of an item's parameters, as what can be compared: those of a case one by one."""
    values = []
    for name, value in item.callspec.params.items():
        if name == "case" and isinstance(value, tuple):
            # Normal vectors, with and without correlations, are a class each.
            is_normal = value[0] == "normal"
            values.extend([*value, (value[1] == "full", len(value[2])) if is_normal else None])
        else:
            values.append(value)
    return tuple(map(comparable, values))


def comparable(value: object) -> Hashable:
    """The value, or where it has no hash, which object it is: stacked parameters share their objects."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run every product of parameters in full")


def pytest_configure(config):
    config.addinivalue_line("markers", "covering(strength): the cases that run cover all pairs, triples ... of values")
    config.addinivalue_line("markers", "by_default(*names): the cases that run")
    config.addinivalue_line("markers", "exhaustive: run with --exhaustive only")

    profile = hypothesis.settings(max_examples=EXAMPLES[config.getoption("exhaustive")], deadline=None)
    hypothesis.settings.register_profile("tfmdn", profile)
    hypothesis.settings.load_profile("tfmdn")


def pytest_collection_modifyitems(config, items):
    if config.getoption("exhaustive") or any("::" in argument for argument in config.args):
        return
    products = collections.defaultdict(list)
    for item in items:
        products[item.nodeid.partition("[")[0]].append(item)
    left_out = set(itertools.chain.from_iterable(map(left_out_of, products.values())))
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def left_out_of(cases: list[pytest.Function]) -> list[pytest.Function]:
    """Those of a test's cases that do not run by default."""
    marked = [case for case in cases if case.get_closest_marker("exhaustive")]
    cases = [case for case in cases if case not in marked]
    if not cases or not hasattr(cases[0], "callspec"):
        return marked
    return marked + left_out_of_product(cases)


def left_out_of_product(cases: list[pytest.Function]) -> list[pytest.Function]:
    """The same of cases that are not marked as exhaustive."""
    named, strength = cases[0].get_closest_marker("by_default"), cases[0].get_closest_marker("covering")
    if not named:
        chosen = covering(list(map(factors, cases)), strength.args[0] if strength else PAIRS)
        return [case for number, case in enumerate(cases) if number not in set(chosen)]
    unknown = set(named.args) - {case.callspec.id for case in cases}
    if unknown:
        raise pytest.UsageError(f"{cases[0].nodeid}: there are no cases {sorted(unknown)}.")
    return [case for case in cases if case.callspec.id not in named.args]
