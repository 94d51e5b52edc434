"""What leans on private names of TensorFlow Probability. Its test says what needs each.

What TFP tells subclasses to override, such as `_log_prob` and `_parameter_properties`, is not private.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import processes

tfd = tfp.distributions


class Checked:
    """A base class, before those of TFP, of distributions whose methods raise after a late fork."""

    def _name_and_control_scope(self, *args, **kwargs):
        processes.require_usable_tensorflow()
        return super()._name_and_control_scope(*args, **kwargs)


def set_parameters(distribution: tfd.Distribution, arguments: dict) -> None:
    """Replaces a base class's arguments by those of the distribution's own `__init__`: what it is copied by.

    Args:
      distribution: one whose base class has been initialised.
      arguments: `dict(locals())` of its `__init__`, taken at its start.
    """
    distribution._parameters = {name: arguments[name] for name in arguments if name not in ("self", "__class__")}


def pad_sample_dims(mixture: tfd.MixtureSameFamily, y: tf.Tensor) -> tf.Tensor:
    """y `[*S, *B, *E]` with an axis of size 1 for the components: `[*S, *B, 1, *E]`."""
    return mixture._pad_sample_dims(y)


def name_scope(distribution: tfd.Distribution, name: str):
    """A context in which operations have the distribution's name, as those of TFP's own methods have."""
    return distribution._name_and_control_scope(name)


def with_gradients_of_parameters(mixture: tfd.MixtureSameFamily, draws: tf.Tensor, event_shape: tf.Tensor) -> tf.Tensor:
    """Draws `[S, *B, *E]` that have gradients in all parameters, if the mixture was made with `reparameterize`."""
    return mixture._reparameterize_sample(draws, event_shape) if mixture._reparameterize else draws
