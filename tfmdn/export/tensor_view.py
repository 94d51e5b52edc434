"""A model whose outputs are plain tensors, for what knows nothing of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmdn import versions
from tfmdn.distributions.named import named_tensors
from tfmdn.export import signatures


def as_tensors(model: Any, names: str | Sequence[str] | None = None) -> keras.Model:
    """A Keras model of the same inputs and weights, whose outputs are plain tensors by name.

    They are those of a SavedModel's `serving_default`: of a mixture `logits`, `probs`, each component parameter under
    its name in TFP, `mean` and `stddev`; of a model with several heads the same with the head's key before it, as in
    `offset_mean`. Outputs that are tensors have their keys as names.

    What explains, converts or surrounds models takes it as any other: it is differentiated, is a part of functional
    models, and is saved, loaded and exported as Keras does. As it has the weights of `model`, what one learns the other
    knows.

    Args:
      model: a built Keras model whose output is an `MDNLayer`'s, or a dictionary of such outputs and of tensors; an
        `Ensemble`; or a fitted `MDNRegressor`.
      names: which tensors: None for all, a list for a dictionary of some, or one name for that tensor as the only
        output, as `shap.GradientExplainer` wants it.

    Returns:
      A functional model. Its output is a dictionary of tensors of batch size B, such as `mean` of shape `[B, *E]` and
      `logits` of shape `[B, K]`; or, given one name, that tensor.

    Raises:
      TypeError: if it is no model, or if its output is not a mixture, or a dictionary with one.
      ValueError: if the model is not built, if names of its outputs are not different, or if there is no tensor of a
        name.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    >>> tensors = tfmdn.as_tensors(model)(np.zeros((5, 2)))
    >>> {name: tuple(tensor.shape) for name, tensor in sorted(tensors.items())}
    {'loc': (5, 3), 'logits': (5, 3), 'mean': (5,), 'probs': (5, 3), 'scale': (5, 3), 'stddev': (5,)}
    >>> tfmdn.as_tensors(model, "stddev").predict(np.zeros((5, 2)), verbose=0).shape
    (5,)
    """
    model = signatures.keras_model(model)
    inputs = keras.tree.map_structure(_like, signatures.inputs_of(model))
    tensors = TensorView(model, name="tensors")(inputs)
    return keras.Model(inputs, _chosen(names, tensors), name=f"{model.name}_as_tensors")


def _like(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _chosen(names: str | Sequence[str] | None, tensors: dict[str, keras.KerasTensor]) -> Any:
    if names is None:
        return tensors
    wanted = [names] if isinstance(names, str) else list(names)
    if not wanted or set(wanted) - set(tensors):
        raise ValueError(f"`names` must be names of the model's tensors: {sorted(tensors)}. Received: names={names!r}.")
    if isinstance(names, str):
        # SHAP explains the output of the last layer, which so is this tensor alone.
        return keras.layers.Identity(dtype=tensors[names].dtype)(tensors[names])
    return {name: tensors[name] for name in wanted}


@versions.saved()
class TensorView(keras.layers.Layer):
    """What `as_tensors` makes a model of: a layer that calls a model and returns what its output is made of, by name.

    Args:
      model: a built model whose output is a mixture, or a dictionary of mixtures and of tensors.
      **kwargs: `name` and the other arguments of `keras.layers.Layer`.
    """

    def __init__(self, model: keras.Model, **kwargs: Any):
        # The model casts its inputs, some of which may need the digits of float64.
        super().__init__(**{"autocast": False, **kwargs})
        self.model = model

    def call(self, inputs: Any, training: bool = False) -> dict[str, tf.Tensor]:
        outputs = self.model(inputs, training=training)
        signatures.check_outputs(outputs)
        return named_tensors(outputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TensorView:
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})
