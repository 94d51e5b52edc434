"""LiteRT's and ONNX Runtime's interpreters: what an exported file answers, without TensorFlow."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest


class LiteRT:
    """A file of LiteRT."""

    def __init__(self, path: pathlib.Path):
        interpreter = pytest.importorskip("ai_edge_litert.interpreter")
        self._interpreter = interpreter.Interpreter(str(path))
        self.signatures = set(self._interpreter.get_signature_list())

    def ask(self, signature: str, **arguments: np.ndarray) -> dict[str, np.ndarray]:
        return self._interpreter.get_signature_runner(signature)(**arguments)


class ONNX:
    """Files of ONNX in a folder, one for each signature."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self.signatures = {path.stem for path in folder.glob("*.onnx")}

    @functools.cache  # noqa: B019 - it lives as long as the tests of a file
    def _session(self, signature: str):
        runtime = pytest.importorskip("onnxruntime")
        return runtime.InferenceSession(self._folder / f"{signature}.onnx")

    def metadata(self, signature: str) -> dict[str, str]:
        return self._session(signature).get_modelmeta().custom_metadata_map

    def ask(self, signature: str, **arguments: np.ndarray) -> dict[str, np.ndarray]:
        session = self._session(signature)
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, arguments)))
