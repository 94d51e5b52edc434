"""Jointly normal coordinates, each reflected at the ends of an interval of its own.

Shapes in comments: B batch, D coordinates, I images, that is a normal itself and its reflections.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn.distributions import random_numbers
from tfmdn.distributions.folding import Interval, images_of
from tfmdn.distributions.reflected import Reflected, ReflectedNormal
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import HALF_LOG_TWO_PI, held_quotient, largest_slope, merge_axis, norm, reach, unit_of

tfd = tfp.distributions

# In widths of the interval. What lies one width beyond the limits is left out, and not made up for: it is four
# standard deviations away, and less than 1e-4 of the probability.
WIDEST_CORRELATED = 0.25
# For integrals over the interval, of the part of it within so many standard deviations of the centre.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(64)
INTEGRATED = 9.0


@registered
class ReflectedMultivariateNormal(Reflected):
    """Jointly normal coordinates, each reflected at the ends of an interval of its own.

    The density is a sum over 3^D reflections.

    Args:
      loc: the centre `[*B, D]`. A coordinate beyond a limit stands for its reflection.
      scale_tril: the lower triangular factor of the covariance before the reflection, `[*B, D, D]`. Where both limits
        are finite, a coordinate's standard deviation counts as at most a quarter of the interval.
      low: the lower limits `[*B, D]`, -inf for none.
      high: the upper limits `[*B, D]`, greater than `low`, or inf for none.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.

    Example:

    >>> folded = tfmdn.distributions.ReflectedMultivariateNormal(
    ...     [0.0, 0.0], [[1.0, 0.0], [0.6, 0.8]], low=[0.0, -np.inf], high=[np.inf, np.inf]
    ... )
    >>> folded.mean().numpy().round(4)
    array([0.7979, 0.    ], dtype=float32)
    """

    def __init__(
        self,
        loc: ArrayLike,
        scale_tril: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "ReflectedMultivariateNormal",
    ):
        parameters = dict(locals())
        del parameters["__class__"]
        super().__init__(parameters)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        event_ndims = {"loc": 1, "scale_tril": 2, "low": 1, "high": 1}
        return {name: tfp.util.ParameterProperties(event_ndims=ndims) for name, ndims in event_ndims.items()}

    scale_tril = property(lambda self: self._scale_tril, doc="The factor of the covariance, as given.")

    def _event_shape(self):
        return self._loc.shape[-1:]

    def _event_shape_tensor(self):
        return tf.shape(self._loc)[-1:]

    def _scales(self):
        return tf.linalg.diag_part(self._scale_tril)

    def normal(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Centre `[*B, D]`, within the limits, and factor `[*B, D, D]` of the normal that is folded."""
        interval = self.interval
        widest, diagonal = WIDEST_CORRELATED * interval.safe_width, tf.linalg.diag_part(self._scale_tril)
        # Beside a slope of 1e30 what is held would have a diagonal of 0.
        most = largest_slope(self._scale_tril.shape[-1], self.dtype) * tf.abs(diagonal)[..., tf.newaxis]
        scale_tril = tf.maximum(tf.minimum(self._scale_tril, most), -most)
        stddev = norm(scale_tril, 1)
        # At the widest the gradient of the diagonal passes as if it were not held, so that a component can become
        # narrower again. Through the standard deviation it would reach the correlations, and make them ever larger.
        passing = diagonal / tf.stop_gradient(diagonal)
        is_held = interval.is_bounded & (stddev > widest)
        held = widest / tf.where(is_held, stddev, widest)
        held = tf.where(is_held, held * passing, tf.ones_like(stddev))
        # The reflection of a coordinate turns the sign of its correlations.
        factor = interval.sign(self._loc) * held
        return interval.fold(self._loc) + tf.zeros_like(factor), factor[..., tf.newaxis] * scale_tril

    def images(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Centres, factors and logarithms of weights `[*B, I]` of the normals that add up to the density inside."""
        loc, scale_tril = self.normal()
        centres, exists, signs = zip(*images_of(loc, self.interval))
        exists = [own & tf.ones_like(loc[..., 0], tf.bool) for own in exists]
        signs = tf.constant(np.stack(signs)[..., np.newaxis], self.dtype)  # [I, D, 1]
        log_weights = tf.where(tf.stack(exists, -1), tf.zeros_like(loc[..., :1]), -math.inf)
        return tf.stack(centres, -2), signs * scale_tril[..., tf.newaxis, :, :], log_weights

    def _log_prob(self, y):
        interval = self.interval
        is_inside = tf.reduce_all(interval.contains(y), -1)
        y = interval.clip(y)
        loc, scale_tril = self.normal()
        # Forward substitution, coordinate by coordinate. The reflections of y are as many as those of the normal, and
        # those of the first coordinates are shared.
        farthest = reach(self.dtype)
        images = list(zip(*interval.images(y)))
        zs, log_prob = [], tf.zeros_like(y[..., :1])
        for axis in range(loc.shape[-1]):
            exists, candidates = (tf.stack([part[..., axis] for part in parts], -1) for parts in images)  # [..., 3]
            offsets = candidates - loc[..., axis, tf.newaxis]
            shift = tf.add_n(
                [scale_tril[..., axis, other, tf.newaxis] * z for other, z in enumerate(zs)]
                or [tf.zeros_like(log_prob)]
            )
            scale = scale_tril[..., axis, axis, tf.newaxis, tf.newaxis]
            z = offsets[..., tf.newaxis, :] - shift[..., tf.newaxis]
            z = tf.sign(scale) * held_quotient(z, tf.abs(scale), farthest)  # [..., I, 3]
            own = tf.where(exists[..., tf.newaxis, :], -0.5 * tf.square(z), -math.inf)
            log_prob = merge_axis(log_prob[..., tf.newaxis] + own, -1)
            zs = [earlier[..., tf.newaxis] + tf.zeros_like(z) for earlier in zs] + [z]
            zs = [merge_axis(each, -1) for each in zs]
        log_prob = tf.reduce_logsumexp(log_prob, -1)
        log_prob -= tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(scale_tril))) + HALF_LOG_TWO_PI, -1)
        return tf.where(is_inside, log_prob, -math.inf)

    def marginals(self) -> ReflectedNormal:
        """The distribution of each coordinate by itself, of batch shape `[*B, D]`."""
        loc, scale_tril = self.normal()
        return ReflectedNormal(loc, norm(scale_tril, 1), self._low, self._high)

    def _mean(self):
        return self.marginals().mean()

    def _stddev(self):
        return self.marginals().stddev()

    def _covariance(self):
        unit = tf.stop_gradient(unit_of(norm(self._scale_tril, 1)))
        return (unit[..., tf.newaxis] * self.covariance_in(unit)) * unit[..., tf.newaxis, :]

    def covariance_in(self, unit: tf.Tensor) -> tf.Tensor:
        """The covariance in other units `[*B, D]`, in which squares have a place in the dtype."""
        parts = self._loc / unit, self._scale_tril / unit[..., tf.newaxis], self._low / unit, self._high / unit
        return ReflectedMultivariateNormal(*parts).integrated_covariance()

    def integrated_covariance(self) -> tf.Tensor:
        """E(X_i - mean_i) (X_j - mean_j), by quadrature over X_i of what is known of X_j given it."""
        loc, scale_tril = self.normal()
        covariance = tf.matmul(scale_tril, scale_tril, transpose_b=True)
        marginals = self.marginals()
        mean, stddev = marginals.mean(), norm(scale_tril, 1)
        interval = self.interval
        start, end = interval.clip(loc - INTEGRATED * stddev), interval.clip(loc + INTEGRATED * stddev)
        nodes, weights = (tf.constant(values, self.dtype) for values in (NODES, NODE_WEIGHTS))
        half = 0.5 * (end - start)[..., tf.newaxis]
        y = start[..., tf.newaxis] + half * (1.0 + nodes)  # [B, D, nodes]
        total = 0.0
        variance = tf.square(stddev)
        slope = covariance / variance[..., tf.newaxis]  # of j on i
        rest = variance[..., tf.newaxis, :] - tf.square(covariance) / variance[..., tf.newaxis]
        rest = tf.maximum(rest, np.finfo(self.dtype.as_numpy_dtype).eps * variance[..., tf.newaxis, :])
        along = Interval(self._low[..., tf.newaxis], self._high[..., tf.newaxis])
        for exists, z in along.images(y):
            density = tfd.Normal(loc[..., tf.newaxis], stddev[..., tf.newaxis]).prob(z)
            density = tf.where(exists, density, 0.0)
            other = ReflectedNormal(  # [B, i, j, nodes]
                loc[..., tf.newaxis, :, tf.newaxis]
                + slope[..., tf.newaxis] * (z - loc[..., tf.newaxis])[..., tf.newaxis, :],
                tf.sqrt(rest)[..., tf.newaxis],
                self._low[..., tf.newaxis, :, tf.newaxis],
                self._high[..., tf.newaxis, :, tf.newaxis],
            ).mean()
            share = weights * half * density * (y - mean[..., tf.newaxis])
            total += tf.reduce_sum(share[..., tf.newaxis, :] * (other - mean[..., tf.newaxis, :, tf.newaxis]), -1)
        symmetric = 0.5 * (total + tf.linalg.matrix_transpose(total))
        return tf.linalg.set_diag(symmetric, self._variance())

    def _sample_n(self, n, seed=None):
        loc, scale_tril = self.normal()
        shape = tf.concat([[n], self.batch_shape_tensor(), self.event_shape_tensor()], 0)
        z = random_numbers.normal(shape, seed, self.dtype)
        return self.interval.fold(loc + tf.linalg.matvec(scale_tril, z))
