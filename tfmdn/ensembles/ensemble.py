"""Several networks as one model, trained together.

Shapes in comments: M members, B batch, E event, R rows to calibrate by.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import processes, validation, versions
from tfmdn.distributions.mixture import Mixture
from tfmdn.ensembles import vectorized
from tfmdn.ensembles.calibrated import Calibrated
from tfmdn.ensembles.learning import Learning
from tfmdn.ensembles.networks import Networks

tfd = tfp.distributions


@versions.saved(beside=["sizes"])
class Ensemble(Learning, Calibrated, keras.Model):
    """Several networks as one model, whose output is the mixture of their mixtures (see `tfmdn.merge`).

    Neighbours of one architecture are computed together, vectorised over an axis of members, in training too: ten small
    networks take little more time than one. `fit` trains each member on a loss of its own. It is saved, exported and
    queried like any model whose output is a mixture; `mixture.decompose()` tells what its members disagree about.

    Args:
      models: built Keras models of the same inputs, each with a mixture as its only output. Their weights are copied.
        Or the `networks` of another ensemble: what TensorFlow has traced for that serves this one, too.
      weights_by_member: whether the last axis of `sample_weight` has a column for each of the M members, so that they
        learn from different rows, such as folds or bootstrap samples.
      max_gradient_norm: the norm to which the gradient of each member is clipped; None does not clip. (An optimizer's
        own `clipnorm` would mix the members. So would an optimizer that is not elementwise.)
      **kwargs: `name` and the other arguments of `keras.Model`.

    Raises:
      ValueError: if there is no model, or if one has not been built.

    Example:

    >>> networks = [
    ...     keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "silu"), tfmdn.MDNLayer(3)]) for _ in range(4)
    ... ]
    >>> ensemble = tfmdn.Ensemble(networks)
    >>> ensemble.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> history = ensemble.fit(np.zeros((10, 2)), np.zeros(10), verbose=0)
    >>> mixture = ensemble(np.zeros((5, 2)))
    >>> mixture.batch_shape, mixture.mixture_distribution.logits.shape
    (TensorShape([5]), TensorShape([5, 12]))
    >>> mixture.decompose().epistemic.shape
    TensorShape([5])
    """

    def __init__(
        self,
        models: Sequence[keras.Model] | Networks,
        weights_by_member: bool = False,
        max_gradient_norm: float | None = None,
        **kwargs: Any,
    ):
        # The networks cast their inputs, some of which may need the digits of float64.
        super().__init__(**{"autocast": False, **kwargs})
        networks, models = models, list(models)
        if not models:
            raise ValueError("`models` must hold at least one model. Received: an empty list.")
        unbuilt = [model.name for model in models if not model.built]
        if unbuilt:
            raise ValueError(f"`models` must be built: call each on data first. Received: {unbuilt}, not built.")
        self.weights_by_member = weights_by_member
        self.max_gradient_norm = max_gradient_norm
        if max_gradient_norm is not None:
            validation.positive_number("max_gradient_norm", max_gradient_norm)
        if not isinstance(networks, Networks):
            networks = Networks(models)
        self.networks = networks
        # For each stack the variables `[M, ...]` of its network.
        self._stacked = tuple(
            self._stack_variables(stack.network, models[span]) for stack, span in zip(networks.stacks, networks.spans)
        )
        self.scale_temperature = self._add_by_member("scale_temperature", 1.0, keras.config.floatx())
        self.member_log_weights = self._add_by_member("member_log_weights", -math.log(len(networks)), "float64")
        self.build(self._input_shape())

    def _add_by_member(self, name: str, value: float, dtype: str) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(
            name=name, shape=(self.num_members,), dtype=dtype, initializer=initializer, trainable=False, autocast=False
        )

    def build(self, input_shape: Any) -> None:
        """Its networks are built. Keras notes the shape, and exports by it."""

    def _input_shape(self):
        try:
            return keras.tree.map_structure(lambda tensor: tensor.shape, self.input)
        except (AttributeError, ValueError):  # a subclassed network
            return (self.networks.stacks[0].network.get_build_config() or {}).get("input_shape")

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """As Keras' own, before it has been called as well: the inputs are then those of the networks.

        `tfmdn.export_saved_model`, `export_litert` and `export_onnx` answer more.

        Args:
          filepath: where to write.
          format: one of those of `keras.Model.export`, such as "litert", but "onnx".
          verbose: whether to print where it was written.
          input_signature: the structure of `keras.InputSpec` of the inputs. None means those of the networks.
          **kwargs: passed on to Keras.

        Raises:
          ValueError: if the format is "onnx", of which Keras would make a file that nothing can read.
        """
        if format == "onnx":
            raise ValueError(
                "Keras would write operations that ONNX does not have. Use tfmdn.export_onnx(ensemble, path). "
                "Received: format='onnx'."
            )
        if input_signature is None and format != "tf_saved_model":  # of which Keras reads the shapes it has noted
            with contextlib.suppress(AttributeError, ValueError):  # a subclassed network
                input_signature = [keras.tree.map_structure(_input_spec, self.input)]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def _stack_variables(self, network: keras.Model, models: list[keras.Model]) -> list[keras.Variable]:
        """Of each variable of the models one `[M, ...]`, which is trained if that of the network is."""
        trainable = {id(variable) for variable in network.trainable_variables}
        return [
            self._add_stacked(variables, id(own) in trainable)
            for own, *variables in zip(network.variables, *(model.variables for model in models))
        ]

    def _add_stacked(self, variables: Sequence[keras.Variable], trainable: bool) -> keras.Variable:
        first = variables[0]
        values = np.stack([variable.numpy() for variable in variables])
        return self.add_weight(
            name=first.path.replace("/", "_"),
            shape=values.shape,
            dtype=first.dtype,
            initializer=lambda shape, dtype: tf.cast(values, dtype),
            trainable=trainable,
            autocast=False,
        )

    @property
    def num_members(self) -> int:
        """The number of networks M."""
        return len(self.networks)

    @property
    def input(self):
        """What the networks take: a structure of `keras.KerasTensor`. (AttributeError for subclassed networks.)"""
        network = self.networks.stacks[0].network
        # A Sequential that was not called knows its inputs, but has no `input`.
        return network.inputs[0] if isinstance(network, keras.Sequential) else network.input

    @property
    def _weights(self) -> list[list[tf.Tensor]]:
        return [list(map(tf.convert_to_tensor, variables)) for variables in self._stacked]

    def members(self, inputs: Any, training: bool = False) -> list[Mixture]:
        """The mixtures that the networks predict, each of batch shape `[B]`."""
        return list(itertools.chain.from_iterable(map(vectorized.unstacked, self._mixtures(inputs, training))))

    def _mixtures(self, inputs, training: bool) -> list[Mixture]:
        """What the members of each stack predict: mixtures of batch shape `[M, *B]`."""
        return self.networks.mixtures(self._weights, inputs, training, tf.convert_to_tensor(self.scale_temperature))

    def call(self, inputs, training=False):
        processes.require_usable_tensorflow()
        return self.networks.merge(self._mixtures(inputs, training), tf.convert_to_tensor(self.member_log_weights))

    def quantize(self, mode=None, config=None, **kwargs):
        raise NotImplementedError(
            "The networks of an Ensemble share their layers, and cannot be quantized in it. Quantize each network, and "
            f"make an Ensemble of them. Received: mode={mode!r}."
        )

    def make_predict_function(self, force=False):
        processes.require_usable_tensorflow()
        return super().make_predict_function(force)

    def predict_in_graph(self, inputs: Any) -> Mixture:
        """What calling it gives, from one graph. It is that of all ensembles made of the same `networks`."""
        processes.require_usable_tensorflow()
        by_member = map(tf.convert_to_tensor, (self.scale_temperature, self.member_log_weights))
        return self.networks.merged(self._weights, inputs, *by_member)

    def answer(self, inputs: Any, ask: Callable, *arguments: tf.Tensor) -> list[tf.Tensor]:
        """What `ask(mixture, *arguments)` says of that mixture, in the same graph: see `Networks.answer`."""
        processes.require_usable_tensorflow()
        by_member = map(tf.convert_to_tensor, (self.scale_temperature, self.member_log_weights))
        return self.networks.answer(ask, arguments, self._weights, inputs, *by_member)

    def compute_output_spec(self, inputs, training=False):
        return self.networks.stacks[0].network.compute_output_spec(inputs, training=training)

    @property
    def member_variables(self) -> list[tuple[keras.Variable, slice]]:
        """Each weight, with a first axis of members, and which of the M members these are."""
        spans = self.networks.spans
        return [(variable, span) for span, variables in zip(spans, self._stacked) for variable in variables]

    def get_member_weights(self) -> list[list[np.ndarray]]:
        """For each of the M members the values of its network's `variables`."""
        stacks = zip(self.networks.stacks, self._stacked)
        values = [([variable.numpy() for variable in variables], stack.size) for stack, variables in stacks]
        return [[value[member] for value in stacked] for stacked, size in values for member in range(size)]

    def set_member_weights(self, weights: Sequence[Sequence[np.ndarray]]) -> None:
        """Gives each member its weights: for each of the M members the values of its network's `variables`."""
        for span, variables in zip(self.networks.spans, self._stacked):
            for variable, *values in zip(variables, *weights[span]):
                variable.assign(np.stack(values))

    def set_in_all_members(self, variable_of: Callable[[keras.Model], keras.Variable], value: ArrayLike) -> None:
        """Gives a variable the same value in all members.

        Args:
          variable_of: returns the variable of a network, such as
            `lambda network: network.layers[-1].target_location`. It is called once for each architecture.
          value: its new value, of its shape.

        Raises:
          ValueError: if what it returns is not a variable of the network.
        """
        for stack, variables in zip(self.networks.stacks, self._stacked):
            chosen = variable_of(stack.network)
            found = [stacked for own, stacked in zip(stack.network.variables, variables) if own is chosen]
            if not found:
                raise ValueError(f"`variable_of` must return a variable of the network. Received: {chosen!r}.")
            found[0].assign(tf.broadcast_to(tf.cast(value, found[0].dtype), found[0].shape))

    def get_config(self):
        return {
            **super().get_config(),
            "models": [keras.saving.serialize_keras_object(stack.network) for stack in self.networks.stacks],
            "sizes": [stack.size for stack in self.networks.stacks],
            "weights_by_member": self.weights_by_member,
            "max_gradient_norm": self.max_gradient_norm,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        models = [keras.saving.deserialize_keras_object(model) for model in config.pop("models")]
        # The values are those of the file, which is read next: any copies of the right shapes do.
        repeated = [model for model, size in zip(models, config.pop("sizes")) for _ in range(size)]
        return cls(repeated, **config)


def _input_spec(tensor: keras.KerasTensor) -> keras.InputSpec:
    return keras.InputSpec(shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)
