"""Networks of one architecture, computed together: vectorised over an axis of members.

Shapes in comments: M members, B batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import keras
import tensorflow as tf

from tfmdn.distributions import tensors as tensors_lib
from tfmdn.distributions.mixture import Mixture


@dataclasses.dataclass(frozen=True)
class Run:
    """What the members of a stack gave.

    Attributes:
      structure: a mixture of the kind that each predicts.
      tensors: what theirs are made of, `[M, ...]` by name.
      results: further tensors `[M, ...]`.
      states: the variables that changed, and their new values.
    """

    structure: Mixture
    tensors: dict[str, tf.Tensor]
    results: object
    states: list[tuple[keras.Variable, tf.Tensor]]

    def mixture(self, scale_temperature: tf.Tensor) -> Mixture:
        """The mixtures of all members as one of batch shape `[M, *B]`, its scales multiplied by a factor."""
        factor = tf.cast(scale_temperature, self.structure.dtype)
        return tensors_lib.rebuild(self.structure, tensors_lib.with_scales(self.tensors, factor))

    def update_states(self) -> None:
        for variable, value in self.states:
            variable.assign(value)


class Stack:
    """Networks of one architecture. The first lends its structure; the variables `[M, ...]` hold the values of all."""

    def __init__(self, networks: list[keras.Model], add_stacked: Callable):
        self.network = networks[0]
        self.size = len(networks)
        trainable = {id(variable) for variable in self.network.trainable_variables}
        self.variables = [
            add_stacked(variables, id(variables[0]) in trainable)
            for variables in zip(*(network.variables for network in networks))
        ]

    def run(self, function: Callable, *columns: tf.Tensor) -> Run:
        """Calls `function(network, *columns)` once for each member, on its weights, all members at once.

        Args:
          function: returns the member's mixture and a structure of further tensors.
          columns: tensors `[M, ...]` of which each member gets its own.
        """
        seen = {}

        def of_member(arguments):
            values, *of_columns = arguments
            with keras.StatelessScope(zip(self.network.variables, values), collect_losses=True) as scope:
                mixture, results = function(self.network, *of_columns)
            if not isinstance(mixture, Mixture):
                raise TypeError(f"The models of an Ensemble must output a mixture. Received: {type(mixture).__name__}.")
            after = [scope.get_current_value(variable) for variable in self.network.variables]
            seen["mixture"] = mixture
            seen["changed"] = [old is not new for old, new in zip(values, after)]
            states = [new for new, changed in zip(after, seen["changed"]) if changed]
            return tensors_lib.read(mixture), results, states

        arguments = ([tf.convert_to_tensor(variable) for variable in self.variables], *columns)
        if self.size == 1:  # nothing to vectorise, which would take time, and which some operations cannot be
            outputs = of_member(tf.nest.map_structure(functools.partial(tf.squeeze, axis=0), arguments))
            tensors, results, states = tf.nest.map_structure(functools.partial(tf.expand_dims, axis=0), outputs)
        else:
            tensors, results, states = tf.vectorized_map(of_member, arguments)
        return Run(
            seen["mixture"], tensors, results, list(zip(itertools.compress(self.variables, seen["changed"]), states))
        )


def unstacked(mixture: Mixture) -> list[Mixture]:
    """The mixtures of the members, of one of all of them whose batch shape is `[M, *B]`."""
    values = {name: tf.unstack(value) for name, value in tensors_lib.read(mixture).items()}
    return [tensors_lib.rebuild(mixture, dict(zip(values, member))) for member in zip(*values.values())]
