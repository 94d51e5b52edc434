"""Scores that are saved and loaded with the models whose losses or metrics they are."""

from __future__ import annotations

import keras

from tfmdn import numerics


def by_name(score: numerics.Function) -> numerics.Function:
    """The function, which AutoGraph leaves as it is and Keras saves and loads by its name."""
    return keras.saving.register_keras_serializable(package="tfmdn")(numerics.unconverted(score))
