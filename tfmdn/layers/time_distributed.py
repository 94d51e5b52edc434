"""`keras.layers.TimeDistributed` of layers that output a mixture, which stays one: of batch shape `[B, T]`.

Keras calls the layer for each step and stacks what it outputs as tensors, so that only the means would remain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmdn import keras_internals
from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers.mdn import MDNLayer, heads_of


def keep_distributions() -> None:
    """Lets `TimeDistributed` call layers that may output a mixture once, on all steps, and not once for each step."""
    call = keras.layers.TimeDistributed.call
    if hasattr(call, "__wrapped__"):  # by an earlier import of this module
        return

    @functools.wraps(call)
    def call_at_once(self, inputs, training=None, mask=None):
        if not _may_output_a_mixture(self.layer):
            return call(self, inputs, training=training, mask=mask)
        return _called_at_once(self.layer, inputs, mask)

    keras.layers.TimeDistributed.call = call_at_once


def _may_output_a_mixture(layer: keras.layers.Layer) -> bool:
    """Whether there is a head in a layer, or a model of tfmdn such as an `Ensemble`, in which heads are no layers."""
    is_ours = (type(part).__module__.partition(".")[0] == "tfmdn" for part in keras_internals.layers_of(layer))
    return any(is_ours) or bool(heads_of(layer))


def _called_at_once(layer: Callable, inputs: tf.Tensor, mask: tf.Tensor | None) -> Any:
    if isinstance(layer, MDNLayer):  # takes any number of batch axes
        return layer(inputs, mask=mask)
    steps = [size if size is not None else tf.shape(inputs)[axis] for axis, size in enumerate(inputs.shape[:2])]
    rows = tf.reshape(inputs, tf.concat([[steps[0] * steps[1]], tf.shape(inputs)[2:]], 0))  # [B T, ...]
    rows = tf.ensure_shape(rows, [None, *inputs.shape[2:]])
    outputs = layer(keras_internals.masked(rows, None if mask is None else tf.reshape(mask, [-1])))

    def unfolded(value, axis=0):
        shape = tf.shape(value)
        axis %= value.shape.rank
        return tf.reshape(value, tf.concat([shape[:axis], tf.stack(steps), shape[axis + 1 :]], 0))

    def unfold(output):
        return tensors.map(unfolded, output, axis=0) if isinstance(output, Mixture) else unfolded(output)

    return keras.tree.map_structure(unfold, outputs)


keep_distributions()
