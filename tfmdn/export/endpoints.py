"""The functions that LiteRT and ONNX files hold: a model in single precision, and what it is asked, as graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfmdn import tensorflow_internals
from tfmdn.distributions.mixture import Mixture
from tfmdn.distributions.named import join, named_tensors
from tfmdn.export import signatures
from tfmdn.export.portable import PortableMixture
from tfmdn.export.single_precision import in_single_precision

# What the signatures take beside the model's inputs.
ARGUMENTS = {"y", "q", "uniform", "normal"}


class Endpoint(NamedTuple):
    """A function of named tensors that returns named tensors."""

    function: Callable[..., dict[str, tf.Tensor]]
    arguments: list[tf.TensorSpec]

    def traced(self) -> tf.types.experimental.PolymorphicFunction:
        """As a TensorFlow function, of free batch sizes."""
        return tf.function(self.function, input_signature=self.arguments, autograph=False)

    def frozen(self) -> tf.types.experimental.ConcreteFunction:
        """The same with the weights as constants, which converters store once for all functions."""
        concrete = self.traced().get_concrete_function()
        constant = tensorflow_internals.with_constant_weights(concrete)
        names = sorted(concrete.structured_outputs)  # the order in which TensorFlow flattens dictionaries

        def function(*arguments):
            return dict(zip(names, tf.nest.flatten(constant(*arguments))))

        return tf.function(function, input_signature=self.arguments, autograph=False).get_concrete_function()


class Endpoints(NamedTuple):
    """The signatures of a model by name, and why others that it could have are not among them."""

    by_name: dict[str, Endpoint]
    left_out: dict[str, str]


def portable_endpoints(model: keras.Model | signatures.HasModel) -> Endpoints:
    """`serving_default`, `log_prob`, `quantile` and `sample` of a model, as `export_litert` describes them."""
    model = in_single_precision(signatures.keras_model(model))
    inputs = signatures.input_specs(model, None, ARGUMENTS)
    outputs = signatures.outputs_by_key(model)
    specs = keras.tree.flatten(inputs)

    def endpoint(answer: Callable[..., dict], *arguments: tf.TensorSpec) -> Endpoint:
        def function(*values):
            x = keras.tree.pack_sequence_as(inputs, values[: len(specs)])
            return answer(outputs(x), *values[len(specs) :])

        return Endpoint(function, [*specs, *arguments])

    found, left_out = {}, {}
    found["serving_default"] = endpoint(lambda output: named_tensors(output, lambda m: PortableMixture(m).tensors()))
    for key, mixture in signatures.mixtures(outputs, inputs).items():
        reason = PortableMixture.why_no_quantiles_of(mixture)
        for name, (answer, arguments) in _questions(key, mixture).items():
            if reason and name in ("quantile", "sample"):
                left_out[join(key, name)] = reason
            else:
                found[join(key, name)] = endpoint(answer, *arguments)
    return Endpoints(found, left_out)


def _questions(key: str, mixture: Mixture) -> dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list]]:
    def log_prob(output: dict[str, Any], y):
        return {"log_prob": PortableMixture(output[key]).log_prob(y)}

    def quantile(output: dict[str, Any], q):
        return {"quantile": PortableMixture(output[key]).quantile(q)}

    def sample(output: dict[str, Any], uniform, normal):
        return {"sample": PortableMixture(output[key]).sample(uniform, normal)}

    batch, events = list(mixture.batch_shape), list(mixture.shape)
    return {
        "log_prob": (log_prob, [tf.TensorSpec(events, tf.float32, "y")]),
        "quantile": (quantile, [tf.TensorSpec([None], tf.float32, "q")]),
        "sample": (
            sample,
            [
                tf.TensorSpec([None, *batch], tf.float32, "uniform"),
                tf.TensorSpec([None, *events], tf.float32, "normal"),
            ],
        ),
    }
