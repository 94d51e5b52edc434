"""Weights of a trained `keras_mdn_layer.MDN`, which becomes an `MDNLayer`.

Shapes in comments: F features, K components, D coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tfmdn.layers.outputs import Outputs

# It bounds scales only from below.
NO_CEILING = 1e30


def checked(weights: Sequence[ArrayLike], size: int) -> list[np.ndarray]:
    """The kernels `[F, ...]` and biases of the centres `[K D]`, the scales `[K D]` and the logits `[K]`.

    Args:
      weights: what `get_weights()` of the layer returns.
      size: D.

    Raises:
      ValueError: if they are others.
    """
    arrays = [np.asarray(array, np.float64) for array in weights]
    shapes = [array.shape for array in arrays]
    if list(map(len, shapes)) == [2, 1] * 3:
        (features, _), (components,) = shapes[0], shapes[5]
        widths = [components * size] * 2 + [components]
        if shapes == [shape for width in widths for shape in ((features, width), (width,))]:
            return arrays
    raise ValueError(
        "`weights` must be what `get_weights()` of a keras_mdn_layer.MDN returns: kernels and biases of the centres, "
        "the scales and the logits, of shapes (features, K * D), (K * D,), (features, K * D), (K * D,), (features, K), "
        f"(K,) for K mixtures of D = {size} dimensions. Received: weights of shapes {shapes}. If these are the weights "
        "of a whole model, pass those of its last layer, model.layers[-1].get_weights()."
    )


def kernel_and_bias(weights: list[np.ndarray], outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
    """The same in the order of the outputs of an `MDNLayer`: `[F, size]` and `[size]`."""
    parts = {"loc": weights[0:2], "log_scale": weights[2:4], "logits": weights[4:6]}
    kernel, bias = np.empty((len(weights[0]), outputs.size)), np.empty(outputs.size)
    for block in outputs.blocks:
        columns = block.columns.ravel()  # both have the coordinates of one component side by side
        kernel[:, columns], bias[columns] = parts[block.name]
    return kernel, bias
