"""Log probabilities of intervals: what is known of targets that are rounded, censored or missing.

Of a target that was observed coarsely it is known that it lies in a set, and its likelihood is the probability of that
set (Heitjan and Rubin 1991, "Ignorability and coarse data").

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import kinds, rescaled, tensors
from tfmdn.distributions.folding import NARROW, normal_log_probability
from tfmdn.distributions.reflected import ReflectedNormal

tfd = tfp.distributions

# Of cumulative probabilities of fewer digits the differences have enough from here on. Below, the density is
# integrated, by Gauss and Legendre's rule of three places.
NARROW_OF_ROUGH = 1e-2
GAUSS = [(0.5 - math.sqrt(0.15), 5.0 / 18.0), (0.5, 8.0 / 18.0), (0.5 + math.sqrt(0.15), 5.0 / 18.0)]


def interval_log_prob(components: tfd.Distribution, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The log probability of values from `low` to `high` under univariate components, exact in both tails.

    All of it is computed in float64: of a narrow interval the difference of two cumulative probabilities has few
    digits left.

    Args:
      components: of scalar events and batch shape `[*B, K, *E]`.
      low: broadcastable with `[*S, *B, K, *E]`; -inf for all values up to `high`.
      high: of the same kind, greater than `low`; inf for all values from `low` on.

    Returns:
      A tensor of the components' dtype with a finite gradient; -inf, without a gradient, where the probability is 0;
      NaN where `low` is not less than `high`.
    """
    low, high = (tf.cast(end, tf.float64) for end in (low, high))
    log_prob = numerics.as_log_probability(tf.cast(log_probability(components, low, high), components.dtype))
    return tf.where(low < high, log_prob, tf.constant(math.nan, components.dtype))


def joint_log_prob(components: tfd.Distribution, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The same for components of vectors too: the log probability of the box between two points.

    Args:
      components: of batch shape `[*B, K]` and event shape E.
      low: `[*S, *B, 1, *E]`.
      high: `[*S, *B, 1, *E]`.

    Returns:
      `[*S, *B, K]`.

    Raises:
      NotImplementedError: if the coordinates of a vector are not independent.
    """
    log_probs = interval_log_prob(coordinates(components), low, high)
    return tf.reduce_sum(log_probs, list(range(-components.event_shape.rank, 0)))


def coordinates(components: tfd.Distribution) -> tfd.Distribution:
    """The univariate distribution of each coordinate, in standard units where the components know these.

    Args:
      components: of batch shape `[*B, K]` and event shape E.

    Returns:
      A distribution of batch shape `[*B, K, *E]`.

    Raises:
      NotImplementedError: if the coordinates of a vector are not independent.
    """
    if not tensors.has_independent_coordinates(components):
        raise NotImplementedError(
            "The probability of intervals is known for scalars and for vectors of independent coordinates, such as "
            f"those of covariance='diag'. Received: components {type(components).__name__} of event shape "
            f"{components.event_shape}. `marginal` takes one coordinate."
        )
    if isinstance(components, rescaled.RescaledMultivariateNormalDiag):
        return rescaled.RescaledNormal(*(getattr(components, name) for name in rescaled.PARAMETERS))
    return tensors.marginals(components)


def checks(low: tf.Tensor, high: tf.Tensor) -> list[tf.Operation]:
    """Operations that raise if an interval is empty or a single value: eagerly a ValueError at once."""
    message = "`low` must be less than `high`; `log_prob` is the density of single values."
    return numerics.requirement(~tf.reduce_any(low >= high), message, lambda: received(low, high, low >= high))


def received(low: tf.Tensor, high: tf.Tensor, chosen: tf.Tensor) -> str:
    """The first of those intervals that are chosen, in the words of an error message."""
    low, high, chosen = np.broadcast_arrays(low.numpy(), high.numpy(), chosen.numpy())
    return f"Received: low={low[chosen][0]}, high={high[chosen][0]}."


@functools.singledispatch
def log_probability(components: tfd.Distribution, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """As `interval_log_prob`, in float64, of ends in float64: a kind of components answers it in its own way."""
    components = _in_float64(components)
    has_low, has_high = low > -math.inf, high < math.inf
    # In the place of an infinite end stands a number that does no harm where it is not used.
    centre = components.mean() + tf.zeros_like(low) + tf.zeros_like(high)
    safe_low, safe_high = tf.where(has_low, low, centre), tf.where(has_high, high, centre)
    below_low, below_high = components.log_cdf(safe_low), components.log_cdf(safe_high)
    above_low, above_high = components.log_survival_function(safe_low), components.log_survival_function(safe_high)
    # The difference of the smaller two tails loses no digits, whichever side of the centre the interval is on.
    is_left = ~has_low | (has_high & (below_high <= above_low))
    nothing = tf.constant(-math.inf, tf.float64)
    larger = tf.where(is_left, below_high, above_low)
    smaller = tf.where(is_left, tf.where(has_low, below_low, nothing), tf.where(has_high, above_high, nothing))
    log_prob = numerics.log_difference(larger, smaller)
    log_prob = tf.where(has_low | has_high, log_prob, tf.zeros_like(log_prob))
    is_rough = kinds.has_rough_tails(components)
    is_narrow = has_low & has_high & (larger - smaller < (NARROW_OF_ROUGH if is_rough else NARROW))
    width = tf.where(is_narrow, high - low, tf.ones_like(centre))
    densities = [
        components.log_prob(tf.where(is_narrow, low + place * width, centre)) + math.log(weight)
        for place, weight in (GAUSS if is_rough else [(0.5, 1.0)])
    ]
    mean = densities[0] if len(densities) == 1 else numerics.log_sum_exp(tf.stack(densities), 0)
    narrow = mean + tf.math.log(width)
    return tf.where(is_narrow, narrow, log_prob)


@log_probability.register
def _(components: tfd.Normal, low, high):
    loc, scale = (tf.cast(value, tf.float64) for value in (components.loc, components.scale))
    return normal_log_probability(low, high, loc, scale)


@log_probability.register
def _(components: rescaled.RescaledNormal, low, high):
    # The ends in standard units keep the digits that a centre far from 0 does not have in float32.
    location, scale = (tf.cast(value, tf.float64) for value in (components.target_location, components.target_scale))
    loc = tf.cast(components.standard_loc, tf.float64)
    standard_scale = tf.exp(tf.cast(components.standard_log_scale, tf.float64))
    return normal_log_probability((low - location) / scale, (high - location) / scale, loc, standard_scale)


@log_probability.register
def _(components: ReflectedNormal, low, high):
    return _in_float64(components).interval_log_prob(low, high)


def _in_float64(components: tfd.Distribution) -> tfd.Distribution:
    return tensors.map(lambda value: tf.cast(value, tf.float64), components)
