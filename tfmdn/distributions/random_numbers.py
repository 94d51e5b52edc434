"""Random numbers that are the same for a seed eagerly, in graphs and compiled by XLA.

TensorFlow leaves the algorithm to the device, and XLA takes another one; named, both have the same bits, but not the
same real numbers of them. So these are made here, as TensorFlow makes them.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics

ALGORITHM = "philox"  # what TensorFlow takes on CPUs and GPUs
# Of a kind of real numbers the integers with as many bits, and how many of these are the digits.
INTEGERS = {tf.float32: (tf.int32, 23), tf.float64: (tf.int64, 52)}


def sanitized(seed) -> tf.Tensor:
    """The stateless seed for an integer, for a stateless seed or for None."""
    return tfp.random.sanitize_seed(numerics.stateless_seed(seed))


def uniform(shape, seed, dtype: tf.DType) -> tf.Tensor:
    """From 0 to below 1."""
    integer, digits = INTEGERS[dtype]
    bits = tf.random.stateless_uniform(shape, sanitized(seed), None, None, integer, alg=ALGORITHM)
    return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(2**digits - 1, integer)), dtype) * 2.0**-digits


def normal(shape, seed, dtype: tf.DType) -> tf.Tensor:
    """Standard normal, by Box and Muller's method."""
    size = tf.reduce_prod(shape)
    radius, turn = tf.unstack(uniform([(size + 1) // 2, 2], seed, dtype), axis=-1)
    radius, angle = tf.sqrt(-2.0 * tf.math.log(tf.maximum(radius, 1e-7))), 2.0 * math.pi * turn
    pairs = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], -1)
    return tf.reshape(tf.reshape(pairs, [-1])[:size], shape)


def fold_in(seed: tf.Tensor, number) -> tf.Tensor:
    """A stateless seed for a stateless seed and a number."""
    return tf.random.fold_in(seed, number, alg=ALGORITHM)


def split(seed, salt: str) -> list[tf.Tensor]:
    """Two stateless seeds for one, as `tfp.random.split_seed` makes them."""
    seed = tfp.random.sanitize_seed(seed, salt=salt)
    return tf.unstack(tf.random.stateless_uniform([2, 2], seed, None, None, tf.int32, alg=ALGORITHM))
