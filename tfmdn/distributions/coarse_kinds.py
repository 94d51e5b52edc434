"""What mixtures ask of components that are observed coarsely, see `kinds`."""

from __future__ import annotations

import math

import tensorflow as tf

from tfmdn.distributions import coarse, kinds, tensors
from tfmdn.distributions.coarsened import CoarsenedNormal


@kinds.limits.register
def _(components: CoarsenedNormal):
    moves, (low, high) = components.is_moved > 0.5, components.limits
    return tf.where(moves, low, -math.inf), tf.where(moves, high, math.inf)


@kinds.probability_of.register
def _(components: CoarsenedNormal, y):
    return components.probability_of(y)


@kinds.has_probability.register
def _(components: CoarsenedNormal, y):
    return components.has_probability(y)


@kinds.atoms.register
def _(components: CoarsenedNormal):
    return components.limits


@kinds.grid.register
def _(components: CoarsenedNormal):
    return None if components.resolution is None else components.grid


@kinds.unrounded.register
def _(components: CoarsenedNormal):
    return components.copy(resolution=None)


@kinds.unmoved.register
def _(components: CoarsenedNormal):
    return components.latent, components.is_moved > 0.5


@kinds.width.register
def _(components: CoarsenedNormal):
    return components.scale + tf.zeros_like(components.loc)


@coarse.log_probability.register
def _(components: CoarsenedNormal, low, high):
    return tensors.map(lambda value: tf.cast(value, tf.float64), components).log_between(low, high)
