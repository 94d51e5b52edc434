"""The members of an ensemble as one mixture, of operations that runtimes without TensorFlow have.

Shapes in comments: M members, B batch, K components of a member, E event.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture

tfd = tfp.distributions

# The logarithm of a weight of 0: ONNX has zeros like a tensor only by multiplication.
LEAST = -1e30


class Joined(keras.layers.Layer):
    """The mixture of M mixtures of one kind, as an `Ensemble` makes it of its members.

    Args:
      scale_temperature: what the scales of each are multiplied by, `[M]`.
      log_weights: the logarithms of their weights, `[M]`.
    """

    def __init__(self, scale_temperature: np.ndarray, log_weights: np.ndarray):
        super().__init__(dtype="float32", autocast=False)
        self.scale_temperature, self.log_weights = map(np.float64, (scale_temperature, log_weights))

    def compute_output_spec(self, mixtures):
        return keras.KerasTensor(mixtures[0].shape, dtype="float32")

    def call(self, mixtures):
        parts = [_scaled(*pair) for pair in zip(mixtures, self.scale_temperature)]
        logits = [
            tf.maximum(tf.math.log_softmax(mixture.mixture_distribution.logits_parameter()), LEAST) + log_weight
            for mixture, log_weight in zip(mixtures, np.float32(self.log_weights))
        ]
        first = mixtures[0]
        values = {name: tf.concat([part[name][0] for part in parts], axis) for name, (_, axis) in parts[0].items()}
        return Mixture(
            tfd.Categorical(logits=tf.concat(logits, -1)),
            tensors.with_parameters(first.components_distribution, values),
            convert_to_tensor=first.parameters.get("convert_to_tensor", "mean"),
            member_sizes=tuple(logit.shape[-1] for logit in logits),
        )


def _scaled(mixture: Mixture, factor: float) -> dict[str, tuple[tf.Tensor, int]]:
    """What the components of a member are made of, by name, with every scale multiplied: tensors `[..., K, ...]`.

    The second of each pair is the tensor's axis of components, counted from the end. What is the same for all rows
    stays without the axes of a batch.
    """
    components = mixture.components_distribution
    size = mixture.mixture_distribution.logits_parameter().shape[-1]
    inner = tensors.under_independent(components)
    num_independent = components.event_shape.rank - inner.event_shape.rank
    values = {}
    for name, properties in type(inner).parameter_properties(inner.dtype).items():
        value = inner.parameters.get(name)
        if value is None:
            continue
        value = tf.convert_to_tensor(value, inner.dtype)
        if name == "standard_log_scale":
            value = value + np.float32(np.log(factor))
        elif name.startswith("scale"):
            value = value * np.float32(factor)
        axis = -1 - num_independent - properties.event_ndims
        if value.shape.rank < -axis or value.shape[axis] != size:
            value = value + tf.zeros([size] + [1] * (-axis - 1), value.dtype)
        values[name] = value, axis
    return values
