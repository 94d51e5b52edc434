"""Regressors in files: Keras' archive of the model, with what else there is to know beside it as JSON."""

from __future__ import annotations

import json
import numbers
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import keras
import numpy as np
from sklearn.utils.validation import check_is_fitted

from tfmdn import archives, files, processes, validation, versions
from tfmdn.export.litert import export_litert
from tfmdn.export.onnx import export_onnx
from tfmdn.export.saved_model import export_saved_model
from tfmdn.tabular import labels
from tfmdn.tabular.columns import Columns
from tfmdn.tabular.conformal import Conformal

Regressor = TypeVar("Regressor", bound="Stored")

KIND = "a file that MDNRegressor.save wrote"
METADATA = "regressor.json"
FACTS = (
    "parameters",
    "num_components_",
    "n_steps_",
    "best_steps_",
    "stopped_by_",
    "findings_",
    "held_out_scores_",
    "n_features_in_",
    "feature_names_in_",
    "columns",
    "output_shape",
    "typical_values",
    "conformal",
    "target_names",
)
LONGEST_CAUSE = 600  # characters of what Keras says
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
        processes.require_usable_tensorflow()
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
        >>> regressor = tfmdn.MDNRegressor(n_estimators=1, max_steps=20, random_state=0).fit(x, y)
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
          ValueError: if the file is not one, is damaged, or of a version of tfmdn whose files this one cannot read. The
            error says which versions, and what to do.
        """
        processes.require_usable_tensorflow()
        regressor = cls()
        regressor.model_, _ = read(path, regressor._set_metadata)
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

    def _set_metadata(self, metadata: dict) -> None:
        """Takes what `_metadata` returned.

        Raises:
          versions.OtherVersionError: if there is more or less of it than this version knows.
        """
        _check_names("parts", metadata, FACTS, FACTS)
        _check_names("parameters", metadata["parameters"], self.get_params(deep=False), ())
        self.set_params(**metadata["parameters"])
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

    def __getstate__(self):
        """Of plain types alone: skops, which asks what types it may load, need know of none but this class."""
        state = super().__getstate__()
        if "model_" in state:
            content = self.model_ if isinstance(self.model_, bytes) else content_of(self.model_)
            state = {
                **state,
                versions.STAMP: versions.stamp(),
                "_columns": self._columns and self._columns.to_config(),
                "_conformal": self._conformal.to_config(),
                "model_": content,
            }
        return state

    def __setstate__(self, state):
        writer = state.get(versions.STAMP, {})
        versions.check_format(writer, f"Received: a pickle of a {type(self).__name__}.")
        super().__setstate__({name: value for name, value in state.items() if name != versions.STAMP})
        if "model_" in state:
            differences = versions.differences(state, state, ["_columns", "_conformal"])
            if differences:
                raise versions.OtherVersionError(
                    f"The pickle of this {type(self).__name__} {differences}. {versions.story(writer)}"
                )
            self._columns = state["_columns"] and Columns.from_config(state["_columns"])
            self._conformal = Conformal.from_config(state["_conformal"])
            # Where TensorFlow cannot be used it stays as it came: pools do not survive an error here. Questions raise.
            self.model_ = model_of(state["model_"]) if processes.is_usable() else state["model_"]


def _check_names(what: str, found: dict, known: Collection[str], needed: Collection[str]) -> None:
    differences = versions.differences(found, known, needed)
    if differences:
        raise versions.OtherVersionError(f"among its {what} it {differences}, unlike files of this version.")


def write(path: str | os.PathLike, model: keras.Model, metadata: dict) -> None:
    """Writes a model and what `labels.plain` makes of the metadata. An earlier file stays as it is if that fails."""
    with files.replacement(path, suffix=".keras") as draft:
        model.save(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(METADATA, json.dumps({versions.STAMP: versions.stamp(), **metadata}))


def read(path: str | os.PathLike, check: Callable[[dict], None]) -> tuple[keras.Model, dict]:
    """The model and the metadata that `write` wrote.

    Args:
      path: the file.
      check: is called with the metadata before the model is made, and raises a `versions.OtherVersionError`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is not one, or is damaged, or of another version.
    """
    received = f"Received: path={os.fspath(path)!r}."
    with archives.opened(path, KIND) as (file, archive):
        if METADATA not in archive.namelist():
            hint = " keras.models.load_model reads it." if "config.json" in archive.namelist() else ""
            raise ValueError(f"Expected {KIND}, and there is no {METADATA} in it.{hint} {received}")
        metadata = archives.json_of(archive, METADATA, received)
        if not isinstance(metadata, dict):
            raise ValueError(f"Expected {KIND}, and {METADATA} in it is of another kind. {received}")
        writer = metadata.pop(versions.STAMP, {})
        versions.check_format(writer, received)
        try:
            check(metadata)
            return _loaded(lambda model: archives.copy(file, model)), metadata
        except Exception as error:  # Keras raises all kinds
            raise ValueError(
                f"The regressor in the file cannot be made again: {_cause(error)} {versions.story(writer)} {received}"
            ) from error


def _cause(error: Exception) -> str:
    if isinstance(error, versions.OtherVersionError):
        return error.finding
    # Keras puts configs of many pages before what was wrong.
    text = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
    text = text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]} ..."
    return f"{type(error).__name__}: {text}"


def content_of(model: keras.Model) -> bytes:
    """The content of a .keras file with the model."""
    processes.require_usable_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def model_of(content: bytes) -> keras.Model:
    """The model in the content of a .keras file."""
    return _loaded(lambda file: file.write_bytes(content))


def _loaded(write: Callable[[pathlib.Path], Any]) -> keras.Model:
    """The model in a file that a function writes."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"  # Keras goes by the suffix
        write(file)
        return keras.models.load_model(file, compile=False)
