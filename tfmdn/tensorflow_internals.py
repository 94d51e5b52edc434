"""What tfmdn needs of TensorFlow that has no public name there. Its test says what needs each."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.eager import context as eager_context


@contextlib.contextmanager
def meant_infinities() -> Iterator[None]:
    """A context whose operations `tf.debugging.enable_check_numerics()` does not look at.

    Where a limit is missing or a density is 0 there are infinities on the way to finite results. What comes out of the
    context is looked at by the next operation.
    """
    callbacks, checks = _callbacks(), checks_numerics()
    if not checks:
        yield
        return
    callbacks[:] = [callback for callback in callbacks if callback not in checks]
    try:
        yield
    finally:
        callbacks.extend(checks)


def checks_numerics() -> list[Callable]:
    """What `tf.debugging.enable_check_numerics()` has TensorFlow call after each operation; nothing without it."""
    return [each for each in _callbacks() if type(getattr(each, "__self__", None)).__name__ == "CheckNumericsCallback"]


def _callbacks() -> list[Callable]:
    return getattr(eager_context.context(), "op_callbacks", [])


def type_spec(name: str) -> type[tf.TypeSpec]:
    """The class of specifications that is registered under a name."""
    from tensorflow.python.framework import type_spec_registry

    return type_spec_registry.lookup(name)


def forget_gradients_with_graphs() -> None:
    """Lets the gradients of `tf.custom_gradient` go with the graph that they were made for.

    TensorFlow keeps each by a name for good, and with its tensors the whole graph: a process that trains one model
    after another grows without end, by `tf.nn.silu` alone. Nothing changes where TensorFlow keeps them in another way.
    """
    registry = gradient_registry()
    if type(registry) is not _original_registry():
        return  # by an earlier import, or unknown

    class Registry(type(registry)):
        __slots__ = ()

        def register(self, candidate, name=None):
            is_custom = getattr(candidate, "__qualname__", "") == "_graph_mode_decorator.<locals>.internal_grad_fn"
            super().register(_owned_by_graph(candidate, self, name) if is_custom else candidate, name)

    registry.__class__ = Registry


def gradient_registry() -> Any:
    """What TensorFlow finds the gradients of operations in."""
    from tensorflow.python.framework import ops

    return getattr(ops, "gradient_registry", None)


def _original_registry() -> type | None:
    from tensorflow.python.framework import registry

    return getattr(registry, "Registry", None)


def _owned_by_graph(gradient: Callable, registry: Any, name: str) -> Callable:
    graph, known = tf.compat.v1.get_default_graph(), weakref.ref(gradient)
    if not hasattr(graph, "_tfmdn_gradients"):
        graph._tfmdn_gradients = []
    graph._tfmdn_gradients.append(gradient)  # they lead to each other, and are collected together
    weakref.finalize(graph, registry._registry.pop, name, None).atexit = False

    def gradient_in_graph(*arguments):
        gradient = known()
        if gradient is None:
            raise LookupError(f"The graph of the gradient {name!r} is gone.")
        return gradient(*arguments)

    return gradient_in_graph


class LiteRTContents(NamedTuple):
    """What is in a LiteRT file beside built-in operations of float32.

    Attributes:
      custom: the names of operations that are not built in.
      double: the names of tensors of float64.
    """

    custom: set[str]
    double: set[str]


def is_in_use() -> bool:
    """Whether this process, or the one that it was forked off, has made or computed a tensor.

    False as well where a newer TensorFlow no longer says so.
    """
    from tensorflow.python.eager import context

    current = getattr(context, "_context", None)
    return getattr(current, "_initialized", False)


def with_constant_weights(function: tf.types.experimental.ConcreteFunction) -> tf.types.experimental.ConcreteFunction:
    """The same function with the variables that it reads as constants. It returns a list of tensors."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


def contents_of_litert(content: bytes) -> LiteRTContents:
    """What is in the content of a LiteRT file."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
    return LiteRTContents(
        {code.customCode.decode() for code in model.operatorCodes if code.customCode},
        {tensor.name.decode() for tensor in tensors if tensor.type == schema.TensorType.FLOAT64},
    )
