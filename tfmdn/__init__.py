"""Mixture density networks for Keras 3 and TensorFlow Probability."""

import os as _os


def _require_tensorflow_backend(backend: str) -> None:
    if backend != "tensorflow":
        raise ImportError(
            "tfmdn needs the TensorFlow backend of Keras. Before Keras is imported, set the environment variable "
            'KERAS_BACKEND to tensorflow, or "backend" to "tensorflow" in ~/.keras/keras.json. '
            f"Received: backend={backend!r}."
        )


# Keras fails to import at all when its backend is not installed: the variable is looked at first.
_require_tensorflow_backend(_os.environ.get("KERAS_BACKEND") or "tensorflow")

import keras as _keras

_require_tensorflow_backend(_keras.backend.backend())

from tfmdn import datasets as datasets
from tfmdn.export import export_saved_model as export_saved_model
from tfmdn.layers import MDNLayer as MDNLayer
from tfmdn.losses import NegativeLogLikelihood as NegativeLogLikelihood
from tfmdn.losses import negative_log_likelihood as negative_log_likelihood
from tfmdn.mixture import Mixture as Mixture

__version__ = "0.1.0"
