"""What a regressor's Keras model is made of: an encoding of the table, the ensemble, and what stands behind it.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn.distributions.mixture import Mixture
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.layers.fallback import MarginalFallback
from tfmdn.layers.features import Imputation, MissingIndicator
from tfmdn.tabular import chunks, encoding
from tfmdn.tabular.inputs import Inputs

# Graphs of compositions with a fallback that are kept.
CACHE_SIZE = 8
# How each part is known among the layers of the model.
PARTS = {
    "encoding": lambda layer: layer.name == encoding.NAME,
    "ensemble": lambda layer: isinstance(layer, Ensemble),
    "fallback": lambda layer: isinstance(layer, MarginalFallback),
}


@dataclasses.dataclass(frozen=True)
class Composition:
    """The parts of a regressor's Keras model, in the order in which they are called.

    Attributes:
      encoding: from raw columns to features `[n, F]`, None if the table is them.
      ensemble: from features to a mixture.
      fallback: what mixes in the marginal of the targets off the data, or None.
    """

    encoding: keras.Model | None
    ensemble: Ensemble
    fallback: MarginalFallback | None = None

    @classmethod
    def of(cls, model: keras.Model) -> Composition:
        """The parts of what `model` returned."""
        if isinstance(model, Ensemble):
            return cls(None, model)
        found = {kind: next((layer for layer in model.layers if is_one(layer)), None) for kind, is_one in PARTS.items()}
        return cls(**found)

    def model(self) -> keras.Model:
        """The parts as one Keras model: the ensemble itself, where there is no other."""
        if self.encoding is None and self.fallback is None:
            return self.ensemble
        inputs = (self.encoding or self.ensemble).input
        features = inputs if self.encoding is None else self.encoding(inputs)
        outputs = self.ensemble(features)
        if self.fallback is not None:
            outputs = self.fallback(outputs, self._known(features))
        return keras.Model(inputs, outputs, name="regressor")

    @property
    def can_have_gaps(self) -> bool:
        """Whether numbers of an array may be missing: those of a table with names always may."""
        layers = [] if self.encoding is None else self.encoding.layers
        return any(isinstance(layer, (Imputation, MissingIndicator)) for layer in layers)

    def features(self, raw: Inputs) -> np.ndarray:
        """What the networks see of a table, `[n, F]`."""
        return encoding.features(self.encoding, raw, may_trace=True)

    def answers(self, features: np.ndarray, ask: Callable, *arguments: ArrayLike) -> list[np.ndarray]:
        """What one of `questions` says of rows `[n, F]`: arrays `[n, ...]`. It is traced when it is first asked."""
        arguments = [tf.constant(argument, tf.float64) for argument in arguments]
        if self.fallback is None:
            return chunks.answered(lambda rows: self.ensemble.answer(rows, ask, *arguments), features)
        return chunks.answered(lambda rows: _in_graph(self, ask)(rows, *arguments), features)

    def predicted(self, features: np.ndarray) -> Iterator[Mixture]:
        """The distributions of rows `[n, F]`, some thousands at a time."""
        return chunks.predicted(self._predict, features)

    def _predict(self, features: tf.Tensor) -> Mixture:
        mixture = self.ensemble.predict_in_graph(features)
        return mixture if self.fallback is None else self.fallback(mixture, self._known(features))

    def _known(self, features):
        """What the fallback knows rows by: the first of the features, which are numbers."""
        return features[:, : self.fallback.num_features]


@functools.lru_cache(maxsize=CACHE_SIZE)
def _in_graph(composition: Composition, ask: Callable) -> Callable:
    """`ask` of a composition with a fallback, which is its own."""

    def answer(features, *arguments):
        return ask(composition._predict(features), *arguments)

    return tf.function(answer, reduce_retracing=True, autograph=False)
