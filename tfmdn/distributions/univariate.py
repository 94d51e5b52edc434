"""TFP's univariate distributions where components of a mixture need them to be exact farther out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions.type_specs import registered

tfd = tfp.distributions


@registered
class LogNormal(tfd.LogNormal):
    """`tfd.LogNormal` that is also right where y <= 0: no density, and a cumulative probability of 0."""

    def _on_support(self, function, y, outside):
        inside = ~(y <= 0)  # NaN too, so that it stays NaN
        return tf.where(inside, function(tf.where(inside, y, tf.ones_like(y))), tf.cast(outside, self.dtype))

    def _log_prob(self, y):
        return self._on_support(super()._log_prob, y, -np.inf)

    def _cdf(self, y):
        return self._on_support(super()._cdf, y, 0.0)

    def _log_cdf(self, y):
        return self._on_support(super()._log_cdf, y, -np.inf)

    def _survival_function(self, y):
        return self._on_support(super()._survival_function, y, 1.0)

    def _log_survival_function(self, y):
        return self._on_support(super()._log_survival_function, y, 0.0)


@registered
class StudentT(tfd.StudentT):
    """`tfd.StudentT` whose upper tail is as exact as the lower one: TFP's is 1 minus a number close to 1."""

    def _log_cdf(self, y):
        # So far out that the probability is 0 in this dtype, the gradient of its logarithm would be NaN.
        is_positive = ~(self.cdf(y) <= 0.0)  # NaN too, so that it stays NaN
        log_cdf = tf.math.log(self.cdf(tf.where(is_positive, y, self.loc)))
        return tf.where(is_positive, log_cdf, tf.constant(-np.inf, self.dtype))

    def _survival_function(self, y):
        return self.cdf(2.0 * self.loc - y)

    def _log_survival_function(self, y):
        return self.log_cdf(2.0 * self.loc - y)
