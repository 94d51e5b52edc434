"""What distributions of scalars of our own have in common."""

from __future__ import annotations

import tensorflow as tf


class Scalar:
    """A mixin, before `tfd.AutoCompositeTensorDistribution`, of one whose events are scalars."""

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _default_event_space_bijector(self):
        return None

    def _stddev(self):
        return tf.sqrt(self._variance())
