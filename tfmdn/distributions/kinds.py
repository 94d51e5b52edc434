"""What differs between kinds of components, and TFP does not tell: a generic function for each question.

A kind answers where its distribution is defined, or here if it is one of TFP's. What is not answered has the default.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions.folding import normal_cdf, normal_density
from tfmdn.distributions.grids import Grid

tfd = tfp.distributions


@functools.singledispatch
def limits(components: tfd.Distribution) -> tuple[tf.Tensor | float, tf.Tensor | float] | None:
    """The lowest and the highest value with a density above 0, broadcastable with the components; None for all."""
    return None


@functools.singledispatch
def logarithm(components: tfd.Distribution) -> tfd.Distribution | None:
    """The univariate distribution of log y, where y is positive and searches are easier in log y; else None."""
    return None


@functools.singledispatch
def may_overshoot(components: tfd.Distribution) -> bool:
    """Whether the mean shift may step beyond the peak, as it may where a density is skewed."""
    return False


@functools.singledispatch
def period(components: tfd.Distribution) -> float | None:
    """By how much values of y differ that are the same, such as 2 pi for angles; None if all differ."""
    return None


@functools.singledispatch
def probability_of(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor:
    """The probability of exactly y under univariate components: 0 where there is a density."""
    return 0.0 * components.cdf(y)  # NaN of NaN


@functools.singledispatch
def has_probability(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor | None:
    """Where `log_prob` is the logarithm of a probability, and of no density; None if it is nowhere. See `atoms`."""
    return None


@functools.singledispatch
def atoms(components: tfd.Distribution) -> tuple[tf.Tensor, ...]:
    """Single values amid a density that can have a probability of their own, each broadcastable with the components."""
    return ()


@functools.singledispatch
def grid(components: tfd.Distribution) -> Grid | None:
    """The values to which all components are rounded, broadcastable with them; None if they are not."""
    return None


@functools.singledispatch
def unrounded(components: tfd.Distribution) -> tfd.Distribution:
    """The components before they are rounded."""
    return components


@functools.singledispatch
def unmoved(components: tfd.Distribution) -> tuple[tfd.Distribution, tf.Tensor] | None:
    """The components before what lies beyond atoms is moved there, and in which of them it is; None if in none."""
    return None


@functools.singledispatch
def width(components: tfd.Distribution) -> tf.Tensor:
    """How wide univariate components are where nothing moves them to a limit."""
    return components.stddev()


@functools.singledispatch
def has_rough_tails(components: tfd.Distribution) -> bool:
    """Whether cumulative probabilities of univariate components are series that have not all digits of float64."""
    return False


@functools.singledispatch
def tail(components: tfd.Distribution) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The function of y and a side that searches for quantiles ask again and again: a probability, and the density.

    The probability is P(Y <= y) where the side is 1, and P(Y > y) where it is -1, each exact where it is small.
    """

    def at(y, side):
        return tf.where(side > 0.0, components.cdf(y), components.survival_function(y)), components.prob(y)

    return at


def has_jumps(components: tfd.Distribution) -> bool:
    """Whether single values of univariate components can have a probability."""
    return bool(atoms(components)) or grid(components) is not None


def check_not_periodic(method: str, components: tfd.Distribution) -> None:
    """Raises NotImplementedError for angles."""
    if period(components) is not None:
        raise NotImplementedError(f"`{method}` is not defined for angles. Received: {components}.")


def difference(components: tfd.Distribution, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """first - second, by the shorter way round where values are periodic."""
    turn, difference = period(components), first - second
    return difference if turn is None else difference - turn * tf.round(difference / turn)


@tail.register
def _(components: tfd.Normal):
    loc, inverse_scale = components.loc, 1.0 / components.scale

    def at(y, side):
        z = (y - loc) * inverse_scale
        return normal_cdf(side * z), normal_density(z) * inverse_scale

    return at


@tail.register
def _(components: tfd.Laplace):
    loc, inverse_scale = components.loc, 1.0 / components.scale

    def at(y, side):
        z = (y - loc) * inverse_scale
        half = 0.5 * tf.exp(-tf.abs(z))  # TFP's cumulative probability is 1/2 minus that of the rest
        return tf.where(side * z < 0.0, half, 1.0 - half), half * inverse_scale

    return at


@tail.register
def _(components: tfd.Logistic):
    loc, inverse_scale = components.loc, 1.0 / components.scale

    def at(y, side):
        z = side * (y - loc) * inverse_scale
        tail = tf.sigmoid(z)
        return tail, tail * tf.sigmoid(-z) * inverse_scale

    return at


@period.register
def _(components: tfd.Independent):
    return period(components.distribution)


@may_overshoot.register
def _(components: tfd.Independent):
    return may_overshoot(components.distribution)


@has_probability.register
def _(components: tfd.Independent, y):
    of_coordinates = has_probability(components.distribution, y)
    axes = list(range(-components.event_shape.rank, 0))
    return None if of_coordinates is None else tf.reduce_all(of_coordinates, axes)


@limits.register
def _(components: tfd.Independent):
    return limits(components.distribution)
