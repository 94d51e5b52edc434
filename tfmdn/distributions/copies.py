"""How mixtures are copied and pickled: by what they were made of.

What TFP keeps beside that is no longer the same in a copy by Python's own way, such as that draws have gradients.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Made:
    """What a distribution was made of.

    Attributes:
      kind: its class.
      arguments: of its constructor, by name. A `Made` stands for a distribution.
    """

    kind: type
    arguments: dict[str, Any]

    @classmethod
    def of(cls, distribution: tfd.Distribution) -> Made:
        arguments = distribution.parameters
        return cls(type(distribution), {name: _reduced(value) for name, value in arguments.items()})

    def again(self) -> tfd.Distribution:
        return self.kind(**{name: _rebuilt(value) for name, value in self.arguments.items()})


def masked_again(made: Made, mask: tf.Tensor | None) -> tfd.Distribution:
    """A mixture that was copied or pickled, with the mask that Keras gave it."""
    return keras_internals.masked(made.again(), mask)


def _reduced(value: Any) -> Any:
    return Made.of(value) if isinstance(value, tfd.Distribution) else value


def _rebuilt(value: Any) -> Any:
    return value.again() if isinstance(value, Made) else value
