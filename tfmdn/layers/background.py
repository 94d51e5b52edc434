"""One more component behind those that a network predicts: broad, and the same for every input.

Shapes in comments: B batch, K components, E event.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfmdn import numerics
from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers import outputs, specs, starts

# Its scale, in units of the target's scale.
SCALE = 1.5


def logits_with(logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Logits `[B, K]` with that of the background, which has a weight whatever they are: `[B, K + 1]`."""
    return numerics.append(tf.math.log_softmax(logits) + tf.math.log1p(-weight), tf.math.log(weight))


def values_with(values: dict[str, tf.Tensor], spec: specs.ComponentSpec) -> dict[str, tf.Tensor]:
    """Parameters `[B, *shape, K]` of components in standard units, with those of the background behind.

    So are the factors `[K, D, D]` in units of which they are, if there are any.
    """
    start = starts.Start(np.zeros((1, math.prod(spec.event_shape))), np.ones(1), np.ones(1))
    own = {p.name: p.constrain(raw) for p, raw in zip(spec.parameters, outputs.initial_raw(spec, start))}
    own["log_scale"] = math.log(SCALE)
    both = {name: numerics.append(value, own[name]) for name, value in values.items() if name in own}
    if spec.has_factors:  # [K + 1, D, D]
        identity = tf.eye(*spec.event_shape, batch_shape=[1], dtype=values["factors"].dtype)
        both["factors"] = tf.concat([values["factors"], identity], 0)
    return both


def apart(mixture: Mixture) -> tuple[Mixture, Mixture]:
    """The mixture that a head with a `background` predicts without it, and the background alone."""
    sizes = [mixture.components_distribution.batch_shape[-1] - 1, 1]
    others, background = (
        tensors.map(lambda value, axis, index=index: tf.split(value, sizes, axis)[index], mixture, axis=-1)
        for index in range(2)
    )
    values = tensors.read(background)
    # Its own logit may be that of a weight of 0.
    return others, tensors.rebuild(background, {**values, "logits": tf.zeros_like(values["logits"])})
