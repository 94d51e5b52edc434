"""Columns of tables as inputs of ONNX: text, dates and numbers, of which codes are made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tfmdn.export.raw_inputs import NO_DATE, UNKNOWN, RawInput

# The operations on text are of an opset of their own.
DOMAIN, VERSION = "ai.onnx.ml", 2
# Seconds before and after 1970 in which dates are.
LAST_SECOND = 1e15


def take_raw(proto: Any, raw: Collection[RawInput]) -> None:
    """Lets a model that takes columns as codes take them as they are.

    Args:
      proto: a `ModelProto` whose inputs have the names of columns.
      raw: the columns.
    """
    from onnx import helper

    graph, first = proto.graph, []
    by_name = {column.name: column for column in raw if column.categories is not None or _is_wide(column)}
    for given in [given for given in graph.input if given.name in by_name]:
        column, coded = by_name[given.name], f"{given.name}/coded"
        for node in graph.node:
            node.input[:] = [coded if used == column.name else used for used in node.input]
        dtype, nodes = _of_number(column, coded) if column.categories is None else _of_text(column, coded)
        given.type.tensor_type.elem_type = dtype
        first += nodes
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    if any(column.categories is not None for column in raw):
        proto.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))


def _is_wide(column: RawInput) -> bool:
    return column.is_date or column.dtype == "float64"


def _of_text(column: RawInput, coded: str) -> tuple[int, list]:
    """The type of an input, and the nodes that make codes of it."""
    from onnx import TensorProto, helper

    lookup = helper.make_node(
        "LabelEncoder",
        [column.name],
        [f"{coded}/wide"],
        domain=DOMAIN,
        keys_strings=list(column.categories),
        values_int64s=list(range(len(column.categories))),
        default_int64=UNKNOWN,
    )
    return TensorProto.STRING, [lookup, helper.make_node("Cast", [f"{coded}/wide"], [coded], to=TensorProto.INT32)]


def _of_number(column: RawInput, coded: str) -> tuple[int, list]:
    from onnx import TensorProto, helper

    name, made = column.name, helper.make_node
    if not column.is_date:
        return TensorProto.DOUBLE, [made("Cast", [name], [coded], to=TensorProto.FLOAT)]

    def constant(output: str, dtype: int, value: float) -> Any:
        return made("Constant", [], [output], value=helper.make_tensor(output, dtype, [], [value]))

    known, zero, none, end = (f"{coded}/{part}" for part in ("known", "zero", "none", "end"))
    return TensorProto.DOUBLE, [
        constant(zero, TensorProto.DOUBLE, 0.0),
        constant(end, TensorProto.DOUBLE, LAST_SECOND),
        constant(none, TensorProto.INT64, NO_DATE),
        made("Abs", [name], [f"{coded}/distance"]),
        made("Less", [f"{coded}/distance", end], [known]),  # not NaN
        made("Where", [known, name, zero], [f"{known}/date"]),
        made("Floor", [f"{known}/date"], [f"{known}/whole"]),
        made("Cast", [f"{known}/whole"], [f"{known}/seconds"], to=TensorProto.INT64),
        made("Where", [known, f"{known}/seconds", none], [coded]),
    ]
