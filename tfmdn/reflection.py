"""Normal distributions on an interval: what would lie beyond one of its ends is reflected at that end.

With limits l and h, it is the distribution of a normal Z folded into [l, h]: of 2 l - Z where Z is below l, of 2 h - Z
where it is above h. In kernel density estimation the same is known as the reflection method (Schuster 1985, Silverman
1986, section 2.10); with one limit it is the folded normal (Leone, Nelson and Nottingham 1961). Where a component is
narrow beside its distance from the limits, it is the normal itself. At a limit its density is not 0, as that of a
target is not that ends there. An infinite limit is none.

Shapes in comments: B batch, D coordinates, I images, that is Z itself and its reflections.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
# Beyond it the normal distribution function is exactly 0 or 1 in every dtype. Infinity would make gradients NaN.
FAR = 40.0
# In widths of the interval. A wider normal is uniform there to 0.2 %, and only loses digits.
WIDEST = 8.0
# The same with correlations, where what lies one width beyond the limits is left out, and not made up for: it is four
# standard deviations away, and less than 1e-4 of the probability.
WIDEST_CORRELATED = 0.25
MODE_STEPS = 200
# For integrals over the interval, of the part of it within so many standard deviations of the centre.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(64)
INTEGRATED = 9.0


class ReflectedNormal(tfd.AutoCompositeTensorDistribution):
    """A normal distribution whose tails are reflected at the ends of an interval.

    With two limits the normal is cut off one width of the interval beyond them, and normalised, before it is folded.

    Args:
      loc: the centre. One beyond a limit stands for its reflection.
      scale: the standard deviation before the reflection. More than eight widths of the interval count as that.
      low: the lower limit, or -inf for none.
      high: the upper limit, greater than `low`, or inf for none.
      validate_args: whether parameters are checked at run time.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.

    Example:

    >>> half_normal = tfmdn.reflection.ReflectedNormal(0.0, 1.0, low=0.0, high=np.inf)
    >>> half_normal.prob([-1.0, 0.0, 1.0]).numpy().round(4)
    array([0.    , 0.7979, 0.4839], dtype=float32)
    >>> round(float(half_normal.mean()), 4)
    0.7979
    """

    def __init__(self, loc, scale, low, high, validate_args=False, allow_nan_stats=True, name: str = "ReflectedNormal"):
        parameters = dict(locals())
        dtype = _common_dtype(loc, scale, low, high)
        self._loc, self._scale, self._low, self._high = (
            tf.convert_to_tensor(value, dtype) for value in (loc, scale, low, high)
        )
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        properties = tfp.util.ParameterProperties
        return {name: properties() for name in ("loc", "scale", "low", "high")}

    loc = property(lambda self: self._loc, doc="The centre, as given.")
    scale = property(lambda self: self._scale, doc="The standard deviation before the reflection, as given.")
    low = property(lambda self: self._low, doc="The lower limit.")
    high = property(lambda self: self._high, doc="The upper limit.")

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _default_event_space_bijector(self):
        return None

    def _parameter_control_dependencies(self, is_init):
        return _checks(self, is_init, self._scale, "scale")

    @property
    def _interval(self) -> _Interval:
        return _Interval(self._low, self._high)

    @property
    def centre(self) -> tf.Tensor:
        """`loc`, or the reflection of it that lies within the interval."""
        return self._interval.fold(self._loc)

    def clip(self, y: tf.Tensor) -> tf.Tensor:
        """y, or the end of the interval that is nearest to it."""
        return self._interval.clip(y)

    @property
    def _normal(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Centre, within the interval, and standard deviation of the normal that is folded."""
        return self.centre, self._interval.hold(self._scale, WIDEST)

    def _edges(self) -> _Edges:
        loc, scale = self._normal
        return _Edges(self._interval, loc, scale)

    def _log_prob(self, y):
        loc, scale = self._normal
        interval = self._interval
        is_inside = interval.contains(y)
        y = interval.clip(y)

        def standardized(distance):
            return _held_quotient(distance, scale, _reach(self.dtype))

        # The density of a reflection at l is that at y times exp(-2 (y - l) (loc - l) / scale^2), which is at most 1.
        exponents = [
            tf.where(exists, standardized(y - limit) * standardized(loc - limit), _reach(self.dtype))
            for exists, limit in interval.limits
        ]
        ratios = tf.add_n([tf.exp(-2.0 * exponent) for exponent in exponents])
        log_prob = -0.5 * tf.square(standardized(y - loc)) + tf.math.log1p(ratios)
        log_prob -= tf.math.log(scale) + HALF_LOG_TWO_PI + tf.math.log(_Edges(interval, loc, scale).total)
        return tf.where(is_inside, log_prob, -math.inf)

    def _cdf(self, y):
        edges, parts = self._edges(), self._parts_at(y)
        below = _between(parts.reflected_low, parts.itself) + _between(parts.reflected_high, edges.top)
        return tf.clip_by_value(below / edges.total, 0.0, 1.0)

    def _survival_function(self, y):
        edges, parts = self._edges(), self._parts_at(y)
        above = _between(parts.itself, parts.reflected_high) + _between(edges.bottom, parts.reflected_low)
        return tf.clip_by_value(above / edges.total, 0.0, 1.0)

    def _log_cdf(self, y):
        return _safe_log(self._cdf(y))

    def _log_survival_function(self, y):
        return _safe_log(self._survival_function(y))

    def _parts_at(self, y) -> _Parts:
        loc, scale = self._normal
        return _Parts(self._interval, loc, scale, self._interval.clip(y))

    def mean_excess(self, y: tf.Tensor) -> tf.Tensor:
        """E max(X - y, 0), for y within the interval; beyond it as for its nearest end."""
        _, scale = self._normal
        edges, parts = self._edges(), self._parts_at(y)
        excess = (
            _partial_mean(parts.itself, parts.itself, edges.high)
            - _partial_mean(parts.reflected_high, edges.high, parts.reflected_high)
            - _partial_mean(parts.reflected_low, edges.bottom, parts.reflected_low)
        )
        return scale * excess / edges.total

    def _offsets(self):
        """E(X - loc), and the two parts of the probability beyond the limits that it is made of."""
        edges = self._edges()
        below = -_partial_mean(edges.low, edges.bottom, edges.low)
        above = _partial_mean(edges.high, edges.high, edges.top)
        offset = _density(edges.bottom) - _density(edges.top) + 2.0 * (below - above)
        return offset / edges.total, below / edges.total, above / edges.total

    def _mean(self):
        loc, scale = self._normal
        return loc + scale * self._offsets()[0]

    def _variance(self):
        _, scale = self._normal
        edges = self._edges()
        offset, below, above = self._offsets()
        # A reflection at l turns (Z - loc)^2 into (Z - loc)^2 + 4 (l - Z) (l - loc).
        cut = (edges.bottom * _density(edges.bottom) - edges.top * _density(edges.top)) / edges.total
        second_moment = 1.0 + cut + 4.0 * (edges.low * below - edges.high * above)
        return tf.square(scale) * tf.maximum(second_moment - tf.square(offset), np.finfo(self.dtype.as_numpy_dtype).eps)

    def _stddev(self):
        return tf.sqrt(self._variance())

    def _mode(self):
        """Where the mean shift of the normal and its reflections leads: as high as the highest point to 1e-5."""
        interval, zeros = self._interval, tf.zeros(self.batch_shape_tensor(), self.dtype)
        loc, scale = (value + zeros for value in self._normal)
        centres = tf.stack([loc, *(2.0 * limit - loc for _, limit in interval.limits)])  # [I, B]
        exists = tf.stack([zeros == 0.0, *(exists & (zeros == 0.0) for exists, _ in interval.limits)])

        def step(y):
            z = (y - centres) / scale
            weights = tf.nn.softmax(tf.where(exists, -0.5 * tf.square(z), -math.inf), 0)
            return tf.reduce_sum(weights * centres, 0)

        (mode,) = tf.while_loop(lambda y: True, lambda y: (step(y),), (loc,), maximum_iterations=MODE_STEPS)
        return tf.stop_gradient(interval.fold(mode))

    def _sample_n(self, n, seed=None):
        loc, scale = self._normal
        edges = self._edges()
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        z = tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed), dtype=self.dtype)
        # The normal between `bottom` and `top`, by its inverse distribution function: from the nearer end, so that
        # neither tail loses digits.
        tail = tf.where(z < 0.0, _cdf(edges.bottom), _cdf(-edges.top)) + _cdf(-tf.abs(z)) * edges.total
        is_cut = self._interval.is_bounded
        cut = tf.math.ndtri(tf.where(is_cut, tail, 0.5))
        z = tf.where(is_cut, tf.where(z < 0.0, cut, -cut), z)
        return self._interval.fold(loc + scale * z)


class ReflectedMultivariateNormal(tfd.AutoCompositeTensorDistribution):
    """Jointly normal coordinates, each reflected at the ends of an interval of its own.

    The density is a sum over 3^D reflections.

    Args:
      loc: the centre `[*B, D]`. A coordinate beyond a limit stands for its reflection.
      scale_tril: the lower triangular factor of the covariance before the reflection, `[*B, D, D]`. Where both limits
        are finite, a coordinate's standard deviation counts as at most a quarter of the interval.
      low: the lower limits `[*B, D]`, -inf for none.
      high: the upper limits `[*B, D]`, greater than `low`, or inf for none.
      validate_args: whether parameters are checked at run time.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.

    Example:

    >>> folded = tfmdn.reflection.ReflectedMultivariateNormal(
    ...     [0.0, 0.0], [[1.0, 0.0], [0.6, 0.8]], low=[0.0, -np.inf], high=[np.inf, np.inf]
    ... )
    >>> folded.mean().numpy().round(4)
    array([0.7979, 0.    ], dtype=float32)
    """

    def __init__(
        self,
        loc,
        scale_tril,
        low,
        high,
        validate_args=False,
        allow_nan_stats=True,
        name: str = "ReflectedMultivariateNormal",
    ):
        parameters = dict(locals())
        dtype = _common_dtype(loc, scale_tril, low, high)
        self._loc, self._scale_tril, self._low, self._high = (
            tf.convert_to_tensor(value, dtype) for value in (loc, scale_tril, low, high)
        )
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        properties = tfp.util.ParameterProperties
        return {
            "loc": properties(event_ndims=1),
            "scale_tril": properties(event_ndims=2),
            "low": properties(event_ndims=1),
            "high": properties(event_ndims=1),
        }

    loc = property(lambda self: self._loc, doc="The centre, as given.")
    scale_tril = property(lambda self: self._scale_tril, doc="The factor of the covariance, as given.")
    low = property(lambda self: self._low, doc="The lower limits.")
    high = property(lambda self: self._high, doc="The upper limits.")

    def _event_shape(self):
        return self._loc.shape[-1:]

    def _event_shape_tensor(self):
        return tf.shape(self._loc)[-1:]

    def _default_event_space_bijector(self):
        return None

    def _parameter_control_dependencies(self, is_init):
        return _checks(self, is_init, tf.linalg.diag_part(self._scale_tril), "scale_tril")

    @property
    def _interval(self) -> _Interval:
        return _Interval(self._low, self._high)

    def normal(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Centre `[*B, D]`, within the limits, and factor `[*B, D, D]` of the normal that is folded."""
        interval = self._interval
        stddev = tf.norm(self._scale_tril, axis=-1)
        # The reflection of a coordinate turns the sign of its correlations.
        factor = interval.sign(self._loc) * interval.hold(stddev, WIDEST_CORRELATED) / stddev
        return interval.fold(self._loc) + tf.zeros_like(factor), factor[..., tf.newaxis] * self._scale_tril

    def images(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Centres and factors of the normal and its reflections, whose sum is the density within the limits.

        Returns:
          Centres `[*B, I, D]`, factors `[*B, I, D, D]`, and which of them exist, booleans `[*B, I]`.
        """
        loc, scale_tril = self.normal()
        centres, exists, signs = zip(*images_of(loc, self._low, self._high))
        exists = [own & tf.ones_like(loc[..., 0], tf.bool) for own in exists]
        signs = tf.constant(np.stack(signs)[..., np.newaxis], self.dtype)  # [I, D, 1]
        return tf.stack(centres, -2), signs * scale_tril[..., tf.newaxis, :, :], tf.stack(exists, -1)

    def _log_prob(self, y):
        interval = self._interval
        is_inside = tf.reduce_all(interval.contains(y), -1)
        y = interval.clip(y)
        loc, scale_tril = self.normal()
        # Forward substitution, coordinate by coordinate. The reflections of y are as many as those of the normal, and
        # those of the first coordinates are shared.
        reach = _reach(self.dtype)
        zs, log_prob = [], tf.zeros_like(y[..., :1])
        for axis in range(loc.shape[-1]):
            candidates = [y[..., axis], *(2.0 * limit[..., axis] - y[..., axis] for _, limit in interval.limits)]
            offsets = tf.stack(candidates, -1) - loc[..., axis, tf.newaxis]  # [..., 3]
            exists = tf.stack([exists[..., axis] for exists, _ in interval.limits], -1)
            exists = tf.concat([tf.ones_like(exists[..., :1]), exists], -1)
            shift = tf.add_n(
                [scale_tril[..., axis, other, tf.newaxis] * z for other, z in enumerate(zs)]
                or [tf.zeros_like(log_prob)]
            )
            z = (offsets[..., tf.newaxis, :] - shift[..., tf.newaxis]) / scale_tril[..., axis, axis, None, None]
            z = tf.clip_by_value(z, -reach, reach)  # [..., I, 3]
            own = tf.where(exists[..., tf.newaxis, :], -0.5 * tf.square(z), -math.inf)
            log_prob = _merge_last(log_prob[..., tf.newaxis] + own)
            zs = [_merge_last(earlier[..., tf.newaxis] + tf.zeros_like(z)) for earlier in zs] + [_merge_last(z)]
        log_prob = tf.reduce_logsumexp(log_prob, -1)
        log_prob -= tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(scale_tril))) + HALF_LOG_TWO_PI, -1)
        return tf.where(is_inside, log_prob, -math.inf)

    def marginals(self) -> ReflectedNormal:
        """The distribution of each coordinate by itself, of batch shape `[*B, D]`."""
        loc, scale_tril = self.normal()
        return ReflectedNormal(loc, tf.norm(scale_tril, axis=-1), self._low, self._high)

    def _mean(self):
        return self.marginals().mean()

    def _variance(self):
        return self.marginals().variance()

    def _stddev(self):
        return self.marginals().stddev()

    def _covariance(self):
        """E(X_i - mean_i) (X_j - mean_j), by quadrature over X_i of what is known of X_j given it."""
        loc, scale_tril = self.normal()
        covariance = tf.matmul(scale_tril, scale_tril, transpose_b=True)
        marginals = self.marginals()
        mean, stddev = marginals.mean(), tf.norm(scale_tril, axis=-1)
        interval = self._interval
        start, end = interval.clip(loc - INTEGRATED * stddev), interval.clip(loc + INTEGRATED * stddev)
        nodes, weights = (tf.constant(values, self.dtype) for values in (NODES, NODE_WEIGHTS))
        half = 0.5 * (end - start)[..., tf.newaxis]
        y = start[..., tf.newaxis] + half * (1.0 + nodes)  # [B, D, nodes]
        total = 0.0
        variance = tf.square(stddev)
        slope = covariance / variance[..., tf.newaxis]  # of j on i
        rest = variance[..., tf.newaxis, :] - tf.square(covariance) / variance[..., tf.newaxis]
        rest = tf.maximum(rest, np.finfo(self.dtype.as_numpy_dtype).eps * variance[..., tf.newaxis, :])
        everywhere = tf.ones_like(loc, tf.bool)
        limits = [(everywhere, None), *interval.limits]
        for exists, limit in limits:
            z = y if limit is None else 2.0 * limit[..., tf.newaxis] - y
            density = tfd.Normal(loc[..., tf.newaxis], stddev[..., tf.newaxis]).prob(z)
            density = tf.where((exists & everywhere)[..., tf.newaxis], density, 0.0)
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
        z = tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed), dtype=self.dtype)
        return self._interval.fold(loc + tf.linalg.matvec(scale_tril, z))


def images_of(y: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor, tuple[float, ...]]]:
    """y itself and its reflections at one or several limits.

    Args:
      y: `[..., D]`. Values beyond a limit are moved to it.
      low: the lower limits, which broadcast with y.
      high: the upper limits, likewise.

    Returns:
      For each of 3^D choices the point `[..., D]`, whether there are all of the limits that it takes, `[...]`, and for
      each coordinate -1 if it is reflected and 1 if not.
    """
    interval = _Interval(low, high)
    y = interval.clip(y)
    everywhere = tf.ones_like(y, tf.bool)
    choices = [(everywhere, y, 1.0)]
    choices += [(exists & everywhere, 2.0 * limit - y, -1.0) for exists, limit in interval.limits]
    images = []
    for choice in itertools.product(choices, repeat=y.shape[-1]):
        exists = functools.reduce(tf.logical_and, [exists[..., axis] for axis, (exists, _, _) in enumerate(choice)])
        point = tf.stack([point[..., axis] for axis, (_, point, _) in enumerate(choice)], -1)
        images.append((point, exists, tuple(sign for _, _, sign in choice)))
    return images


def fold(z: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """z where it lies within the limits, else its reflection, or that one's, that does."""
    return _Interval(low, high).fold(z)


class _Interval:
    """[low, high], of which either end may be infinite."""

    def __init__(self, low: tf.Tensor, high: tf.Tensor):
        self.low, self.high = low, high
        self.has_low, self.has_high = tf.math.is_finite(low), tf.math.is_finite(high)
        self.is_bounded = self.has_low & self.has_high
        # In the place of an infinite end stands a number that does no harm where it is not used.
        self.safe_low = tf.where(self.has_low, low, 0.0)
        self.safe_high = tf.where(self.has_high, high, 0.0)
        self.safe_width = tf.where(self.is_bounded, self.safe_high - self.safe_low, 1.0)

    @property
    def limits(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """For both ends, whether there is one, and where."""
        return [(self.has_low, self.safe_low), (self.has_high, self.safe_high)]

    def contains(self, y: tf.Tensor) -> tf.Tensor:
        return ~((y < self.low) | (y > self.high))  # NaN too, so that it stays NaN

    def clip(self, y: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(y, self.low), self.high)

    def hold(self, scale: tf.Tensor, widths: float) -> tf.Tensor:
        """The scale, or so many widths of the interval if it is larger. Its gradient is as if it were not held."""
        widest = tf.where(self.is_bounded, widths * self.safe_width, math.inf)
        return tf.where(scale > widest, widest + (scale - tf.stop_gradient(scale)), scale)

    def fold(self, z: tf.Tensor) -> tf.Tensor:
        """z itself inside; outside its reflection, and that one's, until one lies inside."""
        phase = tf.math.floormod(z - self.safe_low, 2.0 * self.safe_width)
        wave = self.safe_low + tf.minimum(phase, 2.0 * self.safe_width - phase)
        above = self.safe_low + tf.abs(z - self.safe_low)
        below = self.safe_high - tf.abs(self.safe_high - z)
        folded = tf.where(self.is_bounded, wave, tf.where(self.has_low, above, tf.where(self.has_high, below, z)))
        # Rounding may leave the interval by a last digit.
        return tf.where(self.contains(z), z, self.clip(folded))

    def sign(self, z: tf.Tensor) -> tf.Tensor:
        """-1 where `fold` is an odd number of reflections, else 1."""
        phase = tf.math.floormod(z - self.safe_low, 2.0 * self.safe_width)
        is_odd = ~self.contains(z) & (~self.is_bounded | (phase > self.safe_width))
        return tf.where(is_odd, -tf.ones_like(z), tf.ones_like(z))


class _Edges:
    """The limits in standard deviations from the centre, and one width beyond them: where the normal is cut off."""

    def __init__(self, interval: _Interval, loc: tf.Tensor, scale: tf.Tensor):
        low, high = interval.safe_low, interval.safe_high
        self.low = -_far_if_not(interval.has_low, loc - low, scale)
        self.high = _far_if_not(interval.has_high, high - loc, scale)
        # As `_Parts` has the reflections of the other end: rounded alike, a probability of 0 is exactly that.
        self.bottom = -_far_if_not(interval.is_bounded, high + loc - 2.0 * low, scale)
        self.top = _far_if_not(interval.is_bounded, 2.0 * high - low - loc, scale)

    @property
    def total(self) -> tf.Tensor:
        """The probability between bottom and top, as a sum of positive terms."""
        return 0.5 * (tf.math.erf(math.sqrt(0.5) * self.top) - tf.math.erf(math.sqrt(0.5) * self.bottom))


class _Parts:
    """y and its reflections, in standard deviations from the centre."""

    def __init__(self, interval: _Interval, loc: tf.Tensor, scale: tf.Tensor, y: tf.Tensor):
        self.itself = _held_quotient(y - loc, scale, FAR)
        self.reflected_low = -_far_if_not(interval.has_low, y + loc - 2.0 * interval.safe_low, scale)
        self.reflected_high = _far_if_not(interval.has_high, 2.0 * interval.safe_high - y - loc, scale)


def _checks(distribution: tfd.Distribution, is_init: bool, scales: tf.Tensor, name: str) -> list:
    """What `validate_args` checks, once."""
    if not distribution.validate_args or not is_init:
        return []
    return [
        tf.debugging.assert_positive(scales, f"The entries of `{name}` that are scales must be positive."),
        tf.debugging.assert_less(distribution.low, distribution.high, "`low` must be less than `high`."),
    ]


def _far_if_not(exists, distance, scale):
    return tf.where(exists, _held_quotient(distance, scale, FAR), FAR)


def _held_quotient(distance: tf.Tensor, scale: tf.Tensor, limit: float) -> tf.Tensor:
    """distance / scale, held within the limit before the division: an overflow would turn its gradient into NaN."""
    return tf.maximum(tf.minimum(distance, limit * scale), -limit * scale) / scale


def _reach(dtype: tf.DType) -> float:
    return float(np.finfo(dtype.as_numpy_dtype).max) ** 0.4


def _cdf(z: tf.Tensor) -> tf.Tensor:
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * z)


def _density(z: tf.Tensor) -> tf.Tensor:
    return tf.exp(-0.5 * tf.square(z) - HALF_LOG_TWO_PI)


def _between(start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """The probability of a standard normal between the two, exact in both tails."""
    is_right = start > 0.0
    return tf.where(is_right, _cdf(-start) - _cdf(-end), _cdf(end) - _cdf(start))


def _partial_mean(origin: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """E (Z - origin) of a standard normal, over Z between `start` and `end`."""
    return _density(start) - _density(end) - origin * _between(start, end)


def _safe_log(probability: tf.Tensor) -> tf.Tensor:
    is_positive = probability > 0.0
    logarithm = tf.math.log(tf.where(is_positive, probability, tf.ones_like(probability)))
    return tf.where(is_positive | tf.math.is_nan(probability), logarithm, -math.inf)


def _merge_last(tensor: tf.Tensor) -> tf.Tensor:
    """`[..., I, J]` as `[..., I * J]`."""
    shape = tf.shape(tensor)
    count = tensor.shape[-2] * tensor.shape[-1]
    merged = tf.reshape(tensor, tf.concat([shape[:-2], [count]], 0))
    merged.set_shape([*tensor.shape[:-2], count])
    return merged


def _common_dtype(*values) -> tf.DType:
    """That of the first value that has one, else float32."""
    for value in values:
        if hasattr(value, "dtype"):
            return tf.as_dtype(value.dtype)
    return tf.float32
