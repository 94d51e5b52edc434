"""Models anew in single precision, of layers and operations that runtimes without TensorFlow have.

Shapes in comments: B batch, C columns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfmdn import keras_internals
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.export import operations, replacements, signatures  # noqa: F401 - adds rules
from tfmdn.export.members import Joined
from tfmdn.export.operations import FLOATS
from tfmdn.export.raw_columns import value_of
from tfmdn.export.raw_inputs import raw_inputs

SINGLE = {"float32", "int8", "int32", "int64", "uint8", "bool", "string"}
# What a variable of the model is worth.
Values = Callable[[keras.Variable], np.ndarray]


def in_single_precision(model: keras.Model) -> keras.Model:
    """A model that computes the same in float32.

    Its layers are new ones, made of the others' configs and weights, so that the model itself stays as it is. The
    members of an `Ensemble` stand side by side in it. Numbers that are far from 0 lose no more digits than they have in
    float32: what is subtracted from them has the digits of float64.

    Columns of a table that have names are codes: of categories their places among them, of dates whole seconds since
    1970, see `raw_inputs`.

    Args:
      model: a functional or sequential model, however deep, or an `Ensemble`. A subclassed one must be in single
        precision already, and is returned as it is.

    Returns:
      A model of the same inputs and outputs by name.

    Raises:
      ValueError: if the model, or one in it, is neither, and computes in another precision.
    """
    if not _is_graph(model):
        _check_single(model)
        return model
    raw = raw_inputs(model)
    if raw:
        inputs = {key: keras.Input((), dtype=column.code_dtype, name=column.name) for key, column in raw.items()}
        values = {key: value_of(raw[key], tensor) for key, tensor in inputs.items()}
    else:
        inputs = values = keras.tree.map_structure(_input_like, signatures.inputs_of(model))
    outputs = Conversion().model(model, values, _current_value)
    return keras.Model(inputs, keras.tree.map_structure(operations.plain, outputs), name=model.name)


def _is_graph(model: keras.Model) -> bool:
    return isinstance(model, (Ensemble, keras.Sequential)) or keras_internals.is_functional(model)


def _check_single(model: keras.Model, is_alone: bool = True) -> None:
    """Raises if a subclassed model would have to be made anew."""
    if not is_alone or not all(_dtypes(layer) <= SINGLE for layer in keras_internals.layers_of(model)):
        raise ValueError(
            "A model that is exported, and each member of an Ensemble, must be a functional or sequential model, so "
            "that it can be made anew in single precision, or else compute in float32 already. "
            f"Received: {model.name!r}, a {type(model).__name__}."
        )


def _dtypes(layer: keras.layers.Layer) -> set[str]:
    return {layer.compute_dtype, layer.variable_dtype}


def _input_like(tensor: keras.KerasTensor) -> keras.KerasTensor:
    dtype = "float32" if tensor.dtype in FLOATS else tensor.dtype
    return keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=dtype, name=tensor.name)


def _values_of(network: keras.Model, values: Sequence[np.ndarray]) -> Values:
    by_variable = {id(own): value for own, value in zip(network.variables, values)}
    return lambda variable: by_variable[id(variable)]


def _current_value(variable: keras.Variable) -> np.ndarray:
    return variable.numpy()


class Conversion:
    """Operations of a model done once more, one after the other, on tensors in single precision.

    What passes from one to the next is a tensor, or `Numbers`.
    """

    def __init__(self):
        self._done: dict[tuple, Any] = {}

    def model(self, model: keras.Model, inputs: Any, values: Values) -> Any:
        """What a model returns for inputs.

        Args:
          model: the model.
          inputs: a structure as that of its inputs.
          values: what each of its variables is worth.
        """
        if isinstance(model, Ensemble):
            return self._ensemble(model, inputs)
        call = functools.partial(self._called, values=values)
        if isinstance(model, keras.Sequential):
            return functools.reduce(lambda value, layer: call(layer, value), model.layers, inputs)
        if not _is_graph(model):
            _check_single(model, values is _current_value)
            return model(keras.tree.map_structure(operations.plain, inputs))
        return keras_internals.run_through(model, inputs, call)

    def _ensemble(self, ensemble: Ensemble, inputs: Any) -> keras.KerasTensor:
        members = [
            self.model(network, inputs, _values_of(network, values))
            for network, values in zip(ensemble.networks, ensemble.get_member_weights())
        ]
        return Joined(ensemble.scale_temperature.numpy(), ensemble.member_log_weights.numpy())(members)

    def _called(self, operation: Any, *args: Any, values: Values, **kwargs: Any) -> Any:
        """What an operation returns for arguments. If it was done before on the same it is not done again."""
        if isinstance(operation, keras.Model):
            return self.model(operation, args[0], values)
        weights = [np.asarray(values(variable)) for variable in getattr(operation, "variables", ())]
        given = [id(value) for value in keras.tree.flatten((args, kwargs))]
        key = id(operation), *given, *(weight.tobytes() for weight in weights)
        if key not in self._done:
            rule = operations.rule_of(operation)
            # With the arguments, whose numbers are not given to others then.
            self._done[key] = rule(operations.Operation(operation, weights), *args, **kwargs), args, kwargs
        return self._done[key][0]
