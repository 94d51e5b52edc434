"""What our own univariate distributions of two parameters share, and those of positive values in particular."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics, tfp_internals
from tfmdn.distributions import kinds, quantiles
from tfmdn.distributions.scalars import Scalar

tfd = tfp.distributions

# From where on `held_exp` is a straight line: its square times any reasonable gradient is finite in float32.
HELD = 40.0


class LocationScale(Scalar, tfp_internals.WithInfinities, tfd.AutoCompositeTensorDistribution):
    """A univariate distribution described by `loc` and a positive `scale`.

    Args:
      loc: where it lies.
      scale: how broad it is.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations. None means the name of the class.
    """

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name: str | None = None):
        parameters = dict(locals())
        del parameters["__class__"]
        dtype = next((tf.as_dtype(value.dtype) for value in (loc, scale) if hasattr(value, "dtype")), tf.float32)
        self._loc = tf.convert_to_tensor(loc, dtype)
        self._scale = tf.convert_to_tensor(scale, dtype)
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name or type(self).__name__,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {name: tfp.util.ParameterProperties() for name in ("loc", "scale")}

    loc = property(lambda self: self._loc, doc="Where it lies.")
    scale = property(lambda self: self._scale, doc="How broad it is.")

    def _parameter_control_dependencies(self, is_init):
        if not self.validate_args or not is_init:
            return []
        return [tf.debugging.assert_positive(self._scale, "Scales must be positive.")]

    def _quantile(self, p):
        loc, scale = (value[..., tf.newaxis] for value in (self.loc, self.scale))  # a mixture of one
        p = quantiles.without_rounding(p, self.dtype)
        return quantiles.mixture_quantile(type(self)(loc, scale), tf.zeros_like(scale), p, axis=-1)


class Positive(LocationScale):
    """A distribution of positive y, described by that of log y. There is no density where y <= 0."""

    def logarithm(self) -> tfd.Distribution:
        """The distribution of log y."""
        raise NotImplementedError

    def _log_prob(self, y):
        def inside(y):
            return self.logarithm().log_prob(tf.math.log(y)) - tf.math.log(y)

        # Infinity, of which densities of a logarithm are NaN, has none either.
        return numerics.where_positive(tf.where(y == math.inf, tf.zeros_like(y), y), inside, -math.inf)

    def _of_logarithm(self, method, y, outside):
        return numerics.where_positive(y, lambda y: getattr(self.logarithm(), method)(tf.math.log(y)), outside)

    def _cdf(self, y):
        return self._of_logarithm("cdf", y, 0.0)

    def _log_cdf(self, y):
        return self._of_logarithm("log_cdf", y, -math.inf)

    def _survival_function(self, y):
        return self._of_logarithm("survival_function", y, 1.0)

    def _log_survival_function(self, y):
        return self._of_logarithm("log_survival_function", y, 0.0)

    def _quantile(self, p):
        return tf.exp(self.logarithm().quantile(p))

    def _sample_n(self, n, seed=None):
        return tf.exp(self.logarithm().sample(n, seed=seed))


@kinds.limits.register
def _(components: Positive):
    return 0.0, math.inf


@kinds.logarithm.register
def _(components: Positive):
    return components.logarithm()


def held_exp(z: tf.Tensor) -> tf.Tensor:
    """exp(z), which goes on as a straight line from where it and its gradient would overflow soon."""
    return tf.exp(tf.minimum(z, HELD)) * (1.0 + tf.maximum(z - HELD, 0.0))
