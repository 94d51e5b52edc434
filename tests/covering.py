"""Which cases of a product of parameters run by default: a covering array. `--exhaustive` runs the whole product.

Under `@pytest.mark.covering(2)` those cases of a test run in which every pair of values of any two parameters occurs at
least once; `covering(1)` keeps each value once. A `case` of tests/cases.py counts as three parameters: family,
covariance and event shape. `@pytest.mark.exhaustive` leaves a test to `--exhaustive` altogether.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Hashable, Sequence

import pytest


def covering(rows: Sequence[Sequence[Hashable]], strength: int) -> list[int]:
    """The numbers of some rows in which all combinations of `strength` columns' values occur that occur in any row.

    Greedy: of the rows that add the most combinations, the first.
    """
    missing = [
        {
            (columns, tuple(row[column] for column in columns))
            for columns in itertools.combinations(range(len(row)), strength)
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
        if name == "case":
            values.extend(value)
        else:
            values.append((type(value), value) if isinstance(value, Hashable) else id(value))
    return tuple(values)


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run every product of parameters in full")


def pytest_configure(config):
    config.addinivalue_line("markers", "covering(strength): by default, run cases that cover all tuples of parameters")
    config.addinivalue_line("markers", "exhaustive: run with --exhaustive only")


def pytest_collection_modifyitems(config, items):
    if config.getoption("exhaustive"):
        return
    products = collections.defaultdict(list)
    left_out = {item for item in items if item.get_closest_marker("exhaustive")}
    for item in items:
        marker = item.get_closest_marker("covering")
        if marker and item not in left_out:
            products[item.nodeid.partition("[")[0], marker.args[0]].append(item)
    for (_, strength), cases in products.items():
        chosen = covering([factors(case) for case in cases], strength)
        left_out |= set(cases) - {cases[number] for number in chosen}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]
