"""Draws of components that are the same for a seed eagerly, in graphs and compiled by XLA, by `random_numbers`.

Shapes in comments: S samples, B batch, E event.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import tensors
from tfmdn.distributions.random_numbers import normal, uniform

tfd = tfp.distributions


def of(components: tfd.Distribution, shape, seed) -> tf.Tensor:
    """Draws `[*S, *B, *E]` of components.

    Those of kinds of TFP's that are not known here, of gamma and of von Mises components, which are drawn and rejected,
    are TFP's: other numbers under XLA.
    """
    return _of(tensors.under_independent(components), tf.convert_to_tensor(shape, tf.int32), seed)


@functools.singledispatch
def _of(inner: tfd.Distribution, shape: tf.Tensor, seed) -> tf.Tensor:
    return inner.sample(shape, seed=seed)


def _whole_shape(inner: tfd.Distribution, shape: tf.Tensor) -> tf.Tensor:
    return tf.concat([shape, inner.batch_shape_tensor(), inner.event_shape_tensor()], 0)


@_of.register
def _(inner: tfd.Normal, shape, seed):
    return inner.loc + inner.scale * normal(_whole_shape(inner, shape), seed, inner.dtype)


@_of.register
def _(inner: tfd.LogNormal, shape, seed):
    return tf.exp(inner.loc + inner.scale * normal(_whole_shape(inner, shape), seed, inner.dtype))


@_of.register
def _(inner: tfd.MultivariateNormalLinearOperator, shape, seed):
    z = inner.scale.matvec(normal(_whole_shape(inner, shape), seed, inner.dtype))
    return z if inner.loc is None else inner.loc + z


@_of.register
def _(inner: tfd.Laplace, shape, seed):
    low = np.nextafter(inner.dtype.as_numpy_dtype(-1.0), inner.dtype.as_numpy_dtype(1.0))
    u = tf.maximum(2.0 * uniform(_whole_shape(inner, shape), seed, inner.dtype) - 1.0, low)
    return inner.loc - inner.scale * tf.sign(u) * tf.math.log1p(-tf.abs(u))


@_of.register
def _(inner: tfd.Logistic, shape, seed):
    u = tf.maximum(uniform(_whole_shape(inner, shape), seed, inner.dtype), np.finfo(inner.dtype.as_numpy_dtype).tiny)
    return inner.loc + inner.scale * (tf.math.log(u) - tf.math.log1p(-u))


@_of.register
def _(inner: tfd.StudentT, shape, seed):
    """By Bailey's (1994) polar method, which rejects nothing."""
    u, turn = tf.unstack(uniform(tf.concat([[2], _whole_shape(inner, shape)], 0), seed, inner.dtype))
    square = inner.df * tf.math.expm1(-2.0 / inner.df * tf.math.log1p(-u))
    return inner.loc + inner.scale * numerics.square_root(square) * tf.cos(2.0 * math.pi * turn)
