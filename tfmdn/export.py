"""SavedModels that load and run where neither tfmdn, TensorFlow Probability nor Keras is installed."""

from __future__ import annotations

import keyword
import os
import pathlib
import shutil
import tempfile

import keras
import tensorflow as tf

from tfmdn.mixture import Mixture


def export_saved_model(
    model: keras.Model, path: str | os.PathLike, input_signature=None, verbose: bool = False
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

    The files are written beside `path` and moved there when complete: if the export fails, what was at `path`
    stays as it is.

    Args:
      model: a built Keras model with one output, an `MDNLayer`'s.
      path: the folder to write. An earlier SavedModel there is replaced; anything else is not touched.
      input_signature: the structure of `keras.InputSpec` or `tf.TensorSpec` of the inputs, needed only for a subclassed
        model that has not been called.
      verbose: whether to print where it was written.

    Raises:
      TypeError: if the model's output is not a mixture.
      ValueError: if the model is not built, if names of its inputs cannot be arguments, or if `path` is a file, a
        folder of other things, or not writable.

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

    def mixture(x) -> Mixture:
        output = model(x, training=False)
        if not isinstance(output, Mixture):
            raise TypeError(
                "export_saved_model needs a model with one output, that of an MDNLayer. "
                f"Received: a model whose output is {type(output).__name__}. Of a model with several heads, export "
                "keras.Model(model.inputs, head), or all of it with model.export(path)."
            )
        return output

    def serving_default(x):
        result = mixture(x)
        return {**result._asdict(), "probs": result.mixture_distribution.probs_parameter(), "stddev": result.stddev()}

    def log_prob(x, y):
        return {"log_prob": mixture(x).log_prob(y)}

    def sample(x, num_samples, seed):
        return {"sample": mixture(x).sample(num_samples, seed=tf.stack([0, seed]))}

    def quantile(x, q):
        return {"quantile": mixture(x)._quantile_levels(q)}

    target = _target_spec(mixture, inputs)
    integer = tf.TensorSpec([], tf.int32)
    endpoints = {
        "serving_default": (serving_default, {}),
        "log_prob": (log_prob, {"y": target}),
        "sample": (sample, {"num_samples": integer, "seed": integer}),
        "quantile": (quantile, {"q": tf.TensorSpec([None], target.dtype)}),
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (function, arguments) in endpoints.items():
        specs = [tf.TensorSpec(spec.shape, spec.dtype, argument) for argument, spec in arguments.items()]
        archive.add_endpoint(name, function, [inputs, *specs])
    _write_in_place(archive, path)
    if verbose:
        print(f"Wrote a SavedModel with the signatures {', '.join(endpoints)} to {path}")


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


def _target_spec(mixture, inputs) -> tf.TensorSpec:
    """Shape and dtype of the targets, which are those of the tensor that the mixture stands for."""
    outputs = tf.function(mixture).get_concrete_function(inputs).structured_outputs
    return tf.TensorSpec(outputs.shape, outputs.dtype)


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
