"""Regressors in files: Keras' archive of the model, with what else there is to know beside it as JSON."""

from __future__ import annotations

import io
import json
import os
import pathlib
import tempfile
import zipfile
import zlib

import keras
import numpy as np

from tfmdn import files

METADATA = "regressor.json"


def write(path: str | os.PathLike, model: keras.Model, metadata: dict) -> None:
    """Writes a model and what `plain` makes of the metadata. An earlier file stays as it is if that fails."""
    with files.replacement(path, suffix=".keras") as draft:
        model.save(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(METADATA, json.dumps(metadata))


def read(path: str | os.PathLike) -> tuple[keras.Model, dict]:
    """The model and the metadata that `write` wrote.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is not one, or is damaged.
    """
    content = pathlib.Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
            metadata = json.loads(archive.read(METADATA))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError):
        raise ValueError(f"Expected a file that MDNRegressor.save wrote. Received: path={str(path)!r}.") from None
    if damaged:
        raise ValueError(f"The file is damaged: {damaged} in it is not as it was written. Received: {str(path)!r}.")
    return model_of(content), metadata


def content_of(model: keras.Model) -> bytes:
    """The content of a .keras file with the model."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def model_of(content: bytes) -> keras.Model:
    """The model in the content of a .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"  # Keras goes by the suffix
        file.write_bytes(content)
        return keras.models.load_model(file, compile=False)


def plain(value):
    """A value as JSON can hold it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def plain_name(name):
    """The name of a column as JSON can hold it: a list for the tuple of a MultiIndex, text for a date and the like."""
    name = plain(name)
    return name if isinstance(name, (str, int, float, list, type(None))) else str(name)


def name_of(plain_name):
    """The name of a column of what `plain_name` made of it."""
    return tuple(plain_name) if isinstance(plain_name, list) else plain_name
