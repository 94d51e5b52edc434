"""Files of LiteRT, formerly TensorFlow Lite: phones, small computers, robots."""

from __future__ import annotations

import os
import re
import tempfile

import keras
import tensorflow as tf

from tfmdn import files, tensorflow_internals
from tfmdn.export import endpoints, signatures


def export_litert(
    model: keras.Model | signatures.HasModel, path: str | os.PathLike, quantize: str | None = None
) -> None:
    """Writes a model whose output is a mixture as one LiteRT file, which answers where there is no TensorFlow.

    The file has a signature for each question, of float32, with a free batch size, of LiteRT's built-in operations
    alone; the weights are in it once. Names are those of `export_saved_model`, that of several heads before each:

    - `serving_default(x)`: `logits`, `probs`, each component parameter under its name in TFP, `mean` and `stddev`.
    - `log_prob(x, y)`: `log_prob` of the targets y `[*B, *E]`.
    - `quantile(x, q)`: `quantile` `[Q, *B, *E]` at Q probabilities.
    - `sample(x, uniform, normal)`: `sample` `[S, *B, *E]`, made of noise that is given, since LiteRT has no random
      numbers: uniform numbers from 0 to 1 `[S, *B]`, which choose the component, the first whose cumulative weight is
      greater, and standard normal numbers `[S, *B, *E]`.

    LiteRT has no text: of the columns of a table that have names, categories are codes in int32, their places in
    `tfmdn.export.categories(model)` and -1 for all others, dates are whole seconds since 1970 in int64, -2**63 where
    there is none, and numbers are float32. `MDNRegressor.model_inputs(X, format="litert")` gives such.

    `quantile` and `sample` are left out for families whose distribution function needs more than elementary
    operations: "student_t", "gamma" and "von_mises".

    Args:
      model: a built Keras model whose output is an `MDNLayer`'s, or a dictionary of such outputs and of tensors; an
        `Ensemble`; or a fitted `MDNRegressor`.
      path: the file to write, for example "model.tflite". If the export fails, an earlier one stays.
      quantize: "float16" stores weights in 16 bits, half of the size, at next to no loss. "int8" stores large ones in 8
        bits, a quarter of the size, and rounds what is multiplied with them, too: measure what that costs
        (benchmarks/quantized.py). Inputs and outputs stay float32. None stores weights as they are.

    Raises:
      TypeError: if the model's output is not a mixture, or a dictionary with one; or if it is no model.
      ValueError: if the model is not built, or the regressor not fitted; if names of its inputs cannot be arguments;
        if `quantize` is anything else.
      NotImplementedError: if the model needs operations that LiteRT does not have, which are named.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.tflite")
    >>> tfmdn.export_litert(model, path)
    >>> interpreter = tf.lite.Interpreter(path)  # or ai_edge_litert's, without TensorFlow
    >>> sorted(interpreter.get_signature_list())
    ['log_prob', 'quantile', 'sample', 'serving_default']
    >>> quantile = interpreter.get_signature_runner("quantile")
    >>> quantile(x=np.zeros((5, 2), "float32"), q=np.float32([0.1, 0.9]))["quantile"].shape
    (2, 5)
    """
    files.require_writable(path)
    if quantize not in (None, "float16", "int8"):
        raise ValueError(f"`quantize` must be None, 'float16' or 'int8'. Received: quantize={quantize!r}.")
    content = _converted(endpoints.portable_endpoints(model).by_name, quantize)
    _check_operations(content)
    with files.replacement(path) as draft:
        draft.write_bytes(content)


def _converted(by_name: dict[str, endpoints.Endpoint], quantize: str | None) -> bytes:
    # Gradients are not exported, and those that layers write themselves cannot be.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        functions = {name: endpoint.frozen() for name, endpoint in by_name.items()}
        tf.saved_model.save(tf.Module(), folder, functions, options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return converter.convert()
        except Exception as error:
            raise _not_converted(str(error)) from error


def _not_converted(message: str) -> NotImplementedError:
    """What the converter says on pages, in a sentence."""
    operations = re.findall(r"(?:TF Select|Custom) ops: (.*)", message)
    names = re.findall(r"failed while converting: '([^']*)'", message)
    if "tensor list" in message:
        operations = ["lists of tensors, as recurrent layers do (not with unroll=True, nor one step a call)"]
    return NotImplementedError(
        f"The model needs operations that LiteRT does not have. Received: operations "
        f"{', '.join(dict.fromkeys(operations)) or message.strip().splitlines()[-1]} in the signature "
        f"{', '.join(map(repr, dict.fromkeys(names))) or 'of one of its functions'}."
    )


def _check_operations(content: bytes) -> None:
    """Raises if there are other than built-in operations, or numbers of 64 bits."""
    custom, double = tensorflow_internals.contents_of_litert(content)
    if custom or double:
        raise NotImplementedError(
            "The model needs more than LiteRT's built-in operations of float32. Received: "
            f"operations {sorted(custom)}, tensors of float64 {sorted(double)}."
        )
