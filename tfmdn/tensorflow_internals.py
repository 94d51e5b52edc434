"""What tfmdn needs of TensorFlow that has no public name there. Its test says what needs each."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


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
