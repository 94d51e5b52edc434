"""What an exported model is asked: its inputs, its signatures, and the targets of those that take some."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Collection
from typing import Any, Protocol

import keras
import tensorflow as tf

from tfmdn import processes
from tfmdn.distributions.mixture import Mixture


class HasModel(Protocol):
    """A fitted `MDNRegressor`, of a room below."""

    model_: keras.Model


def keras_model(model: keras.Model | HasModel) -> keras.Model:
    """The Keras model of what is to be exported: itself, or that of a fitted `MDNRegressor`."""
    processes.require_usable_tensorflow()
    if isinstance(model, keras.Model):
        return model
    inner = getattr(model, "model_", None)
    if isinstance(inner, keras.Model):
        return inner
    if hasattr(model, "fit") and hasattr(model, "get_params"):
        raise ValueError(f"The regressor is not fitted: call its `fit` before it is exported. Received: {model!r}.")
    raise TypeError(
        f"An export needs a Keras model, an Ensemble or a fitted MDNRegressor. Received: {type(model).__name__}."
    )


def outputs_by_key(model: keras.Model) -> Callable[[Any], dict[str, Mixture | tf.Tensor]]:
    """The function from inputs to the outputs by their keys; the only output has the key ""."""

    def outputs(x):
        output = model(x, training=False)
        return output if isinstance(output, dict) else {"": output}

    return outputs


def input_specs(model: keras.Model, input_signature: Any, arguments: Collection[str]) -> Any:
    """The structure of `tf.TensorSpec` of the model's inputs, with a free batch size; a single input is called x.

    Args:
      model: the model.
      input_signature: the structure of its inputs where the model does not know it, else None.
      arguments: what the signatures take beside the inputs: no input can be called so.
    """
    if input_signature is None:
        input_signature = inputs_of(model)
    single = not keras.tree.is_nested(input_signature) or len(keras.tree.flatten(input_signature)) == 1

    if not single:
        _check_names([tensor.name for tensor in keras.tree.flatten(input_signature)], arguments)

    def spec(tensor):
        shape = tuple(tensor.shape)
        return tf.TensorSpec((None, *shape[1:]), tensor.dtype or "float32", "x" if single else tensor.name)

    return keras.tree.map_structure(spec, input_signature)


def _check_names(names: list, arguments: Collection[str]) -> None:
    """Several inputs become arguments of the signatures, beside the signatures' own."""
    fits = [
        str(name).isascii()
        and str(name).isidentifier()
        and not keyword.iskeyword(name)
        and not str(name).startswith("_")
        for name in names
    ]
    taken = {"self", *arguments}
    if not all(fits) or taken & set(names) or len({str(name).lower() for name in names}) < len(names):
        raise ValueError(
            "The names of several inputs become arguments of the signatures: each must be a Python name in ASCII, "
            f"differ from the others not only in case, and not be one of {sorted(taken)}. "
            f"Received: inputs named {names}. Give keras.Input(..., name=...) other names."
        )


def inputs_of(model: keras.Model) -> Any:
    """The structure of `keras.KerasTensor` that the model takes."""
    try:
        return model.input  # functional and sequential models
    except (AttributeError, ValueError):
        pass
    shape = (model.get_build_config() or {}).get("input_shape")  # subclassed models that were called
    if shape is None:
        raise ValueError(
            "The model is not built, so that its inputs are not known. Call it on data once, or give "
            f"`input_signature`, for example keras.InputSpec(shape=(None, 3)). Received: model={model.name!r}."
        )
    return keras.KerasTensor(shape, dtype=model.input_dtype)


def mixtures(outputs: Callable, inputs: Any) -> dict[str, Mixture]:
    """The mixtures among the outputs by their keys, of a graph that is complete: to be asked for shapes.

    Args:
      outputs: what `outputs_by_key` returns.
      inputs: what `input_specs` returns.
    """
    traced = tf.function(outputs).get_concrete_function(inputs).structured_outputs
    check_outputs(traced)
    return {key: output for key, output in traced.items() if isinstance(output, Mixture)}


def check_outputs(outputs: Any) -> None:
    """Raises a TypeError unless it is a mixture, or a dictionary of mixtures and tensors with at least one mixture."""
    outputs = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
    has_mixture = any(isinstance(output, Mixture) for output in outputs)
    if not has_mixture or not all(isinstance(output, (Mixture, tf.Tensor)) for output in outputs):
        kinds = ", ".join(type(output).__name__ for output in outputs)
        raise TypeError(
            "An export needs a model whose output is that of an MDNLayer, or a dictionary of such outputs and "
            "of tensors: name the heads of a model by keras.Model(model.inputs, {'name': head, ...}). "
            f"Received: a model whose output is {kinds}."
        )
