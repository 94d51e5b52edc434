"""Normal distributions of which only a coarse value is observed: moved to a limit, or rounded.

What would lie beyond a limit is observed as the limit itself, which so has a probability of its own, an atom (Tobin
1958): no rain, the cap of a price, the end of a study. What is rounded has probabilities alone, those of a grid's
values. Coarse data is Heitjan and Rubin's (1991) name for both.

Shapes in comments: S samples, B batch.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import numerics, tensorflow_internals, tfp_internals
from tfmdn.distributions import coarse, coarse_moments, densities, draws, kinds, tensors
from tfmdn.distributions.grids import MOST, SLACK, Grid
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.distributions.scalars import Scalar
from tfmdn.distributions.type_specs import registered
from tfmdn.numerics import held_quotient, reach, square_root

tfd = tfp.distributions

PARAMETERS = ("loc", "scale", "low", "high", "is_moved", "resolution", "origin", "mirror_low", "mirror_high")


@registered
class CoarsenedNormal(Scalar, tfp_internals.WithInfinities, tfd.AutoCompositeTensorDistribution):
    """What is observed of a normal value: the limit if it lies beyond one, and the nearest value of a grid.

    Its `log_prob` is the logarithm of a probability at a limit and on a grid, and of a density elsewhere. What is asked
    of a number between two values of the grid is answered for the nearest.

    Args:
      loc: the centre of the normal.
      scale: its standard deviation.
      low: the lower limit, or -inf for none.
      high: the upper limit, greater than `low`, or inf for none.
      is_moved: 1 where what lies beyond a limit is moved there, 0 where it stays there, as that of a background does
        beside other components. At the limits themselves it then has no probability.
      resolution: the step of the grid; None or 0 for none.
      origin: one of the values of the grid.
      mirror_low: a limit at which, in the place of `low`, the normal is reflected, see `ReflectedNormal`; None or -inf
        for none.
      mirror_high: the same in the place of `high`; None or inf for none.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.

    Example:

    >>> rain = tfmdn.distributions.CoarsenedNormal(loc=0.0, scale=1.0, low=0.0, high=np.inf)
    >>> rain.prob([-1.0, 0.0, 1.0]).numpy().round(4)  # none, a probability, a density
    array([0.   , 0.5  , 0.242], dtype=float32)
    >>> stars = tfmdn.distributions.CoarsenedNormal(loc=3.0, scale=1.0, low=1.0, high=5.0, resolution=1.0)
    >>> stars.prob([1.0, 2.0, 3.0, 4.0, 5.0]).numpy().round(4)
    array([0.0668, 0.2417, 0.3829, 0.2417, 0.0668], dtype=float32)
    """

    def __init__(
        self,
        loc: ArrayLike,
        scale: ArrayLike,
        low: ArrayLike = -math.inf,
        high: ArrayLike = math.inf,
        is_moved: ArrayLike = 1.0,
        resolution: ArrayLike | None = None,
        origin: ArrayLike = 0.0,
        mirror_low: ArrayLike | None = None,
        mirror_high: ArrayLike | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "CoarsenedNormal",
    ):
        parameters = dict(locals())
        del parameters["__class__"]
        self._has_mirrors = mirror_low is not None or mirror_high is not None
        if self._has_mirrors:
            parameters["mirror_low"] = -math.inf if mirror_low is None else mirror_low
            parameters["mirror_high"] = math.inf if mirror_high is None else mirror_high
        values = [parameters[key] for key in PARAMETERS]
        dtype = next((tf.as_dtype(value.dtype) for value in values if hasattr(value, "dtype")), tf.float32)
        with tensorflow_internals.meant_infinities():
            tensors = [None if value is None else tf.convert_to_tensor(value, dtype) for value in values]
        for key, value, tensor in zip(PARAMETERS, values, tensors):
            setattr(self, f"_{key}", tensor)
            if isinstance(value, (int, float)):  # of which TFP would make float32 in slices
                parameters[key] = tensor
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    loc = property(lambda self: self._loc, doc="The centre of the normal.")
    scale = property(lambda self: self._scale, doc="The standard deviation of the normal.")
    low = property(lambda self: self._low, doc="The lower limit.")
    high = property(lambda self: self._high, doc="The upper limit.")
    is_moved = property(lambda self: self._is_moved, doc="Whether what lies beyond a limit is moved there.")
    resolution = property(lambda self: self._resolution, doc="The step of the grid, or None.")

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {name: tfp.util.ParameterProperties() for name in PARAMETERS}

    def _parameter_control_dependencies(self, is_init):
        if not self.validate_args or not is_init:
            return []
        return [
            tf.debugging.assert_positive(self._scale, "`scale` must be positive."),
            tf.debugging.assert_less(self._low, self._high, "`low` must be less than `high`."),
        ]

    @property
    def latent(self) -> tfd.Distribution:
        """The distribution of the value that is observed coarsely."""
        if not self._has_mirrors:
            return tfd.Normal(self._loc, self._scale)
        return ReflectedNormal(self._loc, self._scale, self._mirror_low, self._mirror_high)

    @property
    def grid(self) -> Grid:
        """The values to which it is rounded."""
        return Grid(self._resolution, self._origin)

    def observe(self, x: tf.Tensor) -> tf.Tensor:
        """What is observed of latent values. The gradient is that of the value before it was rounded."""
        x = tf.where(self._moves, tf.minimum(tf.maximum(x, self._low), self._high), x)
        return self.grid.observed(x)

    @property
    def limits(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Both limits as they are observed: rounded to the grid."""
        return self.grid.nearest(self._low), self.grid.nearest(self._high)

    @property
    def _moves(self) -> tf.Tensor:
        return self._is_moved > 0.5

    def _at_limits(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether y is the lower limit, and whether it is the upper one, but for rounding errors."""
        epsilon = 8.0 * np.finfo(self.dtype.as_numpy_dtype).eps

        def is_at(limit):
            safe = tf.where(tf.math.is_finite(limit), limit, tf.zeros_like(limit))
            slack = epsilon * tf.abs(safe)
            if self._resolution is not None:  # of which the next value is another one
                slack = tf.where(self.grid.exists, tf.minimum(slack, MOST * self.grid.step), slack)
            slack += SLACK * self.grid.step
            return tf.math.is_finite(limit) & (tf.abs(y - safe) <= slack)

        low, high = self.limits
        return is_at(low), is_at(high)

    def _beyond(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether y lies below the lower limit, and whether it lies above the upper one, so that nothing is there."""
        (low, high), (at_low, at_high) = self.limits, self._at_limits(y)
        return self._moves & (y < low) & ~at_low, self._moves & (y > high) & ~at_high

    def _cell(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Between which latent values lies what is observed from `first` to `last`, both of which can be observed.

        In float64: half a step may have no place beside a value in float32.
        """
        (low, high), half_step = self.limits, tf.cast(self.grid.half_step, tf.float64)
        start, end = tf.cast(first, tf.float64) - half_step, tf.cast(last, tf.float64) + half_step
        is_lowest = self._moves & ((first <= low) | self._at_limits(first)[0])
        is_highest = self._moves & ((last >= high) | self._at_limits(last)[1])
        return tf.where(~is_lowest, start, -math.inf), tf.where(~is_highest, end, math.inf)

    def _log_prob(self, y):
        y = self.grid.nearest(y)
        at_low, at_high = self._at_limits(y)
        below, above = self._beyond(y)
        has_probability = self.grid.exists | (self._moves & (at_low | at_high))
        # An infinite distance would make the gradient of a density NaN that is not used.
        density = densities.log_prob(self.latent, tf.where(has_probability, self._loc, y))
        log_prob = tf.where(has_probability, self._log_probability(y, at_low, has_probability), density)
        is_impossible = below | above | (~self._moves & ~self.grid.exists & (at_low | at_high))
        return tf.where(is_impossible, tf.constant(-math.inf, self.dtype), log_prob)

    def _log_probability(self, y, at_low, has_probability):
        """The log probability of a value that has one; on a grid it is one of its values."""
        if self._resolution is None:
            low, high = (tf.where(tf.math.is_finite(limit), limit, self._loc) for limit in (self._low, self._high))
            return tf.where(at_low, self._of_latent("log_cdf", low), self._of_latent("log_survival_function", high))
        start, end = self._cell(y, y)
        # So far away that both ends are one number the density is as good, and held finite.
        is_single = has_probability & (start == end)
        is_cell = has_probability & ~is_single
        start, end = tf.where(is_cell, start, -math.inf), tf.where(is_cell, end, math.inf)
        log_step = tf.math.log(tf.where(self.grid.exists, self.grid.step, tf.ones_like(self.grid.step)))
        density = densities.log_prob(self.latent, tf.where(is_single, y, self._loc))
        log_prob = tf.where(is_single, density + log_step, coarse.interval_log_prob(self.latent, start, end))
        return numerics.as_log_probability(log_prob)

    def _of_latent(self, method: str, y: tf.Tensor) -> tf.Tensor:
        """A method of the latent distribution, of finite gradients however far away y is."""
        if self._has_mirrors:
            return getattr(self.latent, method)(y)
        # Not up to `reach`, whose product with the gradient of the quotient overflows.
        z = held_quotient(y - self._loc, self._scale, math.sqrt(reach(self.dtype)))
        return getattr(tfd.Normal(tf.zeros([], self.dtype), 1.0), method)(z)

    def is_atom(self, y: tf.Tensor) -> tf.Tensor:
        """Whether y is a limit next to a density that can have a probability."""
        at_low, at_high = self._at_limits(y)
        return (at_low | at_high) & ~self.grid.exists

    def has_probability(self, y: tf.Tensor) -> tf.Tensor:
        """Whether y is a limit or rounded to a grid, so that what counts there is a probability."""
        at_low, at_high = self._at_limits(self.grid.nearest(y))
        return self.grid.exists | at_low | at_high

    def probability_of(self, y: tf.Tensor) -> tf.Tensor:
        """The probability of exactly y: 0 where there is a density, or nothing."""
        at_low, at_high = self._at_limits(y)
        has_probability = self.grid.contains(y) | (self._moves & (at_low | at_high))
        log_prob = self._log_prob(tf.where(has_probability, y, self.grid.nearest(self._loc + tf.zeros_like(y))))
        return tf.where(has_probability, tf.exp(log_prob), tf.zeros_like(log_prob))

    def log_between(self, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The log probability of what is observed from `first` to `last`, either of which may be infinite."""
        first, last = self.grid.first_from(first), self.grid.last_up_to(last)
        start, end = self._cell(first, last)
        is_empty = self._beyond(last)[0] | self._beyond(first)[1] | ~(start < end)
        start, end = tf.where(~is_empty, start, -math.inf), tf.where(~is_empty, end, math.inf)
        log_probability = coarse.interval_log_prob(self.latent, start, end)
        return tf.where(is_empty, tf.constant(-math.inf, self.dtype), log_probability)

    def _cdf(self, y):
        return self._tail(y, "cdf", 0.0, 1.0)

    def _survival_function(self, y):
        return self._tail(y, "survival_function", 1.0, 0.0)

    def _log_cdf(self, y):
        return self._tail(y, "log_cdf", -math.inf, 0.0)

    def _log_survival_function(self, y):
        return self._tail(y, "log_survival_function", 0.0, -math.inf)

    def _tail(self, y, method, where_below, where_above):
        """A method of the latent distribution, at the value up to which all is observed as y or less."""
        y = self.grid.last_up_to(y)
        below, _ = self._beyond(y)
        is_none = below | (y == -math.inf)
        is_all = (self._moves & ((y >= self.limits[1]) | self._at_limits(y)[1])) | (y == math.inf)
        value = self._of_latent(method, tf.where(is_none | is_all, self._loc, y + self.grid.half_step))
        value = tf.where(is_all, tf.cast(where_above, self.dtype), value)
        return tf.where(is_none, tf.cast(where_below, self.dtype), value)

    def _sample_n(self, n, seed=None):
        return self.observe(draws.of(self.latent, [n], seed))

    def _mode(self):
        return self.observe(self.latent.mode())

    def _mean(self):
        return self._moments()[0]

    def _stddev(self):
        return self._moments()[1]

    def _variance(self):
        return tf.square(self._stddev())

    def _moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and standard deviation."""
        wide = tensors.map(lambda value: tf.cast(value, tf.float64), self)
        low, high = kinds.limits(wide)
        grid = None if self._resolution is None else wide.grid
        mean, variance = coarse_moments.moments(wide.latent, low, high, grid)
        return tf.cast(mean, self.dtype), tf.cast(square_root(variance), self.dtype)
