"""E|X - y| and E|X - X'| of the components of a mixture: what the CRPS is made of.

Shapes in comments: B batch, K components.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import tensors
from tfmdn.distributions.coarse_distances import CoarsenedDistances
from tfmdn.distributions.coarsened import CoarsenedNormal
from tfmdn.distributions.folded_distances import NormalDistances, ReflectedDistances
from tfmdn.distributions.reflected import ReflectedNormal
from tfmdn.numerics import held_quotient, norm

tfd = tfp.distributions


@functools.singledispatch
def absolute_deviation(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor:
    """E|X - y| of univariate components, in closed form.

    Args:
      components: of scalar events: a kind that has been registered.
      y: broadcastable with the batch shape.

    Returns:
      E|X - y|, which has a finite gradient however far away y is.

    Raises:
      NotImplementedError: if the kind of distribution has no closed form here.

    Example:

    >>> normal = tfd.Normal([0.0, 0.0], [1.0, 2.0])
    >>> tfmdn.distributions.deviations.absolute_deviation(normal, 0.0).numpy().round(4)
    array([0.7979, 1.5958], dtype=float32)
    """
    raise NotImplementedError(
        f"E|X - y| is known for components of these kinds: {_kinds(absolute_deviation)}. "
        f"Received: {type(components).__name__}. The energy score needs draws alone."
    )


@functools.singledispatch
def absolute_difference(first: tfd.Distribution, second: tfd.Distribution) -> tf.Tensor:
    """E|X - X'| of independent univariate X and X' of one kind, batch by batch.

    In closed form for normal, lognormal and Laplace components, and by a quadrature for von Mises ones. Of mixtures of
    the others, `cells` integrates the sum over all pairs at once.

    Args:
      first: the distribution of X, of scalar events: a kind that has been registered.
      second: the distribution of X', of the same kind and of a batch shape that broadcasts with the first.

    Returns:
      E|X - X'| of the common batch shape.

    Raises:
      NotImplementedError: if the kind of distribution is not known here.

    Example:

    >>> normal = tfd.Normal(0.0, 1.0)
    >>> round(float(tfmdn.distributions.deviations.absolute_difference(normal, normal)), 4)
    1.1284
    """
    raise NotImplementedError(
        f"E|X - X'| is known for components of these kinds: {_kinds(absolute_difference)}. "
        f"Received: {type(first).__name__}."
    )


@functools.singledispatch
def mean(components: tfd.Distribution) -> tf.Tensor:
    """The mean of univariate components, as exact as their `absolute_deviation`."""
    return components.mean()


@functools.singledispatch
def of_mixture(
    components: tfd.Distribution, weights: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Of a mixture the mean, and, for many y, P(X <= y) and E|X - y|.

    Args:
      components: univariate, of batch shape `[B, 1, K]`.
      weights: `[B, K]`.

    Returns:
      The mean `[B, 1]`, and a function of y `[B, N]` that returns both, `[B, N]`.
    """
    return mixed(mean(components), lambda y: (components.cdf(y), absolute_deviation(components, y)), weights)


def mixed(means: tf.Tensor, at: Callable | None, weights: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """As `of_mixture`, of the means `[B, 1, K]` and the function of y that returns both of each component."""

    def function(y):
        return [tf.linalg.matvec(value, weights) for value in at(y[..., tf.newaxis])]

    return tf.linalg.matvec(tf.broadcast_to(means, tf.shape(weights[:, tf.newaxis])), weights), function


# Each is the distance between the centres and what comes on top of it. The second part is positive and vanishes far
# away: there the value is the plain distance, and its gradient is finite.

# Where exp(-z) and the normal tail are exactly 0 in every dtype.
FARTHEST = 800.0

# How many nodes of a quadrature are taken at a time.
BLOCK = 32


def _normal_excess(distance, scale):
    z = held_quotient(distance, scale, FARTHEST)
    return scale * (math.sqrt(2.0 / math.pi) * tf.exp(-0.5 * tf.square(z)) - z * tf.math.erfc(z * math.sqrt(0.5)))


def _normal_deviation(values, y):
    distance = tf.abs(y - values["loc"])
    return distance + _normal_excess(distance, values["scale"])


def _normal_difference(first, second):
    distance = tf.abs(first["loc"] - second["loc"])
    # The difference of two normals is a normal.
    return distance + _normal_excess(distance, norm(tf.stack([first["scale"], second["scale"]], -1), 1))


def _laplace_deviation(values, y):
    distance = tf.abs(y - values["loc"])
    return distance + values["scale"] * tf.exp(-held_quotient(distance, values["scale"], FARTHEST))


def _laplace_difference(first, second):
    """The textbook form, (a^3 exp(-d/a) - b^3 exp(-d/b)) / (a^2 - b^2) beyond the distance d, is 0 / 0 at a = b.

    Written with the wider scale a as the unit and exp(-d/b) as a multiple of exp(-d/a), it is a sum of positive terms.
    """
    distance = tf.abs(first["loc"] - second["loc"])
    wide, ratio = _wide_and_ratio(first["scale"], second["scale"])
    u = held_quotient(distance, wide, FARTHEST)
    x = u * (1.0 - ratio) / ratio
    is_small = x < 1e-3
    safe_x = tf.where(is_small, tf.ones_like(x), x)
    mean_decay = tf.where(is_small, 1.0 - x / 2.0 + tf.square(x) / 6.0, -tf.math.expm1(-safe_x) / safe_x)
    factor = 1.0 + ratio + tf.square(ratio) * (1.0 + u * mean_decay)
    return distance + wide * tf.exp(-u) * factor / (1.0 + ratio)


def _logistic_deviation(values, y):
    distance = tf.abs(y - values["loc"])
    return distance + 2.0 * values["scale"] * tf.math.softplus(-held_quotient(distance, values["scale"], FARTHEST))


def has_absolute_difference(components: tfd.Distribution) -> bool:
    """Whether `absolute_difference` knows the kind of components."""
    return absolute_difference.dispatch(type(components)) is not absolute_difference.dispatch(object)


def _kinds(function: Callable) -> str:
    return ", ".join(kind.__name__ for kind in function.registry if kind is not object)


def register(kind: type[tfd.Distribution], from_point: Callable, from_each_other: Callable | None = None) -> None:
    """Lets components of a kind have a CRPS.

    Args:
      kind: the class of univariate distributions.
      from_point: E|X - y| of the distribution's tensors by name, and y.
      from_each_other: E|X - X'| of the tensors of both distributions, of one batch shape; None where mixtures have it
        from their cumulative probability.
    """
    absolute_deviation.register(kind, lambda components, y: from_point(tensors.parameters(components), y))
    if from_each_other is not None:
        absolute_difference.register(
            kind, lambda first, second: from_each_other(tensors.parameters(first), tensors.parameters(second))
        )


register(tfd.Normal, _normal_deviation, _normal_difference)
register(tfd.Laplace, _laplace_deviation, _laplace_difference)
register(tfd.Logistic, _logistic_deviation)


@absolute_deviation.register
def _(components: ReflectedNormal, y):
    return ReflectedDistances(components).of_components(y)[1]


@of_mixture.register
def _(components: ReflectedNormal, weights):
    distances = ReflectedDistances(components)
    return mixed(components.mean(), None, weights)[0], lambda y: distances.of_mixture(weights, y[..., tf.newaxis])


@of_mixture.register
def _(components: tfd.Normal, weights):
    distances = NormalDistances(components.loc, components.scale)
    return mixed(components.mean(), None, weights)[0], lambda y: distances.of_mixture(weights, y[..., tf.newaxis])


@absolute_deviation.register
def _(components: CoarsenedNormal, y):
    return CoarsenedDistances(components).deviation(y)


@mean.register
def _(components: CoarsenedNormal):
    return CoarsenedDistances(components).mean()


@of_mixture.register
def _(components: CoarsenedNormal, weights):
    distances = CoarsenedDistances(components)
    return mixed(distances.mean(), distances.of_components, weights)


def _wide_and_ratio(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # Not `maximum` and `minimum`: where both are equal, the gradients of both would reach the first alone.
    is_first = first >= second
    wide = tf.where(is_first, first, second)
    return wide, tf.where(is_first, second, first) / wide


def sum_over(nodes: np.ndarray, term: Callable[..., tf.Tensor], *arguments: tf.Tensor) -> tf.Tensor:
    """The sum of term(node, *arguments) over the nodes, `BLOCK` of them at a time, and no more in memory.

    With weights, of shape `[N, 2]`, the nodes reach the term as `[BLOCK, 2, 1]`, else as `[BLOCK, 1]`.
    """
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, arguments))
    # Flat, so that a trace for one batch serves those of other sizes and ranks.
    flat = [tf.reshape(tf.broadcast_to(argument, shape), [-1]) for argument in arguments]
    blocks = tf.constant(nodes.reshape(-1, BLOCK, *nodes.shape[1:], 1), flat[0].dtype)
    return tf.reshape(_sum_of_blocks(blocks, term, *flat), shape)


@tf.function(autograph=False, reduce_retracing=True)
def _sum_of_blocks(blocks, term, *arguments):
    return tf.foldl(
        lambda total, nodes: total + tf.reduce_sum(term(nodes, *arguments), 0),
        blocks,
        initializer=tf.zeros_like(arguments[0]),
        parallel_iterations=1,
    )
