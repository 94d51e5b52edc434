"""Layers that compute the same of operations that runtimes without TensorFlow have.

Shapes in comments: B rows, F features, C frequencies, U units.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfmdn.layers.embeddings import PeriodicEmbedding


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
