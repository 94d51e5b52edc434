"""What is in the file of a backup: arrays, among them what callbacks have counted."""

from __future__ import annotations

import inspect
import io
import json
import numbers
import pathlib
import re

import keras
import numpy as np

from tfmdn import archives, versions

KNOWN = re.compile(r"position$|variable/\d+$|history/|\d+/")  # what the names of its arrays begin with


def arrays(content: bytes, path: pathlib.Path) -> dict[str, np.ndarray]:
    """What is in a backup."""
    received = f"Remove it to train anew. Received: the backup {str(path)!r}."
    with archives.archive_in(io.BytesIO(content), received):
        pass
    try:
        arrays = dict(np.load(io.BytesIO(content)))
        writer = json.loads(arrays.pop(versions.STAMP).item()) if versions.STAMP in arrays else {}
    except archives.DAMAGE as error:
        raise ValueError(f"The file is damaged: it is not one of arrays. {received}") from error
    versions.check_format(writer, received)
    unknown = [name for name in arrays if not KNOWN.match(name)]
    if unknown or arrays.get("position", np.empty(0)).shape != (2,):
        found = f"has {', '.join(map(repr, unknown))}" if unknown else "does not say where the training was"
        raise versions.OtherVersionError(f"The file {found}. {versions.story(writer)} {received}")
    return arrays


def array(variable: keras.Variable) -> np.ndarray:
    value = np.asarray(variable.numpy())
    return value.astype(np.float32) if value.dtype.kind == "V" else value  # bfloat16, which NumPy's files cannot hold


def progress(callback: keras.callbacks.Callback) -> dict[str, np.ndarray]:
    """What a callback has counted and kept: its numbers and lists of arrays, but for its constructor's arguments."""
    progress = {}
    for name, value in vars(callback).items():
        if name in inspect.signature(type(callback)).parameters:
            continue
        if isinstance(value, numbers.Number):
            progress[name] = np.asarray(value)
        elif isinstance(value, list) and all(isinstance(part, (np.ndarray, numbers.Number)) for part in value):
            progress |= {f"{name}/{index}": np.asarray(part) for index, part in enumerate(value)}
    return progress


def set_progress(callback: keras.callbacks.Callback, progress: dict[str, np.ndarray]) -> None:
    lists = {}
    for name, value in progress.items():
        name, _, index = name.partition("/")
        if index:
            lists.setdefault(name, []).append(value)
        else:
            setattr(callback, name, value.item())
    for name, parts in lists.items():
        setattr(callback, name, parts)
