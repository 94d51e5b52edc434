"""The default network of a table, and how its random numbers are drawn.

Shapes in comments: n rows, F features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from tfmdn.layers import features

# Of each layer, the weights that start at random: each has an initializer of its name.
RANDOM_WEIGHTS = ("frequencies", "kernel", "bias")
# Keras draws the seeds that it is not given from Python's global generator, which is not ours to touch. The numbers
# that count are those of `draw`.
ANY_SEED = 0


def default(
    numbers: keras.KerasTensor | None,
    others: Sequence[keras.KerasTensor],
    piecewise: features.PiecewiseLinearEmbedding | None,
    hidden_units: Sequence[int],
) -> tuple[keras.KerasTensor, list[keras.layers.Layer]]:
    """Embeddings of each number, then dense layers.

    Args:
      numbers: standardised numbers `[n, N]`, or None.
      others: further features `[n, ...]` of order 1.
      piecewise: a layer of bins, put beside the periodic embedding, or None.
      hidden_units: the sizes of the dense layers.

    Returns:
      The hidden features, and the layers that start at random.
    """
    layers, parts = [], []
    if numbers is not None:
        layers.append(features.PeriodicEmbedding(seed=ANY_SEED))
        parts += [layers[0](numbers), *([piecewise(numbers)] if piecewise is not None else [])]
    hidden = beside(*parts, *others)
    for units in hidden_units:
        # Biases of a width that matches the inputs' spread place the bends of the units over the data.
        bound = hidden.shape[-1] ** -0.5
        layers.append(
            keras.layers.Dense(
                units,
                activation="silu",
                kernel_initializer=keras.initializers.HeNormal(ANY_SEED),
                bias_initializer=keras.initializers.RandomUniform(-bound, bound, ANY_SEED),
            )
        )
        hidden = layers[-1](hidden)
    return hidden, layers


def beside(*parts: keras.KerasTensor) -> keras.KerasTensor:
    """Features `[n, ...]` in one last axis."""
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)


def draw(layers: Iterable[keras.layers.Layer], rng: np.random.Generator) -> None:
    """Gives layers new starting weights, and new seeds of what they draw while training."""

    def seed() -> int:
        return int(rng.integers(2**31))

    for layer in layers:
        for name in RANDOM_WEIGHTS:
            initializer = getattr(layer, f"{name}_initializer", None)
            config = initializer.get_config() if hasattr(initializer, "get_config") else {}
            if "seed" in config:
                variable = getattr(layer, name)
                variable.assign(initializer.from_config({**config, "seed": seed()})(variable.shape, variable.dtype))
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            state.assign(keras.random.SeedGenerator(seed()).state)
