"""Special functions in float32, of operations that LiteRT and ONNX have: neither has erfc, lgamma or Bessel functions.

Each is right to about 1e-7, relative to its value where that can be small: in both tails. The coefficients are those of
Chebyshev interpolations of SciPy's functions in float64, rearranged by powers of t in [-1, 1].
"""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
# The number of standard deviations whose square is finite, as in `tfmdn.numerics.reach`.
REACH = float(np.finfo(np.float32).max) ** 0.4
TINY = 2.0 * float(np.finfo(np.float32).tiny)  # runtimes may take the smallest one for 0

# (1 + z) * Q(z) * exp(z^2 / 2) of the upper tail Q of a standard normal, in t = (z - 3) / (z + 3).
MILLS = [0.486055793, -0.0965267481, -0.016432187, 0.0451636117, -0.0227294086, 0.00116310752, 0.00300784609]
MILLS += [-0.000363227463, -0.000514790205, 3.36088911e-05, 9.59684805e-05, 7.88144927e-07, -1.20824263e-05]
# c * (log Gamma(c) - (c - 1/2) log c + c - log(2 pi) / 2), in t = 2 / c - 1 for c >= 1.
STIRLING = [0.0826813919, -0.00123001518, -0.000485102757, 0.000100836373, -1.2842111e-06, -6.64817614e-06]
STIRLING += [2.62948703e-06, -1.06838902e-07, -2.34227742e-07]
# c * (log Gamma(c + 1/2) - log Gamma(c) - log(c) / 2), in the same t.
HALF_STEP = [-0.12378144, 0.00229222765, 0.000891758499, -0.000196646599, 3.34731738e-06, 1.30790374e-05]
HALF_STEP += [-5.25165305e-06, 2.22191883e-07, 4.66356479e-07]
# log Gamma(1 + a) / a and (log Gamma(1 + 2 a) - 2 log Gamma(1 + a)) / a^2, in t = 2 a - 1 for a in [0, 1].
LOG_GAMMA = [-0.241564475, 0.278054449, -0.0443539058, 0.00982070767, -0.00248161275, 0.000672160727, -0.000190149818]
LOG_GAMMA += [5.51983453e-05, -1.56950034e-05, 4.7038963e-06, -1.99383343e-06, 6.1255876e-07]
LOG_RATIO = [0.966257901, -0.387338152, 0.16348465, -0.070913267, 0.03130026, -0.0139470497, 0.00629733016]
LOG_RATIO += [-0.00302492629, 0.00138970006, -0.000379701619, 0.000173991724, -0.000290325693, 0.000136780877]
# Of the Bessel functions I0 and I1: log(I0(k) exp(-k)) and I1(k) / I0(k) / k in t = k / 2 - 1 for k up to 4; beyond it
# log(sqrt(2 pi k) I0(k) exp(-k)) and k log(I1(k) / I0(k)) in t = 8 / k - 1.
BESSEL_FROM = 4.0
NEAR_LOG_I0 = [-1.17600646, -0.604451712, 0.328446835, -0.182437188, 0.0754104441, -0.0118971056, -0.0120442926]
NEAR_LOG_I0 += [0.0130426453, -0.00552566398, -0.00146731382, 0.00250255444, -0.000302997176, -0.000297001326]
NEAR_RATIO = [0.348887329, -0.184662794, 0.0478135739, 0.02757118, -0.0421612507, 0.0242596868, -0.00277275345]
NEAR_RATIO += [-0.00871394492, 0.00825603639, -0.00147958078, -0.00211486512, 0.000965887368, 3.21959505e-05]
FAR_LOG_I0 = [0.0167635595, 0.0181159462, 0.00164832484, 0.000427273225, 0.000185299796, 1.6479369e-05, -9.06384362e-05]
FAR_LOG_I0 += [-4.2150035e-05, 2.822801e-05, 1.17111023e-05, -5.52118014e-06]
FAR_RATIO = [-0.535655333, -0.041234828, -0.00734997495, -0.00271506656, -0.00114094331, 0.000438916728, 0.00106233656]
FAR_RATIO += [8.56543749e-05, -0.000511237304, -4.5096955e-05, 0.000124817401]


def polynomial(coefficients: list[float], t: tf.Tensor) -> tf.Tensor:
    """Of coefficients from the constant one up, by Horner's rule."""
    return functools.reduce(lambda total, c: total * t + c, reversed(coefficients[:-1]), coefficients[-1])


def clip(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.minimum(tf.maximum(x, low), high)


# Exponentials and logarithms


def log1p(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) of x > -1. Near 0 by the series of the inverse hyperbolic tangent, which no optimisation undoes."""
    is_near = tf.abs(x) < 0.4
    near = tf.where(is_near, x, 0.0)
    s = near / (2.0 + near)
    series = polynomial([1.0 / (2 * i + 1) for i in range(7)], s * s)
    return tf.where(is_near, 2.0 * s * series, tf.math.log(1.0 + tf.where(is_near, 0.0, x)))


def expm1(x: tf.Tensor) -> tf.Tensor:
    """exp(x) - 1."""
    near = clip(x, -0.5, 0.5)
    series = polynomial([1.0 / math.factorial(i + 1) for i in range(8)], near)
    return tf.where(tf.abs(x) < 0.5, near * series, tf.exp(x) - 1.0)


def excess_of_exp(x: tf.Tensor) -> tf.Tensor:
    """exp(x) - 1 - x, which is near x^2 / 2. As a straight line from 40 on, see `location_scale.held_exp`."""
    near = clip(x, -0.5, 0.5)
    series = polynomial([1.0 / math.factorial(i + 2) for i in range(8)], near)
    exp = tf.exp(tf.minimum(x, 40.0)) * (1.0 + tf.maximum(x - 40.0, 0.0))
    return tf.where(tf.abs(x) < 0.5, near * near * series, exp - 1.0 - x)


def log_sum_exp(values: tf.Tensor, axis: int) -> tf.Tensor:
    """log(sum(exp(values))) along an axis, and -inf where all are."""
    largest = tf.reduce_max(values, axis, keepdims=True)
    largest = tf.maximum(largest, -float(np.finfo(np.float32).max))
    return tf.squeeze(largest, axis) + tf.math.log(tf.reduce_sum(tf.exp(values - largest), axis))


# The normal distribution


def _scaled_tail(z: tf.Tensor) -> tf.Tensor:
    """Q(z) exp(z^2 / 2) of z >= 0."""
    return polynomial(MILLS, (z - 3.0) / (z + 3.0)) / (1.0 + z)


def _exp_of_square(z: tf.Tensor) -> tf.Tensor:
    """exp(-z^2 / 2) of z >= 0, as the product of two: the square of a multiple of 1/64 has no rounding error."""
    z = tf.minimum(z, 15.0)  # beyond it is 0
    coarse = tf.floor(z * 64.0) * (1.0 / 64.0)
    return tf.exp(-0.5 * coarse * coarse) * tf.exp(-0.5 * (z - coarse) * (z + coarse))


def upper_tail(z: tf.Tensor) -> tf.Tensor:
    """The probability of a standard normal above z, exact in both tails."""
    size = tf.abs(z)
    tail = _exp_of_square(size) * _scaled_tail(size)
    return tf.where(z > 0.0, tail, 1.0 - tail)


def log_upper_tail(z: tf.Tensor) -> tf.Tensor:
    """Its logarithm."""
    size = tf.minimum(tf.abs(z), REACH)
    scaled = _scaled_tail(size)
    return tf.where(z > 0.0, tf.math.log(scaled) - 0.5 * size * size, log1p(-_exp_of_square(size) * scaled))


def normal_density(z: tf.Tensor) -> tf.Tensor:
    return _exp_of_square(tf.abs(z)) * (1.0 / math.sqrt(2.0 * math.pi))


def between(start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """The probability of a standard normal between the two, of one shape, exact in both tails."""
    is_right = start > 0.0
    # Of what is on the right its mirror image. Both tails at once: a smaller graph.
    first, last = tf.where(is_right, -end, start), tf.where(is_right, -start, end)
    below_last, below_first = tf.split(upper_tail(-tf.concat([last, first], -1)), 2, -1)
    return below_last - below_first


def upper_normal_quantile(probability: tf.Tensor) -> tf.Tensor:
    """The z >= 0 above which a standard normal has that probability, at most 1/2."""
    probability = clip(probability, TINY, 0.5)
    log_probability = tf.math.log(probability)
    t = tf.sqrt(-2.0 * log_probability)
    # Abramowitz and Stegun (1964), 26.2.23, right to 4.5e-4; Newton's method on the logarithms doubles the digits.
    numerator, denominator = (
        polynomial([2.515517, 0.802853, 0.010328], t),
        polynomial([1.432788, 0.189269, 0.001308], t),
    )
    z = tf.maximum(t - numerator / (1.0 + t * denominator), 0.0)
    for _ in range(2):
        scaled = _scaled_tail(z)
        error = tf.math.log(scaled) - 0.5 * z * z - log_probability
        z = tf.maximum(z + error * scaled * math.sqrt(2.0 * math.pi), 0.0)
    return z


# Gamma and Bessel functions


def _of_inverse(coefficients: list[float], c: tf.Tensor) -> tf.Tensor:
    inverse = 1.0 / c
    return inverse * polynomial(coefficients, 2.0 * inverse - 1.0)


def stirling_remainder(c: tf.Tensor) -> tf.Tensor:
    """log Gamma(c) - (c - 1/2) log c + c - log(2 pi) / 2 of c >= 1: what Stirling's formula lacks."""
    return _of_inverse(STIRLING, c)


def half_step_remainder(c: tf.Tensor) -> tf.Tensor:
    """log Gamma(c + 1/2) - log Gamma(c) - log(c) / 2 of c >= 1."""
    return _of_inverse(HALF_STEP, c)


def log_gamma_of_one_plus(a: tf.Tensor) -> tf.Tensor:
    """log Gamma(1 + a) of a in [0, 1]."""
    return a * polynomial(LOG_GAMMA, 2.0 * a - 1.0)


def log_gamma_ratio(a: tf.Tensor) -> tf.Tensor:
    """log Gamma(1 + 2 a) - 2 log Gamma(1 + a) of a in [0, 1]."""
    return a * a * polynomial(LOG_RATIO, 2.0 * a - 1.0)


def log_scaled_i0(k: tf.Tensor) -> tf.Tensor:
    """log(I0(k) exp(-k)) of k >= 0."""
    near, far = tf.minimum(k, BESSEL_FROM), tf.maximum(k, BESSEL_FROM)
    beyond = polynomial(FAR_LOG_I0, 8.0 / far - 1.0) - 0.5 * tf.math.log(2.0 * math.pi * far)
    return tf.where(k < BESSEL_FROM, polynomial(NEAR_LOG_I0, 0.5 * near - 1.0), beyond)


def log_bessel_ratio(k: tf.Tensor) -> tf.Tensor:
    """log(I1(k) / I0(k)) of k > 0."""
    near, far = tf.minimum(k, BESSEL_FROM), tf.maximum(k, BESSEL_FROM)
    within = tf.math.log(tf.maximum(near * polynomial(NEAR_RATIO, 0.5 * near - 1.0), TINY))
    return tf.where(k < BESSEL_FROM, within, polynomial(FAR_RATIO, 8.0 / far - 1.0) / far)
