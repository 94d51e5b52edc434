"""What scores read of a mixture's components.

Shapes in comments: B batch, K components, E event.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def axis_of(mixture: tfd.Distribution) -> int:
    """The axis of K in a tensor `[..., K, *E]`."""
    return -1 - mixture.event_shape.rank


def weights_of(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The weights `[*B, K]` of the components, in the dtype of the mixture."""
    return tf.cast(mixture.mixture_distribution.probs_parameter(), mixture.dtype)


def require_mixture(mixture) -> None:
    if isinstance(mixture, tfd.Distribution) and not isinstance(mixture, tfd.MixtureSameFamily):
        raise TypeError(
            "This score is made of a mixture's components. Expected: a `tfmdn.Mixture` or a tfd.MixtureSameFamily. "
            f"Received: {type(mixture).__name__}."
        )
