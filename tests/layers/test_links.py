"""How raw outputs become scales: within bounds, with an inverse and a gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfmdn.layers import links


@pytest.mark.parametrize("activation", links.SCALE_LINKS)
@pytest.mark.parametrize(("low", "high"), [(0.05, 0.7), (1e-3, 1e6), (1.5, 5.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scales_stay_within_their_bounds(activation, low, high, dtype):
    link, bounds = links.SCALE_LINKS[activation], links.ScaleBounds(low, high)
    raw = tf.constant([-np.inf, -1e30, -1e4, -3.0, 0.0, 3.0, 1e30, np.inf], dtype)
    scale = np.exp(link.log_scale(raw, bounds))
    np.testing.assert_allclose(scale[[0, 1, -2, -1]], [low, low, high, high], rtol=1e-5)
    assert np.all(np.diff(scale) >= 0)
    assert low * (1 - 1e-5) <= scale.min()
    assert scale.max() <= high * (1 + 1e-5)


@pytest.mark.parametrize("activation", links.SCALE_LINKS)
@pytest.mark.parametrize("scale", [0.0015, 0.4, 1.0, 3.0, 900.0])
def test_links_invert(activation, scale):
    link, bounds = links.SCALE_LINKS[activation], links.ScaleBounds(1e-3, 1e3)
    assert np.exp(link.log_scale(tf.constant(link.raw(scale, bounds)), bounds)) == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize("activation", links.SCALE_LINKS)
def test_an_oversized_scale_can_still_shrink(activation):
    link, bounds = links.SCALE_LINKS[activation], links.ScaleBounds(1e-3, 2.0)
    raw = tf.constant(float(link.raw(np.array(2.5), bounds)))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        log_scale = link.log_scale(raw, bounds)
    assert float(tape.gradient(log_scale, raw)) > 1e-3


@pytest.mark.parametrize("bounds", [(0.05, 0.7), (1e-3, 1e6), (1e-3, 5.0), (1e-2, 1.001)], ids=str)
def test_the_exponential_link_is_an_exponential_that_bends_towards_its_bounds(bounds):
    link, bounds = links.SCALE_LINKS["exp"], links.ScaleBounds(*bounds)
    middle, half_width = np.log(bounds.minimum * bounds.maximum) / 2, np.log(bounds.maximum / bounds.minimum) / 2
    raw = tf.constant(np.linspace(-8, 8, 33))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        log_scale = link.log_scale(raw, bounds)
    position = np.tanh((raw - link.raw(np.exp(middle), bounds)) / half_width)
    np.testing.assert_allclose(log_scale, middle + half_width * position, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(tape.gradient(log_scale, raw), 1 - position**2, rtol=1e-9, atol=1e-12)
    if abs(middle) < 0.9 * half_width:
        assert np.exp(link.log_scale(tf.constant(0.0), bounds)) == pytest.approx(1.0, rel=1e-5)
