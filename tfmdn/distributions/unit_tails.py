"""Cumulative probabilities far out: of components in units of their own, of which gradients do not overflow."""

from __future__ import annotations

import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics

tfd = tfp.distributions

# In standard deviations: from here on two terms of the series of a normal tail are exact.
FAR_OUT = 1e4


@functools.singledispatch
def standardized(components: tfd.Distribution, y: tf.Tensor) -> tuple[tfd.Distribution, tf.Tensor]:
    """Components and points of the same cumulative probabilities, whose logarithms and gradients do not overflow."""
    return components, y


def _of_unit(kind, components, y):
    """Those of location 0 and scale 1: values up to `reach`, gradients up to its root, of which there are products."""
    loc, scale, limit = components.loc, components.scale, numerics.reach(components.dtype)
    z, held = (numerics.held_quotient(y - loc, scale, most) for most in (limit, math.sqrt(limit)))
    unit = {"loc": tf.zeros_like(scale), "scale": tf.ones_like(scale)}
    return kind(**unit), held + tf.stop_gradient(z - held)


class _UnitNormal(tfd.Normal):
    """The normal of location 0 and scale 1. Far out TFP's tails have terms whose derivatives overflow in float32."""

    def _log_cdf(self, z):
        is_far = z < -FAR_OUT
        far = tf.where(is_far, z, -FAR_OUT)
        tail = -0.5 * tf.square(far) - tf.math.log(-far) - numerics.HALF_LOG_TWO_PI - 1.0 / tf.square(far)
        return tf.where(is_far, tail, super()._log_cdf(tf.maximum(z, -FAR_OUT)))

    def _log_survival_function(self, z):
        return self._log_cdf(-z)


class _UnitLaplace(tfd.Laplace):
    """The Laplace distribution of location 0 and scale 1, whose tails have a slope at 0, too, where |z| has none."""

    def _log_cdf(self, z):
        is_low = z < 0.0
        zeros = tf.zeros_like(z)  # of its dtype in graphs, too
        low, high = tf.where(is_low, z, zeros), tf.where(is_low, zeros, z)
        return tf.where(is_low, low - math.log(2.0), tf.math.log1p(-0.5 * tf.exp(-high)))

    def _log_survival_function(self, z):
        return self._log_cdf(-z)


for _kind, _unit in {tfd.Normal: _UnitNormal, tfd.Laplace: _UnitLaplace, tfd.Logistic: tfd.Logistic}.items():
    standardized.register(_kind, functools.partial(_of_unit, _unit))
