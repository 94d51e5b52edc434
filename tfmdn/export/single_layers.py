"""Layers that compute the same of operations that runtimes without TensorFlow have.

Shapes in comments: B rows, N kept inputs, F features, C frequencies, U units.
"""

from __future__ import annotations

import functools
import math

import tensorflow as tf

from tfmdn.layers.embeddings import PeriodicEmbedding
from tfmdn.layers.fallback import MarginalFallback


class PeriodicProducts(PeriodicEmbedding):
    """A `PeriodicEmbedding` by a product of matrices for each feature: not all runtimes have an einsum."""

    def call(self, inputs):
        features, units = self.kernel.shape[0], self.kernel.shape[-1]
        rows = tf.reshape(inputs, [-1, features])
        angles = 2.0 * math.pi * rows[..., tf.newaxis] * self.frequencies  # [B, F, C]
        waves = tf.transpose(tf.concat([tf.sin(angles), tf.cos(angles)], -1), [1, 0, 2])  # [F, B, 2 C]
        embedded = tf.nn.relu(tf.linalg.matmul(waves, self.kernel) + self.bias[:, tf.newaxis])  # [F, B, U]
        embedded = tf.reshape(tf.transpose(embedded, [1, 0, 2]), [-1, features * units])
        outputs = tf.concat([rows, embedded], -1)
        if inputs.shape.rank == 2:
            return outputs
        return tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], outputs.shape[-1:]], 0))


class _OfDifferences:
    """A mixin, before `MarginalFallback`: single precision does not hold small differences of large squares."""

    def _square_distances(self, z):
        differences = tf.expand_dims(z, -2) - tf.convert_to_tensor(self.points)  # [B, N, F]
        return tf.reduce_sum(tf.square(differences), -1)


@functools.cache
def of_differences(kind: type[MarginalFallback]) -> type[MarginalFallback]:
    """The same kind of fallback, which computes distances in another way."""
    return type(kind.__name__, (_OfDifferences, kind), {})
