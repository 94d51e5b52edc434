"""Weights of a trained `keras_mdn_layer.MDN`, which becomes an `MDNLayer`.

Shapes in comments: F features, K components, D coordinates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfmdn.layers.outputs import Outputs

# It bounds scales only from below.
NO_CEILING = 1e30
# Arguments of an `MDNLayer` that change its density.
OTHERS = {"background", "family", "covariance", "support", "atoms", "resolution"}


def checked(weights: Sequence[ArrayLike], size: int) -> list[np.ndarray]:
    """The kernels `[F, ...]` and biases of the centres `[K D]`, the scales `[K D]` and the logits `[K]`.

    Args:
      weights: what `get_weights()` of the layer returns.
      size: D.

    Raises:
      ValueError: if they are others.
    """
    arrays = [np.asarray(array, np.float64) for array in (weights if isinstance(weights, (list, tuple)) else [weights])]
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


def density(epsilon: float, others: Collection[str]) -> dict[str, Any]:
    """The arguments of an `MDNLayer` that make its density that of the package.

    Raises:
      TypeError: if other arguments would change it.
    """
    arguments = {"scale_activation": "elu+1", "min_scale": epsilon, "max_scale": NO_CEILING}
    if changing := sorted((OTHERS | set(arguments)) & set(others)):
        raise TypeError(
            f"`from_keras_mdn_layer` keeps the density as it was trained. Received: {', '.join(changing)}, which would "
            "change it. (`epsilon` is the smallest scale.)"
        )
    return arguments


def kernel_and_bias(weights: list[np.ndarray], outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
    """The same in the order of the outputs of an `MDNLayer`: `[F, size]` and `[size]`."""
    parts = {"loc": weights[0:2], "log_scale": weights[2:4], "logits": weights[4:6]}
    kernel, bias = np.empty((len(weights[0]), outputs.size)), np.empty(outputs.size)
    for block in outputs.blocks:
        columns = block.columns.ravel()  # both have the coordinates of one component side by side
        kernel[:, columns], bias[columns] = parts[block.name]
    return kernel, bias
