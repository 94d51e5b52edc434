"""A slice of the fuzz: each pair of family, covariance, event, dtype, limits and grid, on few rows."""

import json
import pathlib
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
sys.path.append(str(pathlib.Path(__file__).parents[1]))
import covering
import fuzz
import fuzz_cases

import tfmdn

CONFIGURATIONS = fuzz_cases.configurations()


def sliced() -> dict[int, list[str]]:
    """Configurations in which every pair of values occurs: probabilities of all, of some another check in turn."""
    checks = ["quantiles", "moments", "draws", "scores", "gradients", "intervals"]
    chosen = covering.covering([tuple(vars(own).values()) for own in CONFIGURATIONS], covering.PAIRS)
    slices = {number: ["probabilities"] for number in chosen}
    endless = [number for number in chosen if not (CONFIGURATIONS[number].limits or CONFIGURATIONS[number].coarse)]
    for turn, number in enumerate(endless[::4]):
        slices[number].append(checks[turn % len(checks)])
    return slices


SLICE = sliced()


def findings(number: int, checks: list[str], num_rows: int = 8) -> list[dict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of truths at infinity
        records = fuzz.fuzz(CONFIGURATIONS[number], [0, 0, number], num_rows, 4, checks)
    assert sum(record["values"] for record in records) or all(record["wrong"] for record in records)
    return [record for record in records if record["wrong"]]


@pytest.mark.parametrize("number", SLICE, ids=lambda number: str(CONFIGURATIONS[number]))
def test_nothing_is_found(number):
    found = findings(number, SLICE[number])
    assert not found, json.dumps(found, indent=1)


def nudged(method, factor):
    """The method, whose answers are wrong by a factor."""

    def of_mixture(self, *args, **kwargs):
        value = method(self, *args, **kwargs)
        return value * tf.cast(factor, value.dtype)

    return of_mixture


@pytest.mark.parametrize(
    ("check", "name", "factor"),
    [("probabilities", "cdf", 1.0 + 1e-5), ("quantiles", "quantile", 1.0 - 1e-4), ("moments", "stddev", 1.0 + 1e-4)],
)
def test_a_fault_that_is_planted_is_found(monkeypatch, check, name, factor):
    monkeypatch.setattr(tfmdn.Mixture, name, nudged(getattr(tfmdn.Mixture, name), factor))
    number = next(number for number, own in enumerate(CONFIGURATIONS) if str(own) == "normal/diag/scalar/float32")
    assert name in {record["check"] for record in findings(number, [check])}


def test_programs_show_their_finding(monkeypatch):
    """Each is three lines, which make the mixture of one row again."""
    monkeypatch.setattr(tfmdn.Mixture, "cdf", nudged(tfmdn.Mixture.cdf, 1.0 + 1e-3))
    number = next(number for number, own in enumerate(CONFIGURATIONS) if str(own) == "gamma/diag/3/float64")
    record = next(record for record in findings(number, ["probabilities"]) if record["check"] == "cdf")
    finding = record["findings"][0]
    imports, mixture, question = finding["program"].splitlines()
    namespace: dict = {}
    exec("\n".join([imports, mixture, f"answer = {question.removeprefix('print(').removesuffix(')')}"]), namespace)
    assert np.any(np.isclose(namespace["answer"], finding["received"], rtol=1e-12))
