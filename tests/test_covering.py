"""What the default suite leaves out of the products of parameters."""

import itertools

import pytest
from covering import covering

pytest_plugins = ["pytester"]


def combinations(rows, strength):
    return {
        (columns, tuple(row[column] for column in columns))
        for row in rows
        for columns in itertools.combinations(range(len(row)), strength)
    }


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_nothing_of_that_strength_is_left_out(strength):
    product = list(itertools.product(range(5), range(3), range(2), range(3)))
    rows = [row for number, row in enumerate(product) if number % 7]  # what cannot be combined is missing
    chosen = covering(rows, strength)
    assert combinations([rows[number] for number in chosen], strength) == combinations(rows, strength)
    assert len(chosen) < [8, 30, 90][strength - 1]


@pytest.mark.parametrize(
    ("options", "passed"),
    [((), 9), (("--exhaustive",), 22), (("test_the_option.py::test_named[3]",), 1)],
    ids=["default", "exhaustive", "named"],
)
def test_the_option(pytester, options, passed):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.covering(1)
        @pytest.mark.parametrize("a", [1, 2, 3])
        @pytest.mark.parametrize("case", [("normal", "diag", ()), ("normal", "full", (3,)), ("laplace", "diag", (3,))])
        def test_product(case, a):
            pass

        @pytest.mark.parametrize("b", ["x", "y"])
        class TestOthers:
            @pytest.mark.parametrize("c", [0])
            def test_pairs(self, b, c):
                pass

        @pytest.mark.by_default("1", "5")
        @pytest.mark.parametrize("a", range(7))
        def test_named(a):
            pass

        @pytest.mark.exhaustive
        def test_left_out():
            pass

        @pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
        def test_marked(a):
            pass

        def test_plain():
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "covering", "-p", "no:xdist", *options)
    result.assert_outcomes(passed=passed)
