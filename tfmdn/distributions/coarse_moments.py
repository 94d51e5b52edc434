"""Mean and variance of what is observed of normal values, in closed form or as a sum over a grid.

Shapes in comments: B batch, V values of a grid.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions.folding import FAR, between, normal_density
from tfmdn.distributions.grids import Grid
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.numerics import held_quotient

tfd = tfp.distributions

# Where a standard deviation is up to so many steps, the moments are a sum over so many values on either side, of which
# the last are eight standard deviations away.
NARROW_IN_STEPS, VALUES = 4.0, 32


def moments(
    latent: tfd.Distribution, low: tf.Tensor, high: tf.Tensor, grid: Grid | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of values that are moved to a limit where they lie beyond, and then rounded.

    Args:
      latent: the distribution of the values before, a `tfd.Normal` or a `ReflectedNormal`, in float64.
      low: the lower limit, -inf for none.
      high: the upper limit, inf for none.
      grid: to what they are rounded, or None.

    Returns:
      Of the common batch shape. Of a grid they are right to 1e-5 of the scale.
    """
    mean = latent.mean() + tf.zeros_like(low) + tf.zeros_like(high)
    reference = tf.minimum(tf.maximum(mean, low), high)  # near it no digits are lost
    reference = reference if grid is None else grid.nearest(reference)
    first, second = _clipped(latent, low, high, reference)
    if grid is not None:
        first, second = _rounded(latent, low, high, grid, reference, first, second)
    return reference + first, tf.maximum(second - tf.square(first), 0.0)


# Of a standard normal of which what lies below 0 is moved there: the place of its centre, its mean, and its standard
# deviation. Farther below nearly all of it is moved.
_PLACES = np.linspace(-3.5, 6.0, 400)
_BELOW, _DENSITY = (
    0.5 * scipy.special.erfc(-math.sqrt(0.5) * _PLACES),
    np.exp(-0.5 * _PLACES**2) / math.sqrt(2 * math.pi),
)
_MEANS = _PLACES * _BELOW + _DENSITY
_STDDEVS = np.sqrt((_PLACES**2 + 1.0) * _BELOW + _PLACES * _DENSITY - _MEANS**2)
_RATIOS = np.linspace(0.0, 4.0, 400)
_PLACE_OF_RATIO = np.interp(_RATIOS, _MEANS / _STDDEVS, _PLACES)
_STDDEV_OF_RATIO = np.interp(_PLACE_OF_RATIO, _PLACES, _STDDEVS)


def before_limits(mean: tf.Tensor, stddev: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre and standard deviation of normals that have these moments after they were moved to a limit.

    It is the limit that is nearer in standard deviations. One that is several of them away makes no difference.

    Args:
      mean: between the limits.
      stddev: greater than 0.
      low: -inf for none.
      high: inf for none.
    """
    is_low = mean - low <= high - mean
    distance = tf.maximum(tf.where(is_low, mean - low, high - mean), 0.0)
    is_near = distance < float(_RATIOS[-1]) * stddev
    ratio = tf.where(is_near, distance / stddev, tf.cast(_RATIOS[-1], mean.dtype))

    def table(values):
        return tfp.math.interp_regular_1d_grid(
            ratio, *(tf.constant(part, mean.dtype) for part in (0.0, _RATIOS[-1], values))
        )

    scale = stddev / table(_STDDEV_OF_RATIO)
    from_limit = table(_PLACE_OF_RATIO) * scale
    safe_low, safe_high = (tf.where(is_near, end, mean) for end in (low, high))
    loc = tf.where(is_low, safe_low + from_limit, safe_high - from_limit)
    return tf.where(is_near, loc, mean), tf.where(is_near, scale, stddev)


def _clipped(latent, low, high, reference) -> tuple[tf.Tensor, tf.Tensor]:
    """E (Y - reference) and E (Y - reference)^2 of the clipped Y."""
    scale, first, second = latent.scale, 0.0, 0.0
    start, end, images, total = low, high, [(True, latent.loc)], 1.0
    if isinstance(latent, ReflectedNormal):
        interval, loc, scale, edges = latent.parts()
        images, total = interval.images(loc), edges.total
        start, end = tf.maximum(low, interval.low), tf.minimum(high, interval.high)
    for exists, centre in images:
        z_start, z_end = _standardized(start, centre, scale), _standardized(end, centre, scale)
        origin = (reference - centre) / scale
        share = between(z_start, z_end) / total
        slope = (normal_density(z_start) - normal_density(z_end)) / total
        curve = (z_start * normal_density(z_start) - z_end * normal_density(z_end)) / total
        of_first = slope - origin * share
        of_second = share + curve - origin * (slope + of_first)
        first += tf.where(exists, scale * of_first, tf.zeros_like(of_first))
        second += tf.where(exists, tf.square(scale) * of_second, tf.zeros_like(of_second))
    for limit, probability in ((low, latent.cdf(_finite(low))), (high, latent.survival_function(_finite(high)))):
        distance = tf.where(tf.math.is_finite(limit), limit - reference, tf.zeros_like(reference))
        first += distance * probability
        second += tf.square(distance) * probability
    return first, second


def _rounded(latent, low, high, grid, reference, first, second) -> tuple[tf.Tensor, tf.Tensor]:
    """The same after rounding.

    With values y_i from the reference on, midpoints m_i between them and h that is 0 there, E h(Y) is the sum of
    (h(y_i+1) - h(y_i)) P(X > m_i), and the like on the other side, in which no digits are lost. For wide X this is the
    midpoint rule, whose error is known (Euler and Maclaurin): inside of the limits Sheppard's correction.
    """
    numbers = np.arange(VALUES + 1.0).reshape(-1, *[1] * reference.shape.rank)
    first_sum = second_sum = 0.0
    for side, tail in ((1.0, latent.survival_function), (-1.0, latent.cdf)):
        values = reference + side * numbers * grid.step  # [V, B]
        beyond = tail(values[:-1] + side * grid.half_step)
        observed = tf.minimum(tf.maximum(values, low), high) - reference
        squares = tf.square(observed)
        first_sum += tf.reduce_sum((observed[1:] - observed[:-1]) * beyond, 0)
        second_sum += tf.reduce_sum((squares[1:] - squares[:-1]) * beyond, 0)

    def correction(limit, where_infinite):
        """Of both moments, at one end."""
        is_finite, finite = tf.math.is_finite(limit), _finite(limit)
        density, tail = latent.prob(finite), latent.survival_function(finite)
        of_second = 2.0 * (finite - reference) * density - 2.0 * tail
        return tf.where(is_finite, density, 0.0), tf.where(is_finite, of_second, -2.0 * where_infinite)

    at_low, at_high = correction(low, 1.0), correction(high, 0.0)
    factor = tf.square(grid.step) / 24.0
    first_wide = first + factor * (at_high[0] - at_low[0])
    second_wide = second + factor * (at_high[1] - at_low[1])
    is_narrow = grid.exists & (latent.scale <= NARROW_IN_STEPS * grid.step)
    return tf.where(is_narrow, first_sum, first_wide), tf.where(is_narrow, second_sum, second_wide)


def _standardized(limit, centre, scale):
    is_finite = tf.math.is_finite(limit)
    far = tf.where(limit > 0.0, tf.constant(FAR, scale.dtype), -FAR)
    return tf.where(is_finite, held_quotient(tf.where(is_finite, limit, centre) - centre, scale, FAR), far)


def _finite(limit):
    """The limit, and where it is infinite a number at which nothing is wrong."""
    return tf.where(tf.math.is_finite(limit), limit, tf.zeros_like(limit))
