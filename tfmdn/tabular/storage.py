"""Regressors in files: Keras' archive of the model, with what else there is to know beside it as JSON."""

from __future__ import annotations

import io
import json
import numbers
import os
import pathlib
import tempfile
import zipfile
import zlib
from typing import Any, TypeVar

import keras
import numpy as np
from sklearn.utils.validation import check_is_fitted

from tfmdn import files, validation
from tfmdn.export.litert import export_litert
from tfmdn.export.onnx import export_onnx
from tfmdn.export.saved_model import export_saved_model
from tfmdn.tabular import labels
from tfmdn.tabular.columns import Columns
from tfmdn.tabular.conformal import Conformal

Regressor = TypeVar("Regressor", bound="Stored")

METADATA = "regressor.json"
FORMATS = {"saved_model": export_saved_model, "litert": export_litert, "onnx": export_onnx}


class Stored:
    """A base class, before `sklearn.base.BaseEstimator`, of an `MDNRegressor`: what of it files and pickles hold."""

    def save(self, path: str | os.PathLike) -> None:
        """Writes the fitted regressor to a file, which `load` reads. An earlier file stays as it is if that fails.

        The file is Keras' (`keras.models.load_model` opens the model in it), with the regressor's parameters beside.
        Unlike a pickle it holds no code. A `network` function is not in it: a loaded regressor predicts, but is
        fitted anew with the default network.

        Raises:
          sklearn.exceptions.NotFittedError: if it is not fitted.
        """
        check_is_fitted(self)
        write(path, self.model_, self._metadata())

    def export(self, path: str | os.PathLike, format: str = "saved_model", **options: Any) -> None:
        """Writes the model of the fitted regressor for where it runs without tfmdn.

        `model_inputs` returns what it takes there. An earlier export stays as it is if this fails.

        Args:
          path: the folder of a SavedModel, or a file.
          format: "saved_model" as `tfmdn.export_saved_model` writes it, "litert" as `tfmdn.export_litert`, or "onnx" as
            `tfmdn.export_onnx`.
          **options: further arguments of that function, such as `signature="quantile"` for ONNX.

        Raises:
          sklearn.exceptions.NotFittedError: if it is not fitted.
          ValueError: if there is no such format.

        Example:

        >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(300, seed=0)
        >>> regressor = tfmdn.MDNRegressor(n_estimators=2, max_steps=20, random_state=0).fit(x, y)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.tflite")
        >>> regressor.export(path, format="litert")
        >>> interpreter = tf.lite.Interpreter(path)  # or ai_edge_litert's, without TensorFlow
        >>> quantile = interpreter.get_signature_runner("quantile")
        >>> found = quantile(x=regressor.model_inputs(x[:5], format="litert"), q=np.float32([0.1, 0.9]))["quantile"]
        >>> bool(np.abs(found.T - regressor.predict_quantiles(x[:5], [0.1, 0.9])).max() < 1e-3)
        True
        """
        check_is_fitted(self)
        validation.one_of("format", format, FORMATS)
        FORMATS[format](self.model_, path, **options)

    @classmethod
    def load(cls: type[Regressor], path: str | os.PathLike) -> Regressor:
        """Reads a regressor that `save` wrote.

        Raises:
          FileNotFoundError: if there is no such file.
          ValueError: if the file is not one, or is damaged.
        """
        model, metadata = read(path)
        regressor = cls(**metadata["parameters"])
        regressor._set_metadata(metadata, model)
        return regressor

    def _metadata(self) -> dict:
        """What there is to know of a fitted regressor beside the model and the function `network`, as JSON."""
        parameters = {**self.get_params(deep=False), "network": None}
        if not isinstance(self.random_state, (numbers.Integral, type(None))):
            parameters["random_state"] = None  # a generator that has been used
        return {
            "parameters": {name: labels.plain(value) for name, value in parameters.items()},
            "num_components_": self.num_components_,
            "n_steps_": self.n_steps_,
            "best_steps_": self.best_steps_.tolist(),
            "stopped_by_": self.stopped_by_,
            "findings_": list(self.findings_),
            "held_out_scores_": self.held_out_scores_.tolist(),
            "n_features_in_": self.n_features_in_,
            "feature_names_in_": labels.plain(getattr(self, "feature_names_in_", None)),
            "columns": self._columns and self._columns.to_config(),
            "output_shape": self._output_shape,
            "typical_values": self._typical_values,
            "conformal": self._conformal.to_config(),
            "target_names": self.target_names_ and list(map(labels.plain_name, self.target_names_)),
        }

    def _set_metadata(self, metadata: dict, model: keras.Model) -> None:
        for name in ("num_components_", "n_steps_", "stopped_by_"):
            setattr(self, name, metadata[name])
        self.best_steps_ = np.array(metadata["best_steps_"])
        self.findings_ = tuple(metadata["findings_"])
        self.held_out_scores_ = np.array(metadata["held_out_scores_"], np.float32)
        self.n_features_in_ = metadata["n_features_in_"]
        if metadata["feature_names_in_"] is not None:
            self.feature_names_in_ = np.array(metadata["feature_names_in_"], object)
        self._columns = metadata["columns"] and Columns.from_config(metadata["columns"])
        self._output_shape = tuple(metadata["output_shape"])
        self._typical_values = metadata["typical_values"]
        self._conformal = Conformal.from_config(metadata["conformal"])
        names = metadata["target_names"]
        self.target_names_ = names and list(map(labels.name_of, names))
        self.model_ = model

    def __getstate__(self):
        """Of plain types alone: skops, which asks what types it may load, need know of none but this class."""
        state = super().__getstate__()
        if "model_" in state:
            state = {
                **state,
                "_columns": self._columns and self._columns.to_config(),
                "_conformal": self._conformal.to_config(),
                "model_": content_of(self.model_),
            }
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "model_" in state:
            self._columns = state["_columns"] and Columns.from_config(state["_columns"])
            self._conformal = Conformal.from_config(state["_conformal"])
            self.model_ = model_of(state["model_"])


def write(path: str | os.PathLike, model: keras.Model, metadata: dict) -> None:
    """Writes a model and what `labels.plain` makes of the metadata. An earlier file stays as it is if that fails."""
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
