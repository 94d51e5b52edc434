"""Files of ONNX: ONNX Runtime, and what else reads them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfmdn import files, versions
from tfmdn.export import endpoints, onnx_columns, onnx_operations, signatures
from tfmdn.export.raw_inputs import raw_inputs

OPSET = 18


def export_onnx(
    model: keras.Model | signatures.HasModel, path: str | os.PathLike, signature: str = "serving_default"
) -> None:
    """Writes one of the signatures of a model whose output is a mixture as an ONNX file.

    ONNX has no signatures: a file answers one question. Names of inputs and outputs are those of the signature, all of
    them are float32 (or as the model's inputs are) with a free batch size, and all operations are ONNX's own.

    Columns of a table that have names are as `MDNRegressor.model_inputs(X, format="onnx")` gives them: text as strings,
    numbers as float64, dates as seconds since 1970 in float64.

    Args:
      model: a built Keras model whose output is an `MDNLayer`'s, or a dictionary of such outputs and of tensors; an
        `Ensemble`; or a fitted `MDNRegressor`.
      path: the file to write, for example "model.onnx". If the export fails, an earlier one stays.
      signature: "serving_default", "log_prob", "quantile" or "sample", with the key of one of several heads before it,
        as in "offset_log_prob": those of `export_litert`, of the same inputs and outputs.

    Raises:
      ImportError: if tf2onnx is not installed: `pip install 'tfmdn[onnx]'`.
      TypeError: if the model's output is not a mixture, or a dictionary with one; or if it is no model.
      ValueError: if the model is not built, or the regressor not fitted; if names of its inputs cannot be arguments;
        if it has no such signature.
      NotImplementedError: if the signature or the model needs operations that ONNX does not have, which are named.

    Example:

    >>> import tempfile
    >>> import onnxruntime
    >>> model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    >>> path = f"{tempfile.mkdtemp()}/model.onnx"
    >>> tfmdn.export_onnx(model, path, "log_prob")
    >>> session = onnxruntime.InferenceSession(path)
    >>> (log_prob,) = session.run(["log_prob"], {"x": np.zeros((5, 2), "float32"), "y": np.zeros(5, "float32")})
    >>> log_prob.shape
    (5,)
    """
    tf2onnx = _imported()
    files.require_writable(path)
    raw = raw_inputs(signatures.keras_model(model))
    found = endpoints.portable_endpoints(model)
    if signature in found.left_out:
        raise NotImplementedError(
            f"The signature {signature!r} of this family needs {found.left_out[signature]}, which is not among ONNX's "
            f"operations. Of this model there are: {sorted(found.by_name)}."
        )
    if signature not in found.by_name:
        raise ValueError(
            f"The model has no such signature; it has {sorted(found.by_name)}. Received: signature={signature!r}."
        )
    function = found.by_name[signature].traced()
    handlers = {name: (handler, []) for name, handler in onnx_operations.HANDLERS.items()}
    proto, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=OPSET, custom_op_handlers=handlers
    )
    _hold_captured(proto, function.get_concrete_function())
    _check_operations(proto, signature)
    onnx_columns.take_raw(proto, raw.values())
    proto.metadata_props.add(key=versions.STAMP, value=json.dumps(versions.stamp()))
    with files.replacement(path) as draft:
        draft.write_bytes(proto.SerializeToString())


def _imported() -> Any:
    try:
        import tf2onnx
        import tf2onnx.convert
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("tf2onnx", "onnx"):
            raise
        raise ImportError("tfmdn.export_onnx needs tf2onnx: pip install 'tfmdn[onnx]'.") from error
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    return tf2onnx


def _hold_captured(proto: Any, function: tf.types.experimental.ConcreteFunction) -> None:
    """Makes constants of tensors that tf2onnx takes for inputs: those that layers hold, as `Normalization` its mean."""
    import onnx

    captures = function.graph.captures
    values = {inner.name: tensor for tensor, inner in captures if tensor.dtype != tf.resource}
    for captured in [found for found in proto.graph.input if found.name in values]:
        value = onnx.numpy_helper.from_array(values[captured.name].numpy(), captured.name)
        proto.graph.initializer.append(value)
        proto.graph.input.remove(captured)


def _check_operations(proto: Any, signature: str) -> None:
    """Raises if there are operations that ONNX does not define, or numbers of 64 bits."""
    import onnx

    versions = {opset.domain: opset.version for opset in proto.opset_import}
    unknown, double = set(), set()
    for node in _nodes(proto.graph):
        if not onnx.defs.has(node.op_type, node.domain) or node.domain not in versions:
            unknown.add(node.op_type)
        if any(value.name == "to" and value.i == onnx.TensorProto.DOUBLE for value in node.attribute):
            double.add(node.name)
    double |= {tensor.name for tensor in proto.graph.initializer if tensor.data_type == onnx.TensorProto.DOUBLE}
    if unknown or double:
        raise NotImplementedError(
            f"The signature {signature!r} of this model needs more than ONNX's operations of float32. Received: "
            f"operations {sorted(unknown)}, tensors of float64 {sorted(double)}."
        )
    onnx.checker.check_model(proto)


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, and of the graphs in them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
