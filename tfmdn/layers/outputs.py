"""What the raw outputs of a network mean: which of them each parameter of the components is made of.

Shapes in comments: B batch, K components.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmdn import numerics
from tfmdn.layers import specs, starts


class ParameterBlock(NamedTuple):
    """Where the raw outputs lie that one parameter of all components is made of.

    Attributes:
      name: "logits", or the name of a parameter of the components.
      shape: the shape of the parameter in one component.
      columns: the numbers of the outputs, which are those of the kernel's and the bias' columns: `[K, size]`.
    """

    name: str
    shape: tuple[int, ...]
    columns: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The raw outputs for the logits and for every parameter of the components.

    Attributes:
      spec: what a component is.
      num_components: K.
    """

    spec: specs.ComponentSpec
    num_components: int

    @property
    def blocks(self) -> list[ParameterBlock]:
        """The parts of the outputs in their order: the logits, then each parameter of the components."""
        shapes = {"logits": (), **{parameter.name: parameter.shape for parameter in self.spec.parameters}}
        blocks, first = [], 0
        for name, shape in shapes.items():
            last = first + self.num_components * math.prod(shape)
            blocks.append(ParameterBlock(name, shape, np.arange(first, last).reshape(-1, self.num_components).T))
            first = last
        return blocks

    @property
    def size(self) -> int:
        """The number of outputs for one row."""
        return sum(block.columns.size for block in self.blocks)

    def constrained(self, params: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The logits `[B, K]` and the valid parameters `[B, *shape, K]` of raw outputs `[B, size]`."""
        blocks = self.blocks

        def shaped(values, block):
            if not block.shape:
                return values
            return tf.reshape(values, tf.concat([tf.shape(params)[:-1], [*block.shape, self.num_components]], 0))

        parts = tf.split(params, [block.columns.size for block in blocks], axis=-1)
        logits, *raw = map(shaped, parts, blocks)
        return logits, {p.name: p.constrain(value) for p, value in zip(self.spec.parameters, raw)}

    def initial(self, start: starts.Start) -> np.ndarray:
        """The outputs `[size]` that components start at."""
        raw = [np.log(start.weights), *initial_raw(self.spec, start)]
        return np.concatenate([values.ravel() for values in raw])


def initial_raw(spec: specs.ComponentSpec, start: starts.Start) -> list[np.ndarray]:
    """The raw values that each parameter of the components starts at, `[*shape, K]`."""
    k = len(start.scales)
    centres = start.centres.reshape(k, *spec.event_shape)
    initial = [(p.initial_raw(centres, start.scales), (k, *p.shape)) for p in spec.parameters]
    return [np.moveaxis(np.broadcast_to(raw, shape), 0, -1) for raw, shape in initial]


def mean_penalty(regularizer: Callable, values: tf.Tensor, batch_shape: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """The mean penalty of the rows that are not masked, for `values` `[B, *shape, K]`. A mask may lack last axes."""
    is_counted = tf.ones(batch_shape, tf.bool)
    if mask is not None:
        is_counted &= numerics.with_trailing_axes(mask, is_counted.shape.rank - mask.shape.rank)
    is_counted = numerics.with_trailing_axes(is_counted, values.shape.rank - is_counted.shape.rank)
    values = tf.where(is_counted, values, tf.zeros_like(values))
    count = tf.math.count_nonzero(is_counted, dtype=values.dtype)
    return tf.math.divide_no_nan(regularizer(values), count)
