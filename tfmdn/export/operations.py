"""Operations of a model, and what is done in their places in single precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfmdn.export.numbers import Numbers

FLOATS = ("float16", "bfloat16", "float32", "float64")
# By the kind of layer, or by the name of one of Keras' operations: `function(operation, *args, **kwargs)`.
RULES: dict[type | str, Callable] = {}


class Operation:
    """An operation of the model, and what its variables are worth."""

    def __init__(self, original: Any, weights: Sequence[np.ndarray]):
        self.original, self.weights = original, weights

    def weight(self, variable: keras.Variable) -> np.ndarray:
        return next(value for own, value in zip(self.original.variables, self.weights) if own is variable)

    def copy(self) -> Any:
        """The same operation in single precision, without its weights."""
        config = _in_single(self.original.get_config())
        config.pop("name", None)  # it may be one of several
        return type(self.original).from_config(config)

    def assign_to(self, layer: keras.layers.Layer, **others: np.ndarray) -> None:
        """Gives a copy, which has been built, the weights; others to those that are named."""
        for variable, value in zip(layer.variables, self.weights):
            variable.assign(value.astype(variable.dtype))
        for name, value in others.items():
            getattr(layer, name).assign(value)


def _in_single(config: Any) -> Any:
    """A config in which each dtype of floating numbers is float32."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_float(value) else _in_single(value)
            for key, value in config.items()
        }
    return type(config)(map(_in_single, config)) if isinstance(config, (list, tuple)) else config


def _is_float(dtype: Any) -> bool:
    if isinstance(dtype, dict):  # a policy
        dtype = dtype.get("config", {}).get("name")
    return isinstance(dtype, str) and (dtype in FLOATS or dtype.startswith("mixed_"))


def plain(value: Any) -> Any:
    """A tensor in the place of `Numbers`."""
    return value.plain() if isinstance(value, Numbers) else value


def rule(kind: type | str) -> Callable:
    """What is done in the place of a kind of layers, or of one of Keras' operations of that name."""

    def registered(function: Callable) -> Callable:
        RULES[kind] = function
        return function

    return registered


def rule_of(operation: Any) -> Callable:
    """What is done in the place of an operation."""
    found = [RULES[key] for kind in type(operation).__mro__ for key in (kind, kind.__name__) if key in RULES]
    return found[0] if found else like


def like(operation: Operation, *args: Any, **kwargs: Any) -> Any:
    """The same operation."""
    args, kwargs = keras.tree.map_structure(plain, (args, kwargs))
    copy = operation.copy()
    outputs = copy(*args, **kwargs)
    if operation.weights:
        operation.assign_to(copy)
    return outputs
