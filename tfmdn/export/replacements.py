"""What stands in the place of layers in single precision: tfmdn's, and Keras' that keep more than weights.

Importing it adds the rules to those of `operations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfmdn.export.members import LEAST
from tfmdn.export.numbers import Numbers
from tfmdn.export.operations import Operation, like, plain, rule
from tfmdn.export.single_layers import PeriodicProducts, of_differences
from tfmdn.export.single_trees import SingleTrees
from tfmdn.layers.embeddings import PeriodicEmbedding
from tfmdn.layers.fallback import MarginalFallback
from tfmdn.layers.features import NoiseRegularization, Standardization, TreeEmbedding
from tfmdn.layers.mdn import MDNLayer


@rule(NoiseRegularization)
def _(operation: Operation, inputs: Any, **_: Any) -> Any:
    return inputs


@rule(keras.layers.Normalization)
def _(operation: Operation, inputs: Any, **_: Any) -> keras.KerasTensor:
    copy = operation.copy()
    outputs = copy(plain(inputs))
    operation.assign_to(copy)
    copy.finalize_state()  # it computes with tensors that it makes of its weights
    return outputs


@rule(Standardization)
def _(operation: Operation, inputs: Any, **_: Any) -> keras.KerasTensor:
    location = operation.weight(operation.original.location)
    copy = operation.copy()
    outputs = copy(Numbers.of(inputs).relative_to(location))
    operation.assign_to(copy, location=np.zeros_like(location))
    return outputs


@rule(PeriodicEmbedding)
def _(operation: Operation, inputs: Any, **_: Any) -> keras.KerasTensor:
    copy = PeriodicProducts.from_config(operation.copy().get_config())
    outputs = copy(plain(inputs))
    operation.assign_to(copy)
    return outputs


@rule(MDNLayer)
def _(operation: Operation, inputs: Any, **_: Any) -> keras.KerasTensor:
    copy = operation.copy()
    outputs = copy(plain(inputs))
    operation.assign_to(copy)
    own = operation.original
    # What the location of the target loses by rounding, the centres of components make up for.
    location, scale = (operation.weight(own.target_location), operation.weight(own.target_scale))
    lost = (location.astype(np.float64) - copy.target_location.numpy()) / scale
    if own.spec.has_factors:
        lost = np.linalg.solve(
            operation.weight(own.component_factors),
            np.broadcast_to(lost, (own.num_components, *lost.shape))[..., np.newaxis],
        )[..., 0]
    bias = operation.weight(own.dense.bias).copy()
    columns = next(block.columns for block in own.raw_outputs.blocks if block.name == "loc")
    bias[columns] += lost.reshape(-1, columns.shape[1])
    copy.dense.bias.assign(bias)
    return outputs


@rule(MarginalFallback)
def _(operation: Operation, mixture: keras.KerasTensor, x: Any, **_: Any) -> keras.KerasTensor:
    location = operation.weight(operation.original.location)
    copy = of_differences(type(operation.original)).from_config(operation.copy().get_config())
    outputs = copy(mixture, Numbers.of(x).relative_to(location))
    logits = {
        name: np.maximum(operation.weight(getattr(operation.original, name)), LEAST)
        for name in ("point_logits", "marginal_logits")
    }
    operation.assign_to(copy, location=np.zeros_like(location), **logits)
    return outputs


@rule(TreeEmbedding)
def _(operation: Operation, inputs: Any, **_: Any) -> Numbers:
    return SingleTrees.of(operation.original, Numbers.of(inputs))


@rule(keras.layers.Concatenate)
def _(operation: Operation, inputs: Sequence[Any], **_: Any) -> Any:
    if not any(isinstance(value, Numbers) for value in inputs) or operation.original.axis != -1:
        return like(operation, inputs)
    return Numbers.beside([Numbers.of(value) for value in inputs])


@rule("GetItem")
def _(operation: Operation, inputs: Any, key: Any) -> Any:
    return inputs[tuple(key) if isinstance(key, list) else key]  # as a file has it
