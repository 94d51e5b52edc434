"""The target's units: learnt by a head, handed to others, and targets brought to them."""

import numpy as np
import pytest

import tfmdn
from tfmdn.layers import families
from tfmdn.layers.ends import Ends
from tfmdn.layers.units import Units

Y = 50.0 + 3.0 * np.random.default_rng(0).normal(size=(400, 2))
HEADS = {
    "plain": {},
    "given limits": {"support": ((0.0, None), (None, 90.0))},
    "found limits": {"support": "auto", "background": 0.01},
    "grid and atoms": {"support": "auto", "atoms": "auto", "resolution": (0.5, None), "background": 0.01},
    "logarithms": {"family": "lognormal"},
}
every_head = pytest.mark.parametrize("arguments", HEADS.values(), ids=HEADS)


def adapted(arguments, y=Y):
    head = tfmdn.MDNLayer(3, 2, dtype="float64", **arguments)
    head.adapt(y)
    return head


@every_head
def test_are_those_of_the_targets(arguments):
    units = adapted(arguments).units
    y = np.log(Y) if "family" in arguments else Y
    np.testing.assert_allclose(units.location, y.mean(0), rtol=1e-3)
    np.testing.assert_allclose(units.scale, y.std(0), rtol=1e-3)
    np.testing.assert_allclose(units.standardize(Y), (y - units.location) / units.scale)
    assert ("target_low" in units.ends) == ("support" in arguments)
    if units.ends:
        assert ((units.ends["target_low"] <= Y.min(0)) & (Y.max(0) <= units.ends["target_high"])).all()


@every_head
def test_are_handed_to_another_head(arguments):
    first, second = adapted(arguments), adapted(arguments, 2.0 + 0.1 * np.abs(Y - 50.0))
    second.set_units(first.units)
    for name, value in first.units.statistics.items():
        np.testing.assert_array_equal(getattr(second, name), value)
    assert second.units.statistics.keys() == first.units.statistics.keys()


@every_head
def test_targets_in_standard_units(arguments):
    units = adapted(arguments).units
    standard = units.in_standard_units()
    y = units.to_standard_units(Y)
    # To the digits of float32, which is what is learnt from.
    np.testing.assert_allclose(standard.standardize(y), units.standardize(Y), atol=1e-6)
    np.testing.assert_array_equal(standard.to_standard_units(y), y)
    for name in set(units.ends) - {"low_is_atom", "high_is_atom", "target_resolution"}:
        np.testing.assert_allclose(standard.ends[name], (units.ends[name] - units.location) / units.scale, rtol=1e-6)
    if "target_resolution" in units.ends:
        np.testing.assert_allclose(standard.ends["target_resolution"], units.ends["target_resolution"] / units.scale)


def test_what_is_learnt_is_also_the_rows_in_these_units():
    units, rows, _ = Units.learned(Y, families.FAMILIES["normal"], (2,), Ends(), "float64")
    np.testing.assert_allclose(rows, units.standardize(Y))
    np.testing.assert_allclose([rows.mean(0), rows.std(0)], [[0.0, 0.0], [1.0, 1.0]], atol=1e-9)
