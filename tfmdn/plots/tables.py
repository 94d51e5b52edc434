"""What a page is told of distributions: the parameters of normal components, or tables of others.

Shapes in comments: n rows, K components, m values of y.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.plots import quantities
from tfmdn.plots.data import Predictions

tfd = tfp.distributions


def told(said: Predictions, y: np.ndarray, most: int) -> tuple[str, np.ndarray]:
    """Which kind of distributions there are, and their numbers.

    Returns:
      "normal", and logits, centres and scales, `[n, 3, K]`; or "curve", and densities and cumulative probabilities at
      y, `[n, 2, m]`.

    Raises:
      ValueError: if there are more than `most` numbers.
    """
    kinds, tables = set(), []
    for mixture in said.mixtures(len(y)):
        is_normal = type(tensors.plain(mixture.components_distribution)) is tfd.Normal
        kinds.add("normal" if is_normal else "curve")
        tables.append(_parameters(mixture) if is_normal else _curve(mixture, y))
        if tables[-1].size // len(tables[-1]) * len(said.rows) > most:
            raise ValueError(
                f"The page would be told more than {most:,} numbers: take fewer values of x or y. Received: "
                f"{len(said.rows):,} combinations of features, with {tables[-1].shape[1:]} numbers each."
            )
    return kinds.pop(), np.concatenate(tables)


def _parameters(mixture: Mixture) -> np.ndarray:
    components = tensors.plain(mixture.components_distribution)
    log_weights = tf.math.log_softmax(mixture.mixture_distribution.logits_parameter())
    shape = [*mixture.batch_shape, quantities.num_components(mixture)]
    parts = [tf.broadcast_to(part, shape) for part in (log_weights, components.loc, components.scale)]
    return np.stack([part.numpy() for part in parts], 1)


def _curve(mixture: Mixture, y: np.ndarray) -> np.ndarray:
    points = y[:, np.newaxis]
    return np.stack([mixture.prob(points).numpy().T, mixture.cdf(points).numpy().T], 1)
