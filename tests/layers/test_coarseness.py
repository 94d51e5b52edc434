"""How coarsely targets are observed: what is given, and what is found in them."""

import numpy as np
import pytest

import tfmdn
from tfmdn.layers import coarseness
from tfmdn.layers.ends import Ends

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=1000)
COUNTS = RNG.poisson(3.0, 1000).astype(float)
INF = np.inf


def found_in(y, support="auto", atoms="auto", resolution="auto"):
    return coarseness.found_in(y, y.min(0), y.max(0), support, atoms, resolution)


@pytest.mark.parametrize(
    ("y", "low", "high", "resolution"),
    [
        (NORMAL, -INF, INF, 0.0),
        (np.maximum(NORMAL, 0.0), 0.0, INF, 0.0),
        (np.minimum(NORMAL, 1.0), -INF, 1.0, 0.0),
        (np.clip(NORMAL, -1.0, 1.0), -1.0, 1.0, 0.0),
        (np.where(NORMAL > 0.0, 10.0 + NORMAL, 0.0), 0.0, INF, 0.0),  # nothing between, as of claims
        (np.where(NORMAL > 0.0, NORMAL, 3.0), -0.05, INF, 0.0),  # amid the others is no end
        (COUNTS, 0.0, INF, 1.0),
        (np.float32(COUNTS / 10.0 + 7.0), 7.0, INF, 0.1),
        (0.25 * COUNTS + 0.1, 0.1, INF, 0.25),
        (np.round(NORMAL / 0.01) * 0.01, -INF, INF, 0.0),  # finer than matters
        (np.where(RNG.random(1000) < 0.5, 1.0, 0.0), 0.0, 1.0, 1.0),
        (np.full(1000, 2.0), -INF, INF, 0.0),
        (COUNTS[:10], -INF, INF, 0.0),  # too few to tell
    ],
)
def test_what_is_found(y, low, high, resolution):
    found = found_in(y)
    np.testing.assert_allclose(found.low, low, atol=0.06)
    np.testing.assert_allclose(found.high, high, atol=0.06)
    np.testing.assert_allclose(found.resolution, resolution, rtol=1e-6)
    assert found.is_coarse == bool(resolution or (np.isfinite([low, high]).any() and low != -0.05))
    if resolution:
        steps = (y - found.origin) / resolution
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e9])
def test_far_from_0_next_to_each_other_is_not_equal(offset):
    y = np.linspace(0.0, 1.0, 60) ** 2
    assert not found_in(y + offset).is_coarse
    found = found_in(np.maximum(y, 0.3) + offset)
    assert (found.low, found.low_is_atom, found.high_is_atom) == (0.3 + offset, True, False)
    assert found.description(np.maximum(y, 0.3) + offset)[0].startswith("55% of targets equal")


@pytest.mark.parametrize("limit", [0.1, 12_345_678.9])
def test_a_limit_is_another_number_in_float32(limit):
    y = np.float32(limit * np.maximum(np.abs(NORMAL), 1.0))
    assert found_in(y, support=(limit, None)).low_is_atom


def test_each_coordinate_by_itself():
    found = found_in(np.stack([np.maximum(NORMAL, 0.0), NORMAL, COUNTS], 1))
    np.testing.assert_array_equal(found.low_is_atom, [True, False, True])
    np.testing.assert_array_equal(found.high_is_atom, [False] * 3)
    np.testing.assert_array_equal(found.resolution, [0.0, 0.0, 1.0])
    facts = found.description(np.stack([np.maximum(NORMAL, 0.0), NORMAL, COUNTS], 1))
    assert [fact.split(" ", 1)[1][:22] for fact in facts] == ["of targets of output 0", "of output 2 are rounde"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"support": (0, None), "atoms": True}, ((0.0, None), (True, True), None)),
        ({"support": (0, 1), "atoms": (True, False)}, ((0.0, 1.0), (True, False), None)),
        ({"support": (0, 1), "atoms": False}, ((0.0, 1.0), None, None)),
        ({"resolution": np.float32(0.5)}, (None, None, 0.5)),
        ({"resolution": [1, None], "event_shape": 2}, (None, None, [1.0, None])),
        (
            {"support": (0, 1), "atoms": ([True, False], False), "event_shape": 2},
            (([0.0, 0.0], [1.0, 1.0]), ([True, False], [False, False]), None),
        ),
        ({"support": "auto", "atoms": "auto", "resolution": "auto", "background": 0.1}, ("auto", "auto", "auto")),
    ],
)
def test_arguments_that_a_config_holds(arguments, expected):
    layer = tfmdn.MDNLayer(2, **arguments)
    again = tfmdn.MDNLayer.from_config(layer.get_config())
    for each in (layer, again):
        assert (each.support, each.atoms, each.resolution) == expected
        assert each.ends == Ends(*expected)
    name = "CoarsenedNormal" if layer.ends.is_coarse else "ReflectedNormal"
    assert name in str(layer(np.zeros((1, 2))).components_distribution)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"atoms": True}, "they need a `support`. Received: atoms=True, support=None"),
        ({"atoms": 1, "support": (0, 1)}, "`atoms` must be True, False, a pair.*Received: atoms=1"),
        ({"atoms": (True, True, True), "support": (0, 1)}, "`atoms` must be True, False, a pair"),
        ({"atoms": "all", "support": (0, 1)}, "`atoms` must be True, False, a pair"),
        ({"resolution": 0}, "`resolution` must be a finite number greater than 0.*Received: resolution=0"),
        ({"resolution": True}, "`resolution` must be a finite number"),
        ({"resolution": INF}, "`resolution` must be a finite number"),
        ({"resolution": [1.0, 2.0]}, "`resolution` must be a finite number"),
        ({"resolution": "fine"}, "`resolution` must be a finite number"),
        ({"resolution": 1.0, "family": "laplace"}, "are defined for family='normal'"),
        ({"resolution": 1.0, "covariance": "full", "event_shape": 2}, "are defined for family='normal' and covariance"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.MDNLayer(2, **arguments)


def test_an_abrupt_end_is_an_atom_if_it_is_said_to_be():
    y = RNG.uniform(size=1000)
    found = found_in(y, atoms=(True, False))
    assert found.low == y.min()
    assert found.high > y.max()
    assert (bool(found.low_is_atom), bool(found.high_is_atom)) == (True, False)


def test_few_values_need_not_be_a_grid():
    assert found_in(np.array([0.0, 1.0, np.sqrt(6.0)])[np.int32(COUNTS) % 3]).resolution == 0.0
