"""Equidistant values."""

import numpy as np
import pytest
import tensorflow as tf

from tfmdn.distributions.grids import Grid


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("step", "origin"), [(0.1, 0.0), (0.5, 100.0), (1.0, 0.25), (5.0, -3.0), (1.0 / 3.0, 2.0)])
def test_values_of_a_grid(dtype, step, origin):
    grid, index = Grid(tf.constant(step, dtype), tf.constant(origin, dtype)), np.arange(-30, 31)
    values = (origin + index * step).astype(dtype)
    for method in (grid.nearest, grid.last_up_to, grid.first_from):  # its own, in spite of rounding errors
        np.testing.assert_allclose(method(values), values, rtol=1e-5, atol=1e-5 * step)
    assert grid.contains(values).numpy().all()
    between = values + np.array(0.3 * step, dtype)
    assert not grid.contains(between).numpy().any()
    np.testing.assert_allclose(grid.nearest(between), values, rtol=1e-5, atol=1e-5 * step)
    np.testing.assert_allclose(grid.last_up_to(between), values, rtol=1e-5, atol=1e-5 * step)
    np.testing.assert_allclose(grid.first_from(between), values + step, rtol=1e-5, atol=1e-5 * step)


def test_decimals_are_those_of_numpy():
    grid = Grid(tf.constant(0.1, tf.float64), tf.constant(0.0, tf.float64))
    assert grid.nearest(tf.constant([0.3, 0.7, 1.1], tf.float64)).numpy().tolist() == [0.3, 0.7, 1.1]


def test_values_are_the_same_in_a_graph():
    """In which TensorFlow takes reciprocals of constants, which in float32 are off by one last place."""
    steps = np.float32([[0.1, 1e-7, 1e-5, 0.01, 2.0**-33, 2.0**-20, 0.3, 7.0]] * 4)
    index = np.arange(3246, 3250, dtype=np.float32)[:, np.newaxis]

    def nearest(y):
        return Grid(tf.constant(steps), tf.zeros(8)).nearest(y)

    np.testing.assert_array_equal(tf.function(nearest)(index * steps), nearest(index * steps))


@pytest.mark.parametrize("step", [None, 0.0])
def test_no_grid_changes_nothing(step):
    grid = Grid(None if step is None else tf.constant(step), tf.constant(0.0))
    y = tf.constant([-np.inf, 0.3, np.inf, np.nan])
    for method in (grid.nearest, grid.last_up_to, grid.first_from, grid.observed):
        np.testing.assert_array_equal(method(y), y)
    assert not grid.contains(y).numpy().any()


def test_gradients_pass():
    grid, y = Grid(tf.constant(0.5), tf.constant(0.0)), tf.constant([0.3, np.inf])
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = grid.observed(y)
    np.testing.assert_array_equal(value, [0.5, np.inf])
    np.testing.assert_array_equal(tape.gradient(value, y), [1.0, 1.0])


def test_numbers_far_from_the_origin_are_on_the_grid():
    """Their own last place is more than a thousandth of a step: 350.07 in steps of a cent, in float32."""
    grid, index = Grid(tf.constant(0.01), tf.constant(0.0)), np.arange(-200_000, 200_001, 7)
    y = (index / 100.0).astype("float32")
    for method in (grid.nearest, grid.last_up_to, grid.first_from):
        np.testing.assert_array_equal(np.round(100.0 * np.float64(method(y))), index)
    assert grid.contains(y).numpy().all()
    between = ((index + 0.5) / 100.0).astype("float32")
    np.testing.assert_array_equal(np.round(100.0 * np.float64(grid.last_up_to(between))), index)
    assert not grid.contains(between).numpy().any()
