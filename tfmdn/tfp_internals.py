"""What leans on private names of TensorFlow Probability. Its test says what needs each.

What TFP tells subclasses to override, such as `_log_prob` and `_parameter_properties`, is not private.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import processes, tensorflow_internals

tfd = tfp.distributions


class Checked:
    """A base class, before those of TFP, of distributions whose methods raise after a late fork."""

    def _name_and_control_scope(self, *args, **kwargs):
        processes.require_usable_tensorflow()
        return super()._name_and_control_scope(*args, **kwargs)


class WithKeptShape:
    """A base class, before TFP's, of distributions that infer their batch shape once.

    TFP's keep it too, but look for it under another name, and infer it anew each time, of all their parts.
    """

    @property
    def batch_shape(self):
        """The static shape of a sample from each of the rows."""
        if "_kept_batch_shape" not in self.__dict__:
            self._kept_batch_shape = super().batch_shape
        return self._kept_batch_shape


def set_parameters(distribution: tfd.Distribution, arguments: dict) -> None:
    """Replaces a base class's arguments by those of the distribution's own `__init__`: what it is copied by.

    Args:
      distribution: one whose base class has been initialised.
      arguments: `dict(locals())` of its `__init__`, taken at its start.
    """
    distribution._parameters = {name: arguments[name] for name in arguments if name not in ("self", "__class__")}


def copied(distribution: tfd.Distribution, /, **arguments) -> tfd.Distribution:
    """The distribution with other arguments, as of `distribution.copy`, which makes anew all that it is a copy of."""
    with tensorflow_internals.meant_infinities():
        return type(distribution)(**{**distribution.parameters, **arguments})


def name_scope(distribution: tfd.Distribution, name: str):
    """A context in which operations have the distribution's name, as those of TFP's own methods have."""
    return distribution._name_and_control_scope(name)


class WithInfinities:
    """A base class, before TFP's, of distributions on whose way to finite results there are infinities."""

    @contextlib.contextmanager
    def _name_and_control_scope(self, *args, **kwargs):
        with tensorflow_internals.meant_infinities(), super()._name_and_control_scope(*args, **kwargs) as scope:
            yield scope


def with_changed_components(
    distribution: type, type_spec: str, there: Callable[[dict], dict], back: Callable[[dict], dict]
) -> type:
    """A class whose objects go into functions of TensorFlow, and come out of them, as other tensors.

    Args:
      distribution: a class of composite tensors.
      type_spec: the name under which the specification of its objects is registered.
      there: of an object's tensors by name makes those that go in or come out.
      back: the same tensors of these.
    """
    spec = tensorflow_internals.type_spec(type_spec)
    to_components, from_components = spec._to_components, spec._from_components
    spec._to_components = lambda self, value: there(to_components(self, value))
    spec._from_components = lambda self, components: from_components(self, back(components))
    return distribution


def with_gradients_of_parameters(mixture: tfd.MixtureSameFamily, draws: tf.Tensor, event_shape: tf.Tensor) -> tf.Tensor:
    """Draws `[S, *B, *E]` that have gradients in all parameters, if the mixture was made with `reparameterize`."""
    return mixture._reparameterize_sample(draws, event_shape) if mixture._reparameterize else draws
