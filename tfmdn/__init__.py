"""Mixture density networks for Keras 3 and TensorFlow Probability."""

import os as _os
import typing as _typing


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

from tfmdn import callbacks as callbacks
from tfmdn import datasets as datasets
from tfmdn import distributions as distributions
from tfmdn import ensembles as ensembles
from tfmdn import export as export
from tfmdn import layers as layers
from tfmdn import losses as losses
from tfmdn import metrics as metrics
from tfmdn import plots as plots
from tfmdn import scores as scores
from tfmdn import training as training
from tfmdn import versions as _versions
from tfmdn.callbacks import BackupAndRestore as BackupAndRestore
from tfmdn.callbacks import ComponentHealth as ComponentHealth
from tfmdn.callbacks import ComponentHealthWarning as ComponentHealthWarning
from tfmdn.callbacks import EnsembleEarlyStopping as EnsembleEarlyStopping
from tfmdn.callbacks import ModelCheckpoint as ModelCheckpoint
from tfmdn.datasets import read_table as read_table
from tfmdn.distributions import Mixture as Mixture
from tfmdn.distributions import merge as merge
from tfmdn.ensembles import Ensemble as Ensemble
from tfmdn.export import as_tensors as as_tensors
from tfmdn.export import export_litert as export_litert
from tfmdn.export import export_onnx as export_onnx
from tfmdn.export import export_saved_model as export_saved_model
from tfmdn.generation import generate as generate
from tfmdn.layers import MarginalFallback as MarginalFallback
from tfmdn.layers import MDNLayer as MDNLayer
from tfmdn.layers import features as features
from tfmdn.losses import CRPS as CRPS
from tfmdn.losses import EnergyScore as EnergyScore
from tfmdn.losses import NegativeLogLikelihood as NegativeLogLikelihood
from tfmdn.losses import PinballLoss as PinballLoss
from tfmdn.scores import crps as crps
from tfmdn.scores import energy_score as energy_score
from tfmdn.scores import negative_log_likelihood as negative_log_likelihood
from tfmdn.scores import pinball_loss as pinball_loss
from tfmdn.scores import probability_integral_transform as probability_integral_transform
from tfmdn.training import MultiWorkerMirroredStrategy as MultiWorkerMirroredStrategy
from tfmdn.training import fit as fit

__version__ = _versions.VERSION


def __dir__() -> list[str]:
    return sorted({*globals(), "MDNRegressor"})


if _typing.TYPE_CHECKING:
    from tfmdn.tabular.regressor import MDNRegressor as MDNRegressor
else:

    def __getattr__(name: str) -> object:
        """Imports what needs an optional package when it is asked for."""
        if name != "MDNRegressor":
            raise AttributeError(f"module 'tfmdn' has no attribute {name!r}")
        try:
            from tfmdn.tabular.regressor import MDNRegressor
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "sklearn":
                raise
            raise ImportError("tfmdn.MDNRegressor needs scikit-learn: pip install 'tfmdn[sklearn]'.") from error
        return MDNRegressor
