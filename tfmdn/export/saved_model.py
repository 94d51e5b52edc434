"""SavedModels that load and run where neither tfmdn, TensorFlow Probability nor Keras is installed."""

from __future__ import annotations

import errno
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfmdn import files, versions
from tfmdn.distributions.named import join, named_tensors
from tfmdn.export import signatures

# What the signatures take beside the model's inputs.
ARGUMENTS = {"y", "q", "num_samples", "seed"}


def export_saved_model(
    model: keras.Model | signatures.HasModel,
    path: str | os.PathLike,
    input_signature: Any = None,
    verbose: bool = False,
) -> None:
    """Writes a model whose output is a mixture as a SavedModel with everything a server is asked for.

    The batch size is free in every signature:

    - `serving_default(x)`: `logits`, `probs`, each component parameter under its name in TFP, `mean` and `stddev`.
    - `log_prob(x, y)`: `log_prob` of the targets y.
    - `sample(x, num_samples, seed)`: `sample` of shape `[num_samples, *B, *E]`, for int32 scalars; the draws of
      `mixture.sample(num_samples, seed=seed)`.
    - `quantile(x, q)`: `quantile` of shape `[Q, *B, *E]` for a vector of Q probabilities. Families whose quantiles
      are unknown to TFP have no such signature.

    x stands for the model's inputs. A single input is called `x`; several keep their names.

    Of a model with several heads, whose output is a dictionary, the key stands before all that is of a mixture: of a
    mixture "offset", `serving_default` has `offset_logits` and so on, and its signatures are `offset_log_prob`,
    `offset_sample` and `offset_quantile`. Outputs that are tensors have their keys as names.

    The files are written beside `path` and change places with what is there when they are complete, in one step: if the
    export fails or is killed, what was at `path` is still there. Where the system or the disk knows no such step (it is
    Linux's, of all usual local disks), nothing is there for a moment; if the process is killed in it, the next export
    into the same folder puts the earlier one back first, and warns that it has.

    Args:
      model: a built Keras model whose output is an `MDNLayer`'s, or a dictionary of such outputs and of tensors; or
        a fitted `MDNRegressor`, whose `model_` is written.
      path: the folder to write. An earlier SavedModel there is replaced; anything else is not touched.
      input_signature: the structure of `keras.InputSpec` or `tf.TensorSpec` of the inputs, needed only for a subclassed
        model that has not been called.
      verbose: whether to print where it was written.

    Raises:
      TypeError: if the model's output is not a mixture, or a dictionary with one; or if it is no model.
      ValueError: if the model is not built, or the regressor not fitted, if names of its inputs cannot be arguments or
        names of its outputs are not different, or if `path` is a file, a folder of other things, or not writable.

    Example:

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    >>> path = tempfile.mkdtemp()
    >>> tfmdn.export_saved_model(model, path)
    >>> served = tf.saved_model.load(path).signatures["serving_default"](x=tf.zeros((5, 2)))
    >>> sorted(served)
    ['loc', 'logits', 'mean', 'probs', 'scale', 'stddev']
    """
    model = signatures.keras_model(model)
    inputs = signatures.input_specs(model, input_signature, ARGUMENTS)
    path = pathlib.Path(os.path.realpath(path))  # a symbolic link stays
    files.sweep(path.parent)
    _check_replaceable(path)
    outputs = signatures.outputs_by_key(model)
    endpoints = {"serving_default": (lambda x: named_tensors(outputs(x)), {})}
    for key, mixture in signatures.mixtures(outputs, inputs).items():
        target = tf.TensorSpec(mixture.shape, mixture.dtype)
        for name, question in _questions(lambda x, key=key: outputs(x)[key], target).items():
            endpoints[join(key, name)] = question
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (function, arguments) in endpoints.items():
        specs = [tf.TensorSpec(spec.shape, spec.dtype, argument) for argument, spec in arguments.items()]
        archive.add_endpoint(name, function, [inputs, *specs])
    _write(archive, path)
    if verbose:
        print(f"Wrote a SavedModel with the signatures {', '.join(endpoints)} to {path}")


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


def _check_replaceable(path: pathlib.Path) -> None:
    if path.exists() and not path.is_dir():
        raise ValueError(f"A SavedModel is a folder, and there is a file at its path. Received: path={str(path)!r}.")
    if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").is_file():
        raise ValueError(
            "The path is a folder that holds other things than a SavedModel, which an export would replace. "
            f"Give a new path inside of it. Received: path={str(path)!r}."
        )


def _write(archive: keras.export.ExportArchive, path: pathlib.Path) -> None:
    """Writes to a folder beside `path`, then lets the two change places: whatever fails, a complete model is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ValueError(
            f"Cannot write to the folder {str(path.parent)!r}: {error}. Received: path={str(path)!r}."
        ) from error
    with files.folder_replacement(path) as draft:
        archive.write_out(str(draft), verbose=False)
        (draft / "assets.extra").mkdir(exist_ok=True)  # TensorFlow's place for what it does not read
        (draft / "assets.extra" / "tfmdn.json").write_text(json.dumps(versions.stamp()))
        _check_replaceable(path)  # what is there by now
