"""Networks of one architecture, computed together: vectorised over an axis of members.

Shapes in comments: M members, B batch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfmdn import numerics
from tfmdn.distributions import tensors as tensors_lib
from tfmdn.distributions.mixture import Mixture


@dataclasses.dataclass(frozen=True)
class Run:
    """What the members of a stack gave.

    Attributes:
      structure: a mixture of the kind that each predicts.
      tensors: what theirs are made of, `[M, ...]` by name.
      results: further tensors `[M, ...]`.
      states: the new values of those variables that changed, by their number.
    """

    structure: Mixture
    tensors: dict[str, tf.Tensor]
    results: object
    states: dict[int, tf.Tensor]

    def mixture(self, scale_temperature: tf.Tensor) -> Mixture:
        """The mixtures of all members as one of batch shape `[M, *B]`, their scales multiplied by factors `[M]`."""
        factors = tf.cast(scale_temperature, self.structure.dtype)
        return tensors_lib.rebuild(self.structure, tensors_lib.with_scales(self.tensors, factors))


@dataclasses.dataclass(frozen=True)
class Stack:
    """Networks of one architecture.

    Attributes:
      network: lends its structure; its weights are not those of any member.
      size: the number of members M.
    """

    network: keras.Model
    size: int

    @numerics.with_infinities
    def run(self, weights: Sequence[tf.Tensor], function: Callable, *columns: tf.Tensor) -> Run:
        """Calls `function(network, *columns)` once for each member, on its weights, all members at once.

        Args:
          weights: the values of the network's variables, `[M, ...]`.
          function: returns the member's mixture and a structure of further tensors.
          columns: tensors `[M, ...]` of which each member gets its own.
        """
        seen = {}

        def run_member(arguments):
            values, *own_columns = arguments
            with keras.StatelessScope(zip(self.network.variables, values), collect_losses=True) as scope:
                mixture, results = function(self.network, *own_columns)
            if not isinstance(mixture, Mixture):
                raise TypeError(f"The models of an Ensemble must output a mixture. Received: {type(mixture).__name__}.")
            after = [scope.get_current_value(variable) for variable in self.network.variables]
            seen["mixture"] = mixture
            states = {number: new for number, (old, new) in enumerate(zip(values, after)) if old is not new}
            return tensors_lib.read(mixture), results, states

        arguments = (list(weights), *columns)
        if self.size == 1:  # nothing to vectorise, which would take time, and which some operations cannot be
            outputs = run_member(tf.nest.map_structure(functools.partial(tf.squeeze, axis=0), arguments))
            tensors, results, states = tf.nest.map_structure(functools.partial(tf.expand_dims, axis=0), outputs)
        else:
            tensors, results, states = tf.vectorized_map(run_member, arguments)
        return Run(seen["mixture"], tensors, results, states)


def unstacked(mixture: Mixture) -> list[Mixture]:
    """The mixtures of the members, of one of all of them whose batch shape is `[M, *B]`."""
    values = {name: tf.unstack(value) for name, value in tensors_lib.read(mixture).items()}
    return [tensors_lib.rebuild(mixture, dict(zip(values, member))) for member in zip(*values.values())]
