"""What figures show of a mixture of scalar events, of one for each row.

Shapes in comments: n rows, m values of y, A limits, K components.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmdn import validation
from tfmdn.distributions import jumps, tensors
from tfmdn.distributions.mixture import Mixture


def num_components(mixture: Mixture) -> int:
    """The number K of components."""
    return mixture.mixture_distribution.logits_parameter().shape[-1]


def weighted_densities(mixture: Mixture, y: np.ndarray) -> tf.Tensor:
    """The density at y `[m]` of each component, times its weight: `[m, n, K]`."""
    return mixture.components_distribution.prob(y[:, np.newaxis, np.newaxis]) * _weights(mixture)


def limits_and_probabilities(mixture: Mixture) -> np.ndarray:
    """The limits amid a density, infinite where there is none, and then the probability of each: `[2 A, n]`."""
    components, logits = mixture.components_distribution, mixture.mixture_distribution.logits_parameter()
    limits = [limit + tf.zeros_like(mixture.mean()) for limit in jumps.atoms(components, logits, -1)]
    grid = jumps.grid(components, logits, -1)
    if grid is not None:
        limits = [tf.where(grid.exists, np.inf, limit) for limit in limits]
    probabilities = [mixture.prob_of(tf.where(tf.math.is_finite(limit), limit, 0.0)) for limit in limits]
    return np.reshape([*limits, *probabilities], (-1, mixture.batch_shape[0]))


def is_rounded(mixture: Mixture) -> np.ndarray:
    """Whether there are probabilities of the values of a grid, and no density: `[1, n]`."""
    components, logits = mixture.components_distribution, mixture.mixture_distribution.logits_parameter()
    grid = jumps.grid(components, logits, -1)
    return np.broadcast_to(False if grid is None else grid.exists, (1, mixture.batch_shape[0]))


def beside(y: np.ndarray, limits: list[float]) -> np.ndarray:
    """The values y `[m]`, but just beside limits: there the density is, and not the probability of the limit."""
    step = 1e-5 * np.ptp(y)
    for limit in limits:
        y = np.where(np.abs(y - limit) < step, limit + np.copysign(step, np.median(y) - limit), y)
    return y


def weights_and_parameter(mixture: Mixture, parameter: str) -> tf.Tensor:
    """The weights of the components, and one of their parameters or the weights again if it is "prob": `[2, n, K]`.

    Raises:
      ValueError: if the components have no such parameter.
    """
    weights = _weights(mixture)
    values = {"prob": weights, **tensors.parameters(mixture.components_distribution)}
    value = values[validation.one_of("parameter", parameter, values)]
    return tf.stack([weights, tf.broadcast_to(value, weights.shape)])


def _weights(mixture: Mixture) -> tf.Tensor:
    """The weights of the components, `[n, K]`."""
    probs = tf.cast(mixture.mixture_distribution.probs_parameter(), mixture.dtype)
    return tf.broadcast_to(probs, [*mixture.batch_shape, probs.shape[-1]])
