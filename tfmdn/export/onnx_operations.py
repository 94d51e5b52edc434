"""Operations that tf2onnx converts to what computes something else, converted anew.

A handler `handler(context, node, name, args)` changes a node of tf2onnx's graph in place.
"""

from __future__ import annotations

from typing import Any


def _select(context: Any, node: Any, name: str, args: list) -> None:
    """`tf.where`: tf2onnx multiplies by 0 what is not chosen, which may be infinite or NaN."""
    from onnx import TensorProto
    from tf2onnx.onnx_opset import controlflow

    if context.get_dtype(node.output[0]) == TensorProto.BOOL:
        controlflow.Select.version_9(context, node)  # ONNX Runtime has no Where of booleans
    else:
        node.type = "Where"


def _floor_mod(context: Any, node: Any, name: str, args: list) -> None:
    """`%` of integers: tf2onnx's has the sign of the dividend."""
    from tf2onnx.onnx_opset import math

    if _is_integer(context, node):
        node.type = "Mod"
    else:
        math.FloorMod.version_7(context, node)


def _floor_div(context: Any, node: Any, name: str, args: list) -> None:
    """`//` of integers: tf2onnx rounds it to 0."""
    from tf2onnx.onnx_opset import math

    if not _is_integer(context, node):
        math.FloorDiv.version_6(context, node)
        return
    dividend, divisor = node.input
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    rest = context.make_node("Mod", [dividend, divisor], dtypes=[dtype], shapes=[shape])
    whole = context.make_node("Sub", [dividend, rest.output[0]], dtypes=[dtype], shapes=[shape])
    context.replace_inputs(node, [whole.output[0], divisor])
    node.type = "Div"


def _is_integer(context: Any, node: Any) -> bool:
    from onnx import TensorProto

    return context.get_dtype(node.input[0]) in (TensorProto.INT32, TensorProto.INT64)


HANDLERS = {"SelectV2": _select, "FloorMod": _floor_mod, "FloorDiv": _floor_div}
