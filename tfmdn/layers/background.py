"""One more component behind those that a network predicts: broad, and the same for every input.

Shapes in comments: B batch, K components, E event.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers import families, outputs, starts

# Its scale, in units of the target's scale.
SCALE = 1.5


def logits_with(logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Logits `[B, K]` with that of the background, which has a weight whatever they are: `[B, K + 1]`."""
    return append(tf.math.log_softmax(logits) + tf.math.log1p(-weight), tf.math.log(weight))


def values_with(values: dict[str, tf.Tensor], spec: families.ComponentSpec) -> dict[str, tf.Tensor]:
    """Parameters `[B, *shape, K]` of components in standard units, with those of the background behind."""
    start = starts.Start(np.zeros((1, math.prod(spec.event_shape))), np.ones(1), np.ones(1))
    own = {p.name: p.constrain(raw) for p, raw in zip(spec.parameters, outputs.initial_raw(spec, start))}
    own["log_scale"] = math.log(SCALE)
    return {name: append(value, own[name]) for name, value in values.items()}


def append(value: tf.Tensor, constant) -> tf.Tensor:
    """One more component behind those of `value` `[B, *shape, K]`, the same in every row of the batch."""
    return tf.concat([value, tf.zeros_like(value[..., :1]) + tf.cast(constant, value.dtype)], -1)


def apart(mixture: Mixture) -> tuple[Mixture, Mixture]:
    """The mixture that a head with a `background` predicts without it, and the background alone."""
    axis = mixture.batch_shape.rank
    values = tensors.parameters(mixture.components_distribution)

    def part(index: slice, logits: tf.Tensor) -> Mixture:
        of_part = {name: value[(slice(None),) * axis + (index,)] for name, value in values.items()}
        return tensors.mixture_with_parameters(mixture, logits, of_part)

    logits = mixture.mixture_distribution.logits_parameter()
    # The background's own logit may be that of a weight of 0.
    return part(slice(-1), logits[..., :-1]), part(slice(-1, None), tf.zeros_like(logits[..., -1:]))
