"""SavedModels that load and run where neither tfmdn, TensorFlow Probability nor Keras is installed."""

from __future__ import annotations

import keyword
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmdn.distributions.mixture import Mixture


def export_saved_model(
    model: keras.Model, path: str | os.PathLike, input_signature: Any = None, verbose: bool = False
) -> None:
    """Writes a model whose output is a mixture as a SavedModel with everything a server is asked for.

    The batch size is free in every signature:

    - `serving_default(x)`: `logits`, `probs`, each component parameter under its name in TFP, `mean` and `stddev`.
    - `log_prob(x, y)`: `log_prob` of the targets y.
    - `sample(x, num_samples, seed)`: `sample` of shape `[num_samples, *B, *E]`, for int32 scalars; the draws of
      `mixture.sample(num_samples, seed=seed)`.
    - `quantile(x, q)`: `quantile` of shape `[Q, *B, *E]` for a vector of Q probabilities. Families whose quantiles
      are unknown to TFP have no such signature.

    x stands for the model's inputs. One input is called by its own name in the model; several keep their names.

    Of a model with several heads, whose output is a dictionary, the key stands before all that is of a mixture: of a
    mixture "offset", `serving_default` has `offset_logits` and so on, and its signatures are `offset_log_prob`,
    `offset_sample` and `offset_quantile`. Outputs that are tensors have their keys as names.

    The files are written beside `path` and moved there when complete: if the export fails, what was at `path`
    stays as it is.

    Args:
      model: a built Keras model whose output is an `MDNLayer`'s, or a dictionary of such outputs and of tensors.
      path: the folder to write. An earlier SavedModel there is replaced; anything else is not touched.
      input_signature: the structure of `keras.InputSpec` or `tf.TensorSpec` of the inputs, needed only for a subclassed
        model that has not been called.
      verbose: whether to print where it was written.

    Raises:
      TypeError: if the model's output is not a mixture, or a dictionary with one.
      ValueError: if the model is not built, if names of its inputs cannot be arguments or names of its outputs are
        not different, or if `path` is a file, a folder of other things, or not writable.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    >>> path = tempfile.mkdtemp()
    >>> tfmdn.export_saved_model(model, path)
    >>> served = tf.saved_model.load(path).signatures["serving_default"](x=tf.zeros((5, 2)))
    >>> sorted(served)
    ['loc', 'logits', 'mean', 'probs', 'scale', 'stddev']
    """
    inputs = _input_specs(model, input_signature)
    path = pathlib.Path(path)
    _check_replaceable(path)

    def outputs(x) -> dict[str, Mixture | tf.Tensor]:
        output = model(x, training=False)
        return output if isinstance(output, dict) else {"": output}

    endpoints = {"serving_default": (lambda x: _named_tensors(outputs(x)), {})}
    for key, target in _targets(outputs, inputs).items():
        for name, question in _questions(lambda x, key=key: outputs(x)[key], target).items():
            endpoints[_join(key, name)] = question
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (function, arguments) in endpoints.items():
        specs = [tf.TensorSpec(spec.shape, spec.dtype, argument) for argument, spec in arguments.items()]
        archive.add_endpoint(name, function, [inputs, *specs])
    _write_in_place(archive, path)
    if verbose:
        print(f"Wrote a SavedModel with the signatures {', '.join(endpoints)} to {path}")


def _named_tensors(outputs: dict[str, Mixture | tf.Tensor]) -> dict[str, tf.Tensor]:
    """All that a server is told of the outputs, by name."""
    named = [
        (_join(key, name), tensor) for key, output in outputs.items() for name, tensor in _tensors_of(output).items()
    ]
    if len(dict(named)) < len(named):
        raise ValueError(
            "The names of the outputs, with those of a mixture's tensors behind them, must differ. "
            f"Received: {[name for name, _ in named]}. Give the outputs other keys."
        )
    return dict(named)


def _tensors_of(output: Mixture | tf.Tensor) -> dict[str, tf.Tensor]:
    if not isinstance(output, Mixture):
        return {"": output}
    return {**output._asdict(), "probs": output.mixture_distribution.probs_parameter(), "stddev": output.stddev()}


def _questions(mixture: Callable, target: tf.TensorSpec) -> dict[str, tuple[Callable, dict[str, tf.TensorSpec]]]:
    """What is asked of the mixture of an x: functions, and the other arguments that they have."""

    def log_prob(x, y):
        return {"log_prob": mixture(x).log_prob(y)}

    def sample(x, num_samples, seed):
        return {"sample": mixture(x).sample(num_samples, seed=tf.stack([0, seed]))}

    def quantile(x, q):
        return {"quantile": mixture(x)._quantile_levels(q)}

    integer = tf.TensorSpec([], tf.int32)
    return {
        "log_prob": (log_prob, {"y": target}),
        "sample": (sample, {"num_samples": integer, "seed": integer}),
        "quantile": (quantile, {"q": tf.TensorSpec([None], target.dtype)}),
    }


def _join(key: str, name: str) -> str:
    return "_".join(filter(None, (str(key), name)))


def _input_specs(model: keras.Model, input_signature):
    """The structure of `tf.TensorSpec` of the model's inputs, with a free batch size; a single input is called x."""
    if input_signature is None:
        input_signature = _inputs_of(model)
    single = not keras.tree.is_nested(input_signature) or len(keras.tree.flatten(input_signature)) == 1

    if not single:
        _check_names([tensor.name for tensor in keras.tree.flatten(input_signature)])

    def spec(tensor):
        shape = tuple(tensor.shape)
        return tf.TensorSpec((None, *shape[1:]), tensor.dtype or "float32", "x" if single else tensor.name)

    return keras.tree.map_structure(spec, input_signature)


def _check_names(names: list) -> None:
    """Several inputs become arguments of the signatures, beside the signatures' own."""
    fits = [
        str(name).isascii()
        and str(name).isidentifier()
        and not keyword.iskeyword(name)
        and not str(name).startswith("_")
        for name in names
    ]
    taken = {"self", "y", "q", "num_samples", "seed"}
    if not all(fits) or taken & set(names) or len({str(name).lower() for name in names}) < len(names):
        raise ValueError(
            "The names of several inputs become arguments of the signatures: each must be a Python name in ASCII, "
            f"differ from the others not only in case, and not be one of {sorted(taken)}. "
            f"Received: inputs named {names}. Give keras.Input(..., name=...) other names."
        )


def _inputs_of(model: keras.Model):
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


def _targets(outputs: Callable, inputs) -> dict[str, tf.TensorSpec]:
    """Shape and dtype of each mixture's targets, which are those of the tensor that the mixture stands for."""
    traced = tf.function(outputs).get_concrete_function(inputs).structured_outputs
    mixtures = {key: output for key, output in traced.items() if isinstance(output, Mixture)}
    if not mixtures or not all(isinstance(output, (Mixture, tf.Tensor)) for output in traced.values()):
        kinds = ", ".join(type(output).__name__ for output in traced.values())
        raise TypeError(
            "export_saved_model needs a model whose output is that of an MDNLayer, or a dictionary of such outputs and "
            "of tensors: name the heads of a model by keras.Model(model.inputs, {'name': head, ...}). "
            f"Received: a model whose output is {kinds}."
        )
    return {key: tf.TensorSpec(mixture.shape, mixture.dtype) for key, mixture in mixtures.items()}


def _check_replaceable(path: pathlib.Path) -> None:
    if path.is_file():
        raise ValueError(f"A SavedModel is a folder, and there is a file at its path. Received: path={str(path)!r}.")
    if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").is_file():
        raise ValueError(
            "The path is a folder that holds other things than a SavedModel, which an export would replace. "
            f"Give a new path inside of it. Received: path={str(path)!r}."
        )


def _write_in_place(archive: keras.export.ExportArchive, path: pathlib.Path) -> None:
    """Writes to a folder beside `path`, then swaps the two: whatever fails, one complete model is at `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workspace = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise ValueError(
            f"Cannot write to the folder {str(path.parent)!r}: {error}. Received: path={str(path)!r}."
        ) from error
    try:
        archive.write_out(str(workspace / "new"), verbose=False)
        if path.exists():
            path.rename(workspace / "old")
        try:
            (workspace / "new").rename(path)
        except OSError:
            if (workspace / "old").exists():
                (workspace / "old").rename(path)
            raise
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
