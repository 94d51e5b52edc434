"""What a page is told of distributions: the parameters of normal components; of others their density, and the answers.

Shapes in comments: n rows, K components, m values of y, M modes, I intervals, A limits, L levels.
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

LEVELS, COVERAGE = (0.05, 0.5, 0.95), 0.8  # as in `browser/view.js`
MOST_MODES = 8
NEVER_NAN = {"logits", "locs", "scales", "density", "quantiles"}
OF_ANY_NUMBER = {"modes", "heights", "region"}  # NaN follows where a row has fewer


def told(said: Predictions, y: np.ndarray, most: int) -> tuple[dict, np.ndarray]:
    """Which kind of distributions there are, and the numbers of each row, see `browser/model.js`.

    Raises:
      ValueError: if there are more than `most` numbers, or if those of some distribution are NaN.
    """
    parts: list[dict[str, np.ndarray]] = []
    atoms: list[float] = []
    is_normal = is_stepped = False
    for mixture in said.mixtures(len(y)):
        is_normal = type(tensors.plain(mixture.components_distribution)) is tfd.Normal
        if is_normal:
            parts.append(_parameters(mixture))
        else:
            is_stepped = bool(quantities.is_rounded(mixture).any())
            limits, probabilities = np.split(quantities.limits_and_probabilities(mixture), 2)  # [A, n] each
            finite = np.isfinite(limits[:, 0])
            atoms = limits[finite, 0].tolist()
            parts.append(_answers(mixture, y, atoms) | {"atoms": probabilities[finite].T})
        _check_size(len(said.rows), sum(part[0].size for part in parts[0].values()), most)
    numbers = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    bad = np.isnan(np.concatenate([numbers[name] for name in NEVER_NAN & numbers.keys()], 1)).any(1)
    if bad.any():
        raise ValueError(f"The model must say something at each point of `x_grid`. Received: NaN at {bad.sum():,}.")
    numbers |= {name: _without_empty_columns(numbers[name]) for name in OF_ANY_NUMBER & numbers.keys()}
    sizes = {name: values.shape[1] for name, values in numbers.items()}
    described = {"kind": "normal"} if is_normal else {"kind": "table", "atoms": atoms, "isStepped": is_stepped}
    return {**described, "sizes": sizes}, np.concatenate([*numbers.values()], 1)


def _check_size(num_rows: int, size: int, most: int) -> None:
    if num_rows * size > most:
        raise ValueError(
            f"The page would be told more than {most:,} numbers: take fewer values of x or y. Received: {num_rows:,} "
            f"combinations of features, of which each needs {size:,} numbers."
        )


def _without_empty_columns(values: np.ndarray) -> np.ndarray:
    """An array `[n, ...]` without columns at the end that are NaN in all rows."""
    used = np.flatnonzero(~np.isnan(values).all(0))
    return values[:, : used[-1] + 1 if len(used) else 0]


def _parameters(mixture: Mixture) -> dict[str, np.ndarray]:
    components = tensors.plain(mixture.components_distribution)
    log_weights = tf.math.log_softmax(mixture.mixture_distribution.logits_parameter())
    parts = {"logits": log_weights, "locs": components.loc, "scales": components.scale}
    shape = [*mixture.batch_shape, quantities.num_components(mixture)]
    return {name: tf.broadcast_to(part, shape).numpy() for name, part in parts.items()}


def _answers(mixture: Mixture, y: np.ndarray, atoms: list[float]) -> dict[str, np.ndarray]:
    density = mixture.prob(quantities.beside(y, atoms)[:, np.newaxis]).numpy()  # [m, n]
    density[np.isinf(density)] = density[np.isfinite(density)].max(initial=0.0)  # at 0, of a gamma
    modes = mixture.modes(MOST_MODES)
    region = mixture.highest_density_region(COVERAGE)  # [I, n, 2]
    values = {
        "density": density,
        "moments": tf.stack([mixture.mean(), mixture.stddev()]),
        "quantiles": mixture.quantile(LEVELS),
        "modes": modes.points,
        "heights": tf.where(tf.math.is_nan(modes.points), np.nan, tf.exp(modes.log_prob)),
        "region": tf.reshape(tf.transpose(region, [0, 2, 1]), [-1, tf.shape(region)[1]]),  # [2 I, n]
    }
    return {name: np.asarray(value).T for name, value in values.items()}
